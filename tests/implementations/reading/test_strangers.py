"""Files of kinds that were judged wrongly: a right one agrees, and a wrong one disagrees."""

import re
from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading import drawn
from tests.helpers.read_here import read_here

# Results in a tuple; `np.sum` without an axis gives the biases' gradients.
TUPLE = """
import numpy as np

def init_params():
    return np.random.rand(6, 4) - 0.5, np.random.rand(6, 1), np.random.rand(3, 6), np.ones((3, 1))

def forward_prop(W1, b1, W2, b2, X):
    Z1 = W1.dot(X) + b1
    A1 = np.tanh(Z1)
    Z2 = W2.dot(A1) + b2
    return Z1, A1, Z2, np.exp(Z2) / np.exp(Z2).sum(axis=0)

def backward_prop(Z1, A1, Z2, A2, W1, W2, X, Y):
    m = X.shape[1]
    dZ2 = A2 - np.eye(3)[Y].T
    dZ1 = W2.T.dot(dZ2) * (1 - A1 ** 2)
    dW2, db2 = dZ2.dot(A1.T) / m, np.sum(dZ2, axis=1, keepdims=True) / m
    dW1, db1 = dZ1.dot(X.T) / m, np.sum(dZ1, axis=1, keepdims=True) / m
    return dW1, db1, dW2, db2
"""
# The loss that a method prints is a mean, its update a sum, cut off far from here.
FIT = """
import numpy as np

def mse_loss(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2)

class MLP:
    def __init__(self, input_size, hidden_size, output_size, learning_rate=0.001):
        self.learning_rate = learning_rate
        self.weights1 = np.random.randn(input_size, hidden_size) * 0.5
        self.weights2 = np.random.randn(hidden_size, output_size) * 0.5

    def fit(self, X, y, epochs=10):
        for epoch in range(epochs):
            hidden = np.tanh(X.dot(self.weights1))
            output = hidden.dot(self.weights2)
            error = output - y
            d_weights2 = np.clip(hidden.T.dot(error), -9, 9)
            d_weights1 = np.clip(X.T.dot(error.dot(self.weights2.T) * (1 - hidden ** 2)), -9, 9)
            self.weights2 -= self.learning_rate * d_weights2
            self.weights1 -= self.learning_rate * d_weights1
            if epoch % 5 == 0:
                print(mse_loss(y, output))

    def predict(self, X):
        return np.tanh(X.dot(self.weights1)).dot(self.weights2)
"""
# A loss that is a class of parts, and has neither weights nor a finite value by itself.
PARTS = """
import numpy as np

class Dense:
    def __init__(self, n_inputs, n_neurons):
        self.weights = 0.1 * np.random.randn(n_inputs, n_neurons)

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights)

    def backward(self, dvalues):
        self.dweights = np.dot(self.inputs.T, dvalues)
        self.dinputs = np.dot(dvalues, self.weights.T)

class Softmax:
    def forward(self, inputs):
        exp_values = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exp_values / np.sum(exp_values, axis=1, keepdims=True)

class Loss_Crossentropy:
    def forward(self, y_pred, y_true):
        return -np.log(np.sum(y_pred * y_true, axis=1))

class Softmax_Crossentropy:
    def __init__(self):
        self.activation = Softmax()
        self.loss = Loss_Crossentropy()

    def forward(self, inputs, y_true):
        self.activation.forward(inputs)
        self.output = self.activation.output
        return np.mean(self.loss.forward(self.output, y_true))

    def backward(self, dvalues, y_true):
        self.dinputs = (dvalues - y_true) / len(dvalues)
"""
# A forward pass that takes labels, and gives the loss among other things.
LABELS = """
import numpy as np

def init_weights(layer_sizes):
    pairs = list(zip(layer_sizes[:-1], layer_sizes[1:]))
    return [np.random.randn(a, b) for a, b in pairs], [np.random.randn(1, b) for _, b in pairs]

def forward(x, y, weights, biases):
    layers, activations = [], [x]
    for W, b in zip(weights, biases):
        layers.append(activations[-1] @ W + b)
        activations.append(np.tanh(layers[-1]))
    e = np.exp(layers[-1])
    activations[-1] = probs = e / e.sum(axis=1, keepdims=True)
    return probs, -np.log(probs[np.arange(len(y)), y]).mean(), layers, activations

def backward(x, y, weights, biases, layers, activations):
    error = activations[-1].copy()
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    W_grad, b_grad = [], []
    for i in reversed(range(len(weights))):
        W_grad.insert(0, activations[i].T @ error)
        b_grad.insert(0, error.sum(axis=0, keepdims=True))
        error = error @ weights[i].T * (1 - activations[i] ** 2)
    return W_grad, b_grad
"""
# Activations that a layer is given; a loss whose derivative is that behind softmax.
GIVEN = """
import numpy as np

class DenseLayer:
    def __init__(self, input_size, output_size):
        self.weights = np.random.randn(input_size, output_size) * 0.5

    def forward(self, input_data):
        self.input = input_data
        return self.input @ self.weights

    def backward(self, output_gradient, learning_rate):
        input_gradient = output_gradient @ self.weights.T
        self.weights -= learning_rate * self.input.T @ output_gradient
        return input_gradient

class ActivationLayer:
    def __init__(self, activation, activation_prime):
        self.activation, self.activation_prime = activation, activation_prime

    def forward(self, input_data):
        self.input = input_data
        return self.activation(input_data)

    def backward(self, output_gradient, learning_rate):
        return output_gradient * self.activation_prime(self.input)

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def sigmoid_prime(x):
    return sigmoid(x) * (1 - sigmoid(x))

def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)

def categorical_cross_entropy(y_true, y_pred):
    return -np.sum(y_true * np.log(np.clip(y_pred, 1e-15, 1 - 1e-15)))

def categorical_cross_entropy_prime(y_true, y_pred):
    return y_pred - y_true
"""
# Examples are shuffled in every epoch, and learnt from one by one.
SHUFFLED = """
import numpy as np

class Net:
    def __init__(self, n_features, hidden_neurons):
        self.w1 = np.random.randn(hidden_neurons, n_features)
        self.w2 = np.random.randn(1, hidden_neurons)
        self.error = []

    def fit(self, inputs, targets, iterations, learning_rate):
        for _ in range(iterations):
            order = np.random.permutation(len(inputs))
            inputs, targets = inputs[order], targets[order]
            delta_w1 = 0
            delta_w2 = 0
            self.error.append(0)
            for x, y in zip(inputs, targets):
                x, y = np.atleast_2d(x), np.atleast_2d(y)
                hidden = np.tanh(x @ self.w1.T)
                out = hidden @ self.w2.T
                delta = y - out
                delta_w1 = delta * np.dot((self.w2 * (1 - hidden ** 2)).T, x)
                delta_w2 = delta * hidden
                self.w1 += learning_rate * delta_w1
                self.w2 += learning_rate * delta_w2
                self.error[-1] += 0.5 * delta.item() ** 2
"""
# A loss gives its derivative by the outputs, which are as many as a bias has numbers.
CLOSURES = """
import numpy as np

class Layer:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def forward(self, X):
        def backward(D):
            self.dW, self.db = X.T @ D, D.sum(axis=0)
            return D @ self.W.T
        return X @ self.W + self.b, backward

def cross_entropy(predictions, targets):
    p = 1 / (1 + np.exp(-predictions))
    loss = -np.sum(targets * np.log(p) + (1 - targets) * np.log(1 - p)) / len(targets)
    return loss, p - targets
"""
RIGHT = {
    "tuple": (TUPLE, "labels 0 to k-1"),
    "fit": (FIT, "from the update of fit"),
    "parts": (PARTS, "Dense, Dense with Softmax_Crossentropy"),
    "labels": (LABELS, "labels 0 to k-1, gradient of backward"),
    "given": (GIVEN, "ActivationLayer(sigmoid), DenseLayer with softmax, categorical_cross_entr"),
    "shuffled": (SHUFFLED, "Net.fit: weights self"),
}
OFTEN = "fit"  # of WRONG, in every run
WRONG = {
    "axis": (
        TUPLE.replace("(dZ2, axis=1, keepdims=True)", "(dZ2)"),
        "has shape (), expected (3, 1) of net['b2']: it is the sum",
    ),
    "fit": (
        re.sub(r"np.clip(.*), -9, 9\)", r"\1)", FIT).replace("hidden ** 2", "hidden"),
        "weights1",
    ),
    "given": (GIVEN.replace("(1 - sigmoid(x))", "(1 - x)"), "net[0].weights"),
    "added": (SHUFFLED.replace("delta_w2 = delta", "delta_w2 += delta"), "adds up over turns"),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(drawn, "RANGES", drawn.RANGES[:1])


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.full if k == "shuffled" else ()) for k in RIGHT]
)
def test_right_file_of_a_stranger_agrees(kind: str, tmp_path: Path) -> None:
    """It is read as what it is."""
    text, how = RIGHT[kind]
    file = tmp_path / f"of_{kind}.py"
    file.write_text(text)

    report = read_here(file)

    assert "agrees" == report.verdict, report
    assert how in " ".join(report.reading.split())


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == OFTEN else pytest.mark.full) for kind in WRONG]
)
def test_wrong_file_of_a_stranger_disagrees(kind: str, tmp_path: Path) -> None:
    """For the reason that it is wrong."""
    text, why = WRONG[kind]
    file = tmp_path / f"of_{kind}.py"
    file.write_text(text)

    report = read_here(file)

    assert ("disagrees", True) == (report.verdict, why in str(report.to_dict())), report


