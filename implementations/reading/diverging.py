"""A learning rate that leads the loss of a script's loop away, by some turns of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.reading.effects import Place, places
from samegrad.implementations.reading.turns import Script

Array = Any
TURNS = 20
SECONDS = 1.0  # of this process: of large networks in lists there are fewer turns
GROWN = 1e3  # times the first loss, or 1 if that is smaller: no noise of small batches
BEYOND = (OverflowError, ZeroDivisionError)  # of `math`: exp(1000)
DIVERGES = "it diverges at its rate"


def diverges(script: Script, loss: Callable[[], float]) -> str:
    """How its loss grows beyond all bounds at the rate that the file has, or "".

    It begins with the weights that the file has; they are as before afterwards. Nothing is said
    where the rate of a turn is ours.
    """
    if script.raised:
        return ""
    weights = places(script.weights, "net")
    before = [place.read() for place in weights]
    turns, end = 0, time.process_time() + SECONDS
    first = now = np.nan
    try:
        _put(weights, _values(script, script.base))
        first = now = loss()
        while np.isfinite(now) and turns < TURNS and time.process_time() < end:
            turns += 1
            _put(weights, _values(script, script.turn()))
            now = loss()
    except BEYOND:
        now = np.nan
    except (Exception, SystemExit) as error:  # a turn that does not go on from another
        if "math domain" not in str(error):  # log(0)
            return ""
        now = np.nan
    finally:
        for place, old in zip(weights, before, strict=True):
            place.write(old)
    if not np.isfinite(first) or (now - first <= GROWN * max(abs(first), 1.0)):
        return ""
    gives = f"{now:.3g}" if np.isfinite(now) else "no finite number"
    later = f"{turns} turn{'s' * (turns > 1)} later"
    return f"{DIVERGES}: the loss is {first:.3g}, and {gives} {later}"


def _values(script: Script, space: Mapping[str, Any]) -> dict[str, Array]:
    """Weights as a namespace has them, and what is kept beside them from turn to turn."""
    found = places({name: space[name] for name in script.weights}, "net")
    return {place.name: place.read() for place in found}


def _put(weights: Sequence[Place], values: Mapping[str, Array]) -> None:
    for place in weights:
        if values[place.name].shape != place.read().shape:
            raise TypeError("another shape")
        place.write(values[place.name])
