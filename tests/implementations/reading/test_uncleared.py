"""Training that never sets gradients to zero is wrong though its gradient is right."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.implementations.reading.never_called import never_called
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


LAYERS = """
import numpy as np


class Dense:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_in, n_out), np.zeros(n_out)
        self.zero_grad()

    def zero_grad(self):
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, d):
        BACK
        self.dW += self.x.T @ d
        self.db += d.sum(axis=0)
        return d @ self.W.T

    def step(self, rate):
        self.W -= rate * self.dW
        self.b -= rate * self.db
        STEPPED


def loss(out, y):
    return ((out - y) ** 2).sum() / 2


def main(X, y):
    net = Dense(3, 2)
    for epoch in range(100):
        ZERO
        net.backward(net.forward(X) - y)
        net.step(0.1)
"""
AT = LAYERS[: LAYERS.index("net.backward(")].count("\n") + 1


def test_own_function_that_zeroes_and_is_never_called(tmp_path: Path) -> None:
    """By the constructor alone: gradients of all turns add up, and the line is that of the pass."""
    file = tmp_path / "net.py"
    file.write_text(re.sub("ZERO|BACK|STEPPED", "pass", LAYERS))

    report = read_here(file)

    said = "gradients add up over calls; expected a call of zero_grad in each turn"
    assert "disagrees" == report.verdict, report
    assert (f"net.py:{AT}: {said}",) == report.lines


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ZERO", "net.zero_grad()"),
        ("ZERO", "[layer.zero_grad() for layer in layers]"),
        ("ZERO", "net.dW = net.db = 0"),
        ("ZERO", "for p, g in net.params(): g[...] = 0"),
        ("ZERO", "for p, g in net.params(): g *= 0"),
        ("ZERO", "net = Dense(3, 2)"),
        ("BACK", "self.zero_grad()"),
        ("BACK", "self.dW, self.db = 0, 0"),
        ("STEPPED", "self.dW.fill(0); self.db.fill(0)"),
        ("STEPPED", "self.__init__(3, 2)"),
        ("net.step(0.1)", "pass"),
        ("for epoch in range(100)", "if True"),
    ],
)
def test_gradients_that_something_may_clear_are_not_accused(old: str, new: str) -> None:
    """By another name, by what a step does, in the pass itself; or a pass that runs once."""
    text = LAYERS.replace(old, new)

    assert never_called(ast.parse(re.sub("ZERO|BACK|STEPPED", "pass", text))) is None


def test_layers_that_a_loop_goes_through_are_no_training() -> None:
    """Its calls are of one pass; around it another file may clear them."""
    before, _, after = LAYERS.partition("for epoch in range(100):")
    loop = "for layer in net:\n        d = layer.backward(d)\n        layer.step(0.1)\n"

    assert after and never_called(ast.parse(re.sub("BACK|STEPPED", "pass", before) + loop)) is None
