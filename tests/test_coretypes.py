"""OpenBLAS core types: which are tried, which is best, and what rows it gets."""

from typing import Any

import pytest

from benchmarks import coretypes, environment, selection
from benchmarks.cases import Case, Problem
from benchmarks.coretypes import Trial, best, candidates
from benchmarks.options import parse
from implementations import MLPSpec, isolation

HASWELL = Trial("", "Haswell", {"float32": 2.0e11})


def test_core_types_that_this_cpu_can_run_are_tried() -> None:
    """But not those with the kernels that are in use already."""
    assert ["SkylakeX", "Cooperlake"] == candidates("avx2 fma avx512f avx512_bf16", "Haswell")
    assert ["Haswell", "Zen"] == candidates("avx2 fma avx512f", "SkylakeX")
    assert [] == candidates("avx2 fma", "Zen")
    assert [] == candidates("unknown", "")


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([Trial("SkylakeX", "SkylakeX", {"float32": 3.4e11})], ("SkylakeX", 1.7)),
        ([Trial("SkylakeX", "SkylakeX", {"float32": 2.05e11})], ("", 1.0)),
        ([Trial("SkylakeX", reason="killed by SIGILL")], ("", 1.0)),
        ([Trial("Zen", "Haswell", {"float32": 3.4e11})], ("", 1.0)),  # the same kernels: noise
        ([], ("", 1.0)),
    ],
)
def test_best_core_type_is_worth_it_and_another(others: list[Trial], found: Any) -> None:
    """At least 5 % faster, with other kernels than those in use."""
    name, times = best([HASWELL, *others])

    assert found[0] == name
    assert found[1] == pytest.approx(times)


def test_numpy_has_rows_with_faster_kernels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside those as shipped, for the operations of the preset; said first."""
    trials = [HASWELL, Trial("SkylakeX", "SkylakeX", {"float32": 3.4e11})]
    monkeypatch.setattr(coretypes, "trials", lambda names, rounds: trials[: 1 + len(names)])
    monkeypatch.setattr(environment, "cpu_flags", lambda: "avx2 avx512f")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    problem = Problem("x", MLPSpec((3, 2)), 4, 16)
    cases = [Case(problem, operation, "numpy") for operation in ("forward", "train_step")]
    notes: list[str] = []

    (tuned,) = selection._tuned(cases, parse(preset="standard"), notes)

    assert ("SkylakeX", "train_step", "numpy+SkylakeX") == (
        tuned.kernel,
        tuned.operation,
        tuned.label,
    )
    assert "NumPy's OpenBLAS chose Haswell kernels; SkylakeX is 1.70 times as fast" in notes[0]
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")  # the user has chosen: that is said
    assert [tuned] == selection._tuned(cases, parse(preset="standard"), notes)
    assert "was told to use Haswell kernels (OPENBLAS_CORETYPE=Haswell is set)" in notes[1]


def test_own_choice_is_told_by_a_fresh_process() -> None:
    """The kernels in use and their rate, or why there are none."""
    (found,) = coretypes.trials((), rounds=1)

    assert found.reason or (found.kernel and found.gemm["float32"] > 1e8)


def test_what_the_user_has_set_is_not_taken_for_the_librarys_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each trial's process has the variable as it should: as set, without it, or another."""
    seen = []

    def run_child(command: Any, request: Any, surroundings: Any, *_: Any) -> isolation.Exit:
        seen.append(surroundings.get("OPENBLAS_CORETYPE"))
        return isolation.Exit("ok", "")

    monkeypatch.setattr(isolation, "run_child", run_child)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")

    coretypes.trials(("unset", "SkylakeX"), rounds=1)

    assert ["Haswell", None, "SkylakeX"] == seen and "Haswell" == coretypes.chosen()
