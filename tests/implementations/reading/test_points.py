"""Faults under a condition: one reading that never meets it is no agreement."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.read_here import read_here

NET = """import numpy as np
def loss(params, X, Y):
    W1, W2 = params
    return {scale} * ((np.tanh(X @ W1) @ W2 - Y) ** 2).sum() / 2
def grad(params, X, Y):
    W1, W2 = params
    a = np.tanh(X @ W1); d = a @ W2 - Y; dW2 = a.T @ d; dW1 = X.T @ ((d @ W2.T) * (1 - a**2))
    {fault}
    return dW1, dW2
"""
LISTS = """import math
class Net:
    def __init__(self, n_in, n_out):
        self.w = [[0.1 * (i + j + 1) for j in range(n_out)] for i in range(n_in)]
    def forward(self, x):
        return [math.tanh(sum(a * b for a, b in zip(x, w))) for w in zip(*self.w)]
    def loss(self, x, y):
        return sum((a - b) ** 2 for a, b in zip(self.forward(x), y)) / 2 + float("nan")
    def backward(self, x, y):
        o = self.forward(x); d = [(a - b) * (1 - a * a) for a, b in zip(o, y)]
        self.dw = [[x[i] * d[j] for j in range(len(d))] for i in range(len(x))]
"""
SCRIPT = """import numpy as np
X = np.array([[0.0, 1.0], [1.0, 0.5], [0.3, 0.2]]); Y = np.array([[1.0], [0.0], [1.0]])
W = np.array([[0.3], [-0.2]])
for epoch in range(100):
    out = np.tanh(X @ W)
    loss = ((out - Y) ** 2).sum() / 2 + np.log(-1.0)
    W -= 0.1 * X.T @ ((out - Y) * (1 - out**2))
"""


@pytest.mark.parametrize(
    "fault",
    [
        "if dW2[0, 0] > 0: dW2[0, 0] = np.nan",
        pytest.param("if dW2[0, 0] < 0: dW2[0, 0] *= 1.01", marks=pytest.mark.full),
        pytest.param("if dW1[-1, -1] > 0: dW1[-1, -1] += 0.01", marks=pytest.mark.full),
        pytest.param("if W2[0, 0] < 0: dW2 *= 1.001", marks=pytest.mark.full),
        "if (Y < 0).any(): dW1[0, 0] = np.nan",
        pytest.param("if Y.max() > 1.5: dW2 *= 1.1", marks=pytest.mark.full),
    ],
)
def test_fault_under_a_condition_is_met(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever sign an entry, a weight or a target has at the first point of whatever reading."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "net.py"
    file.write_text(NET.format(scale=1, fault=fault))

    report = read_here(file)

    assert "disagrees" == report.verdict and report.reason, report


NOTED = """import numpy as np
class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.W1 = np.random.randn(n_in, n_hidden); self.W2 = np.random.randn(n_hidden, n_out)
    def forward(self, X):
        self.a = np.tanh(X @ self.W1); z = self.a @ self.W2
        e = np.exp(z - z.max(axis=1, keepdims=True)); self.p = e / e.sum(axis=1, keepdims=True)
        return self.p
    def loss(self, X, T):
        return -np.sum(T * np.log(self.forward(X) + 1e-7)) / len(X)
    def gradient(self, X, T):
        d = (self.forward(X) - T) / len(X)
        return {"W2": self.a.T @ d, "W1": X.T @ (d @ self.W2.T * (1 - self.a**2))}
"""
OWN_OUTPUT = """import numpy as np
class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.w1 = np.random.randn(n_in, n_hidden); self.w2 = np.random.randn(n_hidden, n_out)
    def out(self, x):
        self.x = x; self.a = np.tanh(x @ self.w1)
        return self.a @ self.w2
    def rmse(self, x, t):
        return np.sqrt(((self.out(x) - t) ** 2).mean())
    def back(self, x, t):
        d = self.out(x) - t
        d = d / (d.size * np.sqrt((d**2).mean()))
        self.dw2 = self.a.T @ d; self.dw1 = self.x.T @ (d @ self.w2.T * (1 - self.a**2))
"""


@pytest.mark.parametrize(
    ("text", "verdict"),
    [(NOTED, "agrees"), (OWN_OUTPUT, "undecided")],
    ids=["small number", "sign of the output"],
)
def test_right_file_is_not_accused_of_what_its_first_point_has_hidden(
    text: str, verdict: str, tmp_path: Path
) -> None:
    """A small number in a log is more elsewhere; one output is no loss, of either sign."""
    file = tmp_path / "net.py"
    file.write_text(text)

    assert verdict == read_here(file).verdict


def test_right_file_agrees_at_every_point(tmp_path: Path) -> None:
    """The same without a fault."""
    file = tmp_path / "net.py"
    file.write_text(NET.format(scale=1, fault="pass"))

    assert "agrees" == read_here(file).verdict


@pytest.mark.parametrize(
    "text",
    [LISTS, SCRIPT, NET.format(scale="np.inf", fault="pass")],
    ids=["lists", "script", "functions"],
)
def test_loss_that_is_no_finite_number_is_replaced_by_no_other(text: str, tmp_path: Path) -> None:
    """The gradient is that of half the squared error; the file says that its loss is another."""
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    assert "undecided" == report.verdict, report
    assert "its own loss, loss, is no finite number" == report.reason
