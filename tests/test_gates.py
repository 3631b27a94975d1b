"""Products alone and epochs of one's own have no time without a proof, either."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import bench, gates
from benchmarks.cases import Case, Problem
from benchmarks.gates import Products
from benchmarks.work import Placed
from implementations import MLPSpec, load, mlp_numpy
from implementations.comparison import Comparison
from tests.networks import problem

SPEC = MLPSpec((7, 5, 4, 3))
PROBLEM = Problem("mnist", SPEC, 6, 32)


def judged(implementation: Any, dtype: str = "float32") -> Any:
    """The verdict on an implementation's products."""
    products = Products.of(implementation, Problem("mnist", SPEC, 6, 32), "cpu")
    found = [implementation.to_numpy(product) for product in products.call(implementation)]
    return products.judged(found, dtype, None)


@pytest.mark.parametrize("name", ["numpy", "numpy_inplace", "sklearn"])
def test_right_products_pass(name: str) -> None:
    """All eight of a network of three layers."""
    found = judged(load(name))

    assert found.agrees, found.reason
    assert 8 == len(found.tensors)


@pytest.mark.parametrize("fault", ["left out", "transposed", "half precision"])
def test_wrong_product_has_no_time(fault: str) -> None:
    """Whatever a library gives instead of a product."""

    def products(kinds: Any, pairs: Any, out: Any = None) -> Any:
        if fault == "left out":
            return out
        found = mlp_numpy.products(kinds, pairs)
        if fault == "half precision":
            return [C.astype(np.float16).astype(np.float32) for C in found]
        return [*found[:-1], found[-1][::-1]]

    names = {name: getattr(mlp_numpy, name) for name in ("batch_from_numpy", "to_numpy", "DTYPES")}
    found = judged(SimpleNamespace(products=products, **names))

    assert not found.agrees
    assert "product" in found.reason


def test_implementation_without_products_says_so() -> None:
    """Its row is unavailable."""
    with pytest.raises(NotImplementedError, match="defines no products"):
        Products.of(SimpleNamespace(), PROBLEM, "cpu")


def verdict(epoch: Any) -> Any:
    """The verdict on an epoch over NumPy's steps."""
    params, X, y = problem(SPEC, 12)
    implementation = load("numpy")
    names = ("params_from_numpy", "init_state", "train_step", "to_numpy")
    mine = SimpleNamespace(**{name: getattr(implementation, name) for name in names}, epoch=epoch)
    batches = [
        implementation.batch_from_numpy(SPEC, X[i : i + 6], y[i : i + 6], "cpu") for i in (0, 6)
    ]

    def fresh() -> Any:
        placed = implementation.params_from_numpy(SPEC, params, "cpu")
        return placed, implementation.init_state(SPEC, placed)

    return gates.epoch(mine, SPEC, fresh, batches, 0.1, None)


def right(spec: Any, params: Any, state: Any, batches: Any, rate: float) -> Any:
    """A step on each batch."""
    for X, y in batches:
        params, state, loss = mlp_numpy.train_step(spec, params, state, X, y, rate)
    return params, state, loss


def test_epoch_that_makes_every_step_passes() -> None:
    """In their order, at their rate."""
    found = verdict(right)

    assert found.agrees, found.reason


@pytest.mark.parametrize(
    ("fault", "epoch"),
    [
        ("a step less", lambda s, p, t, batches, rate: right(s, p, t, batches[:-1], rate)),
        ("another order", lambda s, p, t, batches, rate: right(s, p, t, batches[::-1], rate)),
        ("another rate", lambda s, p, t, batches, rate: right(s, p, t, batches, rate * 1.01)),
        ("a batch for all", lambda s, p, t, batches, rate: right(s, p, t, [batches[0]] * 3, rate)),
    ],
)
def test_epoch_that_leaves_something_out_has_no_time(fault: str, epoch: Any) -> None:
    """A shorter epoch is faster; it is not an epoch."""
    assert not verdict(epoch).agrees, fault


def test_products_are_gated_by_themselves_and_resident() -> None:
    """No network's function has to agree for them, and nothing comes from the host."""
    case = Case(PROBLEM, "products", "numpy")

    assert ("products",) == case.gated
    assert case.flops == Case(PROBLEM, "train_step", "numpy").flops


@pytest.mark.parametrize(
    ("sizes", "batch_size", "operation", "rests"),
    [
        ((7, 5, 3), 6, "train_step", 0),
        ((784, 128, 10), 6, "train_step", 1),
        ((7, 5, 3), 6, "products", 1),
        ((7, 5, 3), 5_000, "forward", 1),  # of outputs, too, a norm is taken
    ],
)
def test_threads_of_a_gate_are_at_rest_before_the_clock_starts(
    sizes: tuple[int, ...],
    batch_size: int,
    operation: str,
    rests: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once, after a gate that has woken them; not for what another case has gated already."""
    slept: list[float] = []
    monkeypatch.setattr("benchmarks.bench.time.sleep", slept.append)
    case = Case(Problem("mnist", MLPSpec(sizes), batch_size, batch_size), operation, "numpy")
    given: Any = None
    bare = bench.Bench.__new__(bench.Bench)
    bare.implementation, bare.spec, bare.problem = mlp_numpy, case.problem.spec, case.problem
    bare.known = {case.problem: Placed(given, [], [], None)}
    monkeypatch.setattr(bare, "_gate", lambda operation: Comparison(()), raising=False)

    bare._gated(case)
    bare._gated(case)

    assert rests == len(slept)
    assert all(seconds >= 0.1 for seconds in slept)
