"""Networks as people write them, each right, and wrong in ways that it names.

A style is a function of a fault (or "") that gives net, loss, backward and data for `check`.
"""

import itertools
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Function = Callable[[str], Any]
STYLES: dict[str, tuple[Function, tuple[str, ...]]] = {}  # name: (function, its faults)


def registering(table: dict[str, tuple[Function, tuple[str, ...]]]) -> Any:
    """A decorator factory that puts a style and its faults into a table."""

    def style(*faults: str) -> Callable[[Function], Function]:
        def registered(function: Function) -> Function:
            table[function.__name__] = (function, faults)
            return function

        return registered

    return style


style: Callable[..., Callable[[Function], Function]] = registering(STYLES)


def softmax(z: Any, axis: int = 1) -> Any:
    """Of rows, or of columns."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(z: Any) -> Any:
    """Of each entry."""
    return 1 / (1 + np.exp(-z))


def rows(n: int = 7, i: int = 5, k: int = 3) -> Any:
    """(X, labels, one-hot labels)."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, k, n)
    return rng.normal(size=(n, i)), y, np.eye(k)[y]


class Returned:
    """W1, b1 in attributes, gradients returned."""

    def __init__(self, fault: str, widths: Any = (5, 4, 3)) -> None:
        rng, self.fault = np.random.default_rng(0), fault
        i, h, o = widths
        self.W1, self.b1 = rng.normal(size=(i, h)) * 0.5, np.zeros(h)
        self.W2, self.b2 = rng.normal(size=(h, o)) * 0.5, np.zeros(o)

    def forward(self, X: Any) -> Any:
        """Probabilities."""
        self.z1 = X @ self.W1 + self.b1
        self.a1 = np.tanh(self.z1)
        self.p = softmax(self.a1 @ self.W2 + self.b2)
        return self.p

    def loss(self, X: Any, y: Any) -> Any:
        """Cross entropy."""
        return -np.log(self.forward(X)[np.arange(len(y)), y]).mean()

    def grads(self, X: Any, y: Any) -> Any:
        """By hand."""
        d2 = self.p - np.eye(self.p.shape[1])[y]
        if self.fault != "not averaged":
            d2 = d2 / len(y)
        if self.fault == "sign":
            d2 = -d2
        slope = 1 - (self.z1 if self.fault == "z for a" else self.a1) ** 2
        d1 = (d2 @ self.W2.T) * (1 if self.fault == "no derivative" else slope)
        dW1, dW2 = X.T @ d1, self.a1.T @ d2
        db1, db2 = d1.sum(axis=0), d2.sum(axis=0)
        if self.fault == "bias summed over all":
            db1 = d1.sum()
        if self.fault == "bias averaged":
            db1 = d1.mean(axis=0)
        return dW1, db1, dW2, db2


@style("not averaged", "sign", "no derivative", "bias summed over all", "bias averaged", "z for a")
def returned_tuple(fault: str) -> Any:
    """A class whose backward returns a tuple."""
    net = Returned(fault)
    X, y, _ = rows()
    return net, lambda: net.loss(X, y), lambda: net.grads(X, y), (X, y)


@style("not averaged", "sign", "no derivative", "bias summed over all", "swapped")
def kept_in_attributes(fault: str) -> Any:
    """dW1 and the like are attributes; the loss is called inside of backward again."""
    widths = (5, 5, 5) if fault == "swapped" else (5, 4, 3)
    net: Any = Returned(fault, widths)
    X, y, _ = rows()

    def backward() -> None:
        net.forward(X)
        net.dW1, net.db1, net.dW2, net.db2 = net.grads(X, y)
        if fault == "swapped":
            net.dW1, net.dW2 = net.dW2, net.dW1

    return net, lambda: net.loss(X, y), backward, (X, y)


