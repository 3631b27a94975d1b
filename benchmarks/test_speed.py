"""One item per case: `pytest --benchmark` measures all of them and replays them here."""

from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.records.rows import BELOW, Row
from samegrad.benchmarks.records.schema import NO_NUMBER, OK
from samegrad.benchmarks.runs.session import Replay
from samegrad.implementations.contract.texts import clean


@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # of a row without a number
def test_speed(case: Case, row: Row, replay: Replay, benchmark: Any) -> None:
    """The gradients agree, and the process medians are handed to pytest-benchmark."""
    if row.status in NO_NUMBER:
        pytest.skip(clean(f"{row.status}: {row.reason}"))
    if row.status != OK:
        pytest.fail(clean(f"{row.status}: {row.reason}"), pytrace=False)

    if row.quality.level == UNUSABLE:
        pytest.skip(clean(str(row.quality)))

    for remark in row.remarks:
        if remark.startswith(BELOW):
            pytest.fail(clean(remark), pytrace=False)

    assert row.gate is not None
    sizes = case.spec.layer_sizes if isinstance(case.workload, MLPWorkload) else ()
    replay.samples = list(row.process_medians)
    benchmark.extra_info.update(
        operation=case.operation,
        layers="-".join(map(str, sizes)),
        batch_size=case.workload.batch_size,
        dtype=case.workload.dtype,
        implementation=case.implementation,
        device=case.device,
        transfer=case.transfer,
        quality=row.quality.level,
        quality_reason=row.quality.why,
        gradient_error=row.gate["error"],
        gradient_bound=row.gate["bound"],
    )
    benchmark.pedantic(lambda: None, rounds=len(replay.samples), iterations=1)
