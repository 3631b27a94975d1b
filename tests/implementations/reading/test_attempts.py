"""Backward passes that are not there, raise or are empty: said so, and no fault of the loss."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samegrad.implementations.reading.attempts import Attempts
from tests.helpers.read_here import read_here

START = """import numpy as np
def init_params(n_in, n_hid, n_out):
    rng = np.random.default_rng(1)
    return {"W1": rng.normal(0, 0.5, (n_in, n_hid)), "W2": rng.normal(0, 0.5, (n_hid, n_out))}
def forward(params, X):
    h = np.tanh(X @ params["W1"])
    e = np.exp(h @ params["W2"])
    p = e / e.sum(axis=1, keepdims=True)
    return p, (X, h, p)
def cross_entropy(p, y):
    return -np.log(p[np.arange(len(y)), y]).sum() / len(y)
"""
BACKWARD = """def backward(params, cache, y):
    X, h, p = cache
    d = p.copy(); d[np.arange(len(y)), y] -= 1; d /= len(y)
    {line}
    return {{"W2": h.T @ d, "W1": X.T @ ((d @ params["W2"].T) * (1 - h**2))}}
"""
LAYERS = """import numpy as np
class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.1
    def forward(self, x):
        self.x = x
        return x @ self.W
    def backward(self, d):
        self.dW = self.x.T @ d
        return d @ self.V.T
class Net:
    def __init__(self, layers):
        self.layers = layers
    def forward(self, X):
        for layer in self.layers:
            X = layer.forward(X)
        return X
    def loss(self, X, y):
        self.d = self.forward(X) - y
        return np.sum(self.d**2) / 2
    def backward(self):
        d = self.d
        for layer in reversed(self.layers):
            d = layer.backward(d)
net = Net([Dense(5, 12), Dense(12, 2)])
"""
WITHOUT_LOSS = """import numpy as np
class Net:
    def __init__(self, sizes=(4, 8, 3), lr=0.1):
        self.lr = lr
        self.W = [np.random.randn(a, b) for a, b in zip(sizes, sizes[1:])]
    def forward(self, X):
        self.a = [X]
        for W in self.W:
            self.a.append(np.tanh(self.a[-1] @ W))
        return self.a[-1]
    def backward(self, y):
        delta = (self.a[-1] - y) * (1 - self.a[-1]**2)
        for i in (1, 0):
            new = (delta @ self.W[i]) * (1 - self.a[i]**2)
            self.W[i] -= self.lr * self.a[i].T @ delta
            delta = new
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (START, "no gradient was found in it; its loss, cross_entropy, runs"),
        (
            START + BACKWARD.format(line="raise NotImplementedError"),
            "not written yet: backward raises NotImplementedError in net.py:15",
        ),
        (
            START + BACKWARD.format(line="d = d @ params['W2']"),
            "each call of backward raises, in net.py:15: ValueError: matmul",
        ),
        (START + "def backward(params, cache, y):\n    grads = {}\n    return grads\n",
         "not written yet: backward returns nothing"),
        (LAYERS, "each call of backward raises, in net.py:10: AttributeError"),
        (
            START.replace("np.tanh", "tanh") + BACKWARD.format(line=""),
            "each call of forward raises, in net.py:6: NameError: name 'tanh' is not defined",
        ),
        (
            START.replace("np.tanh", "np.thanh") + BACKWARD.format(line=""),
            "each call of forward raises, in net.py:6: AttributeError: module 'numpy' has no",
        ),
        (
            LAYERS.replace("x @ self.W", "x @ self.weight"),
            "each call of forward raises, in net.py:7: AttributeError: 'Dense' object has no",
        ),
        (
            WITHOUT_LOSS,
            "no call of backward that was tried came to its end; the one that came furthest "
            "raised, in net.py:14: ValueError: matmul",
        ),
        (
            START.replace("n_in, n_hid, n_out", "n_in, n_hid, n_hid", 1),
            "SyntaxError in line 2: duplicate argument 'n_hid'",
        ),
    ],
    ids=[
        "missing", "unfinished", "raises", "empty", "layers", "no name", "no function", "no weight",
        "no loss", "syntax",
    ],
)  # fmt: skip
def test_gradient_that_is_not_there_is_not_checked(text: str, said: str, tmp_path: Path) -> None:
    """With the line and the exception."""
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    assert "not checked" == report.verdict and report.reason.startswith(said), report


def test_trained_weights_are_no_gradient_where_the_backward_pass_raises(tmp_path: Path) -> None:
    """Where widths are equal it runs, and its wrong line is named."""
    file = tmp_path / "net.py"
    file.write_text(
        f"""{START}{BACKWARD.format(line="")}def train(X, y, hidden=3, lr=0.5, epochs=9):
    params = init_params(X.shape[1], hidden, y.max() + 1)
    for epoch in range(epochs):
        p, cache = forward(params, X)
        loss = cross_entropy(p, y)
        grads = backward(params, cache, y)
        for k in params:
            params[k] -= lr * grads[k]
    return params
""".replace('params["W2"].T', 'params["W2"]')
    )

    report = read_here(file)

    assert "train" not in report.reading.partition("gradient of ")[2], report
    assert "disagrees" != report.verdict or "net.py:16" in "".join(report.lines), report


def test_sum_over_calls_is_named_and_no_zero_in_its_place(tmp_path: Path) -> None:
    """With `y - y` for the error nothing is added, which is no repair."""
    file = tmp_path / "net.py"
    file.write_text("""import numpy as np
class Net:
    def __init__(self, sizes):
        self.W = [np.random.randn(a, b) for a, b in zip(sizes, sizes[1:])]
        self.b = [np.zeros(n) for n in sizes[1:]]
        self.dW, self.db = [0.0 * w for w in self.W], [0.0 * b for b in self.b]
    def forward(self, x):
        self.a = [x]
        for w, b in zip(self.W, self.b):
            self.a.append(np.tanh(self.a[-1] @ w + b))
        return self.a[-1]
    def loss(self, y_pred, y):
        return np.sum((y_pred - y) ** 2) / 2 / len(y)
    def backward(self, y):
        d = (self.a[-1] - y) / len(y)
        d = d * (1 - self.a[-1] ** 2)
        for i in reversed(range(len(self.W))):
            self.dW[i] += self.a[i].T @ d
            self.db[i] += d.sum(axis=0)
            if i > 0:
                d = (d @ self.W[i].T) * (1 - self.a[i] ** 2)
""")

    report = read_here(file)

    assert "disagrees" == report.verdict, report
    assert ["net.py:18: self.dW[i] adds up over calls; expected to start from zero in each"] == [
        *report.lines
    ]


def test_call_that_came_furthest_is_told_by_lines_of_the_backward_pass(tmp_path: Path) -> None:
    """Not by those of a function below it that other data do not pass."""
    source = """
def backprop(a):
    below(a[0])
    return a[1] + 1
def below(x):
    return x + 1
"""
    file, names, attempts = tmp_path / "net.py", dict[str, Any](), Attempts()
    exec(compile(source, str(file), "exec"), names)

    for data in (["", 0], [0, ""], ["", 0]):  # raises in lines 6, 4, 6
        with pytest.raises(TypeError):
            attempts.noted("Net.backprop", partial(names["backprop"], data))()

    report = attempts.tried()
    assert report is not None and "no call of backprop that was tried" in report.reason
    assert "net.py:4" in report.reason
