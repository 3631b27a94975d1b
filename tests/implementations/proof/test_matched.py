"""What `samegrad.check` has matched, over exact numbers."""

from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.proof.matched import prove_matches
from samegrad.implementations.proof.result import Proof

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))


class Net:
    """W stored (out, in); gradients are kept in arrays of its own, or returned."""

    def __init__(self, factor: float = 1.0) -> None:
        rng = np.random.default_rng(1)
        self.W1, self.b1 = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
        self.layers = [{"W": rng.normal(size=(2, 5)), "b": rng.normal(size=2)}]
        self.dW1, self.db1 = np.zeros((5, 3)), np.zeros((5, 1))
        self.factor = factor

    def loss(self) -> Any:
        self.z = self.W1 @ X.T + self.b1
        self.h = np.maximum(self.z, 0)
        self.e = (self.layers[0]["W"] @ self.h).T + self.layers[0]["b"] - Y
        return np.sum(self.e**2) / (2 * len(X))

    def backward(self) -> Any:
        e = self.e / len(X)
        d = self.layers[0]["W"].T @ e.T
        d[self.z <= 0] = 0
        self.dW1[:] = d @ X * self.factor
        self.db1[:] = d.sum(axis=1, keepdims=True)
        return [self.h @ e, e.sum(axis=0)]  # the first is transposed


def proof_of(net: Any) -> Proof:
    """Of what a check of it matches."""
    report = check(net, loss=net.loss, backward=net.backward, data=())
    return prove_matches(report.matches, net, net.loss, net.backward)


@pytest.mark.quick
def test_matched_gradients_are_proved() -> None:
    """Kept or returned, transposed or not; the object stays as it was."""
    net = Net()
    before = net.W1.copy(), net.dW1

    proof = proof_of(net)

    assert "proved" == proof.verdict, proof
    assert 32 == proof.entries
    assert (net.W1 == before[0]).all() and net.dW1 is before[1]


def test_fault_below_every_tolerance_disagrees() -> None:
    """The check agrees: no slope shows it."""
    net = Net(1 + 1e-14)

    assert check(net, loss=net.loss, backward=net.backward, data=()).agrees
    assert "disagrees" == proof_of(net).verdict


def test_updates_are_not_proved() -> None:
    """Their rate is known to a few digits only."""

    class Updates(Net):
        def backward(self) -> Any:
            returned = super().backward()
            self.W1 = self.W1 - 0.1 * self.dW1
            return [*returned, self.dW1 * 0]

    assert "disagrees" != proof_of(Updates()).verdict
