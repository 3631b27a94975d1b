"""More networks as people write them, with habits that are hard to check; see `styles`."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.implementations.checking.objects import styles
from tests.implementations.checking.objects.styles import (
    Function,
    Returned,
    rows,
    sigmoid,
    softmax,
)

HARDER: dict[str, tuple[Function, tuple[str, ...]]] = {}
style: Callable[..., Callable[[Function], Function]] = styles.registering(HARDER)


class Remembering:
    """Keeps its input, and a scaled copy of the data from the start."""

    def __init__(self, X: Any, y: Any, fault: str) -> None:
        rng = np.random.default_rng(0)
        self.X, self.y, self.scaled, self.fault = X, y, (X - X.mean(0)) / X.std(0), fault
        self.weights1, self.weights2 = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
        self.output = np.zeros((len(X), 3))

    def feedforward(self) -> Any:
        """Sigmoids."""
        self.layer1 = sigmoid(self.scaled @ self.weights1)
        self.output = sigmoid(self.layer1 @ self.weights2)
        return self.output

    def loss(self) -> Any:
        """Sum of squares."""
        return np.sum((self.y - self.feedforward()) ** 2)

    def backprop(self) -> None:
        """The much copied one: adds minus the gradient."""
        self.feedforward()
        slope = self.output * (1 - self.output)
        if self.fault == "slope of the wrong layer":
            slope = 1 - self.output
        d = 2 * (self.y - self.output) * slope
        e = d @ self.weights2.T * self.layer1 * (1 - self.layer1)
        self.weights1 += self.scaled.T @ e
        self.weights2 += self.layer1.T @ d


@style("slope of the wrong layer")
def data_inside(fault: str) -> Any:
    """The object holds X, y and a scaled copy; nothing is returned."""
    X, _, t = rows()
    net = Remembering(X, t, fault)
    return net, net.loss, net.backprop, (X, t)


@style("no derivative")
def with_momentum(fault: str) -> Any:
    """An update with velocities that start at 0; the rate is a default argument."""
    net: Any = Returned("no derivative" if fault else "")
    X, y, _ = rows()
    net.v = {name: np.zeros_like(getattr(net, name)) for name in ("W1", "b1", "W2", "b2")}

    def step(learning_rate: float = 0.05, beta: float = 0.9) -> None:
        net.forward(X)
        for name, g in zip(net.v, net.grads(X, y), strict=True):
            net.v[name] = beta * net.v[name] - learning_rate * g
            setattr(net, name, getattr(net, name) + net.v[name])

    return net, lambda: net.loss(X, y), step, (X, y)


@style("not averaged")
def gradients_with_the_loss(fault: str) -> Any:
    """backward gives (loss, {"layer1": {...}}), nested, in the order of the backward pass."""
    net: Any = Returned(fault)
    X, y, _ = rows()

    def backward() -> Any:
        loss = net.loss(X, y)
        dW1, db1, dW2, db2 = net.grads(X, y)
        return loss, {"layer2": {"W": dW2, "b": db2}, "layer1": {"W": dW1, "b": db1}}

    return net, lambda: net.loss(X, y), backward, (X, y)


class Accumulating:
    """A layer that adds up its gradients, and knows how to forget them."""

    def __init__(self, i: int, o: int, seed: int) -> None:
        self.weights = np.random.default_rng(seed).normal(size=(i, o))
        self.bias = np.zeros(o)
        self.reset_gradients()

    def reset_gradients(self) -> None:
        """To zero."""
        self.weights_grad, self.bias_grad = np.zeros_like(self.weights), np.zeros_like(self.bias)

    def forward(self, x: Any) -> Any:
        """Affine."""
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, d: Any, averaged: bool) -> Any:
        """Adds up."""
        self.weights_grad += self.x.T @ d
        self.bias_grad += d.mean(axis=0) if averaged else d.sum(axis=0)
        return d @ self.weights.T


@style("bias averaged")
def accumulating_layers(fault: str) -> Any:
    """Gradients add up, and reset_gradients() is there to forget them."""
    layers = [Accumulating(5, 4, 0), Accumulating(4, 3, 1)]
    X, _, t = rows()

    def forward() -> Any:
        h = np.tanh(layers[0].forward(X))
        return h, layers[1].forward(h)

    def backward() -> None:
        h, out = forward()
        d = layers[1].backward((out - t) / len(X), fault == "bias averaged")
        layers[0].backward(d * (1 - h * h), False)

    return layers, lambda: 0.5 * np.sum((forward()[1] - t) ** 2) / len(X), backward, (X, t)


SCRIPT = """
import numpy as np
rng = np.random.default_rng(0)
lr = 0.1
W1 = rng.normal(size=(5, 4))
b1 = np.zeros(4)
W2 = rng.normal(size=(4, 1))
X = rng.normal(size=(8, 5))
y = rng.normal(size=(8, 1))

