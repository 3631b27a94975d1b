"""Learning rates as plain functions of the step.

Each takes the largest rate, the number of steps and the step (0, 1, ...) and gives its rate.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float, int, int], float]

# Smith and Topin (2018), in the form of torch's OneCycleLR: where the maximum is, and how much
# smaller the rate is at the start and at the end.
WARM_UP, START, END = 0.3, 25.0, 25.0e4


def constant(rate: float, steps: int, step: int) -> float:
    """The same rate at every step."""
    return rate


def cosine(rate: float, steps: int, step: int) -> float:
    """Half a cosine from the rate to zero (Loshchilov and Hutter 2017, without restarts)."""
    return rate * _half_cosine(step / steps)


def one_cycle(rate: float, steps: int, step: int) -> float:
    """Up from rate/25 to the rate in the first 30 % of the steps, then down to almost zero."""
    peak = max(1.0, WARM_UP * steps - 1)
    if step <= peak:
        return rate + (rate / START - rate) * _half_cosine(step / peak)
    end = rate / END
    return end + (rate - end) * _half_cosine((step - peak) / max(1.0, steps - 1 - peak))


def _half_cosine(share: float) -> float:
    """From 1 to 0 as the share goes from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle}
