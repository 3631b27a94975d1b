"""Targets and outputs that a loss takes though it is for others: it stretches or cuts them off."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.reading.board import call
from samegrad.implementations.reading.objectives import OwnLoss, value_of_loss
from samegrad.implementations.reading.trials import Trial

MOST_WIDTH = 8  # outputs that are told from one
ONE_WIDE = {"label column": 1, "label row": 0}  # forms of targets: the axis that is 1
LABELS = (*ONE_WIDE, "labels")
BETWEEN = (0.25, 0.4375)  # what is added to labels, which are whole numbers


def is_stretched(trial: Trial, loss: Callable[[], float]) -> bool:
    """Whether targets have another number of outputs than what they are subtracted from.

    Arrays of one column are stretched to any width, so that a loss runs with what is not meant:
    such a loss runs with other widths as well, or, of one column, with one other width alone. Of
    labels those of several outputs are no numbers, which are subtracted from each.
    """
    y = trial.board.values["y"]
    if trial.form.y == "labels" and trial.board.sizes.k > 1 and not trial.network.held:
        return _takes_numbers(trial.board.values, loss)
    if not isinstance(y, np.ndarray) or y.ndim != 2 or y.dtype.kind not in "fi":
        return False
    axis = ONE_WIDE.get(trial.form.y, 0 if "column" in trial.form.x else 1)
    k = y.shape[axis]
    first = np.take(y, [0], axis)

    def runs_with(width: int) -> bool:
        trial.board.values["y"] = np.repeat(first, width, axis)
        try:
            return bool(np.isfinite(loss()))
        except (Exception, SystemExit):
            return False
        finally:
            trial.board.values["y"] = y

    if k > 1:
        return runs_with(k + 1)
    run = [runs_with(width) for width in range(2, MOST_WIDTH)]
    return any(run) and not all(run)


def _takes_numbers(values: dict[str, Any], loss: Callable[[], float]) -> bool:
    """Whether a loss follows labels as it does numbers, and not as places or classes."""
    y, found = values["y"], []
    if not isinstance(y, np.ndarray | int | np.integer):
        return False
    try:
        for by in BETWEEN:
            values["y"] = y + by
            found.append(loss())
    except (Exception, SystemExit):  # an index is no such number
        return False
    finally:
        values["y"] = y
    return bool(np.isfinite(found).all()) and found[0] != found[1]


def is_cut_off(trial: Trial, loss: Callable[[], float]) -> bool:
    """Whether a loss is for probabilities, and cuts off outputs that are none: these count not."""
    if not isinstance(loss, OwnLoss) or all(key != "out" for _, key in loss.plan):
        return False
    values = trial.board.values
    try:
        here, held = loss(), values["out"]
        outputs = np.asarray(held, np.float64)
        outside = (outputs < 0) | (outputs > 1)
        values["out"] = np.where(outside, outputs + np.sign(outputs), outputs)
        given = call(loss.function, loss.plan, trial.board)
        farther = value_of_loss(given) if loss.value is None else loss.value(given)
    except (Exception, SystemExit):
        return False
    values["out"] = held
    return bool(outside.any()) and farther == here