def forward():
    global h, out
    h = np.tanh(X @ W1 + b1)
    out = h @ W2

def loss():
    forward()
    return np.mean((out - y) ** 2)

def step():
    global W1, b1, W2
    forward()
    d = 2 * (out - y) / len(y)
    e = d @ W2.T * SLOPE
    W2 -= lr * h.T @ d
    W1 -= lr * X.T @ e
    b1 = b1 - lr * e.sum(axis=0)
"""


@style("no derivative")
def script(fault: str) -> Any:
    """Everything is a global of a module, and step() changes it."""
    module = ModuleType("script")
    exec(SCRIPT.replace("SLOPE", "1" if fault else "(1 - h * h)"), vars(module))
    return None, module.loss, module.step, (module.X, module.y)


class BatchNorm:
    """With running statistics, which the loss updates and does not use."""

    def __init__(self, n: int, fault: str) -> None:
        self.gamma, self.beta, self.fault = np.full(n, 1.5), np.zeros(n), fault
        self.running_mean, self.running_var = np.zeros(n), np.ones(n)

    def forward(self, x: Any) -> Any:
        """Of the batch."""
        mean, var = x.mean(0), x.var(0)
        self.running_mean = 0.9 * self.running_mean + 0.1 * mean
        self.running_var = 0.9 * self.running_var + 0.1 * var
        self.std = np.sqrt(var + 1e-5)
        self.xhat = (x - mean) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, d: Any) -> Any:
        """Through mean and variance."""
        self.dgamma, self.dbeta = (d * self.xhat).sum(0), d.sum(0)
        d = d * self.gamma
        if self.fault == "variance taken for constant":
            return (d - d.mean(0)) / self.std
        return (d - d.mean(0) - self.xhat * (d * self.xhat).mean(0)) / self.std


@style("variance taken for constant")
def batch_norm(fault: str) -> Any:
    """The bias before it has slope 0 for good."""
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(W=rng.normal(size=(5, 4)), b=np.zeros(4), bn=BatchNorm(4, fault))
    net.V = rng.normal(size=(4, 3))
    X, _, t = rows()

    def forward() -> Any:
        net.a = np.tanh(net.bn.forward(X @ net.W + net.b))
        return net.a @ net.V

    def backward() -> None:
        d = (forward() - t) / len(X)
        net.dV = net.a.T @ d
        e = net.bn.backward(d @ net.V.T * (1 - net.a**2))
        net.dW, net.db = X.T @ e, e.sum(0)

    return net, lambda: 0.5 * np.sum((forward() - t) ** 2) / len(X), backward, (X, t)


@style("sign of the penalty")
def house_prices(fault: str) -> Any:
    """A loss of 1e10, whose rounding is large; a float as bias; loss of shape (1, 1)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4))
    y = (3e5 + 1e5 * rng.normal(size=50))[:, None]
    net: Any = SimpleNamespace(w=rng.normal(size=(4, 1)) * 1e5, b=1e5, lam=0.7)

    def loss() -> Any:
        e = X @ net.w + net.b - y
        return (e.T @ e + net.lam * net.w.T @ net.w) / 100

    def gradient() -> Any:
        e = X @ net.w + net.b - y
        sign = -1 if fault else 1
        return (X.T @ e + sign * net.lam * net.w) / 50, float(e.sum() / 50)

    return net, loss, gradient, (X, y)


@dataclass(frozen=True)
class Weights:
    """Frozen, with arrays."""

    w: Any
    b: Any


@style("reversed")
def frozen_dataclasses(fault: str) -> Any:
    """A tuple of dataclasses, gradients likewise; square layers."""
    rng = np.random.default_rng(0)
    net = tuple(Weights(rng.normal(size=(4, 4)), rng.normal(size=4)) for _ in range(3))
    X, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))

    def forward() -> Any:
        a = [X]
        for layer in net:
            a.append(np.tanh(a[-1] @ layer.w + layer.b))
        return a

    def gradient() -> Any:
        a = forward()
        d, found = (a[-1] - t) / len(X), []
        for layer, before, after in zip(net[::-1], a[-2::-1], a[:0:-1], strict=True):
            d = d * (1 - after * after)
            found.append(Weights(before.T @ d, d.sum(0)))
            d = d @ layer.w.T
        return tuple(found if fault == "reversed" else found[::-1])

    return net, lambda: 0.5 * np.sum((forward()[-1] - t) ** 2) / len(X), gradient, (X, t)


