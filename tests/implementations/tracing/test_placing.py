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
SLOPED = """
import numpy as np


def slope(a):
    return a * (1 - a)


X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0, 1, 1, 0]]).T
np.random.seed(1)
A = 2 * np.random.random((3, 4)) - 1
B = 2 * np.random.random((4, 1)) - 1
for turn in range(1000):
    z = X @ A
    h = 1 / (1 + np.exp(-z))
    out = 1 / (1 + np.exp(-(h @ B)))
    loss = ((Y - out) ** 2).sum() / 2
    d = (out - Y) * slope(out)
    dh = (d @ B.T) * slope(h)
    A -= 0.5 * X.T @ dh
    B -= 0.5 * h.T @ d
"""
MASKED = """
import numpy as np


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.V, self.W = np.random.randn(n_in, n_hidden), np.random.randn(n_hidden, n_out)

    def forward(self, X):
        self.X, self.z = X, X @ self.V
        self.h = np.maximum(0, self.z)
        self.kept = 1.25 * np.where(self.z > -0.5, 1.0, 0.0)
        self.k = self.h * self.kept
        return self.k @ self.W

    def loss(self, X, Y):
        return 0.5 * ((self.forward(X) - Y) ** 2).sum()

    def backward(self, X, Y):
        e = self.forward(X) - Y
        dk = e @ self.W.T
        dh = dk * self.kept
        dz = dh * (self.z > 0)
        return {"V": self.X.T @ dz, "W": self.k.T @ e}
"""
DEEP = """
import numpy as np


class Net:
    def __init__(self, sizes):
        self.W = [np.random.randn(a, b) for a, b in zip(sizes, sizes[1:])]

    def forward(self, X):
        self.a = [X]
        for W in self.W[:-1]:
            self.a.append(np.tanh(self.a[-1] @ W))
        self.a.append(self.a[-1] @ self.W[-1])
        return self.a[-1]

    def loss(self, X, Y):
        return 0.5 * ((self.forward(X) - Y) ** 2).sum()

    def backward(self, Y):
        grads, back = [], self.a[-1] - Y
        for W, a, before in zip(self.W[::-1], self.a[:0:-1], self.a[-2::-1]):
            delta = back * (1 - a**2) if grads else back
            grads.insert(0, before.T @ delta)
            back = delta @ W.T
        return grads
"""
SIZE = """
import numpy as np


class Net:
    def __init__(self, *widths):
        self.W = [np.random.randn(a, b) for a, b in zip(widths, widths[1:])]

    def __call__(self, Q):
        self.q = [Q]
        for W in self.W[:-1]:
            self.q.append(np.tanh(self.q[-1] @ W))
        return self.q[-1] @ self.W[-1]

    def objective(self, Q, T):
        return 0.5 * ((self(Q) - T) ** 2).sum() / len(Q)

    def pullback(self, T):
        g = (self.q[-1] @ self.W[-1] - T) / len(T)
        found = []
        for W, q in zip(self.W[::-1], self.q[::-1]):
            found.insert(0, q.T @ g)
            g = (g @ W.T) * (1 - q**2)
        return found
"""
HELPER = """
import math
import random


def product(v, w):
    return sum(a * b for a, b in zip(v, w))


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.V = [[random.gauss(0, 1) for _ in range(n_in)] for _ in range(n_hidden)]
        self.W = [[random.gauss(0, 1) for _ in range(n_hidden)] for _ in range(n_out)]

    def forward(self, x):
        self.h = [math.tanh(product(v, x)) for v in self.V]
        return [product(w, self.h) for w in self.W]

    def loss(self, x, y):
        return sum((a - b) ** 2 for a, b in zip(self.forward(x), y)) / 2

    def backward(self, x, y):
        e = [a - b for a, b in zip(self.forward(x), y)]
        back = [product(e, [w[j] for w in self.W]) for j in range(len(self.h))]
        d = [b * (1 - h * h) for b, h in zip(back, self.h)]
        return [[a * b for b in x] for a in d], [[a * b for b in self.h] for a in e]
"""
NEURONS = """
import math
import random


class Neuron:
    def __init__(self, n):
        self.weights, self.bias = [random.gauss(0, 1) for _ in range(n)], 0.1

    def total(self):
        return sum(w * x for w, x in zip(self.weights, self.x)) + self.bias

    def forward(self, x):
        self.x = x
        self.out = 1 / (1 + math.exp(-self.total()))
        return self.out

    def slope(self):
        return self.out * (1 - self.out)

    def step(self, d, rate):
        for i, x in enumerate(self.x):
            self.weights[i] -= rate * d * x
        self.bias -= rate * d


class Net:
    LEARNING_RATE = 0.25

    def __init__(self, n_in, n_hidden, n_out):
        self.hidden = [Neuron(n_in) for _ in range(n_hidden)]
        self.last = [Neuron(n_hidden) for _ in range(n_out)]

    def forward(self, x):
        h = [u.forward(x) for u in self.hidden]
        return [u.forward(h) for u in self.last]

    def loss(self, x, y):
        return sum((o - t) ** 2 for o, t in zip(self.forward(x), y)) / 2

    def train(self, x, y):
        out = self.forward(x)
        d = [(o - t) * u.slope() for o, t, u in zip(out, y, self.last)]
        columns = zip(*(u.weights for u in self.last))
        back = [sum(e * w for e, w in zip(d, c)) for c in columns]
        before = [b * u.slope() for b, u in zip(back, self.hidden)]
        for u, e in zip(self.last + self.hidden, d + before):
            u.step(e, self.LEARNING_RATE)
"""
OWNER = """
import numpy as np


class Tanh:
    def __call__(self, z):
        return np.tanh(z)

    def slope(self, z):
        return 1 - np.tanh(z) ** 2


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.V, self.W = np.random.randn(n_in, n_hidden), np.random.randn(n_hidden, n_out)
        self.act = Tanh()

    def forward(self, X):
        self.X, self.z = X, X @ self.V
        self.h = self.act(self.z)
        return self.h @ self.W

    def loss(self, X, Y):
        return 0.5 * ((self.forward(X) - Y) ** 2).sum()

    def backward(self, X, Y):
        e = self.forward(X) - Y
        dz = e @ self.W.T * self.act.slope(self.z)
        return {"V": self.X.T @ dz, "W": self.h.T @ e}
"""


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        pytest.param(HUBER, "np.clip(10 * r, -1, 1)", "r", id="a value of the forward pass"),
        pytest.param(TWICE, "d = self.p - Y", "d = (self.p - Y) * slope(self.z)", id="derivative"),
        pytest.param(LABELS, "d[np.arange(len(y)), y] -= 1.0", "d -= 1.0", id="before a scaling"),
        pytest.param(SCRIPT, "dh = d @ B.T", "dh = error @ B.T", id="a script without a rate"),
        pytest.param(SLOPED, "a * (1 - a)", "a * (1 + a)", id="a slope in a loop"),
        pytest.param(SLOPED, "slope(h)", "slope(z)", id="what a slope in a loop is given"),
        pytest.param(MASKED, "dh = dk * self.kept", "dh = dk", id="a mask that drops nothing"),
        pytest.param(DEEP, "delta @ W.T", "back @ W.T", id="three layers"),
        pytest.param(SIZE, "- T) / len(T)", "- T) / T.size", id="several outputs"),
        pytest.param(HELPER, "[w[j] for w", "[w[j - 1] for w", id="what a right helper is given"),
        pytest.param(NEURONS, "self.out * (1 - self.out)", "1 - self.out", id="neurons"),
        pytest.param(OWNER, "1 - np.tanh(z) ** 2", "1 - z**2", id="an object and its slope"),
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


