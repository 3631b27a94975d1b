"""Products alone and epochs of one's own have no time without a proof, either."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.judge.gates import judge_products
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.worker import measurement
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, map_tree
from tests.helpers.proofs import first_call

SPEC = MLPSpec((7, 5, 4, 3))
PROBLEM = MLPWorkload("mnist", SPEC, 6, 32)


def judged(implementation: Any) -> Any:
    """The verdict on an implementation's products."""
    products = Products.of_call(implementation, PROBLEM, "train_step", "cpu")
    results = [implementation.to_numpy(product) for product in products.call()]
    return judge_products(PROBLEM, results, "ieee")


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


def test_reference_that_is_not_finite_is_not_the_implementations_fault(tmp_path: Path) -> None:
    """The row is unavailable; with a wrong number besides it is wrong."""
    spec = replace(SPEC, loss="mse", dtype="float32")
    workload = MLPWorkload("random", spec, 6, 12)
    stored = draw(workload, 0)
    huge = replace(stored, y=np.full_like(stored.y, 1e30, np.float32))

    def changed(results: Any) -> Any:
        return {"grads": [(W * 2, b) for W, b in results["grads"]]}

    with np.errstate(all="ignore"):
        placed = Placed(workload, load("numpy"), "cpu", huge)
        verdict = first_call(placed, "loss_and_grad", tmp_path)
        wrong = first_call(placed, "loss_and_grad", tmp_path, changed)

    assert verdict["reason"] and wrong["reason"]


@pytest.mark.parametrize("operation", ["forward", "loss_and_grad", "train_step"])
def test_first_call_is_judged_elsewhere(operation: str, tmp_path: Path) -> None:
    """What is right agrees, what is off by a thousandth or missing does not."""
    workload = MLPWorkload("random", SPEC, 6, 12)
    placed = Placed(workload, load("numpy"), "cpu", draw(workload, 0))

    def off(results: Any) -> Any:
        return {name: map_tree(lambda p: p * p.dtype.type(1.001), tree)
                for name, tree in results.items()}  # fmt: skip

    assert "" == first_call(placed, operation, tmp_path)["reason"]
    assert first_call(placed, operation, tmp_path, off)["reason"]
    assert first_call(placed, operation, tmp_path, lambda _: {})["reason"]


def test_more_digits_than_the_table_is_about_are_noticed(tmp_path: Path) -> None:
    """A gradient that is correctly rounded throughout was not computed in float32."""
    workload = MLPWorkload("random", MLPSpec((40, 30, 10)), 6, 12)
    placed = Placed(workload, load("numpy"), "cpu", draw(workload, 0))

    def exact(_: Any) -> Any:
        right = expected(workload.spec, placed.inputs.params, *placed.host[0])
        return {"grads": map_tree(np.float32, right.grads)}

    verdict = first_call(placed, "loss_and_grad", tmp_path, exact)

    assert "more digits than float32" in verdict["reason"]
