"""Slopes by extrapolated differences, and what they say of their own errors."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import slopes as module
from samegrad.implementations.checking.slopes import bound_of, noise_of, slopes


class Slot:
    """An array, written in place."""

    name = "a"

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, array.shape
        self.eps = float(np.finfo(array.dtype).eps)

    def read(self) -> Any:
        """A copy."""
        return self.array.astype(np.float64)

    def write(self, values: Any) -> None:
        """In place."""
        self.array[...] = values

    def put(self, entry: int, value: float) -> None:
        """One entry."""
        self.array.flat[entry] = value


def measured(loss: Callable[[Any], float], array: Any, **options: Any) -> Any:
    """(slopes, bound) of a loss of one array."""
    slot = Slot(array)
    noise = noise_of(lambda: float(loss(array)), [slot])
    return slopes(lambda: float(loss(array)), [slot], noise=noise, **options)[0], bound_of(noise)


A = np.random.default_rng(0).normal(size=(6, 5))

SMOOTH: list[Any] = [
    (lambda x: np.sum(np.tanh(A @ x)), lambda x: A.T @ (1 - np.tanh(A @ x) ** 2)),
    (lambda x: np.sum(x**3), lambda x: 3 * x**2),
    (lambda x: np.sum(np.exp(8 * x)), lambda x: 8 * np.exp(8 * x)),
    (lambda x: 1e10 + np.sum(x**2) * 1e4, lambda x: 2e4 * x),
    (lambda x: np.sum(np.sin(300 * x)), lambda x: 300 * np.cos(300 * x)),
    (lambda x: 1e-12 * np.sum(x**4), lambda x: 4e-12 * x**3),
]


@pytest.mark.parametrize(("loss", "grad"), SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_slopes_are_within_the_errors_that_they_state(loss: Any, grad: Any, seed: int) -> None:
    """And the errors are small enough to judge by."""
    x = np.random.default_rng(seed).normal(size=5)

    found, bound = measured(loss, x)
    off = np.abs(found.along(grad(x)) - found.values)

    assert (off <= found.errors).all()
    assert found.trusted(bound).all()


@pytest.mark.parametrize("seed", range(10))
def test_trusted_slopes_beside_kinks_are_right(seed: int) -> None:
    """relu at distances from a kink that no step knows: trusted and right, or not trusted."""
    rng = np.random.default_rng(seed)
    x = np.sign(rng.normal(size=40)) * 10.0 ** rng.uniform(-9, 0, 40)

    found, bound = measured(lambda x: np.sum(np.maximum(x, 0)) + 0.1 * np.sum(x**2), x)
    right = (x > 0) + 0.2 * x
    off = np.abs(found.along(right) - found.values) / found.scales / found.largest

    assert (off[found.trusted(bound)] <= bound).all()


def test_kink_at_the_point_is_recognised() -> None:
    """By its two slopes, and not where a curve is only steep."""
    x = np.array([0.0, 0.3, -0.3, 1.0])

    found, bound = measured(lambda x: np.sum(np.abs(x)) + np.sum(x**4), x)
    of_entries = dict(zip(found.entries, found.kinks[:4] & ~found.trusted(bound)[:4], strict=True))

    assert {0: True, 1: False, 2: False, 3: False} == of_entries


def test_small_kink_beside_a_large_slope_is_not_taken_for_a_slope() -> None:
    """One example of many at 0: the mean of two slopes would be off by 1e-4."""
    x = np.array([0.0])

    found, bound = measured(lambda x: float(x[0] + x[0] ** 2 + 1e-4 * max(x[0], 0)), x)

    assert not found.trusted(bound).any()


def test_float32_loss_has_float32_noise_and_a_bound_that_fits() -> None:
    """Also where its params are float64: rounding hides inside."""
    x = np.random.default_rng(0).normal(size=5)

    found, bound = measured(lambda x: np.sum(np.tanh(A @ x).astype(np.float32)), x)
    right = A.T @ (1 - np.tanh(A @ x) ** 2)
    off = np.abs(found.along(right) - found.values) / found.scales / found.largest

    assert 1e-5 < bound < 1e-2
    assert found.trusted(bound).all() and (off <= bound).all()


def test_array_is_put_back_bit_for_bit_also_when_the_loss_raises() -> None:
    """At its first or at a later call."""
    x = np.random.default_rng(0).normal(size=5)
    before, calls = x.copy(), iter(range(1000))

    def loss(x: Any) -> float:
        if next(calls) == 30:
            raise ZeroDivisionError
        return float(np.sum(x**3))

    with pytest.raises(ZeroDivisionError):
        measured(loss, x)
    assert np.array_equal(before, x)

    measured(lambda x: np.sum(x**3), x)
    assert np.array_equal(before, x)


def test_time_that_is_up_leaves_the_least_of_each_array() -> None:
    """However long a loss takes, some entries and directions are measured."""
    x = np.random.default_rng(0).normal(size=(20, 20))

    found, _ = measured(lambda x: np.sum(x**3), x, seconds=0.0)

    assert (3, 2) == (len(found.entries), len(found.directions))
    assert found.sampled


@pytest.mark.parametrize(("taken", "least"), [(0.009, (3, 2)), (0.011, (1, 1)), (0.021, (0, 1))])
def test_of_a_loss_that_takes_long_a_second_point_has_one_slope_of_each_kind(
    taken: float, least: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop over lists of 784-128-10 takes 30 ms: two of each took two seconds more."""
    monkeypatch.setattr(module, "Clock", lambda: SimpleNamespace(elapsed=taken))
    x = np.random.default_rng(0).normal(size=(20, 20))

    found, bound = measured(lambda x: np.sum(x**3), x, seconds=0.0)

    assert least == (len(found.entries), len(found.directions))
    assert np.abs(found.values - found.along(3 * x**2)).max() < bound * found.largest * 20


@pytest.mark.parametrize("seed", range(8))
def test_of_a_loss_that_takes_very_long_one_direction_shows_two_faults_alike(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of +1 and -1 every second direction would hide them."""
    monkeypatch.setattr(module, "Clock", lambda: SimpleNamespace(elapsed=2.0))
    x = np.random.default_rng(0).normal(size=(20, 20))
    wrong = 3 * x**2
    wrong[3, 4] += 0.3
    wrong[5, 6] += 0.3

    found, bound = measured(lambda x: np.sum(x**3), x, seed=seed)

    assert (1, 1) == (len(found.entries), len(found.directions))
    off = np.abs(found.values - found.along(wrong)) / found.scales
    assert off.max() > bound * found.largest


def test_neither_warnings_nor_numpy_errors_escape() -> None:
    """log of a negative number at a step is no concern of the user's filters."""
    x = np.array([1e-4, 2.0])

    with np.errstate(all="raise"):
        found, bound = measured(lambda x: np.sum(np.log(x)), x)

    assert np.isfinite(found.values).all() and bound < 1e-5
