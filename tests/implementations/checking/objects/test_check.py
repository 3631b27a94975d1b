"""`samegrad.check`: any object's gradient against its own loss."""

from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.check import check

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(6, 5)), RNG.integers(0, 3, 6)


class MLP:
    """As people write it: parameters, caches and a rate in attributes."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.W1, self.b1 = rng.normal(size=(5, 4)), np.zeros(4)
        self.W2, self.b2 = rng.normal(size=(4, 3)), np.zeros(3)
        self.lr = 0.1

    def loss(self, X: Any, y: Any) -> Any:
        """Softmax and cross entropy, averaged."""
        self.a1 = np.tanh(X @ self.W1 + self.b1)
        z = self.a1 @ self.W2 + self.b2
        e = np.exp(z - z.max(1, keepdims=True))
        self.p = e / e.sum(1, keepdims=True)
        return -np.mean(np.log(self.p[np.arange(len(y)), y]))

    def backward(self, X: Any, y: Any) -> Any:
        """Its gradients, returned."""
        d = self.p.copy()
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        d1 = (d @ self.W2.T) * (1 - self.a1**2)
        return X.T @ d1, d1.sum(0), self.a1.T @ d, d.sum(0)


def checked(net: Any) -> Any:
    """The report of a network with this data."""
    return check(net, lambda: net.loss(X, Y), lambda: net.backward(X, Y), (X, Y))


@pytest.mark.quick
def test_right_gradients_agree_and_are_shown() -> None:
    """With what was taken for what."""
    report = checked(MLP())

    assert report.agrees and report
    assert [f"returned[{i}]" for i in range(4)] == [m.gradient for m in report.matches]
    assert ["net.W1", "net.b1", "net.W2", "net.b2"] == [m.name for m in report.matches]


def test_object_is_afterwards_as_it_was() -> None:
    """Bit for bit, without the caches of the calls."""
    net = MLP()
    before = {key: np.copy(value) for key, value in vars(net).items()}

    checked(net)

    assert before.keys() == vars(net).keys()
    assert all(np.array_equal(before[key], value) for key, value in vars(net).items())
