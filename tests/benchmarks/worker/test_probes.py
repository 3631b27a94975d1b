"""Probes: each that an implementation has is answered; a run commits before it measures."""

import json
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.probes import probes
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.runs import budget, capabilities, speed
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.worker import probes as worker_probes
from samegrad.implementations.contract.spec import MLPSpec


def answered(name: str) -> list[int]:
    """The numbers of the probes that an implementation has answered with a time."""
    sent: list[dict[str, Any]] = []
    cases = [case.to_dict() for case in probes(WorkerSpec("numpy")) if case.flops < 1e6]
    worker_probes.answer({"implementation": name, "cases": cases}, sent.append)
    assert len(cases) == sum("begin" in message for message in sent)
    assert all(message["seconds"] > 0 for message in sent if "probe" in message)
    return [message["probe"] for message in sent if "probe" in message]


def test_probes_are_answered_as_far_as_an_implementation_has_them(tmp_path: Path) -> None:
    """A file of a gradient alone has no products."""
    mine = tmp_path / "mine.py"
    mine.write_text("from samegrad.implementations.mlp_numpy import forward, loss_and_grad\n")

    whole, part = answered("numpy"), answered(str(mine))

    assert list(range(10)) == whole
    assert set(part) < set(whole) and part


def test_run_commits_to_predictions_before_it_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every row that is not looped; in the order of the journal's lines."""
    monkeypatch.setattr(speed, "LEAST_TO_PREDICT", 0.0)
    available = capabilities.find(["numpy", "scalar"], ["cpu"], {})
    workload = MLPWorkload("measured", MLPSpec((6, 5, 3)), 8, 128)
    cases = [Case(workload, "train_step", name) for name in ("numpy", "scalar")]
    made = budget.make(cases, capabilities.cost_models(available), {}, 1, 5.0, 0.01)
    settings = budget.RunSettings(5.0, 0.01)
    speed.execute(Run(made, available, tmp_path / "run", settings, about={}))

    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    kinds = [record["record"] for record in records]
    (said,) = (record for record in records if record["record"] == "predictions")
    assert [cases[0].id] == list(said["seconds"])
    assert kinds.index("probe") < kinds.index("predictions") < kinds.index("outcome")
