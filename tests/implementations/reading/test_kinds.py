"""Kinds of public files that were not read, or accused: as they stand, right ones agree."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading import drawn, gradients
from samegrad.implementations.reading.bounded import TooLongError, at_most, unless_too_long
from samegrad.implementations.reading.effects import Place
from tests.helpers.read_here import read_here

# Widths are written into a method that stands for the constructor, and is given the data.
INIT = """
import numpy as np
class Network:
    def init(self, X, Y, epochs):
        self.X, self.targets = X, Y
        self.W1, self.W2 = np.random.randn(9, 7) * 0.3, np.random.randn(7, 6) * 0.3
        self.epochs = epochs
    def predict(self):
        self.h = np.tanh(self.X @ self.W1)
        return self.h @ self.W2
    def train(self):
        for _ in range(self.epochs):
            error = self.predict() - self.targets
            dW1 = self.X.T @ (error @ self.W2.T * (1 - self.h**2))
            self.W2 -= 0.01 * self.h.T @ error
            self.W1 -= 0.01 * dW1
"""
# What it is not given unless asked is used in the first turn.
VALIDATION = """
import numpy as np
class Net:
    def __init__(self, n_in, n_hidden, n_out, lr=0.01):
        self.W1 = np.random.randn(n_in, n_hidden) * 0.3
        self.W2 = np.random.randn(n_hidden, n_out) * 0.3
        self.lr = lr
    def predict(self, X):
        return np.tanh(X @ self.W1) @ self.W2
    def fit(self, X, y, X_val=None, y_val=None, epochs=100):
        for _ in range(epochs):
            h = np.tanh(X @ self.W1)
            error = h @ self.W2 - y
            dW1 = X.T @ (error @ self.W2.T * (1 - h**2))
            self.W2 -= self.lr * h.T @ error
            self.W1 -= self.lr * dW1
            print(np.mean((self.predict(X_val) - y_val) ** 2))
"""
# The object has no weights: its methods are given them. Of two targets one is 1: of both alike
# the loss has another gradient.
LENT = """
import numpy as np
class Net:
    def __init__(self, n_inputs, n_hidden, n_outputs):
        self.n_outputs = n_outputs
    def forward(self, x, y, w1, b1, w2, b2):
        h = np.tanh(x @ w1 + b1)
        p = np.exp(h @ w2 + b2)
        return h, p / sum(p)
    def calculate_loss(self, yh, y):
        return sum(-y[i] * np.log(yh[i]) for i in range(2))
    def backward(self, x, y, yh, w1, w2, h):
        dy = [0.0] * 2
        for i in range(len(yh)):
            dy[i] = yh[i] - y[i]
        dk = w2 @ dy * (1 - h**2)
        return np.outer(x, dk), np.outer(h, dy), dk, dy
"""
# An error with a sign is no loss; the targets of a turn are `y[i]`.
DIFFERENCE = """
import numpy as np
class Net:
    def __init__(self, layers):
        self.weights = [np.random.randn(a, b) * 0.5 for a, b in zip(layers, layers[1:])]
    def fit(self, X, y, learning_rate=0.2, epochs=50000):
        for k in range(epochs):
            i = np.random.randint(X.shape[0])
            a = [X[i]]
            for W in self.weights:
                activation = np.tanh(np.dot(a[-1], W))
                a.append(activation)
            error = y[i] - a[-1]
            deltas = [error * (1 - a[-1] ** 2)]
            for l in range(len(a) - 2, 0, -1):
                deltas.append(deltas[-1].dot(self.weights[l].T) * (1 - a[l] ** 2))
            deltas.reverse()
            for j in range(len(self.weights)):
                self.weights[j] += learning_rate * np.outer(a[j], deltas[j])
"""
# An example ends with its label.
LABELLED = """
from math import exp
from random import random
def initialize_network(n_inputs, n_hidden, n_outputs):
    def layer(n, m):
        return [{"weights": [random() for _ in range(n + 1)]} for _ in range(m)]
    return [layer(n_inputs, n_hidden), layer(n_hidden, n_outputs)]
def forward_propagate(network, row):
    for layer in network:
        new = []
        for neuron in layer:
            w = neuron["weights"]
            z = w[-1] + sum(w[i] * row[i] for i in range(len(w) - 1))
            neuron["output"] = 1 / (1 + exp(-z))
            new.append(neuron["output"])
        row = new
    return row
def backward_propagate_error(network, expected):
    for i in reversed(range(len(network))):
        for j, neuron in enumerate(network[i]):
            if i == len(network) - 1:
                error = neuron["output"] - expected[j]
            else:
                error = sum(n["weights"][j] * n["delta"] for n in network[i + 1])
            neuron["delta"] = error * neuron["output"] * (1 - neuron["output"])
