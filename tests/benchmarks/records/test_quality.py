"""What a number is worth, of rows that are made up and of those of the committed runs."""

from collections import Counter
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.benchmarks.records.quality import quality
from tests.helpers.journals import CASE, ok, plan_record, run_record

FIVE = range(5)


def row_of(records: list[dict[str, Any]], **run: Any) -> rows.Row:
    """The row that some records make."""
    journal = Journal(run_record(**run))
    for record in (plan_record(CASE), *records):
        journal.add(record)
    (row,) = rows.rows(journal)
    return row


def state(others: float) -> dict[str, Any]:
    """What others took of two cores since the last look."""
    return {"record": "state", "when": "during", "seconds": 2.0, "cores": 2, "others": others}


@pytest.mark.parametrize(
    ("records", "level", "why"),
    [
        ([ok(p, 1000 + 10 * p) for p in FIVE], "good", ""),
        ([ok(p, 1000 + 40 * p) for p in FIVE], "noisy", "interval +-8 %"),
        ([ok(p, 1000 * (p + 1)) for p in FIVE], "unusable", "its interval is a factor of 4.8 wide"),
        ([ok(p) for p in range(4)], "noisy", "no interval: 4 processes, 5 give one"),
        ([ok(0)], "noisy", "no interval: 1 process, 5 give one"),
        ([ok(p, steal=0.04) for p in FIVE], "good", ""),
        ([ok(p, steal=0.2) for p in FIVE], "noisy", "the hypervisor took 20 % of the cores"),
        ([ok(p, steal=0.3) for p in FIVE], "unusable", "the hypervisor took 30 % of the cores"),
        ([ok(p, pressure=0.9) for p in FIVE], "good", ""),
        (
            [ok(p, pressure=1.0) for p in FIVE],
            "noisy",
            "some process waited for a core in 100 % of the time",
        ),
        ([*(ok(p, pressure=1.0) for p in FIVE), state(0.0)], "good", ""),
        ([*(ok(p) for p in FIVE), state(0.4)], "noisy", "others took 20 % of the cores"),
        ([*(ok(p) for p in FIVE), state(2)], "unusable", "others took 100 % of the cores"),
        ([ok(0), state(1.5)], "unusable", "others took 75 % of the cores"),
    ],
)
def test_quality_is_decided_by_width_and_by_what_others_took(
    records: list[dict[str, Any]], level: str, why: str
) -> None:
    """The words say by how much; what is unusable says no more than why."""
    assert (level, why) == row_of(records).quality


def test_trainings_from_several_seeds_may_differ_by_any_factor() -> None:
    """Where all processes did the same work the same times would be worth nothing."""
    records = [[ok(p, 1000 * (p + 1))] for p in FIVE]
    times = [
        [1e-9 * record["elapsed_ns"][0] / record["calls"] for record in own] for own in records
    ]
    medians = [own[0] for own in times]

    assert ("unusable", "its interval is a factor of 4.8 wide") == quality(records, times, medians)
    level, why = quality(records, times, medians, alike=False)
    assert "noisy" == level and why.startswith("interval +-")


def test_disturbance_of_repetitions_that_set_no_value_does_no_harm() -> None:
    """Each process has one repetition while others compute, and a faster one while none does."""
    disturbed = [ok(p, 2000, repetition=0, steal=0.8) for p in FIVE]
    quiet = [ok(p, 1000, repetition=1) for p in FIVE]

    good = row_of([*disturbed, state(1.8), *quiet, state(0.0)])
    bad = row_of([*disturbed, state(0.0), *quiet, state(1.8)])

    assert ("good", "unusable") == (good.quality.level, bad.quality.level)


def test_row_of_a_run_without_intervals_is_not_good() -> None:
    """However many processes a case happens to have had."""
    assert "noisy" == row_of([ok(p) for p in FIVE], intervals=False).quality.level


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        ("example", {"good": 115, "noisy": 40}),
        ("peers", {"good": 80, "noisy": 22}),
        pytest.param(
            "differentiation", {"good": 43, "noisy": 100, "unusable": 5}, marks=pytest.mark.full
        ),
        pytest.param("scaling", {"noisy": 203, "unusable": 20}, marks=pytest.mark.full),
    ],
)
def test_qualities_of_the_committed_runs(run: str, counts: dict[str, int]) -> None:
    """A quarter of an hour on a quiet machine; runs of a busier one."""
    journal = read(ROOT / "reports" / "results" / run / "journal.jsonl")
    levels = Counter(row.quality.level for row in rows.rows(journal) if row.status == "ok")

    assert {level: count for level, count in counts.items() if count} == dict(levels)