OWN_STEP = """
import numpy as np


class Net:
    def __init__(self, n_in, n_hidden, n_out, lr=0.1):
        self.W1, self.b1 = np.random.randn(n_in, n_hidden), np.zeros((1, n_hidden))
        self.W2, self.b2 = np.random.randn(n_hidden, n_out), np.zeros((1, n_out))
        self.lr = lr

    def forward(self, X):
        self.a1 = np.tanh(X @ self.W1 + self.b1)
        z2 = self.a1 @ self.W2 + self.b2
        e = np.exp(z2 - z2.max(axis=1, keepdims=True))
        self.a2 = e / e.sum(axis=1, keepdims=True)
        return self.a2

    def loss(self, y, p):
        return -np.sum(y * np.log(p)) / y.shape[0]

    def backward(self, X, y):
        m = X.shape[0]
        dz2 = self.a2 - y
        dW2 = self.a1.T @ dz2 / m
        db2 = np.sum(dz2, axis=0, keepdims=True) / m
        dz1 = (dz2 @ self.W2.T) * (1 - self.a1**2)
        dW1 = X.T @ dz1 / m
        db1 = np.sum(dz1, axis=0, keepdims=True) / m
        self.W2 -= self.lr * dW2
        self.b2 -= self.lr * db2
        self.W1 -= self.lr * dW1
        self.b1 -= self.lr * db1
"""
NO_BIASES = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slope(a):
    return a * (1 - a)


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.W1, self.W2 = np.random.randn(n_in, n_hidden), np.random.randn(n_hidden, n_out)

    def forward(self, X):
        self.a1 = sigmoid(X @ self.W1)
        self.a2 = sigmoid(self.a1 @ self.W2)
        return self.a2

    def loss(self, X, y):
        return np.sum((self.forward(X) - y) ** 2) / 2

    def backward(self, X, y):
        error = self.forward(X) - y
        d2 = error * slope(self.a2)
        error1 = d2 @ self.W2.T
        d1 = error1 * slope(self.a1)
        return X.T @ d1, self.a1.T @ d2
"""
UPHILL = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slope(a):
    return a * (1 - a)


X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0, 1, 1, 0]]).T
np.random.seed(1)
W1 = 2 * np.random.random((3, 4)) - 1
W2 = 2 * np.random.random((4, 1)) - 1
for j in range(1000):
    a1 = sigmoid(X @ W1)
    a2 = sigmoid(a1 @ W2)
    error = y - a2
    d2 = error * slope(a2)
    error1 = d2 @ W2.T
    d1 = error1 * slope(a1)
    W2 += a1.T @ d2
    W1 += X.T @ d1
"""


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        # Each makes up for it in the next line but one: an update, a slope, what is passed on.
        pytest.param(OWN_STEP, "dW1 = X.T @ dz1 / m", "dW1 = X.T @ dz1", marks=pytest.mark.full),
        pytest.param(NO_BIASES, "d1 = error1", "d1 = -error1", marks=pytest.mark.full),
        pytest.param(NO_BIASES, "return X.T", "return -X.T", marks=pytest.mark.full),
        (UPHILL, "W1 += X.T", "W1 -= X.T"),
    ],
    ids=["factor", "sign", "sign of what is returned", "sign of an update"],
)
def test_factor_or_sign_is_placed_where_it_is_lost(
    text: str, right: str, wrong: str, tmp_path: Path
) -> None:
    """Though another line would make up for it."""
    file = tmp_path / "net.py"
    file.write_text(text.replace(right, wrong))

    report = read_here(file, seed=3)

    line = text[: text.index(right)].count("\n") + 1
    assert [f"net.py:{line}"] == [said.split(": ")[0] for said in report.lines], report
