"""OpenBLAS core types: which are tried, and in what environment."""

from typing import Any

import pytest

from samegrad.benchmarks.doctor import openblas
from samegrad.benchmarks.doctor.openblas import candidates
from samegrad.implementations.checking import processes


def test_core_types_that_this_cpu_can_run_are_tried() -> None:
    """But not those with the kernels that are in use already."""
    assert ["SkylakeX", "Cooperlake"] == candidates("avx2 fma avx512f avx512_bf16", "Haswell")
    assert ["Haswell", "Zen"] == candidates("avx2 fma avx512f", "SkylakeX")
    assert [] == candidates("avx2 fma", "Zen")
    assert [] == candidates("unknown", "")


def test_kernels_in_use_are_reported_by_a_fresh_process() -> None:
    """The kernels in use and their rate, or why there are none."""
    (trial,) = openblas.trials((), repetitions=1)

    assert trial.reason or (trial.kernel and trial.gemm["float32"] > 1e8)


def test_what_the_user_has_set_is_not_taken_for_the_librarys_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each trial's process has the variable as it should: as set, without it, or another."""
    core_types = []

    def run_child(command: Any, request: Any, environment: Any, *_: Any) -> processes.Exit:
        core_types.append(environment.get("OPENBLAS_CORETYPE"))
        return processes.Exit("ok", "")

    monkeypatch.setattr(processes, "run_child", run_child)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")

    openblas.trials(("unset", "SkylakeX"), repetitions=1)

    assert ["Haswell", None, "SkylakeX"] == core_types and "Haswell" == openblas.core_type()