@style("swapped keys", "forgotten decay", "missing transposition", "adds up")
def dicts(fault: str) -> Any:
    """params and grads are dicts of one class, with decay, squared error and sigmoids."""
    rng = np.random.default_rng(0)
    o = 4
    net = SimpleNamespace(
        params={"W1": rng.normal(size=(5, 4)), "b1": np.zeros((1, 4))}, grads={}, reg=0.1
    )
    net.params |= {"W2": rng.normal(size=(4, o)), "b2": np.zeros((1, o))}
    X, _, t = rows(k=o)

    def forward() -> Any:
        p = net.params
        h = sigmoid(X @ p["W1"] + p["b1"])
        return h, sigmoid(h @ p["W2"] + p["b2"])

    def loss() -> Any:
        decay = sum((net.params[k] ** 2).sum() for k in ("W1", "W2"))
        return ((forward()[1] - t) ** 2).mean() + 0.5 * net.reg * decay

    def backward() -> Any:
        h, out = forward()
        d = 2 * (out - t) / out.size * out * (1 - out)
        g = {"W2": h.T @ d, "b2": d.sum(axis=0, keepdims=True)}
        d = d @ (net.params["W2"] if fault == "missing transposition" else net.params["W2"].T)
        d = d * h * (1 - h)
        g |= {"W1": X.T @ d, "b1": d.sum(axis=0, keepdims=True)}
        for key in ("W1", "W2") if fault != "forgotten decay" else ("W1",):
            g[key] = g[key] + net.reg * net.params[key]
        if fault == "swapped keys":
            g["b1"], g["b2"] = g["b2"], g["b1"]
        for key, value in g.items():
            before = net.grads.get(key, 0) if fault == "adds up" else 0
            net.grads[key] = before + value
        return net.grads

    return net, loss, backward, (X, t)


class Dense:
    """A layer with dweights and dbiases, as books build them."""

    def __init__(self, i: int, o: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights, self.biases = 0.4 * rng.normal(size=(i, o)), np.zeros((1, o))

    def forward(self, inputs: Any) -> Any:
        """Affine."""
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases
        return self.output

    def backward(self, dvalues: Any) -> Any:
        """Into attributes; what goes on is returned."""
        self.dweights = self.inputs.T @ dvalues
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T
        return self.dinputs


class ReLU:
    """An activation as a layer."""

    fault = ""

    def forward(self, inputs: Any) -> Any:
        """The positive part."""
        self.inputs = inputs
        return np.maximum(0, inputs)

    def backward(self, dvalues: Any) -> Any:
        """Where it was positive."""
        d = dvalues.copy()
        if self.fault != "no derivative":
            d[self.inputs <= 0] = 0
        return d


@style("no derivative", "not averaged", "stale")
def layer_objects(fault: str) -> Any:
    """A list of layers, relu, softmax with cross entropy."""
    X, y, _ = rows()
    layers: list[Any] = [Dense(5, 6, 0), ReLU(), Dense(6, 4, 1), ReLU(), Dense(4, 3, 2)]
    layers[1].fault = fault
    for layer in layers[::2]:
        layer.biases += 0.05
    kept: list[Any] = []

    def forward() -> Any:
        a = X
        for layer in layers:
            a = layer.forward(a)
        return softmax(a)

    def loss() -> Any:
        return -np.log(forward()[range(len(y)), y]).mean()

    def backward() -> None:
        p = forward()
        if fault == "stale":
            kept.append(p)
            p = kept[0]
        d = p.copy()
        d[range(len(y)), y] -= 1
        if fault != "not averaged":
            d /= len(y)
        for layer in reversed(layers):
            d = layer.backward(d)

    return SimpleNamespace(layers=layers), loss, backward, (X, y)


@style("not averaged", "no derivative", "bias averaged over the wrong axis")
def columns(fault: str) -> Any:
    """Examples are columns, W is (out, in), b is (out, 1); parameters['W1'] in a plain dict."""
    X, _, t = rows()
    X, t = X.T.copy(), t.T.copy()
    m = X.shape[1]
    rng = np.random.default_rng(0)
    parameters = {
        "W1": rng.normal(size=(4, 5)) * 0.4,
        "b1": np.zeros((4, 1)),
        "W2": rng.normal(size=(3, 4)) * 0.4,
        "b2": np.zeros((3, 1)),
    }

    def forward() -> Any:
        A1 = np.tanh(parameters["W1"] @ X + parameters["b1"])
        return A1, sigmoid(parameters["W2"] @ A1 + parameters["b2"])

    def cost() -> Any:
        A2 = forward()[1]
        return np.squeeze(-np.sum(t * np.log(A2) + (1 - t) * np.log(1 - A2)) / m)

    def backward() -> Any:
        A1, A2 = forward()
        dZ2 = A2 - t
        n = 1 if fault == "not averaged" else m
        dW2, db2 = dZ2 @ A1.T / n, np.sum(dZ2, axis=1, keepdims=True) / n
        dZ1 = parameters["W2"].T @ dZ2 * (1 if fault == "no derivative" else 1 - A1**2)
        dW1, db1 = dZ1 @ X.T / n, np.sum(dZ1, axis=1, keepdims=True) / n
        if fault == "bias averaged over the wrong axis":
            db1 = np.sum(dZ1, axis=0)[:4].reshape(4, 1) / n
        return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}

    return parameters, cost, backward, (X, t)


