"""A loss that nothing calls, where a loop has its own; readings that are not those calls."""

import ast
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest

from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    UNDECIDED,
    CheckReport,
    Match,
)
from samegrad.implementations.reading.checked import _by_momentum
from samegrad.implementations.reading.gradients import Backward, Change
from samegrad.implementations.reading.outputs import one_name
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.unused import of_written, written_instead
from samegrad.implementations.reading.usage import first_of, placed_arguments
from samegrad.implementations.reading.words import activation_words

LOG = "-(t * np.log(out)).sum()"
FILE = """
def half_of_squares(t, out):
    return ((t - out) ** 2).sum() / 2

def train(net, rounds):
    for _ in range(rounds):
        out = net.forward()
        loss = LOSS
        print(loss)
"""


def _of(text: str, folder: Path) -> Reading:
    """A reading with the first function of a file for its loss."""
    file = folder / "mine.py"
    file.write_text(text)
    space: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), space)  # as a file is loaded
    users = [v for k, v in space.items() if k != "__builtins__"]
    loss: Callable[..., Any] = users[0]
    return Reading(
        None, (), lambda: 0.0, lambda: None, (), "so", True, loss.__name__, users=tuple(users)
    )


@pytest.mark.parametrize(
    ("loss", "standard", "verdict"),
    [
        (LOG, "cross entropy, summed", AGREES),
        (LOG, "1/2 squared error, summed", UNDECIDED),
        ("half_of_squares(t, out)", "", ""),
        ("0.0", "", ""),
    ],
)
def test_loop_says_what_is_trained_on(
    loss: str, standard: str, verdict: str, tmp_path: Path
) -> None:
    """By what it writes out in the place of a call."""
    reading = _of(FILE.replace("LOSS", loss), tmp_path)

    text = written_instead(reading)

    assert (loss if verdict else "") == text
    if text:
        told = of_written(CheckReport(AGREES, reading=f"so; loss: {standard}"), reading, text)
        assert verdict == told.verdict
        wrong = CheckReport(DISAGREES)
        assert of_written(wrong, reading, text) is wrong


@pytest.mark.parametrize(
    ("source", "constants", "expected"),
    [
        ("self.velocity = beta * self.velocity + dw", (1.0, None), True),
        ("self.velocity = beta * self.velocity + dw", (1.0, 0.5), False),
        ("self.velocity = beta * self.velocity + dw", (None, None), False),
        ("dw = np.clip(dw, -1, 1); self.momentum * dw", (1.0, None), False),
        ("m = beta1 * m; momentum", (1.0, None), False),
    ],
)
def test_first_step_of_a_momentum_is_judged_where_one_matrix_is_right(
    source: str, constants: tuple[float | None, ...], expected: bool
) -> None:
    """What clips or divides makes of it what no slope shows."""
    rows = [
        Match(f"W{i}", (4, 3), "update", c, entries=12, verdict=AGREES if c == 1 else DISAGREES)
        for i, c in enumerate(constants)
    ]

    assert expected == _by_momentum(CheckReport(DISAGREES, tuple(rows)), [source])


WORDS = """
class Net:
    def __init__(self, activation):
        self.method = "logistic"
        self.names = ["gelu"]

    def squashed(self, x, activation):
        return tanh(x) if activation == "tanh" else x

layers = [Layer("relu")]
"""


def test_words_of_other_things_are_no_activations() -> None:
    """Only where the file asks which activation it is."""
    asked, not_asked = (
        cast("Any", SimpleNamespace(statements=ast.parse(text).body))
        for text in (WORDS, WORDS.replace("activation ==", "method =="))
    )

    assert ["tanh", "relu"] == activation_words(asked)
    assert {"logistic", "gelu", "tanh", "relu"} == {*activation_words(not_asked)}


def test_call_that_comes_first_is_part_of_a_reading() -> None:
    """Where it raises on another network, what comes after it is another reading."""
    first = Backward(cast("Any", None), print, "backward", ())
    after = replace(first, name="gradients", first=first)

    assert ["", "backward", "backward"] == [
        first_of(b) for b in (first, after, Change(after, (), None, 1.0))
    ]


@pytest.mark.parametrize(
    ("loss", "backward", "same"),
    [("logits, y", "x, logits", True), ("p, y", "x, logits", False), ("y", "x, y", False)],
)
def test_outputs_of_one_name_are_the_same(loss: str, backward: str, same: bool) -> None:
    """In a loss and a backward pass."""
    space: dict[str, Any] = {}
    exec(f"def loss({loss}): ...\ndef backward({backward}): ...", space)  # no file

    assert same == one_name({k: f for k, f in space.items() if k != "__builtins__"})


FITTED = """
class Net:
    def __init__(self, n):
        self.outs[0] = n

    def fit(self, xTrain, yTrain):
        for i, row in xTrain.iterrows():
            self.outs[0] = row.values
            self.errors[0] = yTrain[i]
            self.deltas[1] = row

    def predict(self, x):
        self.layers[0] = x
"""


def test_examples_are_put_where_a_fit_puts_them(tmp_path: Path) -> None:
    """At the first place of a list."""
    file = tmp_path / "mine.py"
    file.write_text(FITTED)
    space: dict[str, Any] = {"__name__": "mine"}
    exec(compile(FITTED, str(file), "exec"), space)  # as a file is loaded
    module = ModuleType("mine")
    module.__file__ = str(file)

    with mock.patch.dict(sys.modules, mine=module):
        found = dict(placed_arguments(space["Net"]))

    assert {"outs": "xTrain", "errors": "yTrain", "layers": "x"} == found
