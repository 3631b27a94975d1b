"""OpenBLAS core types: which are tried, and in what environment."""

from typing import Any

import pytest

from samegrad.benchmarks.doctor.doctor import core_types, openblas
from samegrad.implementations.checking import processes


def test_core_types_that_this_cpu_can_run_are_tried() -> None:
    """But not those with the kernels that are in use already."""
    assert ["SkylakeX", "Cooperlake"] == core_types("avx2 fma avx512f avx512_bf16", "Haswell")
    assert ["Haswell", "Zen"] == core_types("avx2 fma avx512f", "SkylakeX")
    assert [] == core_types("avx2 fma", "Zen")
    assert [] == core_types("unknown", "")


def test_kernels_in_use_are_reported_by_a_fresh_process() -> None:
    """The kernels in use and their rate, or why there are none."""
    (trial,) = openblas((), repetitions=1)

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

    trials = openblas(("unset", "SkylakeX"), repetitions=1)

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

    trials = openblas(("Zen",), repetitions=3)

    assert [("", 5.0, ""), ("Zen", 4.0, "")] == [
        (trial["name"], trial["gemm"]["float32"], trial["reason"]) for trial in trials
    ]
