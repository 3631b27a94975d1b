"""The matrix: ratios within one arithmetic, and a best one only where the intervals say so."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data.matrix import Cell, matrix, times_text
from tests.helpers.journals import plan_record, run_record, write
from tests.helpers.reports import (
    F64,
    JAX,
    NUMPY,
    SCALAR,
    TORCH,
    laptop,
    report_of,
    several,
    unusable,
)


def cells(made: Any) -> dict[str, Cell]:
    """Of its first line, by column."""
    return dict(zip(made.columns, made.lines[0].cells, strict=True))


def measured(path: Path, *times: tuple[Any, float], processes: int = 5) -> Any:
    """A report of cases and their microseconds."""
    records = [outcome for case, us in times for outcome in several(case, us, processes)]
    return report_of(write(path, run_record(), plan_record(*(case for case, _ in times)), *records))


def test_ratios_refer_to_numpy_or_to_what_is_asked_for(tmp_path: Path) -> None:
    """60 times NumPy's, or a third of torch's."""
    report = report_of(laptop(tmp_path / "j"))

    by_numpy, by_torch = matrix(report), matrix(report, "torch")

    assert ("scalar", "numpy", "torch") == by_numpy.columns
    assert ["60", "1.0", "3.0"] == [cell.times for cell in by_numpy.lines[0].cells if cell]
    assert "0.33" == cells(by_torch)["numpy"].times
    assert "ratios: times torch's" in by_torch.legend
    with pytest.raises(ValueError, match=r"--reference 'torhc'.*scalar, numpy, torch.*torch"):
        matrix(report, "torhc")


def test_what_has_no_number_says_why(tmp_path: Path) -> None:
    """Its status; no ratio, no mark."""
    line = matrix(report_of(laptop(tmp_path / "j"))).lines[1]

    assert "epoch 32" == line.name
    assert Cell("skipped", words="predicted 42 s a process (limit 10 s)") == line.cells[0]
    assert line.cells[2] is None


@pytest.mark.parametrize(
    ("microseconds", "processes", "mark"),
    [(200, 5, "*"), (102, 5, ""), (104, 5, ""), (200, 4, "~")],
)
def test_best_is_marked_where_the_intervals_allow(
    microseconds: float, processes: int, mark: str, tmp_path: Path
) -> None:
    """Not within 5 %, which is no difference; not without intervals."""
    report = measured(tmp_path / "j", (NUMPY, 100), (TORCH, microseconds), processes=processes)

    assert mark == cells(matrix(report))["numpy"].mark
    assert "*" != cells(matrix(report))["torch"].mark


def test_best_is_not_marked_beside_what_was_measured_and_has_no_usable_number(
    tmp_path: Path,
) -> None:
    """It may be the faster one."""
    records = [*several(NUMPY, 100), *several(TORCH, 300), *unusable(JAX, 20)]
    planned = plan_record(NUMPY, TORCH, JAX)
    made = cells(matrix(report_of(write(tmp_path / "j", run_record(), planned, *records))))

    assert ("unusable", "") == (made["jax"].time, made["numpy"].mark)


def test_looped_python_stands_beside_the_others(tmp_path: Path) -> None:
    """Its float64 time in a float32 line, marked as such, with no ratio across precisions."""
    numpy32 = replace(NUMPY, workload=replace(F64, spec=MLPSpec((64, 32, 10))))
    made = matrix(measured(tmp_path / "j", (SCALAR, 6000), (numpy32, 100)))

    assert 1 == len(made.lines)
    assert "6.12 ms (f64)" == cells(made)["scalar"].time
    assert math.isnan(cells(made)["scalar"].ratio)
    assert "102 us" == cells(made)["numpy"].time and "" == cells(made)["numpy"].mark


def test_without_numpy_the_reference_is_another(tmp_path: Path) -> None:
    """What has the most numbers."""
    assert matrix(measured(tmp_path / "j", (TORCH, 100), (JAX, 50))).reference in ("torch", "jax")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.0671, "0.067"), (0.5, "0.50"), (0.996, "1.0"), (2.94, "2.9"), (9.97, "10"), (4550, "4,550"),
     (math.nan, "")],
)  # fmt: skip
def test_ratio_has_two_digits(ratio: float, text: str) -> None:
    """More would say more than is known."""
    assert text == times_text(ratio)
