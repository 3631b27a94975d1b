"""The limit: what it is made of, when there is none, and what a time below it says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks import test_speed
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.records import limits, rows
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import CASE, ok, plan_record, run_record, write

CEILINGS = {
    ("call", ""): 1e-7,
    ("peak", "float32"): 1e11,
    ("gemm", "float32"): 9e10,
    ("bandwidth L1", ""): 2e11,
    ("bandwidth L2", ""): 1e11,
    ("bandwidth L3", ""): 4e10,
    ("bandwidth", ""): 1e10,
}
MACHINE = {"cpu": "Test CPU", "cores": "2", "cpu_caches": "L1 32K, L2 512K, L3 32M"}


def made(path: Path, case: Case, elapsed_ns: int = 5000, without: str = "") -> rows.Row:
    """The row of a case on a machine with these ceilings."""
    return rows.rows(made_journal(path, case, elapsed_ns, without))[0]


def made_journal(path: Path, case: Case, elapsed_ns: int, without: str = "") -> Journal:
    """Five processes of it, and what a call consists of."""
    about = {"record": "ceiling", "implementation": "", "device": "cpu", "threads": case.threads}
    ceilings = [
        about | {"process": 0, "quantity": quantity, "arithmetic": arithmetic, "value": value}
        for (quantity, arithmetic), value in CEILINGS.items()
        if quantity != without
    ]
    run = run_record(machine=MACHINE)
    parts = {"products_ns": 6000, "empty_ns": 1000} if elapsed_ns == 10_000 else {}
    times = [ok(process, elapsed_ns, case, **parts) for process in range(5)]
    return read(write(path / "j", run, *ceilings, plan_record(case), *times))


def test_limit_of_a_small_step_is_its_arithmetic_and_a_call(tmp_path: Path) -> None:
    """By hand: 2 * 32 * (3 * (64 * 32 + 32 * 10) - 64 * 32) operations."""
    limit = made(tmp_path, CASE).limit

    assert limit is not None
    assert 323_584 / 1e11 == limit.arithmetic
    assert (limit.arithmetic + 1e-7, "arithmetic") == (limit.seconds, limit.by)


@pytest.mark.parametrize(
    ("sizes", "threads", "held_by", "held"),
    [
        ((64, 1000, 10), "1", "L2", 2**15),
        ((784, 4000, 10), "1", "L3", 2**19),
        ((784, 4000, 10), "all", "L3", 2**20),  # two cores have an L2 each
        ((4000, 10_000, 10), "all", "memory", 2**25),
    ],
)
def test_what_a_cache_does_not_hold_comes_from_beyond(
    sizes: tuple[int, ...], threads: str, held_by: str, held: int, tmp_path: Path
) -> None:
    """A step of one example reads X and the params, and writes the params."""
    spec = MLPSpec(sizes)
    case = Case(MLPWorkload("x", spec, 1, 100), "train_step", "numpy", threads=threads)

    limit = made(tmp_path, case, 10**9).limit

    distinct, moved = 4 * (sizes[0] + spec.parameters), 4 * (sizes[0] + 2 * spec.parameters)
    rate = CEILINGS[("bandwidth" if held_by == "memory" else f"bandwidth {held_by}", "")]
    assert limit is not None and held_by == limit.held_by
    assert limit.moving == pytest.approx(moved * (1 - held / distinct) / rate)


@pytest.mark.parametrize("without", ["peak", "call"])
def test_without_a_part_there_is_no_limit(without: str, tmp_path: Path) -> None:
    """A product of a library is no limit of the machine."""
    assert made(tmp_path, CASE, without=without).limit is None


def test_time_below_the_limit_says_that_it_is_wrong_and_fails(tmp_path: Path) -> None:
    """The row and its item of a run; one above it does neither."""
    below, above = (made(tmp_path, CASE, elapsed_ns) for elapsed_ns in (3300, 3400))
    handed_in = SimpleNamespace(extra_info={}, pedantic=lambda *_, **__: None)
    replay: Any = SimpleNamespace()

    said = "faster than the limit of 3.34 us, which is wrong here"
    assert (said,) == below.remarks and () == above.remarks
    with pytest.raises(pytest.fail.Exception, match=said):
        test_speed.test_speed(CASE, below, replay, handed_in)
    test_speed.test_speed(CASE, above, replay, handed_in)
    assert [*above.process_medians] == replay.samples


def test_known_sizes_are_those_of_the_machine(tmp_path: Path) -> None:
    """In bytes."""
    journal = read(write(tmp_path / "j", run_record(machine=MACHINE)))

    assert {"L1": 2**15, "L2": 2**19, "L3": 2**25} == limits.caches(journal)


def test_report_says_how_near_each_is_and_what_the_rest_consists_of(tmp_path: Path) -> None:
    """A table of parts, and an answer; neither where nothing is known."""
    pytest.importorskip("pandas")
    from samegrad.reports.data.report import report
    from samegrad.reports.document import details, summary

    journal = made_journal(tmp_path, CASE, 10_000)
    shown = report([journal])
    (line,) = details.split(shown).to_dict("records")
    steps = shown.conclusive

    assert ("3.00", "3.34 us") == (line["times the limit"], line["limit"])
    assert ("2.76 us", "900 ns") == (line["products beyond it"], line["dispatch beyond it"])
    assert "arithmetic" == line["by"]
    said = "In times the limit of the machine: 64-32-10, batch 32 (3.34 us): numpy 3.00."
    assert said == summary.near(steps).text
    without = report([made_journal(tmp_path, CASE, 10_000, without="call")])
    assert "limit" not in details.split(without)
    assert "" == summary.near(without.conclusive).text