@style("bias not cut off", "not averaged")
def folded_bias(fault: str) -> Any:
    """Theta (out, in + 1), a column of ones; the course's own form."""
    X, _, t = rows()
    rng = np.random.default_rng(0)
    net = SimpleNamespace(Theta1=rng.normal(size=(4, 6)) * 0.4, Theta2=rng.normal(size=(3, 5)))
    m = len(X)

    def forward() -> Any:
        a1 = np.hstack([np.ones((m, 1)), X])
        a2 = np.hstack([np.ones((m, 1)), sigmoid(a1 @ net.Theta1.T)])
        return a1, a2, sigmoid(a2 @ net.Theta2.T)

    def loss() -> Any:
        h = forward()[2]
        return -np.sum(t * np.log(h) + (1 - t) * np.log(1 - h)) / m

    def backward() -> Any:
        a1, a2, h = forward()
        d3 = h - t
        d2 = (d3 @ net.Theta2 * a2 * (1 - a2))[:, 1:]
        if fault == "bias not cut off":
            d2 = (d3 @ net.Theta2 * a2 * (1 - a2))[:, :-1]
        n = 1 if fault == "not averaged" else m
        return d2.T @ a1 / n, d3.T @ a2 / n

    return net, loss, backward, (X, t)


@style("sign", "no derivative")
def flat_vector(fault: str) -> Any:
    """All parameters in one vector, and so is the gradient; W and b are views of it."""
    X, y, _ = rows()
    theta = np.random.default_rng(0).normal(size=5 * 4 + 4 + 4 * 3 + 3) * 0.4
    W1, b1 = theta[:20].reshape(5, 4), theta[20:24]
    W2, b2 = theta[24:36].reshape(4, 3), theta[36:]

    def forward() -> Any:
        h = np.tanh(X @ W1 + b1)
        return h, softmax(h @ W2 + b2)

    def loss() -> Any:
        return -np.log(forward()[1][range(len(y)), y]).mean()

    def backward() -> Any:
        h, p = forward()
        d = (p - np.eye(3)[y]) / len(y) * (-1 if fault == "sign" else 1)
        e = d @ W2.T * (1 if fault == "no derivative" else 1 - h * h)
        return np.concatenate([(X.T @ e).ravel(), e.sum(0), (h.T @ d).ravel(), d.sum(0)])

    return None, loss, backward, (X, y)


@style("no derivative", "one example forgotten")
def one_example_a_call(fault: str) -> Any:
    """Nielsen's: columns of one example, lists nabla_b and nabla_w summed over a batch."""
    X, _, t = rows()
    data = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, t, strict=True)]
    rng = np.random.default_rng(0)
    net = SimpleNamespace(
        biases=[rng.normal(size=(n, 1)) for n in (4, 3)],
        weights=[rng.normal(size=(o, i)) for i, o in ((5, 4), (4, 3))],
    )

    def forward(x: Any) -> Any:
        activations = [x]
        for b, w in zip(net.biases, net.weights, strict=True):
            activations.append(sigmoid(w @ activations[-1] + b))
        return activations

    def cost() -> Any:
        return sum(0.5 * np.sum((forward(x)[-1] - y) ** 2) for x, y in data) / len(data)

    def backprop() -> Any:
        nabla_b = [np.zeros(b.shape) for b in net.biases]
        nabla_w = [np.zeros(w.shape) for w in net.weights]
        for x, y in data[1:] if fault == "one example forgotten" else data:
            a = forward(x)
            delta = (a[-1] - y) * a[-1] * (1 - a[-1])
            for layer in (1, 0):
                nabla_b[layer] += delta / len(data)
                nabla_w[layer] += delta @ a[layer].T / len(data)
                slope = 1 if fault == "no derivative" else a[layer] * (1 - a[layer])
                delta = net.weights[layer].T @ delta * slope
        return nabla_b, nabla_w

    return net, cost, backprop, (data,)


