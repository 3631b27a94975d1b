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


@pytest.mark.parametrize(("processes", "said"), [(5, "noisy"), (1, "no interval")])
def test_mark_says_that_no_row_has_an_interval(processes: int, said: str, tmp_path: Path) -> None:
    """Of one process nothing is known to be noisy, on a machine that was quiet."""
    made = matrix(measured(tmp_path / "j", (NUMPY, 100), (TORCH, 200), processes=processes))

    assert f"~ {said}" in made.legend
    assert ["100 us to 104 us", "200 us to 208 us"] * made.intervals == [
        cell.interval for cell in made.lines[0].cells if cell and cell.interval
    ]


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
    [(0.0671, "0.067"), (0.5, "0.50"), (0.996, "1.0"), (2.94, "2.9"), (9.97, "10"), (12.5, "13"),
     (74.46, "74"), (4550, "4,550"), (15228, "15,200"), (math.nan, "")],
)  # fmt: skip
def test_ratio_has_two_digits_or_three(ratio: float, text: str) -> None:
    """More would say more than is known."""
    assert text == times_text(ratio)


PASS = replace(NUMPY, operation="forward", workload=replace(F64, batch_size=1))


def requests(
    path: Path, numpy: tuple[float, float], jax: tuple[float, float], calls: int = 99
) -> Any:
    """A report of forward passes at batch 1: microseconds in a row, and of single calls."""
    records = []
    for name, (row, single), count in (("numpy", numpy, 99), ("jax", jax, calls)):
        case = replace(PASS, implementation=name)
        more = {"request_ns": [round(1000 * single)] * count}
        records += [outcome | more for outcome in several(case, row)]
    planned = plan_record(PASS, replace(PASS, implementation="jax"))
    return report_of(write(path, run_record(), planned, *records))


def test_line_below_says_who_is_the_fastest_where_each_call_is_waited_for(tmp_path: Path) -> None:
    """Each line has its own star: jax is ahead in a row, numpy by latency."""
    made = matrix(requests(tmp_path / "j", numpy=(39, 40), jax=(15.8, 168)))

    row, single = made.lines
    assert ("forward 1", "forward 1, single (p50)") == (row.name, single.name)
    assert [("39.8 us", ""), ("16.1 us", "*")] == [(c.time, c.mark) for c in row.cells if c]
    assert [("40.0 us", "*"), ("168 us", "")] == [(c.time, c.mark) for c in single.cells if c]
    assert ["1.0", "4.2"] == [cell.times for cell in single.cells if cell]
    assert "single (p50): calls one at a time" in made.legend


@pytest.mark.parametrize("single", [16.0, 41.0], ids=["same", "hardly"])
def test_no_line_below_where_the_same_one_is_the_fastest(single: float, tmp_path: Path) -> None:
    """Nor where the other one is ahead by less than a difference."""
    made = matrix(requests(tmp_path / "j", numpy=(39, 40), jax=(15.8, single)))

    assert ["forward 1"] == [line.name for line in made.lines]
    assert "single" not in made.legend


def test_latency_of_an_unknown_one_leaves_no_star(tmp_path: Path) -> None:
    """torch, whose calls were not timed one by one, may answer sooner."""
    report = requests(tmp_path / "j", numpy=(39, 40), jax=(15.8, 168))
    lines = (tmp_path / "j").read_text().splitlines(keepends=True)
    case = replace(PASS, implementation="torch")
    planned = plan_record(PASS, replace(PASS, implementation="jax"), case)
    path = write(tmp_path / "k", run_record(), planned, *several(case, 50))
    path.write_text(path.read_text() + "".join(lines[2:]))

    made, known = (matrix(one).lines[1] for one in (report_of(path), report))

    assert ["*", ""] == [cell.mark for cell in known.cells if cell]
    assert ["", ""] == [cell.mark for cell in made.cells if cell]
