"""Reports of trainings: of whatever tasks were trained, and whatever pictures a journal holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt

from samegrad.benchmarks.machine.system import ROOT
from samegrad.reports.document.learning import learning
from tests.helpers.reports import report_of

MEASURED = ROOT / "reports" / "results" / "training" / "journal.jsonl"


def task_of(record: dict[str, Any]) -> str | None:
    """The task that a record is about."""
    workload = record.get("case", {}).get("workload", {}).get("name")
    return record.get("task") or workload or record.get("workload")


@pytest.fixture(scope="module")
def measured() -> list[dict[str, Any]]:
    """The records of a run of every task."""
    return [json.loads(line) for line in MEASURED.read_text().splitlines()]


@pytest.fixture
def journal(tmp_path: Path, measured: list[dict[str, Any]]) -> Any:
    """Writes the journal of a run of some tasks."""

    def write(*tasks: str) -> Path:
        path = tmp_path / "journal.jsonl"
        kept = [record for record in measured if task_of(record) in (None, *tasks)]
        path.write_text("".join(json.dumps(record) + "\n" for record in kept))
        return path

    return write


@pytest.fixture
def drawn() -> Iterator[Any]:
    """Makes the chapter about a journal, and gives the names of its charts."""

    def draw(path: Path) -> set[str]:
        return {one.name for one in learning(report_of(path)).charts}

    yield draw
    plt.close("all")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("approximation_8", {"function_fits"}),  # of a series: without curves of its own
        pytest.param(
            "perceptron", {"learning_curves", "spread_over_seeds"}, marks=pytest.mark.full
        ),
        pytest.param(
            "overfit", {"learning_curves", "spread_over_seeds", "overfitting"},
            marks=pytest.mark.full,
        ),
        pytest.param(
            "titanic", {"learning_curves", "spread_over_seeds", "time_to_target"},
            marks=pytest.mark.full,
        ),
    ],
)  # fmt: skip
def test_task_alone_has_a_report(task: str, expected: set[str], journal: Any, drawn: Any) -> None:
    """Of what it has: curves, a target, a picture."""
    assert expected <= drawn(journal(task))
