"""Steps that one call makes for each example of a batch: their sum is no gradient at one point."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from samegrad.implementations.reading.board import Form, Plan
from samegrad.implementations.reading.trials import Trial

Array = Any
SMALLER = 16.0  # rate, at which one step changes as much less
SAME = 1e-6  # of changes over their rates, by which steps in a row differ more


def one_by_one(
    step: Callable[[], Mapping[str, Array]], kind: str, plan: Plan, trial: Trial
) -> bool:
    """Whether what a step changes is no multiple of its rate, but is one with one example alone.

    A fault such as weights that are used after their update shows with one example as well.

    Args:
        step: gives what one call changes, of all weights.
        kind: "step", or another one, which makes none.
        plan: of the arguments of the call.
        trial: has the data and the rate; it remembers what was found.
    """
    values, form = trial.board.values, trial.form
    batch = not form.x.startswith("one") and values["n"] > 1
    if kind != "step" or not batch or all(key != "lr" for _, key in plan):
        return False
    held = dict(values)

    def straight() -> bool:
        values["lr"] = held["lr"]
        first = step()
        values["lr"] = held["lr"] / SMALLER
        return all(
            np.allclose(SMALLER * other, first[name], SAME, SAME * np.max(np.abs(first[name])))
            for name, other in step().items()
        )

    try:
        if straight():
            return False
        for key in ("X", "y", "#Y"):
            values[key] = _first(held[key], form)
        values["n"] = 1
        trial.singly.append(straight())
        return trial.singly[-1]
    except (Exception, SystemExit):  # it does not run with one example
        return False
    finally:
        values.clear()
        values.update(held)


def _first(data: Any, form: Form) -> Any:
    """The first example of some data."""
    return data[:, :1] if form.x == "columns" and np.ndim(data) == 2 else data[:1]
