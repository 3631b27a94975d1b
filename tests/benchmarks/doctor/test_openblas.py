"""OpenBLAS core types: which are tried, in what environment, and within what time."""

from typing import Any

import pytest

from samegrad.benchmarks.doctor.doctor import Time, core_types, gather, openblas, text
from samegrad.benchmarks.machine import state
from samegrad.implementations.checking import processes


def test_core_types_that_this_cpu_can_run_are_tried() -> None:
    """But not those with the kernels that are in use already."""
    assert ["SkylakeX", "Cooperlake"] == core_types("avx2 fma avx512f avx512_bf16", "Haswell")
    assert ["Haswell", "Zen"] == core_types("avx2 fma avx512f", "SkylakeX")
    assert [] == core_types("avx2 fma", "Zen")
    assert [] == core_types("unknown", "")


def test_kernels_in_use_are_reported_by_a_fresh_process() -> None:
    """The kernels in use and their rate, or why there are none."""
    (trial,) = openblas((), Time(60), repetitions=1)

    assert trial["reason"] or (trial["kernel"] and trial["gemm"]["float32"] > 1e8)


def test_what_the_user_has_set_is_not_taken_for_the_librarys_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each trial's process has the variable as it should: as set, without it, or another."""
    tried = []

    def run_child(command: Any, request: Any, environment: Any, *_: Any) -> processes.Exit:
        tried.append(environment.get("OPENBLAS_CORETYPE"))
        return processes.Exit("ok", "")

    monkeypatch.setattr(processes, "run_child", run_child)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")

    trials = openblas(("unset", "SkylakeX"), Time(60), repetitions=1)

    assert ["Haswell", None, "SkylakeX"] == tried
    assert ["no answer"] * 3 == [trial["reason"] for trial in trials]


def test_best_of_the_repetitions_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one of them had no figures."""
    rates = iter([None, 2.0, 3.0, None, 5.0, 4.0])

    def run_child(command: Any, request: Any, environment: Any, say: Any, _: Any) -> Any:
        rate = next(rates)
        if rate is not None:
            say({"kernel": "Haswell", "gemm": {"float32": rate}})
        return processes.Exit("ok" if rate else "crashed", "" if rate else "SIGILL")

    monkeypatch.setattr(processes, "run_child", run_child)

    trials = openblas(("Zen",), Time(60), repetitions=3)

    assert [("", 5.0, ""), ("Zen", 4.0, "")] == [
        (trial["name"], trial["gemm"]["float32"], trial["reason"]) for trial in trials
    ]


@pytest.mark.parametrize("seconds", [0.1, 60.0])
def test_what_there_is_no_time_for_is_said(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it that it is not begun or that it takes too long; its limit is what is left."""
    limits = []

    def run_child(*arguments: Any) -> processes.Exit:
        limits.append(arguments[-1])
        return processes.Exit("timeout", "no result within 60 s; killed")

    monkeypatch.setattr(processes, "run_child", run_child)
    watched = {"loop_ns": 1, "loop_least_ns": 1}
    monkeypatch.setattr(state, "watch", lambda: watched)

    facts = gather(Time(seconds))

    assert all(limit <= seconds for limit in limits) and (limits == []) == (seconds < 1)
    (line,) = [line for line in text(facts, []).splitlines() if "not measured" in line]
    assert f"within {seconds:g} s: OpenBLAS, numpy" in line and "--time 600" in line
