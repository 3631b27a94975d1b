"""What process medians are worth: an interval for one row, a ratio and a verdict for two.

Blocks within a process agree better than processes do (other memory addresses, other neighbours),
so a process is one sample: its median block. Over processes the logs of the medians are averaged,
with Student's t. Bootstrapping a handful of medians would claim 95 % and hold 63 % with two
processes and 92 % with five; t holds what it claims (test_intervals.py simulates it).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
LEAST_PROCESSES = 5  # fewer give no interval that deserves the name
NO_DIFFERENCE = 1.05  # a ratio within it is no difference: clocks and code layout differ by as much
# A machine whose own speed changed by more may be what makes a row faster or slower.
SAME_SPEED = 1.02
FASTER, SLOWER, SAME, CANT_TELL = "FASTER", "SLOWER", "SAME", "CAN'T TELL"


@dataclass(frozen=True)
class Ratio:
    """How many times as long the one takes as the other, with its interval (NaN: none)."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def verdict(self) -> str:
        """Of the first against the second: FASTER or SLOWER only if the interval clears 1.05."""
        if self.high < 1 / NO_DIFFERENCE:
            return FASTER
        if self.low > NO_DIFFERENCE:
            return SLOWER
        if self.low >= 1 / NO_DIFFERENCE and self.high <= NO_DIFFERENCE:
            return SAME
        return CANT_TELL


def interval(medians: Sequence[float]) -> tuple[float, float]:
    """95 % Student t interval of the mean log median, taken back; NaN below 5 processes."""
    if len(medians) < LEAST_PROCESSES:
        return math.nan, math.nan
    centre, error = _mean(_logs(medians))
    half = _t(len(medians) - 1) * error
    return _exp(centre - half), _exp(centre + half)


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """The first's time over the second's, by Welch's t interval on the logs of the medians.

    Whatever the values are: of those that are no times, or of none, it is NaN.
    """
    (a, error_a), (b, error_b) = _mean(_logs(first)), _mean(_logs(second))
    value = _exp(a - b)
    if min(len(first), len(second)) < LEAST_PROCESSES or math.isnan(value):
        return Ratio(value)
    variance = error_a**2 + error_b**2
    if variance == 0:
        return Ratio(value, value, value)
    freedom = variance**2 / (error_a**4 / (len(first) - 1) + error_b**4 / (len(second) - 1))
    half = _t(freedom) * math.sqrt(variance)
    return Ratio(value, _exp(a - b - half), _exp(a - b + half))


def paired(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """The same where both were measured in the same processes: Student's t over their ratios.

    What a process has of its own (addresses, neighbours) is in both, and cancels.
    """
    if len(first) != len(second):
        return ratio(first, second)
    quotients = [a / b if b else math.nan for a, b in zip(first, second, strict=True)]
    value = _exp(_mean(_logs(quotients))[0])
    return Ratio(value, *interval(quotients))


def _logs(medians: Sequence[float]) -> list[float]:
    try:
        return [math.log(median) for median in medians]
    except (ValueError, TypeError):  # 0 or below, or none: no time
        return [math.nan] * len(medians)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _mean(logs: Sequence[float]) -> tuple[float, float]:
    """Mean of the logs and its standard error (0 for a single one)."""
    if not logs or not all(map(math.isfinite, logs)):
        return math.nan, math.nan
    mean = math.fsum(logs) / len(logs)
    if len(logs) < 2:
        return mean, 0.0
    spread = math.fsum((value - mean) ** 2 for value in logs) / (len(logs) - 1)
    return mean, math.sqrt(spread / len(logs))


@functools.lru_cache(maxsize=4096)
def _t(freedom: float) -> float:
    """The quantile of Student's t behind a two-sided interval."""
    from scipy.special import stdtrit  # scipy.stats asks it, too, and takes three times as long

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