@style("no derivative", "bias forgotten in one unit")
def lists_and_loops(fault: str) -> Any:
    """Lists of floats, no NumPy; gradients in lists too."""
    rng = random.Random(0)
    net = SimpleNamespace(
        w1=[[rng.uniform(-1, 1) for _ in range(4)] for _ in range(3)],
        b1=[0.1 * j for j in range(4)],
        w2=[rng.uniform(-1, 1) for _ in range(4)],
        b2=0.25,
    )
    data = [[[rng.uniform(-1, 1) for _ in range(3)] for _ in range(6)], [1.0, 0, 1, 1, 0, 0]]

    def forward(x: Any) -> Any:
        h = [
            1 / (1 + math.exp(-(net.b1[j] + sum(x[i] * net.w1[i][j] for i in range(3)))))
            for j in range(4)
        ]
        return h, net.b2 + sum(h[j] * net.w2[j] for j in range(4))

    def loss() -> float:
        return sum((forward(x)[1] - t) ** 2 for x, t in zip(*data, strict=True)) / 12

    def backward() -> None:
        net.grad_w1 = [[0.0] * 4 for _ in range(3)]
        net.grad_b1, net.grad_w2, net.grad_b2 = [0.0] * 4, [0.0] * 4, 0.0
        for x, t in zip(*data, strict=True):
            h, out = forward(x)
            d = (out - t) / 6
            net.grad_b2 += d
            for j in range(4):
                net.grad_w2[j] += d * h[j]
                e = d * net.w2[j] * (1 if fault == "no derivative" else h[j] * (1 - h[j]))
                if fault != "bias forgotten in one unit" or j != 2:
                    net.grad_b1[j] += e
                for i in range(3):
                    net.grad_w1[i][j] += e * x[i]

    return net, loss, backward, data


@style("updated weights", "bias rate times batch", "uphill", "no derivative")
def only_train(fault: str) -> Any:
    """No gradient is shown: train() makes one step; the rate is an attribute."""
    net: Any = Returned("no derivative" if fault == "no derivative" else "")
    net.lr = 0.3
    X, y, _ = rows()

    def train() -> Any:
        p = net.forward(X)
        d = (p - np.eye(3)[y]) / len(y)
        if fault == "updated weights":
            net.W2 = net.W2 - net.lr * net.a1.T @ d
            e = d @ net.W2.T * (1 - net.a1**2)
        else:
            slope = 1 if fault == "no derivative" else 1 - net.a1**2
            e = d @ net.W2.T * slope
            net.W2 = net.W2 - net.lr * net.a1.T @ d * (-1 if fault == "uphill" else 1)
        net.b2 = net.b2 - net.lr * d.sum(0) * (-1 if fault == "uphill" else 1)
        rate = net.lr * (-1 if fault == "uphill" else 1)
        net.W1 -= rate * X.T @ e
        net.b1 -= rate * e.sum(0) * (len(y) if fault == "bias rate times batch" else 1)

    return net, lambda: net.loss(X, y), train, (X, y)


@style("no derivative")
def error_added(fault: str) -> Any:
    """The famous eleven lines: y - out, and += of what is therefore minus the gradient."""
    X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1.0]])
    y = np.array([[0, 1, 1, 0.0]]).T
    rng = np.random.default_rng(1)
    net = SimpleNamespace(syn0=2 * rng.random((3, 4)) - 1, syn1=2 * rng.random((4, 1)) - 1)

    def loss() -> Any:
        return 0.5 * np.sum((y - sigmoid(sigmoid(X @ net.syn0) @ net.syn1)) ** 2)

    def step() -> None:
        l1 = sigmoid(X @ net.syn0)
        l2 = sigmoid(l1 @ net.syn1)
        l2_delta = (y - l2) * (l2 if fault == "no derivative" else l2 * (1 - l2))
        l1_delta = l2_delta @ net.syn1.T * (l1 * (1 - l1))
        net.syn1 += l1.T @ l2_delta
        net.syn0 += X.T @ l1_delta

    return net, loss, step, (X, y)


