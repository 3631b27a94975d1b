"""Loops that alone have the loss of a file, whose graph has the backward pass."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading.training import TEXT_ALONE
from tests.helpers.read_here import read_here

ENGINE = """import math, random

class Value:
    def __init__(self, data, children=()):
        self.data, self.grad = data, 0.0
        self._backward = lambda: None
        self._prev = set(children)
    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))
        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out
    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))
        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out
    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))
        def _backward():
            self.grad += (1 - t*t) * out.grad
        out._backward = _backward
        return out
    def __radd__(self, other): return self + other
    def __sub__(self, other): return self + (-1.0 * other)
    def __rmul__(self, other): return self * other
    def backward(self):
        order, seen = [], set()
        def build(v):
            if v not in seen:
                seen.add(v)
                for child in v._prev: build(child)
                order.append(v)
        build(self)
        self.grad = 1.0
        for v in reversed(order): v._backward()

class Neuron:
    def __init__(self, n):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(n)]
        self.b = Value(0.0)
    def __call__(self, x):
        return sum((w * x for w, x in zip(self.w, x)), self.b).tanh()
    def parameters(self): return self.w + [self.b]

class Net:
    def __init__(self, n, m):
        self.hidden, self.out = [Neuron(n) for _ in range(m)], Neuron(m)
    def __call__(self, x):
        return self.out([neuron(x) for neuron in self.hidden])
    def parameters(self): return [p for n in self.hidden + [self.out] for p in n.parameters()]

xs, ys = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0]], [1.0, -1.0, -1.0]
net = Net(3, 4)
for k in range(20):
    predicted = [net(x) for x in xs]
    loss = sum(((p - y) * (p - y) for p, y in zip(predicted, ys)), Value(0.0))
    for p in net.parameters():
        p.grad = 0.0
    loss.backward()
    for p in net.parameters():
        p.data += -0.05 * p.grad
"""
TORCH = """import torch
from torch import nn

torch.manual_seed(0)
X, y = torch.randn(20, 6), torch.arange(20) % 3
criterion = nn.CrossEntropyLoss()

def make():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))

"""
SEVERAL = """results = {}
for fold in range(3):
    chosen = torch.arange(20) % 3 != fold
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(20):
        optimizer.zero_grad()
        loss = criterion(model(X[chosen]), y[chosen])
        loss.backward()
        optimizer.step()
    results[fold] = loss.item()
"""
FUNCTIONS = """import torch
X = torch.randn(40, 3)
y = X @ torch.tensor([1.0, -2.0, 3.0])
w, b = torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)

def net(X, w, b):
    return X @ w + b

def squared_loss(y_hat, y):
    return (y_hat - y) ** 2 / 2

def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()

def batches():
    for i in range(0, 40, 10):
        yield X[i : i + 10], y[i : i + 10]

for epoch in range(3):
    for features, labels in batches():
        loss = squared_loss(net(features, w, b), labels).sum()
        loss.backward()
        sgd([w, b], 0.03, 10)
"""
MAIN = """def main():
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    total = 0.0
    for epoch in range(20):
        loss = criterion(model(X), y)
        total += loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("text", "net"),
    [(ENGINE, "net"), (TORCH + SEVERAL, "model"), (TORCH + MAIN, "model"), (FUNCTIONS, "w, b")],
    ids=["an engine", "a network in each turn", "in main", "functions"],
)
def test_loss_of_a_loop_is_taken_as_a_function(text: str, net: str, tmp_path: Path) -> None:
    """And its gradient is judged; that its training was not run is said."""
    if "torch" in text:
        pytest.importorskip("torch", reason="files of torch are read with it")
    file = tmp_path / "script.py"
    file.write_text(text)

    report = read_here(file)

    assert report.agrees, str(report)
    assert f"script: {net}, as a loop has them before loss.backward()" in report.reading
    assert TEXT_ALONE in report.remarks


@pytest.mark.parametrize(
    ("old", "new"),
    [("(1 - t*t)", "(1 + t*t)"), ("other.grad += self.data", "other.grad += other.data")],
)
def test_engine_that_is_wrong_disagrees(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what gives the gradient."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "script.py"
    file.write_text(ENGINE.replace(old, new))

    assert "disagrees" == read_here(file).verdict


def test_what_autograd_is_kept_from_is_no_fault(tmp_path: Path) -> None:
    """Slopes know nothing of a target that is detached: then nothing is said."""
    pytest.importorskip("torch", reason="files of torch are read with it")
    loss = "criterion(model(X[chosen]), model(X[chosen]).softmax(1).detach())"
    file = tmp_path / "script.py"
    file.write_text(TORCH + SEVERAL.replace("criterion(model(X[chosen]), y[chosen])", loss))

    assert "not checked" == read_here(file).verdict
