"""What is predicted of a GPU that is not there, beside what one took."""

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows, sheets
from samegrad.benchmarks.records.journal import read

H100 = "H100 80GB HBM3"


@pytest.mark.parametrize(("run", "least"), [("gpu", 2), ("gpu_hello", 10), ("gpu_best", 16)])
def test_times_of_an_h100_lie_in_their_bands(run: str, least: int) -> None:
    """All that were measured with the batch on the GPU."""
    measured = [
        row
        for row in rows.rows(read(ROOT / "reports" / "results" / run / "journal.jsonl"))
        if row.status == "ok" and row.case.device == "cuda" and row.case.transfer == "resident"
    ]
    sheet = sheets.SHEETS[H100]
    bands = [
        sheets.band(sheet, row.case.workload, row.case.operation, row.case.workload.dtype)
        for row in measured
    ]

    assert len(measured) >= least
    assert all(
        low <= row.median_seconds <= high for row, (low, high) in zip(measured, bands, strict=True)
    )
