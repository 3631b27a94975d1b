"""Objects that hold their parameters, as people write them, over exact numbers."""

from typing import Any

import numpy as np
import pytest

from samegrad.implementations.proof.live import Place, prove_object
from samegrad.implementations.proof.result import Proof

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-1.0, 0.5, 1.25], [2.0, -0.5, 0.5]])
Y = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 2.0]])


def place(holder: Any, key: Any) -> Place:
    """An attribute, or what a list or a dict holds."""
    if isinstance(holder, list | dict):
        return Place(holder[key], lambda value: holder.__setitem__(key, value))
    return Place(getattr(holder, key), lambda value: setattr(holder, key, value))


class Dense:
    """A layer that keeps what it has seen, and writes gradients into arrays of its own."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.weights = 0.1 * np.random.default_rng(0).normal(size=(fan_in, fan_out))
        self.biases = np.zeros((1, fan_out))
        self.dweights = np.zeros_like(self.weights)
        self.dbiases = np.zeros_like(self.biases)

    def forward(self, inputs: Any) -> Any:
        self.inputs = inputs
        return np.dot(inputs, self.weights) + self.biases

    def backward(self, dvalues: Any) -> Any:
        self.dweights[...] = np.dot(self.inputs.T, dvalues)
        np.sum(dvalues, axis=0, keepdims=True, out=self.dbiases)
        return np.dot(dvalues, self.weights.T)


class Stack:
    """Layers with relu between them, and the mean of squares behind them."""

    def __init__(self) -> None:
        self.first, self.second = Dense(3, 4), Dense(4, 2)

    def loss(self) -> Any:
        self.z = self.first.forward(X)
        self.out = self.second.forward(np.maximum(0, self.z))
        return np.mean((Y - self.out) ** 2)

    def backward(self, factor: float = 1.0) -> None:
        d = self.second.backward(-2 * (Y - self.out) / self.out.size * factor)
        d[self.z <= 0] = 0
        self.first.backward(d)

    def places(self, *names: str) -> dict[str, Place]:
        layers = {"first": self.first, "second": self.second}
        return {f"{n}.{k}": place(layer, k) for n, layer in layers.items() for k in names}


def of_stack(factor: float = 1.0, buffers: bool = True) -> Proof:
    """Of the layers."""
    net = Stack()
    return prove_object(
        net.loss,
        lambda: net.backward(factor),
        net.places("weights", "biases"),
        lambda _: {
            f"{n}.{k}": getattr(getattr(net, n), f"d{k}")
            for n in ("first", "second")
            for k in ("weights", "biases")
        },
        buffers=[*net.places("dweights", "dbiases").values()] if buffers else (),
    )


@pytest.mark.quick
def test_layers_with_buffers_are_proved() -> None:
    """Their own arrays of floats are exact while they run."""
    proof = of_stack()

    assert "proved" == proof.verdict, proof
    assert 26 == proof.entries


def test_buffers_that_are_not_named_are_lost_with_their_line() -> None:
    """No fault is made of it."""
    proof = of_stack(buffers=False)

    assert "not proved" == proof.verdict
    assert "test_live.py" in proof.reason and "self.dweights" in proof.reason


@pytest.mark.parametrize("factor", [0.5, 1 + 1e-14])
def test_wrong_factor_of_layers_disagrees(factor: float) -> None:
    """By name of the parameter."""
    proof = of_stack(factor)

    assert "disagrees" == proof.verdict
    assert "weights[" in proof.reason or "biases[" in proof.reason


class OneByOne:
    """Columns, one example at a time, sums over the batch, sigmoids: as in a well known book."""

    def __init__(self) -> None:
        self.sizes = [3, 4, 2]
        self.weights = [np.ones((4, 3)), np.ones((2, 4))]
        self.biases = [np.ones((4, 1)), np.ones((2, 1))]

    def cost(self) -> Any:
        total: Any = 0.0
        for x, y in zip(X, Y, strict=True):
            a = x.reshape(-1, 1)
            for b, w in zip(self.biases, self.weights, strict=True):
                a = 1.0 / (1.0 + np.exp(-(np.dot(w, a) + b)))
            total += 0.5 * np.linalg.norm(a - y.reshape(-1, 1)) ** 2
        return total

    def backprop(self) -> Any:
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in zip(X, Y, strict=True):
            activations = [x.reshape(-1, 1)]
            for b, w in zip(self.biases, self.weights, strict=True):
                activations.append(1.0 / (1.0 + np.exp(-(np.dot(w, activations[-1]) + b))))
            a = activations[-1]
            delta = (a - y.reshape(-1, 1)) * a * (1 - a)
            for layer in (-1, -2):
                nabla_b[layer] += delta
                nabla_w[layer] += np.dot(delta, activations[layer - 1].transpose())
                below = activations[layer - 1]
                delta = np.dot(self.weights[layer].transpose(), delta) * below * (1 - below)
        return nabla_b, nabla_w


def test_columns_one_by_one_with_sigmoids_are_enclosed() -> None:
    """A norm squared needs a root, whose square is enclosed."""
    net = OneByOne()
    parameters = {f"w{i}": place(net.weights, i) for i in (0, 1)}
    parameters |= {f"b{i}": place(net.biases, i) for i in (0, 1)}

    proof = prove_object(
        net.cost,
        net.backprop,
        parameters,
        lambda given: {f"{k}{i}": given["bw".index(k)][i] for k in "bw" for i in (0, 1)},
    )

    assert "enclosed" == proof.verdict, proof
    assert proof.digits > 50


def test_update_of_a_dict_is_proved_by_its_difference() -> None:
    """Before less after, over the rate, which is a rounded tenth on both sides."""
    held: dict[str, Any] = {"W": np.ones((3, 2)), "b": np.ones(2)}

    def error() -> Any:
        return X @ held["W"] + held["b"] - Y

    def step() -> dict[str, Any]:
        before = {k: v.copy() for k, v in held.items()}
        e = error()
        held["W"] -= 0.1 * (X.T @ e) / 4
        held["b"] -= 0.1 * e.mean(axis=0)
        return {k: (before[k] - held[k]) / 0.1 for k in held}

    proof = prove_object(
        lambda: 0.5 * np.sum(error() ** 2) / 4,
        step,
        {k: place(held, k) for k in held},
        lambda given: given,
    )

    assert "proved" == proof.verdict, proof
    assert (held["W"] == 1).all()


def test_lists_and_numbers_are_proved() -> None:
    """A neuron of plain Python."""
    held: dict[str, Any] = {"w": [0.5, -0.5, 1.0], "b": 0.25}

    def value() -> Any:
        return sum(w * x for w, x in zip(held["w"], X[0].tolist(), strict=True)) + held["b"]

    proof = prove_object(
        lambda: (value() - 1) ** 2 / 2,
        lambda: ([(value() - 1) * x for x in X[0].tolist()], value() - 1),
        {k: place(held, k) for k in held},
        lambda given: dict(zip("wb", given, strict=True)),
    )

    assert "proved" == proof.verdict, proof
