"""What one right turn does not show: sums that are never cleared, weights and layers left out."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.read_here import read_here

ARRAYS = """import numpy as np
rng = np.random.default_rng(1)
X = rng.normal(size=(30, 3)); y = X @ np.array([[1.0], [2.0], [-1.0]]) + 0.1
W = rng.normal(size=(3, 1)); b = np.zeros(1); sW = np.zeros_like(W); sb = np.zeros_like(b)
last = np.zeros((30, 3, 1))
for i in range(300):
    d = (X @ W + b - y) / len(X)
    loss = 0.5 * np.sum((X @ W + b - y) ** 2) / len(X)
    gW, gb = X.T @ d, d.sum(0)
{steps}
"""
ADDS = "    sW += gW; sb += gb\n    W -= 0.1 * sW\n    b -= 0.1 * sb\n"
LISTS = """import math, random
random.seed(0)
data = [([0.0, 0.0], 0.0), ([0.0, 1.0], 1.0), ([1.0, 0.0], 1.0), ([1.0, 1.0], 0.0)]
w1 = [[random.uniform(-1, 1) for _ in range(2)] for _ in range(3)]
b1 = [0.1, 0.2, 0.3]
w2 = [random.uniform(-1, 1) for _ in range(3)]
lr = 0.5
{before}
for epoch in range(1000):
    total = 0.0
    {zeros}
    for x, t in data:
        h = [math.tanh(sum(w1[j][i] * x[i] for i in range(2)) + b1[j]) for j in range(3)]
        err = sum(w2[j] * h[j] for j in range(3)) - t
        total += 0.5 * err**2
        for j in range(3):
            gw2[j] += err * h[j]
            gb1[j] += err * w2[j] * (1 - h[j] ** 2)
            for i in range(2):
                gw1[j][i] += err * w2[j] * (1 - h[j] ** 2) * x[i]
    for j in range(3):
        w2[j] -= lr * gw2[j] / len(data)
        b1[j] -= {bias}
        for i in range(2):
            {first}
"""
ZEROS = "gw1 = [[0.0, 0.0] for _ in range(3)]; gb1 = [0.0] * 3; gw2 = [0.0] * 3"
FIRST = "w1[j][i] -= lr * gw1[j][i] / len(data)"
MEAN = {"before": "lr_b = 2.0", "zeros": ZEROS, "bias": "lr * gb1[j] / len(data)", "first": FIRST}
NUMBERS = """xs = [1.0, 2.0, 3.0, 4.0]; ys = [3.0, 5.0, 7.0, 9.0]
w, b, gw, gb, lr = 0.5, 0.1, 0.0, 0.0, 0.01
for epoch in range(200):
    loss = 0.0
    for x, y in zip(xs, ys):
        e = w * x + b - y
        loss += 0.5 * e * e / 4
        gw += e * x / 4
        gb += e / 4
    w -= lr * gw
    b -= lr * gb
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ARRAYS.format(steps=ADDS), "10: `sW += gW` adds up over turns"),
        (LISTS.format(**MEAN | {"before": ZEROS, "zeros": ""}), "gw2[j] += err * h[j]` adds up"),
        (NUMBERS, "net.py:8: `gw += e * x / 4` adds up over turns: expected to start from zero"),
        (
            LISTS.format(**MEAN | {"before": "", "bias": "lr * gb1[j]"}),
            "`b1[j] -= lr * gb1[j]` is batch size",
        ),
        (LISTS.format(**MEAN | {"first": "pass"}), "is used by no update: w1 stays as it is"),
    ],
    ids=["arrays", "lists", "numbers", "one is a sum", "no update"],
)
def test_steps_that_are_wrong_are_told_by_their_line(text: str, said: str, tmp_path: Path) -> None:
    """Of arrays, lists of floats and plain numbers alike."""
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    assert ("disagrees", True) == (report.verdict, said in " ".join(report.lines)), report


@pytest.mark.parametrize(
    "text",
    [
        ARRAYS.format(steps=ADDS + "    sW[:] = 0; sb[:] = 0\n"),
        ARRAYS.format(
            steps="    sW += gW; sb += gb\n    if i % 3 == 0:\n        W -= 0.1 * sW\n"
            "        b -= 0.1 * sb\n        sW[:] = 0; sb[:] = 0\n"
        ),
        ARRAYS.format(
            steps="    sW += gW**2; sb += gb**2\n    W -= 0.1 * gW / (np.sqrt(sW) + 1e-8)\n"
            "    b -= 0.1 * gb / (np.sqrt(sb) + 1e-8)\n"
        ),
        ARRAYS.format(
            steps="    j = i % 30\n    sW += gW - last[j]\n    last[j] = gW\n    W -= 0.1 * sW\n"
            "    b -= 0.1 * gb\n"
        ),
        LISTS.format(**MEAN),
        LISTS.format(**MEAN | {"bias": "lr_b * gb1[j] / len(data)"}),
        LISTS.format(**MEAN).replace(" / len(data)", ""),
    ],
    ids=["cleared after", "every third", "squares", "table", "lists", "two rates", "sums"],
)
def test_steps_that_are_right_are_not_accused(text: str, tmp_path: Path) -> None:
    """What adds up may be squares, or a table of the last gradients; rates may be two."""
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    assert "agrees" == report.verdict, report
    assert "adds up" not in str(report)


