"""What explains a time: ceilings, what a call consists of, and the rows that follow from them."""

from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.products import factors
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.worker import ceilings
from samegrad.benchmarks.worker.breakdown import Breakdown
from samegrad.benchmarks.worker.ceilings import Products, place
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec

SPEC = MLPSpec((7, 5, 4, 3))
PROBLEM = MLPWorkload("mnist", SPEC, 6, 96)


@pytest.mark.parametrize("operation", ["forward", "loss_and_grad", "train_step"])
def test_products_are_what_flops_counts(operation: str) -> None:
    """Two operations for each entry of each inner product."""
    counted = sum(
        2 * a[0] * a[1] * (b[0] if kind == "nt" else b[1])
        for kind, a, b in PROBLEM.products(operation)
    )

    assert PROBLEM.flops(operation) == counted


def test_traffic_counts_every_array_once() -> None:
    """By hand, for one layer without a hidden one: X, params, outputs; then what a step adds."""
    workload = MLPWorkload("x", MLPSpec((3, 2)), 5, 5)
    forward = 4 * (15 + 8 + 10)

    assert forward == workload.bytes("forward")
    assert forward + 4 * (15 + 3 * 10 + 16) == workload.bytes("loss_and_grad")
    assert workload.bytes("loss_and_grad") + 4 * 16 == workload.bytes("train_step")


@pytest.mark.parametrize(
    "name",
    [n for n, e in registry.TABLE.items() if e.cpu and e.kind != "parallel"],  # it shows none
)
def test_products_of_an_implementation_are_right(name: str) -> None:
    """A B, A^T B and A B^T, in its own arrays."""
    missing = registry.why_not_installed(name)
    if missing:
        pytest.skip(missing)
    implementation: Any = load(name)
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 3))
    drawn = [(A, B), (A.T.copy(), B), (A, B.T.copy())]
    pairs = [tuple(place(implementation, M, "cpu", "float64") for M in pair) for pair in drawn]

    kinds = ("nn", "tn", "nt")
    out = [place(implementation, np.ones((3, 3)), "cpu", "float64") for _ in kinds]

    for places in (None, out):
        for product in implementation.capabilities.products(kinds, pairs, places):
            assert implementation.to_numpy(product) == pytest.approx(A @ B, rel=1e-12)
    if name in ("numpy", "numpy_inplace", "torch"):  # where they were told to
        assert implementation.to_numpy(out[0]) == pytest.approx(A @ B, rel=1e-12)


