"""A loop whose learning rate leads its loss away: said, and no fault of the gradient."""

from pathlib import Path

import pytest

from samegrad.implementations.reading.training import KEPT, ONE_TURN
from tests.helpers.read_here import read_here

START = """import numpy as np
rng = np.random.default_rng(1)
X = rng.normal(size=(40, 3))
y = (X[:, :1] > 0).astype(float)
W, b, v = rng.normal(size=(3, 1)), np.zeros(1), np.zeros((3, 1))
lr = {rate}
history = []
for epoch in range(300):
    {out}
    {loss}
    history.append(loss)
    d = (a - y) / len(X)
    {update}
    b -= lr * d.sum(axis=0)
"""
LINEAR = {"out": "a = X @ W + b", "loss": "loss = 0.5 * np.sum((a - y) ** 2) / len(X)"}
LOGISTIC = {
    "out": "a = 1 / (1 + np.exp(-(X @ W + b)))",
    "loss": "loss = -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a))",
}
PLAIN = "W -= lr * (X.T @ d)"
ADAM = "v = 0.9 * v + 0.1 * g**2; W -= lr * g / (np.sqrt(v) + 1e-8)"
MOMENTUM = "v = 0.9 * v + X.T @ d; W -= lr * v"
LISTS = """import math
xs, ys = [0.5, -1.0, 2.0], [1.0, 0.0, 1.0]
w, b, lr = 0.3, 0.1, {rate}
for epoch in range(100):
    loss = 0.0
    gw, gb = 0.0, 0.0
    for x, y in zip(xs, ys):
        p = 1 / (1 + math.exp(-(w * x + b)))
        loss -= y * math.log(p) + (1 - y) * math.log(1 - p)
        gw += (p - y) * x
        gb += p - y
    w -= lr * gw
    b -= lr * gb
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (START.format(rate="1e6", update=PLAIN, **LOGISTIC), "no finite number"),
        (START.format(rate="10.0", update=PLAIN, **LINEAR), "e+"),
        (START.format(rate="10.0", update=MOMENTUM, **LINEAR), "e+"),
        (LISTS.format(rate="1e4"), "no finite number"),
        (START.format(rate="0.1", update=PLAIN, **LINEAR), ""),
        (START.format(rate="2.0", update=PLAIN, **LOGISTIC), ""),
        (START.format(rate="1e-7", update=PLAIN, **LINEAR), ""),
        (START.format(rate="0.1", update=MOMENTUM, **LINEAR), ""),
        (START.format(rate="0.01", update=f"g = X.T @ d; {ADAM}", **LINEAR), ""),
    ],
    ids=[
        "logarithm",
        "grows",
        "momentum",
        "lists",
        "right",
        "large",
        "tiny",
        "with momentum",
        "averages",
    ],
)
def test_rate_that_leads_away_is_said(text: str, said: str, tmp_path: Path) -> None:
    """And where it does not, that one turn was judged and no training."""
    file = tmp_path / "net.py"
    file.write_text(text)

    report = read_here(file)

    found = [r for r in report.remarks if r.startswith("it diverges at its rate")]
    assert report.agrees, str(report)
    one = KEPT if "v = 0.9" in text else ONE_TURN
    assert (one in report.remarks) == (one == KEPT or not said)
    assert bool(said) == bool(found) and said in "".join(found)


def test_update_by_averages_is_no_wrong_gradient(tmp_path: Path) -> None:
    """Where no variable holds the gradient, it cannot be judged by an update that is more."""
    file = tmp_path / "net.py"
    update = ADAM.replace("g**2", "(X.T @ d) ** 2").replace("lr * g", "lr * (X.T @ d)")
    file.write_text(START.format(rate="0.01", update=update, **LINEAR))

    assert "undecided" == read_here(file).verdict
