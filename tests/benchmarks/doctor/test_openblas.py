"""OpenBLAS core types: which are tried, and in what surroundings."""

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


def test_own_choice_is_told_by_a_fresh_process() -> None:
    """The kernels in use and their rate, or why there are none."""
    (found,) = openblas.trials((), rounds=1)

    assert found.reason or (found.kernel and found.gemm["float32"] > 1e8)


def test_what_the_user_has_set_is_not_taken_for_the_librarys_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each trial's process has the variable as it should: as set, without it, or another."""
    seen = []

    def run_child(command: Any, request: Any, surroundings: Any, *_: Any) -> processes.Exit:
        seen.append(surroundings.get("OPENBLAS_CORETYPE"))
        return processes.Exit("ok", "")

    monkeypatch.setattr(processes, "run_child", run_child)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")

    openblas.trials(("unset", "SkylakeX"), rounds=1)

    assert ["Haswell", None, "SkylakeX"] == seen and "Haswell" == openblas.chosen()
