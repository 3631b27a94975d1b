"""What constructors are given that names do not say: layers of other files, losses, counts."""

from pathlib import Path

import pytest

from samegrad.implementations.reading.board import Form, Sizes
from samegrad.implementations.reading.loading import load, own_classes
from samegrad.implementations.reading.networks import constructions
from tests.helpers.read_here import as_before, read_here

CONTAINER = """
class Net:
    def __init__(self, parts, loss_function, learning_rate):
        self.parts = parts
        self.loss_function = loss_function
        self.learning_rate = learning_rate

    def forward(self, X):
        for part in self.parts:
            X = part.forward(X)
        return X

    def backward(self):
        slope = self.loss_function.backward()
        for part in reversed(self.parts):
            slope = part.backward(slope, self.learning_rate)
"""
BESIDE = """
import numpy as np

class Affine:
    def __init__(self, rows, columns):
        self.W = np.random.randn(rows, columns) * 0.4

    def forward(self, X):
        self.X = X
        return X @ self.W

    def backward(self, slope, rate):
        down = slope @ self.W.T
        self.W -= rate * self.X.T @ slope
        return down

class Tanh:
    def forward(self, X):
        self.out = np.tanh(X)
        return self.out

    def backward(self, slope, rate):
        return slope * (1 - self.out ** 2)

class Squares:
    def forward(self, out, y):
        self.off = out - y
        return np.sum(self.off ** 2)

    def backward(self):
        return 2 * self.off
"""
# Layers are put in one by one; all activations go back, of which a loss takes the last.
ADDED = """
import numpy as np

class Net:
    def __init__(self, rate):
        self.layers = []
        self.alpha = rate

    def addLayer(self, layer):
        self.layers.append(layer)

    def feedforward(self, X):
        acts = [X]
        for layer in self.layers:
            acts.append(layer.forward(acts[-1]))
        return acts

    def computeLoss(self, Y, activations):
        return np.sum((Y - activations[-1]) ** 2)

    def backpropagate(self, activations, Y):
        delta = 2 * (activations[-1] - Y)
        for i in range(1, len(activations)):
            delta = self.layers[-i].backward(delta, self.alpha)
"""
# Widths are put in one by one; the step makes up for the factor and the sign of the gradient.
WIDTHS = """
import numpy as np

class Sequential:
    def __init__(self):
        self.layers, self.weights, self.slopes, self.kept = [], [], [], []

    def add(self, neurons):
        self.layers.append(neurons)
        self.kept.append(0)
        if len(self.layers) > 1:
            self.weights.append(np.random.uniform(-1, 1, size=(self.layers[-2], neurons)))
            self.slopes.append(0)

    def forward_pass(self, inputs):
        self.kept[0] = inputs
        for i, w in enumerate(self.weights):
            self.kept[i + 1] = np.tanh(self.kept[i] @ w)
        return self.kept[-1]

    def backward_pass(self, desired, output):
        error = desired - output
        for i in reversed(range(len(self.weights))):
            delta = error * (1 - self.kept[i + 1] ** 2)
            self.slopes[i] = self.kept[i].T @ delta
            error = delta @ self.weights[i].T

    def MSE(self, predicted, actual):
        return np.mean((actual - predicted) ** 2)

    def gradient_descent(self, lr=1):
        for i in range(len(self.weights)):
            self.weights[i] += lr * self.slopes[i]
"""
KINDS = {
    "layers": (CONTAINER, "self.X.T @ slope", "self.X.T @ (slope * slope)", "with Squares"),
    "added": (ADDED, "1 - self.out ** 2", "1 - self.out", "Net([Affine, Tanh, Affine])"),
    "widths": (WIDTHS, "(1 - self.kept[i + 1] ** 2)", "(1 - self.kept[i] .mean())", "add(4, 6, 3)"),
}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        pytest.param(k, w, marks=pytest.mark.full if w and k != "added" else ())
        for k in KINDS
        for w in (False, True)
    ],
)
def test_layers_of_other_files_are_found(tmp_path: Path, kind: str, wrong: bool) -> None:
    """Those beside a container, and those that a method adds."""
    text, old, new, shown = KINDS[kind]
    assert old in text + BESIDE
    texts = [t.replace(old, new) if wrong else t for t in (text, BESIDE)]
    (tmp_path / "model.py").write_text(texts[0])
    folder = tmp_path / f"parts_{kind}_{wrong}"
    folder.mkdir()
    (folder / "all.py").write_text(texts[1])

    report = read_here(tmp_path / "model.py")

    assert report.verdict == ("disagrees" if wrong else "agrees"), str(report)
    assert shown in report.reading


# What is asked for by other things than its name: a cost, a flag, a count, triples in a loop.
ASKING = """
import numpy as np

class HalfSquares:
    @staticmethod
    def fn(a, y):
        return 0.5 * np.sum((a - y) ** 2)

    @staticmethod
    def delta(z, a, y):
        return a - y

class Costly:
    def __init__(self, sizes, cost_func):
        self.weights = [np.random.randn(a, b) for a, b in zip(sizes, sizes[1:])]
        self.cost = cost_func

class Counted:
    def __init__(self, input_nodes, hidden_nodes, output_nodes, regression, hidden_layers):
        self.first = np.random.randn(input_nodes, hidden_nodes)
        if regression == True and hidden_layers > 1:
            self.between = np.random.randn(hidden_nodes, hidden_nodes)
        self.last = np.random.randn(hidden_nodes, output_nodes)

class Tripled:
    def __init__(self, parameters):
        for each in parameters:
            a, b, kind = each
            self.last = np.random.randn(a, b)
"""


@pytest.mark.parametrize(("name", "shown"), [
    ("Costly", "[4, 6, 3]"), ("Counted", "(4, 6, 3, True, 2)"), ("Tripled", "parameters"),
])  # fmt: skip
def test_constructors_are_given_what_they_use(tmp_path: Path, name: str, shown: str) -> None:
    """One of the first ways constructs it with what its body does with the parameter."""
    (tmp_path / "asking.py").write_text(ASKING)
    with as_before():
        loaded = load(tmp_path / "asking.py")
        made = []
        for make in constructions(own_classes(loaded)[name], loaded):
            try:
                made.append(make(Sizes(), Form()))
            except Exception:
                continue

    assert any(shown in network.title for network in made), [n.title for n in made]
    assert ("loss" in made[0].functions) == (name == "Costly")
