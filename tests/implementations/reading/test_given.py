"""What a file's functions take is found: right files agree, and the same with a fault disagree."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.read_here import read_here

SETS = """
import numpy as np


class Net:
    RATE = 0.1

    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_out, n_in)

    def feed(self, x):
        self.x = np.asarray(x)
        self.p = 1 / (1 + np.exp(-self.W @ self.x))
        return self.p

    def total_loss(self, training_sets):
        return sum(((self.feed(x) - y) ** 2).sum() for x, y in training_sets)

    def train(self, x, y):
        p = self.feed(x)
        self.W -= self.RATE * np.outer(2 * (p - y) * p * (1 - p), self.x)
"""
CLASSES = """
import numpy as np


def mse_loss(targets, probas, num_labels=10):
    return ((np.eye(num_labels)[targets] - probas) ** 2).mean()


class Net:
    def __init__(self, features, classes):
        self.W = np.random.randn(features, classes)
        self.classes = classes

    def forward(self, x):
        return x @ self.W

    def backward(self, x, probas, y):
        wanted = np.eye(self.classes)[y]
        return x.T @ (2 * (probas - wanted) / wanted.size)
"""
VECTOR = """
import numpy as np


def costFunction(theta, input_size, hidden_size, num_labels, X, y):
    cut = hidden_size * input_size
    A = theta[:cut].reshape(input_size, hidden_size)
    B = theta[cut:].reshape(hidden_size, num_labels)
    h = np.tanh(X @ A)
    error = h @ B - np.eye(num_labels)[y]
    J = (error**2).sum() / 2
    dB = h.T @ error
    dA = X.T @ (error @ B.T * (1 - h**2))
    return J, np.concatenate([dA.ravel(), dB.ravel()])
"""
UNPACKED = """
import numpy as np


class Net:
    def __init__(self, sizes):
        n, first, second, k = sizes
        self.A, self.B = np.random.randn(n, first), np.random.randn(first, second)
        self.C = np.random.randn(second, k)

    def forward(self, x):
        self.x, self.h = x, np.tanh(x @ self.A)
        self.z = self.h @ self.B
        return self.z @ self.C

    def loss(self, x, y):
        return ((self.forward(x) - y) ** 2).sum() / 2

    def backward(self, x, y):
        d = self.forward(x) - y
        dh = d @ self.C.T @ self.B.T
        dA = x.T @ (dh * (1 - self.h**2))
        return {"A": dA, "B": self.h.T @ (d @ self.C.T), "C": self.z.T @ d}
"""
GLOBALS = """
import numpy as np

X = np.random.default_rng(0).normal(size=(20, 2))
y = (X[:, 0] > 0).astype(int)
num_examples, rate = len(X), 0.1


def probabilities(model):
    h = np.tanh(X @ model["W1"])
    e = np.exp(h @ model["W2"])
    return h, e / e.sum(axis=1, keepdims=True)


def calculate_loss(model):
    h, p = probabilities(model)
    return -np.log(p[range(num_examples), y]).sum()


def make_model(hidden):
    return {"W1": np.random.randn(2, hidden), "W2": np.random.randn(hidden, 2)}


def train_step(model):
    h, d = probabilities(model)
    d[range(num_examples), y] -= 1
    W1 = model["W1"] - rate * X.T @ (d @ model["W2"].T * (1 - h**2))
    return {"W1": W1, "W2": model["W2"] - rate * h.T @ d}
"""
PENALTY = """
import numpy as np


def forward(X, parameters):
    return parameters["W"] @ X


def compute_cost(A, Y):
    return ((A - Y) ** 2).sum() / 2


def compute_cost_with_regularization(A, Y, parameters, lambd=0.7):
    return compute_cost(A, Y) + lambd / 2 * (parameters["W"] ** 2).sum()


def init_parameters(n_x, n_y):
    return {"W": np.random.randn(n_y, n_x)}


def backward(X, Y, parameters, lambd=0.7):
    d = forward(X, parameters) - Y
    return {"dW": d @ X.T + lambd * parameters["W"]}
"""
KINDS = [
    pytest.param(GLOBALS, "(1 - h**2)", "(1 - h)", id="data and their number from globals"),
    pytest.param(PENALTY, "d @ X.T + lambd", "2 * d @ X.T + lambd", id="a cost with a penalty"),
    pytest.param(SETS, " * p * (1 - p)", "", id="a list of pairs, named as sets"),
    pytest.param(CLASSES, "wanted.size", "len(wanted)", id="ten classes of its own data"),
    pytest.param(VECTOR, "(1 - h**2)", "(1 - h)", id="all parameters in one vector"),
    pytest.param(UNPACKED, "1 - self.h**2", "self.h", id="sizes of so many layers"),
]


@pytest.mark.parametrize(("text", "old", "new"), KINDS)
def test_file_is_read_as_its_names_say(
    text: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It agrees; with a fault it disagrees."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "net.py"
    verdicts = []
    assert old in text
    for written in (text, text.replace(old, new)):
        file.write_text(written)
        verdicts.append(read_here(file).verdict)

    assert ["agrees", "disagrees"] == verdicts