@style("factor in the margin", "no regularisation")
def closures(fault: str) -> Any:
    """cs231n's: the function gives loss and dict of gradients; hinge loss, relu."""
    X, y, _ = rows(10)
    rng = np.random.default_rng(5)
    W1, b1 = rng.normal(size=(5, 6)) * 0.5, np.full(6, 0.1)
    W2, b2 = rng.normal(size=(6, 3)) * 0.5, np.zeros(3)
    reg = 1e-2

    def step() -> Any:
        hidden = np.maximum(0, X @ W1 + b1)
        scores = hidden @ W2 + b2
        margins = np.maximum(0, scores - scores[np.arange(10), y][:, None] + 1)
        margins[np.arange(10), y] = 0
        loss = margins.sum() / 10 + 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        d = (margins > 0).astype(float)
        d[np.arange(10), y] = -d.sum(axis=1) * (2 if fault == "factor in the margin" else 1)
        d /= 10
        e = d @ W2.T
        e[hidden <= 0] = 0
        more = 0 if fault == "no regularisation" else reg
        grads = {"W1": X.T @ e + more * W1, "b1": e.sum(0)}
        grads |= {"W2": hidden.T @ d + more * W2, "b2": d.sum(0)}
        return loss, grads

    return None, lambda: step()[0], lambda: step()[1], (X, y)


class Value:
    """A number that knows where it comes from."""

    def __init__(self, data: float, children: Any = ()) -> None:
        self.data, self.grad, self._prev = data, 0.0, children
        self._backward = lambda: None

    def __add__(self, other: Any) -> "Value":
        """A sum."""
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def back() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out._backward = back
        return out

    def __mul__(self, other: Any) -> "Value":
        """A product."""
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def back() -> None:
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = back
        return out

    __radd__, __rmul__ = __add__, __mul__

    def tanh(self, fault: str = "") -> "Value":
        """Of it."""
        out = Value(float(np.tanh(self.data)), (self,))

        def back() -> None:
            slope = 1 - (self.data if fault == "z for a" else out.data) ** 2
            if fault == "overwrites":
                self.grad = slope * out.grad
            else:
                self.grad += slope * out.grad

        out._backward = back
        return out

    def backward(self) -> None:
        """Through all that came before."""
        order: list[Value] = []
        seen: set[Any] = set()

        def visit(v: Value) -> None:
            if v not in seen:
                seen.add(v)
                for child in v._prev:
                    visit(child)
                order.append(v)

        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            v._backward()


@style("z for a")
def scalar_objects(fault: str) -> Any:
    """Numbers with .data and .grad, which add up until they are set to zero."""
    rng = random.Random(1)

    class Neuron:
        def __init__(self, n: int) -> None:
            self.w = [Value(rng.uniform(-1, 1)) for _ in range(n)]
            self.b = Value(0.1)

        def __call__(self, x: Any) -> Any:
            total = self.b
            for w, i in zip(self.w, x, strict=True):
                total = total + w * i
            return total.tanh(fault)

    hidden, last = [Neuron(3) for _ in range(4)], Neuron(4)
    xs = [[rng.uniform(-1, 1) for _ in range(3)] for _ in range(4)]
    ys = [1.0, -1.0, -1.0, 1.0]

    def loss() -> Any:
        total = Value(0.0)
        for x, y in zip(xs, ys, strict=True):
            error = last([n(x) for n in hidden]) + (-y)
            total = total + error * error
        return total

    return SimpleNamespace(hidden=hidden, last=last), loss, lambda: loss().backward(), (xs, ys)


@style("not averaged", "no derivative")
def float32_arrays(fault: str) -> Any:
    """Everything in float32."""
    net: Any = Returned(fault)
    for name in ("W1", "b1", "W2", "b2"):
        setattr(net, name, getattr(net, name).astype(np.float32))
    X, y, _ = rows()
    X = X.astype(np.float32)
    return net, lambda: net.loss(X, y), lambda: net.grads(X, y), (X, y)


