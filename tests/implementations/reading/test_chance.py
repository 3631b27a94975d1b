"""Gradients that agree by chance, with a loss that is none of the file's, or with one example."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from samegrad.implementations.checking.objects import constants
from samegrad.implementations.checking.objects.report import AGREES, UNDECIDED, CheckReport
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.factors import factor_notes
from samegrad.implementations.reading.found import Found, compared_with
from samegrad.implementations.reading.in_batches import Batches
from samegrad.implementations.reading.judging import _fault_elsewhere
from samegrad.implementations.reading.other_losses import of_another
from samegrad.implementations.reading.readings import Reading

Array = Any
X, LABELS = np.random.default_rng(1).normal(size=(5, 4)), np.array([0, 1, 2, 1, 0])


class Kept:
    """Of one output and one example, what is kept is a number times the gradient of W2."""

    def __init__(self) -> None:
        self.W1, self.W2 = np.sin(np.arange(24.0)).reshape(4, 6), np.cos(np.arange(6.0))[:, None]
        self.kept = np.zeros(6)
        self.error = 0.0

    def loss(self) -> float:
        self.kept = np.tanh(X[0] @ self.W1)
        self.error = float((self.kept @ self.W2)[0]) - 3
        return self.error**2 / 2

    def gradients(self) -> dict[str, Array]:
        self.loss()
        hidden = self.error * self.W2[:, 0] * (1 - self.kept**2)
        return {"dW1": np.outer(X[0], hidden), "dW2": self.error * self.kept[:, None]}


class Columns:
    """A loss that leaves the gradient beside it."""

    def __init__(self) -> None:
        self.W = np.sin(np.arange(12.0)).reshape(4, 3)
        self.gradients = np.zeros((4, 3))

    def forward(self, X: Array, y: Array) -> float:
        error = np.exp(X @ self.W)
        error /= error.sum(axis=1, keepdims=True)
        loss = -np.sum(np.log(error[np.arange(len(y)), y])) / len(y)
        error[:, y] -= 1  # of one example it is right
        self.gradients = X.T @ error / len(y)
        return float(loss)


def mse(out: Array, y: Array) -> Any:
    return np.mean((out - y) ** 2)


def log_loss(out: Array, y: Array) -> Any:
    return -np.sum(y * np.log(out))


def train(out: Array, y: Array) -> None:
    loss = mse(out, y)
    assert loss


def _reading(net: Any, names: tuple[str, ...], **kind: Any) -> Reading:
    """A reading of an object; its backward pass does nothing."""
    found = [p for p in places(net, "net") if p.name.removeprefix("net.") in names]
    given = {"loss": lambda: 0.0, "backward": lambda: None, "loss_name": "squared error", **kind}
    return Reading(net=net, parameters=found, data=(), how="so", **{"own": False, **given})


def _elsewhere(net: Kept, backward: Any) -> CheckReport | None:
    reading = _reading(net, ("W1", "W2"), loss=net.loss, backward=backward, batched=False)
    compared = compared_with(reading)
    assert compared is not None
    return _fault_elsewhere(Found(reading, compared), True)


def test_number_that_is_another_elsewhere_is_no_convention() -> None:
    """Of a gradient that is there it is one everywhere."""
    net = Kept()

    fault = _elsewhere(net, net.loss)

    assert fault is not None and fault.verdict == UNDECIDED
    assert "at one point" in fault.said
    assert _elsewhere(net, net.gradients) is None


@pytest.mark.parametrize("loss", ["binary cross entropy", "squared error"])
def test_loss_that_is_called_so_is_not_passed_over(loss: str) -> None:
    """It is the squared error, whatever else the gradient follows from."""
    reading = _reading(Kept(), (), loss_name=loss, users=(mse, train))
    agreed = CheckReport(AGREES)

    told = of_another(agreed, reading)

    assert told.verdict == (AGREES if loss == "squared error" else UNDECIDED)
    more = _reading(Kept(), (), loss_name=loss, users=(mse, train, log_loss))
    assert of_another(agreed, more) is agreed  # one of several


def test_batch_is_read_where_the_loss_takes_one() -> None:
    """One example hides what is wrong in it."""
    net, batches = Columns(), Batches()

    def of(n: int) -> Reading:
        trial = SimpleNamespace(network=SimpleNamespace(functions={"forward": net.forward}))
        return _reading(
            net, ("W",), loss=lambda: net.forward(X[:n], LABELS[:n]), loss_name="forward",
            own=True, batched=n > 1, trial=cast("Any", trial), key=("forward", "cut"),
        )  # fmt: skip

    alone, batch = of(1), of(5)
    assert batches.instead(alone) is alone
    batches.meet(batch)

    assert batches.instead(alone) is batch


@pytest.mark.parametrize(("other", "named"), [(0.1, False), (0.125, True)])
def test_number_is_named_by_sizes_that_it_follows(other: float, named: bool) -> None:
    """0.1 is 1 / (2 * 5) with 5 examples, and is by chance if it is 0.1 with 4 as well."""
    net = Kept()

    def of(n: int, factor: float, *others: Reading) -> Reading:
        return _reading(
            net, ("W1", "W2"), loss=net.loss, examples=n, others=lambda: iter(others),
            backward=lambda: {k: factor * v for k, v in net.gradients().items()},
        )  # fmt: skip

    (note,) = factor_notes(of(5, 0.1, of(4, other)), 0.1)

    assert ("batch size" in note.text) == named


@pytest.mark.parametrize("constant", [-1.0, 0.5, 5.0, 15.0, 0.1, 1 / 30, 25.0, -0.04, 5 / 6])
def test_constant_is_what_its_name_says(constant: float) -> None:
    """Whatever it is made of: 2, sizes and their powers."""
    sizes = {"batch size": 5, "outputs": 3}
    text = constants.named(constant, sizes)

    assert text
    assert constants.value(text, sizes) == pytest.approx(constant)
