"""Lines that use what is rightly computed, and those of values that a number alone cannot mend."""

from pathlib import Path

import pytest

from tests.helpers.read_here import read_here

HUBER = """
import numpy as np


class Net:
    def __init__(self, n_in, n_hidden):
        self.V, self.w = np.random.randn(n_in, n_hidden), np.random.randn(n_hidden)

    def predict(self, X):
        self.h = np.tanh(X @ self.V)
        return self.h @ self.w

    def loss(self, X, y):
        r = self.predict(X) - y
        return np.where(np.abs(r) < 0.1, 5 * r**2, np.abs(r) - 0.05).mean()

    def gradients(self, X, y):
        r = self.predict(X) - y
        g = np.clip(10 * r, -1, 1) / len(y)
        dh = np.outer(g, self.w)
        return {"V": X.T @ (dh * (1 - self.h**2)), "w": self.h.T @ g}
"""
TWICE = """
import numpy as np


def slope(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 - s)


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.V, self.W = np.random.randn(n_in, n_hidden), np.random.randn(n_hidden, n_out)

    def forward(self, X):
        self.X, self.h = X, np.tanh(X @ self.V)
        self.z = self.h @ self.W
        self.p = 1 / (1 + np.exp(-self.z))
        return self.p

    def loss(self, X, Y):
        p = self.forward(X)
        return -(Y * np.log(p) + (1 - Y) * np.log(1 - p)).sum()

    def backward(self, Y):
        d = self.p - Y
        self.dW = self.h.T @ d
        self.dV = self.X.T @ (d @ self.W.T * (1 - self.h**2))
"""
LABELS = """
import numpy as np


class Net:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_in, n_out), np.zeros(n_out)

    def forward(self, X):
        self.X = X
        z = X @ self.W + self.b
        z = z - z.max(axis=1, keepdims=True)
        self.p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return self.p

    def loss(self, X, y):
        p = self.forward(X)
        return -np.log(p[np.arange(len(y)), y]).mean()

    def backward(self, y):
        d = self.p.copy()
        d[np.arange(len(y)), y] -= 1.0
        d /= len(y)
        return {"W": self.X.T @ d, "b": d.sum(axis=0)}
"""
SCRIPT = """
import numpy as np

X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0, 1, 1, 0]]).T
np.random.seed(1)
A = 2 * np.random.random((3, 4)) - 1
B = 2 * np.random.random((4, 1)) - 1
for turn in range(1000):
    h = np.tanh(X @ A)
    out = 1 / (1 + np.exp(-(h @ B)))
    error = Y - out
    loss = (error**2).sum() / 2
    d = error * out * (1 - out)
    dh = d @ B.T
    A += X.T @ (dh * (1 - h**2))
    B += h.T @ d
"""


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        pytest.param(HUBER, "np.clip(10 * r, -1, 1)", "r", id="a value of the forward pass"),
        pytest.param(TWICE, "d = self.p - Y", "d = (self.p - Y) * slope(self.z)", id="derivative"),
        pytest.param(LABELS, "d[np.arange(len(y)), y] -= 1.0", "d -= 1.0", id="before a scaling"),
        pytest.param(SCRIPT, "dh = d @ B.T", "dh = error @ B.T", id="a script without a rate"),
    ],
)
def test_line_of_the_use_is_named(text: str, right: str, wrong: str, tmp_path: Path) -> None:
    """Not that of what is right in itself; right files are not accused."""
    reports = []
    for name, written in (("right.py", text), ("wrong.py", text.replace(right, wrong))):
        (tmp_path / name).write_text(written)
        reports.append(read_here(tmp_path / name))
    number = text[: text.index(right)].count("\n") + 1

    assert ("agrees", (), ()) == (reports[0].verdict, reports[0].lines, reports[0].notes)
    assert [f"wrong.py:{number}"] == [line.partition(": ")[0] for line in reports[1].lines]