@style("mask forgotten", "not averaged")
def dropout(fault: str) -> Any:
    """A mask drawn anew by every forward pass, from NumPy's global generator."""
    net: Any = Returned(fault)
    X, y, _ = rows()

    def loss() -> Any:
        a = np.tanh(X @ net.W1 + net.b1)
        net.a, net.mask = a, (np.random.random(a.shape) < 0.7) / 0.7  # noqa: NPY002 # theirs
        net.p = softmax(a * net.mask @ net.W2 + net.b2)
        return -np.log(net.p[range(len(y)), y]).mean()

    def backward() -> None:
        d = net.p - np.eye(3)[y]
        d = d if fault == "not averaged" else d / len(y)
        e = d @ net.W2.T * (1 if fault == "mask forgotten" else net.mask) * (1 - net.a**2)
        net.dW2, net.db2 = (net.a * net.mask).T @ d, d.sum(0)
        net.dW1, net.db1 = X.T @ e, e.sum(0)

    return net, loss, backward, (X, y)


@style("greater or equal forgotten")
def xor_with_zero_biases(fault: str) -> Any:
    """relu at exactly 0: the first example is (0, 0) and biases are 0."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    y = np.array([[1], [0], [0], [1.0]])
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(
        W1=rng.normal(size=(2, 4)), b1=np.zeros(4), W2=rng.normal(size=(4, 1))
    )

    def loss() -> Any:
        net.h = np.maximum(X @ net.W1 + net.b1, 0)
        return np.mean((net.h @ net.W2 - y) ** 2)

    def backward() -> Any:
        d = 2 * (net.h @ net.W2 - y) / len(y)
        e = d @ net.W2.T
        if fault != "greater or equal forgotten":
            e = e * (net.h > 0)
        return {"W1": X.T @ e, "b1": e.sum(0), "W2": net.h.T @ d}

    return net, loss, backward, (X, y)


@style("no derivative")
def zero_weights(fault: str) -> Any:
    """All weights 0, as tutorials begin with: most slopes vanish there."""
    net: Any = Returned("no derivative" if fault else "")
    net.W1, net.W2 = np.zeros((5, 4)), np.zeros((4, 3))
    X, y, _ = rows()
    return net, lambda: net.loss(X, y), lambda: net.grads(X, y), (X, y)


class Slotted:
    """Slots and a property; logistic regression with a float as its bias."""

    __slots__ = ("_w", "bias", "grad_bias", "grad_w")

    def __init__(self) -> None:
        self._w, self.bias = np.random.default_rng(0).normal(size=5), 0.25

    @property
    def w(self) -> Any:
        """The weights."""
        return self._w


@style("bias summed instead of averaged")
def slots_and_a_number(fault: str) -> Any:
    """w behind a property, b a float."""
    X, y, _ = rows(k=2)
    net: Any = Slotted()

    def loss() -> Any:
        p = sigmoid(X @ net.w + net.bias)
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    def backward() -> None:
        d = sigmoid(X @ net.w + net.bias) - y
        net.grad_w = X.T @ d / len(y)
        net.grad_bias = float(d.sum() if fault else d.mean())

    return net, loss, backward, (X, y)


class Affine:
    """A layer that shares its arrays with a dict, as one book does it."""

    def __init__(self, W: Any, b: Any) -> None:
        self.W, self.b, self.dW, self.db = W, b, None, None

    def forward(self, x: Any) -> Any:
        """Affine."""
        self.x = x
        return x @ self.W + self.b

    def backward(self, d: Any) -> Any:
        """Keeps its own."""
        self.dW, self.db = self.x.T @ d, np.sum(d, axis=0)
        return d @ self.W.T


@style("swapped", "not averaged")
def shared_with_a_dict(fault: str) -> Any:
    """params['W1'] and layers['Affine1'].W are one array."""
    rng = np.random.default_rng(0)
    params = {"W1": rng.normal(size=(5, 3)) * 0.3, "b1": np.zeros(3)}
    params |= {"W2": rng.normal(size=(3, 3)) * 0.3, "b2": np.zeros(3)}
    layers = {f"Affine{i}": Affine(params[f"W{i}"], params[f"b{i}"]) for i in (1, 2)}
    net = SimpleNamespace(params=params, layers=layers)
    X, _, t = rows()

    def predict(x: Any) -> Any:
        net.out = sigmoid(layers["Affine1"].forward(x))
        return layers["Affine2"].forward(net.out)

    def loss() -> Any:
        return -np.sum(t * np.log(softmax(predict(X)) + 1e-300)) / len(X)

    def gradient() -> Any:
        d = softmax(predict(X)) - t
        d = d if fault == "not averaged" else d / len(X)
        d = layers["Affine2"].backward(d) * net.out * (1 - net.out)
        layers["Affine1"].backward(d)
        grads: dict[str, Any] = {}
        for i in (1, 2):
            j = 3 - i if fault == "swapped" else i
            grads[f"b{i}"] = layers[f"Affine{j}"].db
            grads[f"W{i}"] = layers[f"Affine{i}"].dW
        return grads

    return net, loss, gradient, (X, t)


@style("not averaged", "transposed")
def stored_out_in(fault: str) -> Any:
    """W is (out, in), gradients are (in, out): an update uses the transpose."""
    X, _, t = rows()
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(Ws=[rng.normal(size=(4, 5)), rng.normal(size=(3, 4))], grads=[])
    if fault == "transposed":
        net.Ws = [rng.normal(size=(5, 5)), rng.normal(size=(3, 5))]

    def loss() -> Any:
        h = np.tanh(X @ net.Ws[0].T)
        return 0.5 * np.sum((h @ net.Ws[1].T - t) ** 2) / len(X)

    def backward() -> None:
        h = np.tanh(X @ net.Ws[0].T)
        d = (h @ net.Ws[1].T - t) / (1 if fault == "not averaged" else len(X))
        e = d @ net.Ws[1] * (1 - h * h)
        net.grads = [X.T @ e, h.T @ d]
        if fault == "transposed":
            net.grads = [X.T @ e, d.T @ h]

    return net, loss, backward, (X, t)


@style("adds up", "wrong sign in one layer")
def deep_lists(fault: str) -> Any:
    """Lists of W and b of five layers, gradients in lists made once."""
    sizes = (4, 6, 5, 4, 3, 2)
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(
        W=[rng.normal(size=s) for s in itertools.pairwise(sizes)],
        b=[0.1 * rng.normal(size=n) for n in sizes[1:]],
    )
    net.dW, net.db = [np.zeros_like(W) for W in net.W], [np.zeros_like(b) for b in net.b]
    X, t = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))

    def forward() -> Any:
        a = [X]
        for W, b in zip(net.W, net.b, strict=True):
            z = a[-1] @ W + b
            a.append(np.tanh(z) if len(a) < 5 else z)
        return a

    def backward() -> None:
        a = forward()
        d = (a[-1] - t) / len(X)
        for i in reversed(range(5)):
            if fault != "adds up":
                net.dW[i][:], net.db[i][:] = 0, 0
            net.dW[i] += a[i].T @ d * (-1 if fault == "wrong sign in one layer" and i == 1 else 1)
            net.db[i] += d.sum(axis=0)
            d = d @ net.W[i].T * (1 - a[i] ** 2)

    return net, lambda: 0.5 * np.sum((forward()[-1] - t) ** 2) / len(X), backward, (X, t)


@style("not averaged")
def functions_of_data(fault: str) -> Any:
    """loss(X, y) and gradient(X, y): functions of the data that close over a dict."""
    rng = np.random.default_rng(0)
    model = {"w": rng.normal(size=(5, 1)), "b": np.zeros(1)}
    X, _, t = rows(k=2)
    t = t[:, :1]

    def mse(X: Any, t: Any) -> Any:
        return np.mean((X @ model["w"] + model["b"] - t) ** 2)

    def gradient(X: Any, t: Any) -> Any:
        d = 2 * (X @ model["w"] + model["b"] - t) / (1 if fault else len(X))
        return [X.T @ d, d.sum(axis=0)]

    return model, mse, gradient, (X, t)
