"""Predictions: from probes alone, before any row; what comes later does not count."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.presets import PRESETS, expand
from samegrad.benchmarks.cases.probes import probes
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.records import predictions, rows
from samegrad.benchmarks.records.journal import Journal, read
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import CASE, ok, plan_record, run_record, write

WORKER = WorkerSpec("numpy")
RATES = {"float64": 0.5e11, "float32": 1e11, "": 1e10}
ROWS = [
    Case(MLPWorkload("x", MLPSpec(sizes, dtype=dtype), batch, 10 * batch), operation, "numpy")
    for sizes, batch in (((64, 32, 10), 32), ((784, 512, 512, 10), 128))
    for dtype in ("float32", "float64")
    for operation in predictions.KINDS
]


def seconds(case: Case) -> float:
    """Of a call on a machine that keeps to the law."""
    law = np.concatenate([np.tile([3e-6, 2e-6], len(predictions.KINDS)), [1.5, 12, 4, 2]])
    return float(predictions.features(case, RATES) @ law)


def probed(worker: WorkerSpec = WORKER, times: float = 1.0, count: int = 99) -> list[Any]:
    """The records of its probes on such a machine."""
    return [
        {"record": "probe", "case": case.to_dict(), "seconds": times * seconds(case)}
        for case in probes(worker)[:count]
    ]


def journal(path: Path, *records: dict[str, Any]) -> Journal:
    """A journal with these."""
    return read(write(path / "j", run_record(), *records))


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
def test_machine_that_keeps_to_the_law_is_predicted(case: Case, tmp_path: Path) -> None:
    """Of any operation, dtype and size, though no probe is like it."""
    made = predictions.predictions(journal(tmp_path, *probed()), [case])

    assert made[case.id] == pytest.approx(seconds(case), rel=1e-3)


def test_slower_machine_is_predicted_slower(tmp_path: Path) -> None:
    """The probes decide, and nothing else."""
    made = predictions.predictions(journal(tmp_path, *probed(times=3)), [CASE])

    assert made[CASE.id] == pytest.approx(3 * seconds(CASE), rel=1e-3)


@pytest.mark.parametrize(
    ("worker", "count"),
    [(WORKER, 3), (WorkerSpec("torch"), 99), (WorkerSpec("numpy", threads="1"), 99)],
)
def test_what_no_probes_tell_of_is_not_predicted(
    worker: WorkerSpec, count: int, tmp_path: Path
) -> None:
    """Too few of them, another library, another number of threads."""
    assert {} == predictions.predictions(journal(tmp_path, *probed(worker, 1, count)), [CASE])


def test_prediction_is_not_below_the_limit(tmp_path: Path) -> None:
    """Which is a part of what is known before."""
    about = {"record": "ceiling", "implementation": "", "device": "cpu", "threads": "all"}
    ceilings = [
        about | {"process": 0, "quantity": "peak", "arithmetic": "float32", "value": 1e9},
        about | {"process": 0, "quantity": "call", "arithmetic": "", "value": 1e-7},
    ]
    made = predictions.predictions(journal(tmp_path, *ceilings, *probed(times=1e-3)), [CASE])

    assert 323_584 / 1e9 + 1e-7 == made[CASE.id]


def test_prediction_that_comes_after_a_measurement_does_not_count(tmp_path: Path) -> None:
    """It would be none."""
    said = {"record": "predictions", "seconds": {CASE.id: 2e-6}}
    plan = plan_record(CASE)
    before, after = journal(tmp_path, plan, said, ok(0)), journal(tmp_path, plan, ok(0), said)

    assert 2e-6 == rows.rows(before)[0].predicted_seconds
    assert rows.rows(after)[0].predicted_seconds is None
    assert "predicted after a measurement" in after.warnings[0]


def test_no_probe_is_a_row() -> None:
    """In no preset."""
    of_presets = {
        (case.workload.spec.layer_sizes, case.workload.batch_size)
        for preset in PRESETS.values()
        for case in expand(preset.lines, WORKER, ("float32", "float64"))
        if isinstance(case.workload, MLPWorkload)
    }

    assert of_presets.isdisjoint(
        (case.spec.layer_sizes, case.workload.batch_size) for case in probes(WORKER)
    )


def test_report_shows_what_was_predicted_beside_what_came_out(tmp_path: Path) -> None:
    """In a chapter, a column and an answer; nothing where nothing was predicted."""
    pytest.importorskip("pandas")
    from samegrad.reports.data.report import report
    from samegrad.reports.document import forecast

    said = {"record": "predictions", "seconds": {CASE.id: 1.5e-6}}
    times = [ok(process) for process in range(5)]
    shown = report([journal(tmp_path, said, plan_record(CASE), *times)])
    chapter = forecast.predictions(shown)

    assert [1.5e-6] == shown.rows.predicted_seconds.tolist()
    assert "The median error is 50 % over 1 rows; 0 are within 25 %." in chapter.text[0]
    assert ["+50 %"] == chapter.tables[1].frame["off"].tolist()
    assert "within 50 % in the median of 1 rows: numpy 50 %" in forecast.answer(shown).text
    without = report([journal(tmp_path, plan_record(CASE), *times)])
    assert forecast.predictions(without).empty and not forecast.answer(without).text