def test_layer_without_gradient_and_update_is_noted(tmp_path: Path) -> None:
    """Its weights and biases, though neither has a partner that is changed."""
    file = tmp_path / "net.py"
    file.write_text(
        "import numpy as np\nrng = np.random.default_rng(1)\nX = rng.normal(size=(9, 3))\n"
        "y = rng.normal(size=(9, 1))\nW1 = rng.normal(size=(3, 4)); b1 = np.zeros(4)\n"
        "W2 = rng.normal(size=(4, 1)); b2 = np.zeros(1)\nfor i in range(100):\n"
        "    h = np.tanh(X @ W1 + b1)\n    d = (h @ W2 + b2 - y) / 9\n"
        "    loss = 0.5 * np.sum((h @ W2 + b2 - y) ** 2) / 9\n"
        "    W2 -= 0.1 * h.T @ d\n    b2 -= 0.1 * d.sum(0)\n"
    )

    report = read_here(file)

    assert ["W1", "b1"] == [n.text.split()[0] for n in report.notes if n.code == "not-updated"]


LAYERS = """import numpy as np
class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.5
        self.b = np.zeros((1, n_out))
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, d):
        self.dW, self.db = self.x.T @ d, d.sum(axis=0, keepdims=True)
        return d @ self.W.T
class ReLU:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)
    def backward(self, d):
        return d * (self.x > 0)
class Loss:
    def forward(self, out, y):
        self.d = out - y
        return 0.5 * np.sum(self.d ** 2)
    def backward(self):
        return self.d
net = [Dense(5, 5), ReLU(), Dense(5, 5)]
"""
WITH_SLOPE = "ReLU:\n    def __init__(self, slope): self.slope = slope"


@pytest.mark.parametrize(
    ("old", "new", "verdict", "said"),
    [
        ("", "", "agrees", "layers Dense, ReLU, Dense with Loss"),
        ("self.x > 0", "self.x < 0", "disagrees", "layers Dense, ReLU, Dense with Loss"),
        ("d @ self.W.T", "d @ self.W", "disagrees", "layers Dense, ReLU, Dense with Loss"),
        ("ReLU:", WITH_SLOPE, "agrees", "not among the layers that were judged: ReLU"),
    ],
    ids=["right", "mask", "transpose", "of an argument"],
)
def test_layers_are_judged_together(
    old: str, new: str, verdict: str, said: str, tmp_path: Path
) -> None:
    """However the argument of their backward pass is called, and where shapes hide a transpose."""
    file = tmp_path / "net.py"
    file.write_text(LAYERS.replace(old, new) if old else LAYERS)

    report = read_here(file)

    assert verdict == report.verdict, report
    assert said in " ".join(str(report).split())


TORCH = """import torch
from torch import nn, optim
torch.manual_seed(0)
X, y = torch.randn(20, 4), torch.randn(20, 2)
model = nn.Linear(4, 2)
criterion = nn.MSELoss()
optimizer = optim.{optimizer}(model.parameters(), lr=0.1)
{helper}
for epoch in range(3):
    optimizer.zero_grad()
    loss = criterion(model(X), y)
    loss.backward()
    {step}
"""
BY_HAND = "[p.data.sub_(p.grad * 0.1) for p in model.parameters()]"


@pytest.mark.parametrize(
    ("optimizer", "helper", "step", "verdict"),
    [
        ("SGD", "", "pass", "disagrees"),
        ("Adam", "", "print(loss.item())", "disagrees"),
        ("SGD", "", "optimizer.step()", "agrees"),
        ("SGD", "", BY_HAND, "agrees"),
        ("SGD", "from trainers import advance", "advance(optimizer)", "agrees"),
        ("SGD", "go = optimizer.step", "go()", "agrees"),
    ],
)
def test_optimizer_that_never_steps_disagrees(
    optimizer: str, helper: str, step: str, verdict: str, tmp_path: Path
) -> None:
    """Unless steps are made by hand, by another name, or by what is in another file."""
    file = tmp_path / "net.py"
    file.write_text(TORCH.format(optimizer=optimizer, helper=helper, step=step))

    report = read_here(file)

    assert verdict == report.verdict, report
    assert (verdict == "disagrees") == ("net.py:12: no step follows" in " ".join(report.lines))


def test_count_of_errors_is_no_loss(tmp_path: Path) -> None:
    """A perceptron's rule follows no slope of it: nothing is claimed."""
    file = tmp_path / "net.py"
    file.write_text(
        "import numpy as np\nX = np.array([[2.0, 1], [1, 3], [-1, -2], [-2, -1]])\n"
        "y = np.array([1, 1, -1, -1])\nw = np.zeros(2)\nfor epoch in range(10):\n"
        "    errors = 0\n    for xi, yi in zip(X, y):\n        if yi * (w @ xi) <= 0:\n"
        "            w += 0.1 * yi * xi\n            errors += 1\n    print(errors)\n"
    )

    report = read_here(file)

    assert report.verdict in ("undecided", "not checked"), report