def update_weights(network, row, l_rate):
    for i in range(len(network)):
        inputs = row[:-1]
        if i != 0:
            inputs = [neuron["output"] for neuron in network[i - 1]]
        for neuron in network[i]:
            for j in range(len(inputs)):
                neuron["weights"][j] -= l_rate * neuron["delta"] * inputs[j]
            neuron["weights"][-1] -= l_rate * neuron["delta"]
"""
# A width is taken from data that are not here; the targets are asked for by keys of a dict.
WIDTHS = """
import numpy as np
pixels = np.load("pixels_that_nobody_has.npy")
input_size = pixels.shape[1]
def init_params():
    assert all(name.isidentifier() for name in globals())  # nothing of ours is among them
    return {"W1": np.random.rand(6, input_size) - 0.5, "W2": np.random.rand(3, 6) - 0.5}
def forward_prop(weights, X):
    A1 = np.tanh(weights["W1"].dot(X))
    return A1, weights["W2"].dot(A1)
def back_prop(A1, A2, weights, X, Y):
    d = A2 - Y
    dW1 = (weights["W2"].T.dot(d) * (1 - A1**2)).dot(X.T)
    return {"dW1": dW1, "dW2": d.dot(A1.T)}
"""
# Outputs are the last of a dict; layers are triples, gone through with their numbers; gradients
# are made by a second function of no arguments.
HELD = """
import numpy as np
class Net:
    def __init__(self, layers):
        self.layers = layers
        self.W, self.A, self.D, self.known = {}, {}, {}, ("relu", "sigmoid")
        for i, (n_in, n_out, act) in enumerate(self.layers):
            self.W[i] = np.random.randn(n_out, n_in) * 0.4
    def forward(self, X):
        self.A[0] = X
        for i, (n_in, n_out, act) in enumerate(self.layers):
            z = self.W[i] @ self.A[i]
            self.A[i + 1] = np.maximum(z, 0) if act == "relu" else 1 / (1 + np.exp(-z))
    def loss_function(self, Y):
        A = self.A[len(self.layers)]
        return -np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    def backward(self, Y):
        self.D = {}
        d = (self.A[len(self.layers)] - Y) / Y.size
        for i in reversed(range(len(self.layers))):
            self.D[i] = d
            relu, a = self.layers[i - 1][2] == "relu", self.A[i]
            d = self.W[i].T @ d * ((a > 0) if relu else a * (1 - a))
    def compute_grads(self):
        self.dW = [self.D[i] @ self.A[i].T for i in range(len(self.layers))]
"""
# Nothing but the loss that is given its results says what the forward pass is.
JUDGED = """
import numpy as np
w0, w1 = np.random.normal(0, 0.4, (4, 6)), np.random.normal(0, 0.4, (6, 3))
def local(features):
    return np.tanh(np.tanh(features @ w0) @ w1)
def train(features, targets, alpha):
    global w0, w1
    l1 = np.tanh(features @ w0)
    l2 = np.tanh(l1 @ w1)
    d2 = 2 * (l2 - targets) * (1 - l2**2) / l2.size
    d1 = d2 @ w1.T * (1 - l1**2)
    w1 -= alpha * l1.T @ d2
    w0 -= alpha * features.T @ d1
def loss(y, Y):
    return np.mean((y - Y) ** 2)
def show(x, y):
    print(loss(local(x), y))
"""
# One function for each gradient, over weights that a function puts into globals.
PIECES = """
import numpy as np
def reset_network(n1=6, n2=7, random=np.random):
    global W1, W2, b1, b2
    W1, W2 = random.randn(n1, 1) / 2, random.randn(2, n1) / 2
    b1, b2 = random.randn(n1, 1) / 2, random.randn(2, 1) / 2
def network_function(a0):
    z1 = W1 @ a0 + b1
    a1 = np.tanh(z1)
    z2 = W2 @ a1 + b2
    return a0, z1, a1, z2, np.tanh(z2)
def cost(x, y):
    return np.linalg.norm(network_function(x)[-1] - y) ** 2 / x.size
def delta(x, y):
    a0, z1, a1, z2, a2 = network_function(x)
    return 2 * (a2 - y) * (1 - a2**2), a0, a1
def J_W2(x, y):
    J, a0, a1 = delta(x, y)
    return J @ a1.T / x.size
def J_b2(x, y):
    return np.sum(delta(x, y)[0], axis=1, keepdims=True) / x.size
