"""Differences that are no fault of a gradient: a decay of steps, the 2 of a square, an overflow."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport, Match
from samegrad.implementations.reading.board import Board, Sizes
from samegrad.implementations.reading.extremes import _overflows
from samegrad.implementations.reading.made_up import DECAY, beside_decay, half_of_squares
from samegrad.implementations.reading.objectives import OwnLoss
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.straight import _trained, _trainers
from samegrad.implementations.reading.stretched import is_cut_off, is_stretched

FILE = """
def cost(t, out):
    return LOSS

def train(net, lr):
    for _ in range(9):
        net.W -= RATE * net.dW
"""
SQUARES = "((t - out) ** 2).mean()"
HALF, OTHER = (0.5, 0.5), (0.3, 0.3)


def _wrong(reason: str, *constants: float) -> CheckReport:
    rows = [Match(f"W{i}", (3, 2), "dW", c, verdict=DISAGREES, reason=reason)
            for i, c in enumerate(constants or (1.0,))]  # fmt: skip
    return CheckReport(DISAGREES, tuple(rows))


def _reading(**given: Any) -> Reading:
    return Reading(
        None, (), lambda: 0.0, lambda: None, (), "so",
        **{"own": False, "loss_name": "squared error", **given},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("own", "update", "reason", "expected"),
    [
        (False, print, f"it has 0.01 {DECAY}", True),
        (True, print, f"it has 0.01 {DECAY}", False),
        (False, None, f"it has 0.01 {DECAY}", False),
        (False, print, "error 0.1", False),
    ],
)
def test_decay_of_a_step_is_no_part_of_a_loss_of_ours(
    own: bool, update: Any, reason: str, expected: bool
) -> None:
    """Of its own it may be one that is forgotten."""
    reading = _reading(own=own, step=True, update=update)

    assert expected == beside_decay(reading, _wrong(reason))


@pytest.mark.parametrize(
    ("loss", "rate", "constants", "expected"),
    [
        (SQUARES, "lr", HALF, True),
        (SQUARES, "0.1", HALF, False),
        (SQUARES, "lr", OTHER, False),
        (SQUARES, "lr", (0.5, 0.4), False),
        ("0.5 * " + SQUARES, "lr", HALF, False),
        ("-(t * np.log(out)).sum()", "lr", HALF, False),
    ],
)
def test_half_of_a_square_is_left_open_where_a_file_trains(
    loss: str, rate: str, constants: tuple[float, ...], expected: bool, tmp_path: Path
) -> None:
    """Many leave the 2 out."""
    file, space = tmp_path / "mine.py", dict[str, Any]()
    file.write_text(FILE.replace("LOSS", loss).replace("RATE", rate))
    exec(compile(file.read_text(), str(file), "exec"), space)
    cost = space["cost"]
    reading = _reading(own=True, loss_name="cost", users=(cost,), functions=(cost,))

    assert expected == bool(half_of_squares(reading, _wrong("", *constants)))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda out, y: np.mean((out - y) ** 2), True),
        (lambda out, y: -np.log(out[y, np.arange(5)]).mean(), False),
        (lambda out, y: -np.log(np.where(y == 1, out[1], out[0])).mean(), False),
        (lambda out, y: -np.log(out[y.astype(int), np.arange(5)]).mean(), False),
    ],
)
def test_labels_are_not_subtracted_from_each_of_several_outputs(loss: Any, expected: bool) -> None:
    """Where arrays are stretched to that."""
    out = np.random.default_rng(1).uniform(0.1, 0.9, (3, 5))
    values: dict[str, Any] = {"y": np.array([0, 1, 2, 1, 0])}
    board = SimpleNamespace(values=values, sizes=SimpleNamespace(k=3))
    trial: Any = SimpleNamespace(
        board=board, form=SimpleNamespace(x="columns", y="labels"), network=SimpleNamespace(held=())
    )

    assert expected == is_stretched(cast("Any", trial), lambda: float(loss(out, values["y"])))
    assert [0, 1, 2, 1, 0] == values["y"].tolist()


@pytest.mark.parametrize(
    ("words", "reason", "expected"),
    [
        ("with half of net.b1 about -839", "dW1: 12 of 24 values not finite", True),
        ("with half of net.b1 about +214", "dW1: 12 of 24 values not finite", False),
        ("with half of net.b1 about -839", "dW1: error 0.2", False),
        ("with outputs of about +839", "dW1: 12 of 24 values not finite", False),
    ],
)
def test_units_at_which_exp_overflows_accuse_nobody(
    words: str, reason: str, expected: bool
) -> None:
    """Of outputs it is a fault: the loss is a number there."""
    assert expected == _overflows(_wrong(reason), words)


TRAINED = """
def update(w, dw): return w - dw
def train(w, n):
    for _ in range(n):
        w = update(w, backprop(w))
    return w
"""


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("w = train(w, 9)", True),
        ("w = update(w, dw)", False),
        ("w = train(v, 9)", False),
        ("train(w, 9)", False),
    ],
)
def test_call_that_trains_is_no_update_of_one_pass(statement: str, expected: bool) -> None:
    """It makes many."""
    trainers = _trainers(ast.parse(TRAINED).body)

    assert {"train"} == trainers
    assert expected == _trained(ast.parse(statement).body[0], trainers)


@pytest.mark.parametrize("far", [0.0, 3.0])
@pytest.mark.parametrize("clips", [True, False])
def test_outputs_that_a_loss_cuts_off_are_not_meant(clips: bool, far: float) -> None:
    """It is one of probabilities."""
    held = np.array([[0.2, 0.7], [0.9, 0.4]]) + far

    def loss(p: Any, y: Any) -> float:
        return float(-np.mean(y * np.log(np.clip(p, 1e-9, 1) if clips else p)))

    values: dict[str, Any] = {"out": held, "y": np.eye(2)}
    trial: Any = SimpleNamespace(
        board=Board(Sizes(), values), forward=lambda: None, out=lambda _: held
    )
    plan = (("p", "out"), ("y", "y"))

    assert (clips and far > 0) == is_cut_off(trial, OwnLoss(trial, loss, plan, "returned"))
    assert values["out"] is held
