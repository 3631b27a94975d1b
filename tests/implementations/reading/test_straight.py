"""Passes outside any loop, and loops whose data are not there."""

import json
from pathlib import Path

import pytest

from tests.helpers.read_here import read_here

# A worked example: no loop and no update.
EXAMPLE = """
import numpy as np

def squash(z):
    return 1 / (1 + np.exp(-z))

x = np.array([[0.4, -0.9, 0.3]])
target = np.array([[1.0]])
w1 = np.random.randn(3, 2)
b1 = np.zeros((1, 2))
w2 = np.random.randn(2, 1)
print("start", w1, w2)

z1 = x @ w1 + b1
h = squash(z1)
guess = squash(h @ w2)
loss = 0.5 * (target - guess) ** 2
print("loss", loss)

d_z2 = (guess - target) * guess * (1 - guess)
d_w2 = h.T @ d_z2
d_h = d_z2 @ w2.T
d_z1 = d_h * h * (1 - h)
d_w1 = x.T @ d_z1
d_b1 = d_z1
w1_new, w2_new = w1 - 0.5 * d_w1, w2 - 0.5 * d_w2
h = squash(x @ w1_new)
loss = 0.5 * (target - squash(h @ w2_new)) ** 2
"""
# Cells, of which a loop holds the forward pass alone.
CELLS = """
import numpy as np
X = np.array([[0.0, 1.0], [1.0, 0.5], [0.2, 0.7]])
y = np.array([[0.0], [1.0], [1.0]])
W1 = np.random.randn(2, 4)
W2 = np.random.randn(4, 1)
for i in range(2000):
    hidden = np.tanh(X @ W1)
    out = hidden @ W2
loss = np.sum((y - out) ** 2)
d_out = 2 * (out - y)
d_W2 = hidden.T @ d_out
d_W1 = X.T @ (d_out @ W2.T * (1 - hidden ** 2))
W2 -= 0.1 * d_W2
W1 -= 0.1 * d_W1
"""
# What it loads is not there: columns, whose width is a number of the file.
LOADS = """
import numpy as np
X = np.load("nowhere/inputs.npy")
y = np.load("nowhere/targets.npy")
m = X.shape[1]
w1 = np.random.randn(5, 11) * 0.1
b1 = np.zeros((5, 1))
w2 = np.random.randn(1, 5) * 0.1
for step in range(300):
    a1 = np.maximum(0, w1 @ X + b1)
    a2 = 1 / (1 + np.exp(-(w2 @ a1)))
    loss = -np.mean(y * np.log(a2) + (1 - y) * np.log(1 - a2))
    d2 = (a2 - y) / m
    d1 = (w2.T @ d2) * (a1 > 0)
    w2 -= 0.1 * (d2 @ a1.T)
    w1 -= 0.1 * (d1 @ X.T)
    b1 -= 0.1 * d1.sum(axis=1, keepdims=True)
"""
TABLE = """
import numpy as np
data = np.genfromtxt("nowhere.csv", delimiter=",")[:, :]
test, data = data[:100], data[100:]
X, labels = data[:, :-1], data[:, -1].astype(int)
targets = np.eye(3)[labels]
W = np.random.randn(6, 3) * 0.1
for step in range(300):
    e = np.exp(X @ W)
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(targets * np.log(p))
    W -= 0.1 * X.T @ (p - targets)
"""
WRONG = {
    "example": (EXAMPLE, "d_h * h * (1 - h)", "d_h * h", ":23:"),
    "cells": (CELLS, "X.T @ (d_out @ W2.T *", "X.T @ (-d_out @ W2.T *", ""),
    "loads": (LOADS, "(w2.T @ d2) * (a1 > 0)", "(w2.T @ d2) * (a1 > 0) * a1", ":14:"),
    "table": (TABLE, "X.T @ (p - targets)", "X.T @ (p * p - targets)", ""),
}


FULL = ("cells", "loads")  # more than a second each


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full if n in FULL else ()) for n in WRONG]
)
def test_passes_without_a_loop_or_data_are_judged(tmp_path: Path, name: str) -> None:
    """A right one agrees, and a wrong one disagrees, with its line where it is told."""
    text, right, wrong, line = WRONG[name]
    assert right in text
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace(right, wrong))

    first, second = read_here(tmp_path / "a.py"), read_here(tmp_path / "b.py")

    assert first.agrees, str(first)
    assert ("numbers of ours" in first.reading) == (name in ("loads", "table"))
    assert second.disagrees, str(second)
    assert line in " ".join(second.lines), second.lines


def test_passes_in_cells_are_one(tmp_path: Path) -> None:
    """Cells of a notebook with a statement each."""
    cells = [{"cell_type": "code", "source": [line]} for line in _statements(CELLS)]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))

    assert read_here(tmp_path / "a.ipynb").agrees


def _statements(text: str) -> list[str]:
    """Lines, with those that are within another."""
    found: list[str] = []
    for line in text.strip().splitlines():
        if line.startswith(" "):
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


# A small script whose sums make up for a mean: faults are told by their lines all the same.
XOR = """
import numpy as np
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
y = np.array([[0], [1], [1], [0.0]])
eta = 0.25
wh, wo, bo = np.random.randn(2, 2), np.random.randn(2, 1), np.zeros((1, 1))
for epoch in range(3000):
    ah = 1 / (1 + np.exp(-(X @ wh)))
    ao = 1 / (1 + np.exp(-(ah @ wo + bo)))
    error = y - ao
    d_o = error * ao * (1 - ao)
    d_h = (d_o @ wo.T) * ah * (1 - ah)
    wo += eta * ah.T @ d_o
    bo += eta * d_o.sum(axis=0, keepdims=True)
    wh += eta * X.T @ d_h
    if epoch % 500 == 0:
        loss = np.mean(error ** 2)
        print(epoch, loss)
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param("* ah * (1 - ah)", "* (1 - ah)", ":12:", marks=pytest.mark.full),
        ("(d_o @ wo.T)", "(error @ wo.T)", ":12:"),
    ],
    ids=["missing", "errors"],
)
def test_lines_are_named_where_sums_make_up_for_a_mean(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    """Of a loss that some turns compute, and weights that are right but for a factor."""
    assert old in XOR
    (tmp_path / "a.py").write_text(XOR.replace(old, new))

    report = read_here(tmp_path / "a.py")

    assert report.disagrees, str(report)
    assert [line in told for told in report.lines] == [True], report.lines


# No loss, and a rate that nothing takes.
UNUSED = """
import numpy as np
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
y = np.array([[0], [1], [1], [0.0]])
eta = 0.1
w0, w1, w2 = (np.random.rand(*s) - 0.5 for s in ((2, 7), (7, 7), (7, 1)))
for _ in range(3000):
    l1 = np.tanh(X @ w0)
    l2 = np.tanh(l1 @ w1)
    l3 = l2 @ w2
    d3 = y - l3
    d2 = (d3 @ w2.T) * (1 - l2 ** 2)
    d1 = (d2 @ w1) * (1 - l1 ** 2)
    w2 += l2.T @ d3
    w1 += l1.T @ d2
    w0 += X.T @ d1
"""


@pytest.mark.full
def test_rate_that_nothing_takes_is_none(tmp_path: Path) -> None:
    """The loss is known by what is right; a square matrix is the other way round."""
    (tmp_path / "a.py").write_text(UNUSED)

    report = read_here(tmp_path / "a.py")

    assert report.disagrees, str(report)
    assert "w1.T" in " ".join(report.lines)