@style("only in the gradient")
def decay(fault: str) -> Any:
    """Weight decay, in both or in the gradient alone."""
    net: Any = Returned("")
    X, y, _ = rows()
    net.lam = 0.3

    def loss() -> Any:
        penalty = net.lam / 2 * (np.sum(net.W1**2) + np.sum(net.W2**2))
        return net.loss(X, y) + (0 if fault else penalty)

    def backward() -> Any:
        net.forward(X)
        dW1, db1, dW2, db2 = net.grads(X, y)
        return {"W1": dW1 + net.lam * net.W1, "b1": db1, "W2": dW2 + net.lam * net.W2, "b2": db2}

    return net, loss, backward, (X, y)


@style("slices swapped")
def stacked_bias(fault: str) -> Any:
    """W and b apart, their gradients stacked in one array with b as its first row."""
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(W=rng.normal(size=(5, 3)), b=np.zeros(3))
    X, y, _ = rows()

    def backward() -> Any:
        d = (softmax(X @ net.W + net.b) - np.eye(3)[y]) / len(y)
        rows_of = [X.T @ d, d.sum(0)[None]] if fault else [d.sum(0)[None], X.T @ d]
        net.dTheta = np.vstack(rows_of) * (2 if fault else 1)

    def loss() -> Any:
        return -np.log(softmax(X @ net.W + net.b)[range(len(y)), y]).mean()

    return net, loss, backward, (X, y)


@style("mask of another call")
def own_generator(fault: str) -> Any:
    """Dropout from a generator in the object; backward runs forward again."""
    net: Any = SimpleNamespace(
        W=np.random.default_rng(0).normal(size=(5, 3)), rng=np.random.default_rng(7)
    )
    X, _, t = rows()

    def forward() -> Any:
        mask = (net.rng.random(X.shape) < 0.6) / 0.6
        net.used = X * mask
        return net.used @ net.W

    def backward() -> Any:
        d = (forward() - t) / len(X)
        if fault:
            forward()
        return net.used.T @ d

    return net, lambda: 0.5 * np.sum((forward() - t) ** 2) / len(X), backward, (X, t)


@style("not averaged")
def talkative(fault: str) -> Any:
    """Prints in every call, warns, and sets NumPy's errors to raise."""
    net: Any = Returned(fault)
    X, y, _ = rows()

    def loss() -> Any:
        print("loss!" * 20)  # noqa: T201 # theirs
        np.log(np.zeros(1))
        return net.loss(X, y)

    return net, loss, lambda: net.grads(X, y), (X, y)


@style("batch forgotten in one layer")
def examples_in_a_loop(fault: str) -> Any:
    """No batch dimension: train_one for each example, deltas summed in self.dW."""
    net: Any = Returned("")
    X, y, _ = rows()

    def loss() -> Any:
        return float(np.mean([net.loss(x[None], [label]) for x, label in zip(X, y, strict=True)]))

    def backward() -> None:
        total: Any = None
        for x, label in zip(X, y, strict=True):
            net.forward(x[None])
            found = net.grads(x[None], np.array([label]))
            total = found if total is None else tuple(map(np.add, total, found))
        averaged = [g / len(X) for g in total]
        if fault:
            averaged[0] = total[0]
        net.gradients = averaged

    return net, loss, backward, (X, y)


@style("no derivative")
def log_of_p_plus_epsilon(fault: str) -> Any:
    """The loss has log(p + 1e-6), its gradient not: a convention."""
    net: Any = Returned(fault)
    X, y, _ = rows()

    def loss() -> Any:
        return -np.log(net.forward(X)[range(len(y)), y] + 1e-6).mean()

    return net, loss, lambda: net.grads(X, y), (X, y)


def clipped(p: Any, epsilon: float = 0.05e-3) -> Any:
    """Away from 0 and 1."""
    return np.clip(p, epsilon, 1 - epsilon)


@style("forgotten decay")
def probabilities_clipped(fault: str) -> Any:
    """Saturated units, whose probabilities are clipped: nothing of that in the gradient."""
    net: Any = Returned("")
    net.W2 *= 12
    net.lam = 1e-5
    X, y, _ = rows()

    def loss() -> Any:
        penalty = net.lam / 2 * np.sum(net.W1**2) if fault else 0
        return -np.log(clipped(net.forward(X))[range(len(y)), y]).mean() + penalty

    return net, loss, lambda: net.grads(X, y), (X, y)
