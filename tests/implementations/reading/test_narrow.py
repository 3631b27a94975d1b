"""Widths and sizes that are given: of layers such as normalization, and of batches."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import samegrad as sg
from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading import drawn
from samegrad.implementations.reading.board import Board, Form, Sizes, plans
from samegrad.implementations.reading.checked import checked_as
from samegrad.implementations.reading.found import Found, compared_with
from samegrad.implementations.reading.holding import of_one_width
from samegrad.implementations.reading.layers import of_layers
from samegrad.implementations.reading.loading import load
from samegrad.implementations.reading.search import _networks
from samegrad.implementations.reading.trials import Wishes
from tests.helpers.read_here import as_before, read_here

# Steps are made in the backward pass; a bias ahead of a normalization has no slope.
NORMALIZED = """
import numpy as np
class Dense:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_in, n_out) * 0.5, np.zeros((1, n_out))
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, grad, lr):
        dx = grad @ self.W.T
        self.W -= lr * self.x.T @ grad
        self.b -= lr * grad.sum(axis=0, keepdims=True)
        return dx
class BatchNorm:
    def __init__(self, dim, eps=1e-5):
        self.gamma, self.beta, self.eps = np.ones((1, dim)), np.zeros((1, dim)), eps
    def forward(self, x):
        self.std = np.sqrt(x.var(axis=0) + self.eps)
        self.n = (x - x.mean(axis=0)) / self.std
        return self.gamma * self.n + self.beta
    def backward(self, grad, lr):
        d = grad * self.gamma
        self.gamma -= lr * (grad * self.n).sum(axis=0, keepdims=True)
        self.beta -= lr * grad.sum(axis=0, keepdims=True)
        return (d - d.mean(axis=0) - self.n * (d * self.n).mean(axis=0)) / self.std
"""


@pytest.mark.full
@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("", "", "agrees"),
        ("(grad * self.n).sum", "(grad * self.gamma).sum", "disagrees"),
    ],
)
def test_normalization_is_judged_behind_the_other_layers(
    old: str, new: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left out: a wrong one agreed with a remark alone."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(drawn, "RANGES", drawn.RANGES[:1])
    file = tmp_path / "layers.py"
    file.write_text(NORMALIZED.replace(old, new))

    report = read_here(file)

    assert verdict == report.verdict, report
    assert not any("not among the layers" in remark for remark in report.remarks)


def test_network_of_layers_comes_with_one_that_ends_with_normalization(tmp_path: Path) -> None:
    """Its width is that of the outputs."""
    file = tmp_path / "layers.py"
    file.write_text(NORMALIZED)
    with as_before():
        network = next(of_layers(load(file, True, lambda: None)))(Sizes(), Form())
        (make,) = network.also
        other = make(Sizes(), Form())

        assert other.title == "layers Dense, Dense, BatchNorm with squares"
        assert (5, Sizes.k) == other.functions["forward"](np.ones((5, Sizes.f))).shape


def test_layers_that_average_are_right_with_a_loss_of_ours(tmp_path: Path) -> None:
    """They average the loss of the file; ours, by which the last one is judged, is a sum."""
    steps = (("grad, lr", "grad"), ("W -= lr *", "dW ="), ("b -= lr *", "db ="),
             ("gamma -= lr *", "dgamma ="), ("beta -= lr *", "dbeta ="), (".sum(", ".mean("),
             ("self.x.T @ grad", "self.x.T @ grad / len(grad)"))  # fmt: skip
    text = NORMALIZED
    for old, new in steps:
        text = text.replace(old, new)
    file = tmp_path / "layers.py"
    file.write_text(text)
    with as_before():
        reading = next(_networks(load(file, True, lambda: None), "", Wishes(), None))
        others = [other for other in reading.others() if "BatchNorm" in other.how]
        found = [Found(other, same) for other in others if (same := compared_with(other))]
        reports = [checked_as(one, agreed=True) for one in found]

    assert ["agrees"] == [report.verdict for report in reports], reports


class Usual:
    """Computes as in training."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, training: bool = True) -> Any:
        """What it is given."""
        return x


class Switched(Usual):
    """Is switched to training by an attribute."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.training = False


class Told(Usual):
    """Is told of training in a call."""

    def forward(self, x: Any, training: bool = False) -> Any:
        """What it is given."""
        return x


class Share(Usual):
    """Is made of no width."""

    def __init__(self, rate: float) -> None:
        super().__init__(int(rate))


def test_layers_of_one_width_are_those_that_train_as_they_are_made() -> None:
    """What a layer computes in use is not what its backward pass is of."""
    found = [of_one_width(cls, cls.forward) for cls in (Usual, Switched, Told, Share)]

    assert [True, False, False, False] == found


def test_number_without_a_gradient_has_none_of_another_shape() -> None:
    """A constant of a loss was accused: the update of a bias without a slope was left for it."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    net = SimpleNamespace(W=rng.normal(size=(4, 3)), b=np.zeros((1, 3)), eps=0.1)

    def loss() -> float:
        z = X @ net.W + net.b
        return float(((z - z.mean(0) - y) ** 2).sum() / (1 + net.eps))

    def backward() -> Any:
        z = X @ net.W
        d = 2 * (z - z.mean(0) - y) / (1 + net.eps)
        return X.T @ (d - d.mean(0)), d.sum(0, keepdims=True)

    report = sg.check(net, loss, backward, (X, y))

    assert report.agrees, report
    assert any("net.eps changes the loss and has no gradient" in r for r in report.remarks)


def test_step_that_turns_its_data_is_given_them_turned_as_well() -> None:
    """A forward pass of columns, and a fit of rows, which it transposes."""

    def fit(X: Any, y: Any) -> Any:
        if y.ndim > 1:
            y = y.T
        X = X.T
        return X, y

    def train(X: Any, y: Any) -> Any:
        return X.T, y.T

    board = Board(Sizes(), {"X": np.zeros((4, 5)), "y": np.zeros((3, 5))})
    ways = [[tuple(dict(plan).values()) for plan in plans(f, board, [], "step")]
            for f in (fit, train)]  # fmt: skip

    assert ways == [[("X", "y"), ("X", "y.T"), ("X.T", "y"), ("X.T", "y.T")], [("X", "y")]]
    assert [(5, 4), (5, 3)] == [board[key].shape for key in ways[0][-1]]


def test_batch_of_a_fit_is_as_large_as_its_data() -> None:
    """Of 5 examples a mean over 32 was none of a usual loss; one by one is left as it is."""

    def fit(X: Any, y: Any, batch_size: int = 32) -> None: ...

    def one_by_one(X: Any, y: Any, batch_size: int = 1) -> None: ...

    def all_at_once(X: Any, y: Any, batch_size: Any = None) -> None: ...

    board = Board(Sizes(), {"X": 0, "y": 0, "n": 5})
    found = [dict(next(plans(f, board, [], "step"))) for f in (fit, one_by_one, all_at_once)]

    assert ["n", None, None] == [plan.get("batch_size") for plan in found]
