"""Inference: calls one by one, cold starts, and what was not measured."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data.report import Report
from samegrad.reports.document import details, speed, summary
from tests.helpers.journals import ok, plan_record, run_record, write
from tests.helpers.reports import NUMPY, report_of

ONE = MLPWorkload("mnist", MLPSpec((784, 10)), 1, 60_000)
PASS = replace(NUMPY, operation="forward", workload=ONE)


def measured(path: Path, **more: Any) -> Report:
    """Five processes of a forward pass at batch 1."""
    records = [ok(process, 10_000, PASS, first_call_ns=2e6, **more) for process in range(5)]
    return report_of(write(path, run_record(), plan_record(PASS), *records))


def test_percentiles_are_of_calls_one_by_one(tmp_path: Path) -> None:
    """Of 100 calls a process two take a millisecond; import and first call are the cold start."""
    calls = [12_000] * 98 + [1_000_000] * 2
    report = measured(tmp_path / "j", request_ns=calls, import_ns=5e8, imported_bytes=3 * 2**26)

    (table,) = speed.inference(report).tables
    (line,) = table.frame.to_dict("records")

    assert ("12.0 us", "1.00 ms") == (line["p50"], line["p99"])
    assert ("2.00 ms", "500 ms") == (line["first call"], line["import"])
    assert "192 MiB" == line["memory once imported"]
    assert "34 KiB" == line["weights and activations"]  # 784 inputs, 784 x 10 + 10 weights, 10
    assert (
        "What does one prediction take? 784-10, batch 1, p50: numpy 12.0 us (p99 1.00 ms; cold "
        "500 ms + 2.00 ms); cold: import + first call."
    ) in map(str, summary.sentences(report))


def test_few_calls_have_no_percentiles(tmp_path: Path) -> None:
    """A table says what was not measured."""
    chapter = speed.inference(measured(tmp_path / "j", request_ns=[12_000] * 39))

    assert "p99" not in chapter.tables[0].frame
    absent = "p50, p99, import, memory once imported, peak of a call"
    assert f"Not measured in this run: {absent}." in chapter.text[0]


def test_large_batches_and_training_steps_are_no_requests(tmp_path: Path) -> None:
    """Without forward passes of few examples there is no chapter."""
    case = replace(PASS, workload=replace(ONE, batch_size=256))
    path = write(tmp_path / "j", run_record(), plan_record(case, NUMPY), ok(0, 1, case), ok(0))

    assert speed.inference(report_of(path)).empty


def test_memory_and_cold_start_are_kept_where_times_are_not_usable(tmp_path: Path) -> None:
    """They are no times of calls; what is not usable is not said not to be measured."""
    records = [
        ok(p, 10_000 * 3**p, PASS, first_call_ns=2e6, import_ns=5e8, request_ns=[12_000] * 99)
        for p in range(5)
    ]
    memory = {"record": "memory", "case": PASS.to_dict(), "status": "ok", "host_bytes": 2**21}
    report = report_of(
        write(tmp_path / "j", run_record(), plan_record(PASS), *records, memory | {"reason": ""})
    )

    chapter, (peak,) = speed.inference(report), details.memory(report).tables
    (line,) = chapter.tables[0].frame.to_dict("records")

    assert ("2.00 ms", "500 ms") == (line["first call"], line["import"])
    assert {"time per call", "p50", "p99"}.isdisjoint(line)
    assert "Of 1 of 1 rows the times are not usable" in chapter.text[0]
    assert "Not measured in this run: memory once imported." in chapter.text[0]
    assert "2.00 MiB" == peak.frame["peak memory"].iloc[0]
    first, _ = [table.frame for table in details.compilation(report).tables] + [None]
    assert "2.00 ms" == first["first call"].iloc[0]


def test_answer_to_a_request_says_who_is_ahead_in_a_row(tmp_path: Path) -> None:
    """Where that is another one than by latency."""
    jax = replace(PASS, implementation="jax")
    records = [
        ok(process, nanoseconds + process, case, request_ns=[single] * 99)
        for case, nanoseconds, single in ((PASS, 39_000, 40_000), (jax, 15_800, 168_000))
        for process in range(5)
    ]
    path = write(tmp_path / "j", run_record(), plan_record(PASS, jax), *records)

    told = "\n".join(map(str, summary.sentences(report_of(path))))

    assert "In a row jax is the fastest: 15.8 us a call." in told
    assert "for my size? Forward pass, calls in a row, 784-10: jax (batch 1)." in told