def test_gemm_rate_is_operations_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that says that 64 x 64 takes 1 us and each doubling eight times as long."""
    sizes: list[int] = []

    def block(work: timer.Work, calls: int) -> timer.Block:
        n = len(work.run(calls, None).last[-1][0])
        sizes.append(n)
        return timer.Block(None, 1000 * (n // 64) ** 3, 0, 0)

    monkeypatch.setattr(timer, "block", block)

    rate = ceilings.gemm(load("numpy"), "cpu", "float32")

    assert 2 * 64**3 / 1e-6 == pytest.approx(rate)
    assert 2048 == max(sizes)  # the first that takes 5 ms


def test_breakdown_of_a_call_is_below_the_call() -> None:
    """Nothing negative, and an epoch is its steps."""
    breakdown = Breakdown(load("numpy"), "cpu", {})
    step = breakdown.of(Case(PROBLEM, "train_step", "numpy"))
    epoch = breakdown.of(Case(PROBLEM, "epoch", "numpy"))

    assert step["products_ns"] >= 0 and step["empty_ns"] > 0
    assert epoch["products_ns"] == pytest.approx(16 * step["products_ns"])
    assert epoch["empty_ns"] == pytest.approx(16 * step["empty_ns"])


def test_long_products_are_computed_from_the_rate() -> None:
    """Looped Python does not multiply for seconds to explain seconds."""
    breakdown = Breakdown(load("scalar"), "cpu", {"float64": 1e6})
    workload = MLPWorkload("x", MLPSpec((64, 32, 10), dtype="float64"), 256, 256)

    times = breakdown.of(Case(workload, "loss_and_grad", "scalar"))

    assert 1e3 * workload.flops("loss_and_grad") == pytest.approx(times["products_ns"])


def journal(rate: float, **breakdown: float) -> Journal:
    """One row of 1 ms over five processes, and a ceiling of so many FLOP/s."""
    case = Case(MLPWorkload("mnist", MLPSpec((784, 128, 10)), 32, 512), "train_step", "numpy")
    made = Journal({"record": "run", "schema": 5, "run": "r", "machine": {}, "fingerprint": "f"})
    made.add({"record": "cases", "cases": [case.to_dict()], "processes": 5})
    for process in range(5):
        made.add(
            {"record": "outcome", "case": case.to_dict(), "status": "ok", "reason": ""}
            | {"process": process, "calls": 10, "elapsed_ns": [10_000_000] * 4, **breakdown}
            | {"gate": {"name": "dW1", "error": 1e-7, "bound": 1e-5}}
        )
    where = {"device": "cpu", "threads": "all", "arithmetic": "float32"}
    for value in (rate, rate / 2):
        made.add(
            {"record": "ceiling", "quantity": "gemm", "implementation": "jax", "process": 0}
            | {**where, "value": value}
        )
    return made


def test_row_is_split_and_has_a_share_of_the_best_product() -> None:
    """The maximum of the ceilings counts."""
    (row,) = rows.rows(journal(1e11, products_ns=4e5, empty_ns=1e5))

    assert row.split == pytest.approx((4e-4, 1e-4, 5e-4))
    assert row.case.flops / 1e-3 / 1e11 == pytest.approx(row.share)


def test_breakdown_that_exceeds_the_call_leave_no_rest() -> None:
    """Measured apart, they may; the rest is not negative, and it is said."""
    (row,) = rows.rows(journal(1e11, products_ns=9e5, empty_ns=3e5))
    (right,) = rows.rows(journal(1e11, products_ns=7e5, empty_ns=3e5))

    assert row.split is not None and 0.0 == row.split[2]
    assert ("its parts, measured apart, take 1.20 times as long as it",) == row.remarks
    assert () == right.remarks


@pytest.mark.parametrize(("each", "named"), [(0, False), (2**15, False), (3 * 2**20, True)])
def test_memory_that_is_taken_anew_in_every_call_is_named(each: int, named: bool) -> None:
    """Of calls that go through 2 MB; a process grows now and then by itself."""
    made = journal(1e11)
    for _, outcome in made.outcomes:
        outcome["new_bytes"] = [10 * each, 10 * each, 10 * each, 2**28]
    (row,) = rows.rows(made)

    assert ("takes 3 MiB of new memory in every call (page faults)",) * named == row.remarks


def test_own_multiply_adds_are_a_ceiling_too() -> None:
    """A library may be slow."""
    made = journal(1e9)
    assert "rejected" == rows.rows(made)[0].status
    about = {"implementation": "", "device": "cpu", "threads": "all", "arithmetic": "float32"}
    made.add({"record": "ceiling", "quantity": "peak", "process": 0, "value": 1e12} | about)

    (row,) = rows.rows(made)

    assert "ok" == row.status and 1e12 == row.ceiling


@pytest.mark.parametrize(("rate", "status"), [(1.4e10, "ok"), (0.9e10, "rejected")])
def test_row_faster_than_any_product_is_rejected(rate: float, status: str) -> None:
    """13 GFLOP/s where 1.2 times the best product are less; where it is proved, it is marked."""
    made = journal(rate)
    (row,) = rows.rows(made)

    assert status == row.status
    assert ("faster than possible" in row.reason) == (status == "rejected")

    proved = {"process": 0, "repetition": 0, "spent_ns": 1}
    made.run["settings"], made.proofs = {"proofs": True}, {row.case.id: [proved]}
    for _, outcome in made.outcomes:
        outcome["repetition"] = 0
    (row,) = rows.rows(made)

    assert "ok" == row.status
    assert ("faster than it should be" in " ".join(row.remarks)) == (status == "rejected")


def test_products_alone_touch_no_more_arrays_than_a_step() -> None:
    """Each activation, delta and W is one array in all its products; results share places."""
    workload = MLPWorkload("x", MLPSpec((3, 4, 2)), 5, 5)
    kinds, pairs = factors(workload.products("train_step"))

    assert ("nn", "nn", "nt", "tn", "tn") == kinds
    (X, W1), (a, W2), (delta, W2_again), (a_again, delta_again), (X_again, delta_1) = pairs
    assert X is X_again and a is a_again and W2 is W2_again and delta is delta_again
    assert W1 is not W2 and delta_1 is not delta
    assert [(5, 4), (5, 2), (5, 4), (4, 2), (3, 4)] == [
        shape_of_product(kind, A, B) for kind, (A, B) in zip(kinds, pairs, strict=True)
    ]

    step = Products.of_call(load("numpy"), workload, "train_step", "cpu")
    timed = step.work().run(1, None).last[-1]
    assert timed[0] is timed[2] and timed[0] is not timed[1]
    assert len({id(one) for one in step.out}) == len(step.out)  # the gate sees each result


def shape_of_product(kind: str, A: np.ndarray, B: np.ndarray) -> tuple[int, int]:
    """Of the product."""
    return (A.T if kind == "tn" else A).shape[0], (B.T if kind == "nt" else B).shape[1]