def J_W1(x, y):
    J, a0, a1 = delta(x, y)
    return (W2.T @ J * (1 - a1**2)) @ a0.T / x.size
def J_b1(x, y):
    J, a0, a1 = delta(x, y)
    return np.sum(W2.T @ J * (1 - a1**2), axis=1, keepdims=True) / x.size
"""
# What verify must say of how it read them.
RIGHT = {
    "init": (INIT, "from the update of train"),
    "validation": (VALIDATION, "from the update of fit"),
    "lent": (LENT, "class Net(4, 6, 2) given w1, b1, w2, b2 stored (in, out)"),
    "difference": (DIFFERENCE, "loss: 1/2 squared error, summed"),
    "labelled": (LABELLED, "from the update of update_weights"),
    "widths": (WIDTHS, "gradient of back_prop"),
    "held": (HELD, "gradient of compute_grads; loss: its own loss_function"),
    "pieces": (PIECES, "gradient of J_W1, J_W2, J_b1, J_b2"),
    "judged": (JUDGED, "from the update of train; loss: its own loss"),
}
# In every run of the suite.
OFTEN = ("labelled", "difference", "validation", "widths", "pieces", "judged")
# The forward pass leaves the gradient; the other function is not called.
LEFT = """
import numpy as np
class TwoLayers:
    def __init__(self, inputs=20, classes=5, hidden=8):
        rng = np.random.default_rng(0)
        self.weights = {
            "b1": np.zeros(hidden), "b2": np.zeros(classes),
            "W1": 0.1 * rng.standard_normal((inputs, hidden)),
            "W2": 0.1 * rng.standard_normal((hidden, classes)),
        }
        self.gradients = {name: np.zeros_like(w) for name, w in self.weights.items()}
    def sigmoid(self, x):
        return 1 / (1 + np.exp(-x))
    def ReLU(self, x):
        return np.maximum(x, 0)
    def softmax(self, scores):
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    def forward(self, X, y):
        w, n = self.weights, len(y)
        hidden = self.sigmoid(X @ w["W1"] + w["b1"])
        p = self.softmax(hidden @ w["W2"] + w["b2"])
        loss = -np.mean(np.log(p[np.arange(n), y]))
        accuracy = np.mean(p.argmax(axis=1) == y)
        p[np.arange(n), y] -= 1
        delta = p / n @ w["W2"].T * hidden * (1 - hidden)
        self.gradients["W2"] = hidden.T @ p / n
        self.gradients["b2"] = p.sum(axis=0) / n
        self.gradients["W1"] = X.T @ delta
        self.gradients["b1"] = delta.sum(axis=0)
        return loss, accuracy
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(drawn, "RANGES", drawn.RANGES[:1])


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in OFTEN else pytest.mark.full) for kind in RIGHT]
)
def test_right_file_of_a_kind_agrees(kind: str, tmp_path: Path) -> None:
    """It is read as what it is."""
    text, how = RIGHT[kind]
    file = tmp_path / f"of_{kind}.py"
    file.write_text(text)

    report = read_here(file)

    assert "agrees" == report.verdict, report
    assert how in " ".join(report.reading.split())


@pytest.mark.full
def test_gradient_of_another_loss_than_its_own_never_agrees(tmp_path: Path) -> None:
    """Though both arguments of that are named as targets are."""
    file = tmp_path / "other.py"
    file.write_text(JUDGED.replace("2 * (l2 - targets) * (1 - l2**2) / l2.size", "l2 - targets"))

    assert "agrees" != read_here(file).verdict


def test_call_that_takes_too_long_is_given_up() -> None:
    """Also where it catches what ends it: no other reading would be tried."""

    def forever(caught: int = 0) -> None:
        while True:
            try:
                while True:
                    pass
            except TooLongError:
                caught += 1
                if caught > 1:
                    raise

    with pytest.raises(TooLongError), at_most(0.02):
        unless_too_long(forever, forever)
    with pytest.raises(TooLongError, match="before"):
        unless_too_long(forever, forever)


def test_what_an_activation_returns_is_no_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a forward pass that leaves the gradient: it was taken for that of a bias."""
    seen: dict[str, bool] = {}

    def left(backward: gradients.Backward, found: Sequence[Place]) -> bool:
        seen[backward.name] = before(backward, found)
        assert backward() is not None
        assert dataclasses.replace(backward, gives=False)() is None
        return seen[backward.name]

    before = gradients._before
    monkeypatch.setattr(gradients, "_before", left)
    path = tmp_path / "net.py"
    path.write_text(LEFT)

    assert "agrees" == read_here(path).verdict
    assert {"ReLU": True} == seen
