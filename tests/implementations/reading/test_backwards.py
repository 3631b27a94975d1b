"""A backward pass through the layers in the order of the forward pass is named by its line."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.implementations.reading.backwards import not_reversed
from tests.helpers.read_here import read_here

# With FORWARDS in the place of what a backward pass goes through.
OBJECTS = """
class Net:
    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
    def backward(self, d):
        for layer in FORWARDS:
            d = layer.backward(d)
"""
SCRIPT = """
for epoch in range(9):
    out = X
    for layer in network:
        out = layer(out)
    grad = 2 * (out - y)
    for layer in FORWARDS:
        grad = layer.backward(grad, 0.1)
"""
NAMED = """
def predict(self, x):
    for layer in self.layers.values():
        x = layer.forward(x)
def gradient(self, x, t):
    layers = list(self.layers.values())
    FORWARDS
    for layer in layers:
        dout = layer.backward(dout)
"""
INDEXED = """
def forward(self, x):
    for w, b in zip(self.W, self.b):
        self.a.append(np.tanh(self.a[-1] @ w + b))
def backward(self, y):
    delta = self.a[-1] - y
    for l in FORWARDS:
        self.dW[l] = self.a[l].T @ delta
        delta = np.dot(delta, self.W[l].T) * (1 - self.a[l] ** 2)
"""
KEYED = """
def forward(params, X):
    for l in range(1, L + 1):
        Z = params["W" + str(l)] @ A + params["b" + str(l)]
        A = relu(Z)
def backward(params, cache):
    for l in FORWARDS:
        grads["W" + str(l)] = dZ @ cache[f"A{l - 1}"].T / m
        if l > 1:
            W = params["W" + str(l)]
            dZ = W.T @ dZ * (cache[f"Z{l - 1}"] > 0)
"""
ROWS = """
for epoch in range(9):
    acts = [X]
    for W in Ws:
        acts.append(np.tanh(acts[-1] @ W.T))
    for W, a in FORWARDS:
        d = d @ W * (1 - a**2)
"""
# In the order of the forward pass, and right: from the end, or no backward pass.
RIGHT = (
    "def feed(self, a):\n  for w in self.W:\n    a = np.dot(w, a)\n"
    "def backprop(self, x):\n  for l in range(2, n):\n    d = np.dot(self.W[-l + 1].T, d)",
    "def forward(x):\n  for W in Ws:\n    x = x @ W.T\n"
    "def penalty():\n  for W in Ws:\n    p += (W.T @ W).sum()",
    "def forward(x):\n  for i in range(3):\n    x = x @ U[i]\n"
    "def backward(d):\n  for i in range(3):\n    d = d @ V[i].T",
    "def forward(x):\n  for layer in layers:\n    x = layer(x)\n"
    "def backward(d):\n  for layer in layers:\n    grads.append(layer.backward(d))",
    "def forward(x):\n  for layer in layers:\n    x = layer(x)\n"
    "def backward(d):\n  layers.reverse()\n  for layer in layers:\n    d = layer.backward(d)",
)


def line_of(text: str) -> int | None:
    """What is said of a text."""
    loaded: Any = SimpleNamespace(statements=ast.parse(text).body)
    return not_reversed(loaded)


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        (OBJECTS, "self.layers", "reversed(self.layers)"),
        (OBJECTS, "list(self.layers)", "self.layers[::-1]"),
        (SCRIPT, "network", "reversed(network)"),
        (NAMED, "pass", "layers.reverse()"),
        (NAMED, "pass", "layers = layers[::-1]"),
        (INDEXED, "range(len(self.W))", "range(len(self.W) - 1, -1, -1)"),
        (INDEXED, "range(0, self.n - 1)", "reversed(range(self.n - 1))"),
        (KEYED, "range(1, L + 1)", "range(L, 0, -1)"),
        (ROWS, "zip(Ws, acts)", "zip(reversed(Ws), reversed(acts))"),
    ],
)
def test_line_is_that_of_the_backward_pass(text: str, wrong: str, right: str) -> None:
    """Where it begins with the first layer; from the last on nothing is said."""
    loop = [n for n in ast.walk(ast.parse(text.replace("FORWARDS", wrong))) if type(n) is ast.For]

    assert max(n.lineno for n in loop) == line_of(text.replace("FORWARDS", wrong))
    assert line_of(text.replace("FORWARDS", right)) is None


@pytest.mark.parametrize("text", RIGHT)
def test_loops_of_one_order_that_are_right(text: str) -> None:
    """Other weights, an index from the end, no product that is handed on, a list turned round."""
    assert line_of(text) is None


FILE = """import numpy as np
class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
    def forward(self, x):
        self.x = x
        return x @ self.W
    def backward(self, d):
        self.dW = self.x.T @ d
        return d @ self.W.T
class Chain:
    def __init__(self, *parts):
        self.parts = parts
    def forward(self, x):
        for part in self.parts:
            x = part.forward(x)
        return x
    def backward(self, d):
        for part in FORWARDS:
            d = part.backward(d)
        return d
def mse(y, p):
    return ((p - y) ** 2).sum()
def mse_prime(y, p):
    return 2 * (p - y)
"""


@pytest.mark.parametrize("way", ["self.parts", "self.parts[::-1]"])
def test_container_of_layers_one_by_one_is_judged_with_its_order(way: str, tmp_path: Path) -> None:
    """It is no layer; that its layers by themselves are right makes it no right one."""
    file = tmp_path / "net.py"
    file.write_text(FILE.replace("FORWARDS", way))

    report = read_here(file)

    wrong = "[::-1]" not in way
    assert ("disagrees" if wrong else "agrees") == report.verdict, report
    assert wrong == any(line.startswith("net.py:19: goes back through") for line in report.lines)
    assert wrong or "Chain([Dense, Dense])" in report.reading
