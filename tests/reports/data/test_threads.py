"""The best number of threads: named for each case, certain only where the intervals say so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data import threads
from samegrad.reports.data.report import Report
from samegrad.reports.document import speed, summary
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import report_of


def measured(path: Path, times: dict[int, tuple[int, int]]) -> Report:
    """A report of steps at some batch sizes: microseconds with one thread, and with all."""
    planned, records = [], list[dict[str, Any]]()
    for batch_size, both in times.items():
        workload = MLPWorkload("mnist", MLPSpec((784, 128, 64, 10)), batch_size, 60_000)
        for regime, microseconds in zip(("1", "all"), both, strict=True):
            planned.append(replace(Case(workload, "train_step", "numpy"), threads=regime))
            records += [ok(p, 1000 * microseconds + p, planned[-1]) for p in range(5)]
    end = {"record": "run_complete"}
    return report_of(write(path / "j", run_record(), plan_record(*planned), *records, end))


def test_best_number_of_threads_of_each_case(tmp_path: Path) -> None:
    """As rows, with what the next best takes; a difference within the intervals is not certain."""
    report = measured(tmp_path, {8: (100, 300), 32: (201, 200), 512: (900, 450)})
    table = threads.best(report.conclusive)
    shown = speed.best_threads(report)

    assert ["1", "all", "all"] == table.best.tolist()
    assert [True, False, True] == table.certain.tolist()
    assert pytest.approx([3, 1.005, 2], rel=1e-3) == table.times.tolist()
    assert ["100 us", "200 us", "450 us"] == shown["time"].tolist()
    assert ["yes", "no", "yes"] == shown["certain"].tolist()


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({8: (100, 300), 32: (9, 9), 64: (200, 150)},
         "numpy slower up to batch 8, faster from batch 64 on"),
        ({8: (100, 300), 32: (9, 9), 64: (200, 196)}, "numpy slower up to batch 8"),
        ({8: (100, 50), 32: (100, 50), 64: (100, 50)}, "numpy faster from batch 8 on"),
        ({8: (100, 50), 32: (50, 100), 64: (100, 50)}, "numpy slower at batch 32, faster at 8, 64"),
        ({8: (9, 9), 32: (9, 9), 64: (9, 9)}, "numpy no certain difference"),
    ],
)  # fmt: skip
def test_sentence_says_where_all_threads_are_slower_and_faster(
    times: dict[int, tuple[int, int]], said: str, tmp_path: Path
) -> None:
    """Of a network with enough batch sizes, in the summary."""
    report = measured(tmp_path, times)

    text = f"784-128-64-10, all threads against fewer: {said}."
    assert text in [answer.text for answer in summary.threads(report, report.conclusive)]


def test_nothing_is_said_of_one_number_of_threads_or_few_sizes(tmp_path: Path) -> None:
    """No table of one regime, no sentence about two sizes."""
    report = measured(tmp_path, {8: (100, 300), 32: (100, 100)})
    all_threads = report.conclusive[report.conclusive.threads == "all"]

    assert "" == threads.sentence(threads.best(report.conclusive))
    assert threads.best(all_threads).empty and "" == threads.sentence(threads.best(all_threads))
