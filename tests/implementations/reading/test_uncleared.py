"""Training that never sets gradients to zero is wrong though its gradient is right."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.implementations.reading.uncleared import never_cleared
from tests.helpers.read_here import read_here

pytest.importorskip("torch", reason="files of torch are read with it")
FILE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.second(torch.sigmoid(self.first(x)))


def train(net, batches, rate=0.1):
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for x, y in batches:
        ZERO
        nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
"""
PASS = FILE[: FILE.index(".backward()")].count("\n") + 1
NUMBERS = """
class Value:
    def __init__(self, data):
        self.data, self.grad = data, 0.0

    def backward(self):
        self.grad = 1.0
        self.parent.grad += self.slope


def zero_grad(net):
    for p in net:
        p.grad = 0.0


def train(net, xs):
    for x in xs:
        ZERO
        loss(net, x).backward()
        for p in net:
            p.data += -0.1 * p.grad
"""
NUMBERS_PASS = NUMBERS[: NUMBERS.index(").backward()")].count("\n") + 1


def found(text: str, zero: str) -> int | None:
    """The line that is said of a file with something in place of ZERO."""
    loaded: Any = SimpleNamespace(statements=ast.parse(text.replace("ZERO", zero)).body)
    return never_cleared(loaded)


@pytest.mark.parametrize(
    ("text", "zero", "line"),
    [
        (FILE, "net.train()", PASS),
        (FILE, "# optimizer.zero_grad()\n        pass", PASS + 1),
        (FILE, "optimizer.zero_grad()", None),
        (FILE, "net.zero_grad(set_to_none=True)", None),
        (FILE, "[setattr(p, 'grad', None) for p in net.parameters()]; reset_gradients(net)", None),
        (FILE, "net.first.weight.grad = None", None),
        (FILE, "net = Net(); optimizer = torch.optim.SGD(net.parameters(), 0.1)", None),
        (NUMBERS, "pass", NUMBERS_PASS),
        (NUMBERS, "zero_grad(net)", None),
        (NUMBERS, "for p in net: p.grad = 0", None),
    ],
)
def test_line_is_that_of_a_pass_whose_gradients_stay(
    text: str, zero: str, line: int | None
) -> None:
    """None where something clears them, or everything is made anew in each turn."""
    assert line == found(text, zero)


def test_a_pass_that_runs_once_adds_to_nothing() -> None:
    """Of a function that is no step, or of a step whose gradients nobody takes."""
    once = FILE.replace("for x, y in batches:", "if batches:\n        x, y = batches")
    for text in (once.replace("def train", "def once"), FILE.replace("optimizer.step()", "pass")):
        assert found(text, "pass") is None


@pytest.mark.parametrize(
    ("zero", "verdict"), [("net.train()", "disagrees"), ("optimizer.zero_grad()", "agrees")]
)
def test_module_of_torch_with_such_training(zero: str, verdict: str, tmp_path: Path) -> None:
    """Is wrong though its gradient is right; the line is named."""
    file = tmp_path / "net.py"
    file.write_text(FILE.replace("ZERO", zero))

    report = read_here(file)

    assert verdict == report.verdict
    said = "gradients add up over calls; expected to start from zero in each"
    expected = (f"net.py:{PASS}: {said}",) if verdict == "disagrees" else ()
    assert expected == report.lines
