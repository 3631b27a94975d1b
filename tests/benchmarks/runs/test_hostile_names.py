"""Names of a journal that is resumed become no paths, and no programs that came with it."""

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.judge.main import prepare
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import session
from samegrad.benchmarks.training.run import Trainings
from tests.helpers.journals import CASE, plan_record, run_record, write
from tests.helpers.reports import F64, NUMPY

OWNED = f"{tempfile.gettempdir()}/samegrad-owned"  # anybody may write there
NAMES = ("../../owned", OWNED, "a\0b", "caf\udce9", "x" * 5000, "..", "", "\x1b[2J")


@pytest.mark.parametrize("name", NAMES)
def test_inputs_of_any_name_are_written_in_the_scratch_folder(name: str, tmp_path: Path) -> None:
    """And read again; nothing is written beside it."""
    scratch = tmp_path / "a" / "b" / "scratch"
    workload = replace(F64, name=name)
    said: list[dict[str, Any]] = []
    request = {"directory": str(scratch), "workloads": [workload.to_dict()], "seed": 0}

    prepare(request, said.append)

    assert [{"begin": workload.id}] == said[:1] and "sha256" in said[1], said
    assert (16 * 32, 64) == inputs.load(scratch, workload).X.shape
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 2 == len(written) and {scratch} == {path.parent for path in written}
    assert not Path(f"{OWNED}-batch32-float64.npz").exists()


@pytest.mark.parametrize("name", NAMES)
def test_training_of_a_name_that_is_no_task_is_refused(name: str, tmp_path: Path) -> None:
    """Before a file is named after it."""
    run = SimpleNamespace(
        budget=SimpleNamespace(cases=[replace(NUMPY, workload=replace(F64, name=name))])
    )

    with pytest.raises(ValueError, match="there is no task"):
        Trainings(run, SimpleNamespace(), tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"python": "numpy={run}/evil.sh"}, {"implementation": "numpy,{run}/../{name}/evil.py:net"}],
    ids=["interpreter", "file"],
)
def test_program_that_came_with_a_journal_is_not_run(
    options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forges the fingerprint of this machine has a folder, not this machine."""
    run, ran = tmp_path / "run", tmp_path / "ran"
    run.mkdir()
    options = {key: text.format(run=run, name=run.name) for key, text in options.items()}
    write(run / "journal.jsonl", run_record(options=options, settings={}), plan_record(CASE))
    (run / "evil.sh").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (run / "evil.sh").chmod(0o755)
    monkeypatch.setattr(system, "fingerprint", lambda _: run_record()["fingerprint"])

    with pytest.raises(ValueError, match="lies in its own folder, of which nothing is run"):
        session.load(str(run), retry_failed=False)

    assert not ran.exists()