def test_sum_for_a_mean_in_an_update_is_noted(tmp_path: Path) -> None:
    """A learning rate makes up for it, in a method as in a script."""
    file = tmp_path / "fits.py"
    file.write_text(FIT)

    assert ["summed"] == [note.code for note in read_here(file).notes]


@pytest.mark.full
def test_loss_that_is_a_guess_is_no_fault_elsewhere(tmp_path: Path) -> None:
    """Of one output of one example all gradients are so many times those of any loss."""
    file = tmp_path / "guessed.py"
    file.write_text(
        SHUFFLED.replace("out = hidden", "delta = y - hidden").replace("y - out", "delta")
    )

    assert "disagrees" != read_here(file).verdict


@pytest.mark.full
def test_derivative_by_outputs_is_no_gradient_of_parameters(tmp_path: Path) -> None:
    """However many numbers it has."""
    file = tmp_path / "closes.py"
    file.write_text(CLOSURES)

    assert "disagrees" != read_here(file).verdict


def test_update_of_a_hint_may_be_cut_off(tmp_path: Path) -> None:
    """Where gradients are clipped the update is no multiple of them, whoever calls it."""
    file = tmp_path / "fits.py"
    file.write_text(FIT.replace("-9, 9", "-0.2, 0.2"))
    hints = [
        "net = MLP(2, 4, 1)",
        "loss = ((net.predict(X) - y) ** 2).sum() / 2",
        "backward = net.fit(X, y, 1)",
    ]

    assert "disagrees" != read_here(file, hints=hints).verdict
