"""The plan skips what is too long, says so, and gives up repetitions before anything else."""

import pytest

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.presets import PRESETS, expand
from samegrad.benchmarks.runs import budget, speed
from samegrad.benchmarks.runs.budget import CostModel

FAST = CostModel(call_seconds=1e-4, first_seconds=0.0, flops_per_second=1e11, start_seconds=0.3)
SLOW = CostModel(call_seconds=1e-4, first_seconds=0.0, flops_per_second=5e7, start_seconds=0.1)
COST_MODELS = {("numpy", "cpu"): FAST, ("scalar", "cpu"): SLOW}


def standard() -> list[Case]:
    """The rows of a fast and of a slow implementation."""
    lines = PRESETS["standard"].lines
    return expand(lines, WorkerSpec("numpy"), ("float32", "float64")) + expand(
        lines, WorkerSpec("scalar"), ("float64",)
    )


def test_pilot_separates_overhead_from_arithmetic() -> None:
    """Two networks that take 1 ms + flops / 1 GFLOP/s give just these two numbers."""
    measured = [
        {"flops": 1e6, "first_ns": 9e6, "warm_ns": 2e6},
        {"flops": 1e8, "first_ns": 301e6, "warm_ns": 101e6},
    ]

    model = CostModel.fit({"networks": measured, "passes": 0.0}, 0.5)

    assert model.first_seconds == pytest.approx(0.2)
    assert model.flops_per_second == pytest.approx(1e9, rel=0.02)
    assert model.call_seconds == pytest.approx(1e-3, rel=0.02)


def test_pilot_counts_the_passes_of_a_gradient_that_needs_one_per_parameter() -> None:
    """1 ms a pass and 2 passes a parameter: the gradient of 30 parameters takes 61 ms."""
    forward = [{"flops": 1e6, "first_ns": 1e6, "warm_ns": 1e6}]
    model = CostModel.fit({"networks": forward, "passes": 2.0}, 0.5)
    slow, fast = (
        next(
            c
            for c in expand(PRESETS["differentiation"].lines, WorkerSpec("dual"), ("float64",))
            if c.operation == operation
        )
        for operation in ("loss_and_grad", "forward")
    )

    assert model.call(fast) == pytest.approx(fast.flops / 1e9)
    assert model.call(slow) == pytest.approx(61 * fast.flops / 1e9)


def test_case_above_the_limit_is_a_row_that_says_what_was_predicted() -> None:
    """Looped Python on the wide network is skipped, and runs a case of 100,000 parameters."""
    made = budget.make(standard(), COST_MODELS, {}, 5, 300, 0.3)

    skipped = {case_id: reason for case_id, (status, reason) in made.excluded.items()}
    assert all(reason.startswith("predicted ") for reason in skipped.values())
    assert any("wide" in case_id for case_id in skipped)
    assert not any("numpy" in case_id for case_id in skipped)
    large = [
        c for c in made.running if c.implementation == "scalar" and c.spec.parameters > 100_000
    ]
    assert large
    assert len(made.cases) == len(standard())


@pytest.mark.parametrize(("compiling", "left_out"), [(0.1, False), (3.5, False), (40.0, True)])
def test_row_is_not_left_out_for_what_is_compiled_once(compiling: float, left_out: bool) -> None:
    """On an H100 all rows of JAX were, for 7 s of trying kernels of two functions."""
    model = budget.CostModel(1e-4, compiling, 1e13, 3.0)
    cases = expand(PRESETS["hello"].lines, WorkerSpec("jax", "cuda"), ("float32",))

    assert {left_out} == {bool(budget.too_long(case, model, 4.0)) for case in cases}


def test_rows_and_processes_stay_however_short_the_time_is() -> None:
    """The time is used as far as it helps; what must be done may need more, and says so."""
    limits = (1e6, 140, 1)
    plans = [budget.make(standard(), COST_MODELS, {}, 5, seconds, 0.3) for seconds in limits]

    most, limited, least = (made.seconds for made in plans)
    assert most > limited >= least > 1
    assert limited == max(140, least)
    assert {5} == {made.processes for made in plans}
    assert 1 == len({len(made.running) for made in plans})


def test_what_is_compiled_is_counted_once_and_loaded_by_others() -> None:
    """On an H100 a standard run was predicted to take 2,297 s, most of it for compiling in turn."""
    cases = expand(PRESETS["hello"].lines, WorkerSpec("jax", "cuda"), ("float32",))
    quick, slow = (
        {("jax", "cuda"): budget.CostModel(1e-4, seconds, 1e13, 3.0)} for seconds in (0.0, 3.5)
    )
    gated = {(case.workload, name) for case in cases for name in case.gated}

    once, five = (
        budget.make(cases, slow, {}, processes, 0.0, 0.3).seconds
        - budget.make(cases, quick, {}, processes, 0.0, 0.3).seconds
        for processes in (1, 5)
    )

    assert once == pytest.approx(3.5 * len(gated))
    assert five == pytest.approx((1 + 4 * budget.LOADED) * once)
    assert once == pytest.approx(budget.compiling(cases[0].worker, cases, slow))
    assert budget.compiling(WorkerSpec("jax"), cases, slow) == 0


def test_row_that_cannot_run_is_not_predicted() -> None:
    """An unavailable implementation has no model and needs none."""
    cases = expand(PRESETS["hello"].lines, WorkerSpec("jax"), ("float32",))
    excluded = {case.id: ("unavailable", "not installed") for case in cases}

    made = budget.make(cases, {}, excluded, 1, 20, 0.1)

    assert ([], 0.0) == (made.running, made.seconds)
    assert excluded == made.excluded


@pytest.mark.parametrize(
    ("name", "compiling", "passes", "seconds", "worth"),
    [
        ("jax", 0.3, 0.0, 300.0, True),
        ("jax", 3.5, 0.0, 300.0, False),  # on an H100
        ("jax", 3.5, 0.0, 900.0, True),
        ("scalar", 0.0, 0.0, 300.0, False),
        ("dual", 0.0, 2.0, 300.0, False),
    ],
)
def test_probes_that_take_long_are_left_out(
    name: str, compiling: float, passes: float, seconds: float, worth: bool
) -> None:
    """A run's time is for its rows: what would be predicted of them is worth a tenth of it."""
    model = budget.CostModel(1e-4, compiling, 1e12, 3.0, passes)

    assert worth is bool(speed.probed(WorkerSpec(name), model, seconds))
