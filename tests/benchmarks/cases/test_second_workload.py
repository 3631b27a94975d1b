"""A workload that is no network goes from case to row without an edit of the library."""

import math
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import Series, Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.records import rows, schema
from samegrad.benchmarks.records.journal import JournalWriter, read
from tests.helpers.journals import run_record


@dataclass(frozen=True)
class Sort(Workload, kind="sort"):
    """Sorting rows of random numbers."""

    operations: ClassVar[tuple[str, ...]] = ("sort",)
    name: str
    batch_size: int
    examples: int
    series: Series | None = None
    dtype: str = "float64"

    @property
    def size(self) -> int:
        """Nothing is kept from call to call."""
        return 0

    def flops(self, operation: str) -> int:
        """Comparisons, at least."""
        assert operation in self.operations
        return max(1, round(self.batch_size * math.log2(self.batch_size)))

    def bytes(self, operation: str) -> int:
        """Each number read and written once."""
        assert operation in self.operations
        return 2 * 8 * self.batch_size


def repetition(case: Case) -> schema.Record:
    """What a worker process does for a case: judge a result, then time blocks of calls."""
    x = np.random.default_rng(0).random(case.workload.batch_size)
    result = np.sort(x)
    error = float(np.max(result[:-1] - result[1:]).clip(0))
    work = timer.Work(lambda _: None, lambda n, _: [np.sort(x) for _ in range(n)], lambda _: None)
    blocks = timer.measure(work, 100_000, 0, least=3)
    return {
        "record": "outcome", "case": case.to_dict(), "status": "ok", "reason": "", "process": 0,
        "calls": blocks.calls, "elapsed_ns": blocks.elapsed_ns,
        "gate": {"name": "order", "error": error, "bound": 1e-12},
        "quality": {"inversions": error},
    }  # fmt: skip


@pytest.fixture
def case() -> Case:
    """Two ranks that sort a thousand numbers, of a series by that number."""
    return Case(Sort("sort1000", 1000, 1000, Series("sort", 1000)), "sort", "numpy", ranks=2)


def test_second_kind_of_workload_goes_from_case_to_row(tmp_path: Path, case: Case) -> None:
    """Case, measurement, record and row, with ranks, quality and a predicted time."""
    with closing(JournalWriter(tmp_path / "journal.jsonl")) as writer:
        writer.append(run_record())
        writer.append({"record": "cases", "cases": [case.to_dict()], "processes": 1})
        writer.append({"record": "predictions", "seconds": {case.id: 5e-5}})
        writer.append(repetition(case))

    (row,) = rows.rows(read(tmp_path / "journal.jsonl"))

    assert (case, "ok", "sort1000-sort-batch1000-float64-numpy-cpu-2_ranks") == (
        row.case, row.status, row.case.id,
    )  # fmt: skip
    assert row.median_seconds is not None and row.median_seconds > 0
    assert (5e-5, {"inversions": 0.0}) == (row.predicted_seconds, row.measures)
    assert row.case.worker.ranks == 2


def test_larger_sizes_of_another_kind_are_known(case: Case) -> None:
    """By the series, as for networks."""
    assert replace(case, workload=Sort("sort9", 9000, 9000, Series("sort", 9))).larger_than(case)
