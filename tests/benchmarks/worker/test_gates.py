"""Products alone and epochs of one's own have no time without a proof, either."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case, MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.judge.main import draw
from samegrad.benchmarks.worker import measurement
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.gates import Gates
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec

SPEC = MLPSpec((7, 5, 4, 3))
PROBLEM = MLPWorkload("mnist", SPEC, 6, 32)


def judged(implementation: Any, dtype: str = "float32") -> Any:
    """The verdict on an implementation's products."""
    products = Products.of_call(implementation, PROBLEM, "train_step", "cpu")
    results = [implementation.to_numpy(product) for product in products.call()]
    return products.judge(results, dtype, None)


@pytest.mark.parametrize("name", ["numpy", "numpy_inplace", "sklearn"])
def test_right_products_pass(name: str) -> None:
    """All eight of a network of three layers."""
    verdict = judged(load(name))

    assert verdict.agrees, verdict.reason
    assert 8 == len(verdict.tensors)


@pytest.mark.parametrize("fault", ["left out", "transposed", "half precision"])
def test_wrong_product_has_no_time(fault: str) -> None:
    """Whatever a library gives instead of a product."""

    def products(kinds: Any, pairs: Any, out: Any = None) -> Any:
        if fault == "left out":
            return out
        results = load("numpy").capabilities.products(kinds, pairs)
        if fault == "half precision":
            return [C.astype(np.float16).astype(np.float32) for C in results]
        return [*results[:-1], results[-1][::-1]]

    names = {name: getattr(load("numpy"), name) for name in ("batch_from_numpy", "to_numpy")}
    capabilities = Capabilities(products=products)
    verdict = judged(SimpleNamespace(capabilities=capabilities, **names))

    assert not verdict.agrees
    assert "product" in verdict.reason


def test_implementation_without_products_says_so() -> None:
    """Its row is unavailable."""
    with pytest.raises(NotImplementedError, match="defines no products"):
        Products.of_call(SimpleNamespace(capabilities=Capabilities()), PROBLEM, "train_step", "cpu")


def test_products_are_gated_by_themselves_and_resident() -> None:
    """No network's function has to agree for them, and nothing comes from the host."""
    case = Case(PROBLEM, "products", "numpy")

    assert ("products",) == case.gated
    assert case.flops == Case(PROBLEM, "train_step", "numpy").flops


@pytest.mark.parametrize(
    ("call_ns", "expected"), [(1e6, ["warmed up for 0.3 s"]), (5e8, ["slept 0.1 s"])]
)
def test_others_are_at_rest_before_the_first_block_of_a_request(
    call_ns: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a request, by calls that are not counted, or by a pause before a long call."""
    done: list[str] = []
    monkeypatch.setattr(
        "samegrad.benchmarks.worker.measurement.time.sleep", lambda s: done.append(f"slept {s} s")
    )
    monkeypatch.setattr(timer, "warm_up", lambda _, s: done.append(f"warmed up for {s} s"))
    bare, work = (
        measurement.Bench.__new__(measurement.Bench),
        timer.Work(lambda _: None, lambda *_: None, print),
    )
    bare.settle_seconds, bare.block_sizes = 0.3, {}

    for _ in range(2):
        bare._settle(work, call_ns)
    assert expected == done
    bare.begin_request({"case": (7, 1e-3)})
    bare._settle(work, 1e6)

    assert [*expected, "warmed up for 0.05 s"] == done
    assert {"case": (7, 1e6)} == bare.block_sizes


def test_reference_that_is_not_finite_is_not_the_implementations_fault() -> None:
    """The row is unavailable; with a wrong number besides it is wrong."""
    workload = MLPWorkload("random", SPEC, 6, 12)
    case = Case(workload, "loss_and_grad", "numpy")
    stored = draw(workload, 0)
    assert stored.expected is not None
    bare = measurement.Bench.__new__(measurement.Bench)
    bare.precision = "ieee"
    statuses = []
    for changes in ({"loss": np.inf}, {"loss": np.inf, "grads": stored.params}):
        inputs = replace(stored, expected=stored.expected | changes)
        bare.present = Gates(Placed(workload, load("numpy"), "cpu", inputs), "ieee", thorough=True)
        bare.gates = {workload: bare.present}
        statuses.append(bare.gate(case))

    assert ["unavailable", "wrong"] == [outcome and outcome["status"] for outcome in statuses]
    assert "the reference is not finite here" in str(statuses[0])
