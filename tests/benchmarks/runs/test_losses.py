"""What somebody takes away, or a full disk, costs no result and is no success."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge import main as judge
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import JournalWriter, read
from samegrad.benchmarks.runs import speed
from samegrad.benchmarks.runs.budget import Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.run import Progress, Run
from samegrad.benchmarks.runs.session import Resumed
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.spec import MLPSpec
from tests.benchmarks.runs.test_resume import OPTIONS, RUN
from tests.benchmarks.test_command import pytest_run


def removed(path: Path) -> None:
    """The folder of a journal."""
    shutil.rmtree(path.parent)


def cut(path: Path) -> None:
    """In the middle of its first line."""
    os.truncate(path, 20)


def replaced(path: Path) -> None:
    """By another one, of the same length."""
    text = path.read_bytes()
    path.unlink()
    path.write_bytes(text.replace(b"f", b"g"))


def test_journal_of_a_long_name_goes_on_elsewhere_too(tmp_path: Path) -> None:
    """Names have 255 bytes at most."""
    path = tmp_path / ("é" * 125) / "journal.jsonl"
    with closing(JournalWriter(path)) as writer:
        removed(path)
        writer.append(RUN)
        assert read(writer.path).run == RUN and path != writer.path


@pytest.mark.parametrize("change", [removed, cut, replaced])
@pytest.mark.parametrize("resume", [False, True])
def test_journal_that_somebody_takes_away_goes_on_elsewhere(
    change: Callable[[Path], None], resume: bool, tmp_path: Path
) -> None:
    """Whole, beside the old folder; what is there is left as it is."""
    path = tmp_path / "run" / "journal.jsonl"
    with closing(JournalWriter(path)) as writer:
        writer.append(RUN)
        if resume:
            writer.close()
            writer = JournalWriter(path, resume=True)
        change(path)
        left = path.read_bytes() if path.exists() else None
        writer.append({"record": "resumed", "at": "now"})
        writer.append({"record": "run_complete"})
        writer.close()

    assert path != writer.path and tmp_path == writer.path.parents[1]
    journal = read(writer.path)
    assert RUN == journal.run and journal.complete and [] == journal.warnings
    assert left == (path.read_bytes() if path.exists() else None)


def test_journal_goes_on_where_the_current_folder_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder for temporary files, which is there always."""
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")
    writer = JournalWriter(Path("run/journal.jsonl"))
    writer.append(RUN)
    shutil.rmtree(tmp_path / "here")

    writer.append({"record": "run_complete"})
    writer.close()

    assert tmp_path / "temporary" == writer.path.parents[1]
    assert read(writer.path).complete


class Removes(Progress):
    """Removes the folder of a run at the first step."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[str] = []

    def done(self, seconds: float) -> None:
        """One of them."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def say(self, line: str) -> None:
        """Of what a run tells."""
        self.lines.append(line)


def small_run(tmp_path: Path, progress: Progress) -> Run:
    """Two cases of NumPy that are about to be measured."""
    cases = [
        Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), operation, "numpy")
        for operation in ("forward", "train_step")
    ]
    capability = Capabilities("numpy", "numpy", cost_models={"cpu": CostModel(1e-4, 0.0, 1e9, 1.0)})
    settings = RunSettings(None, 0.01, 0.0, ceilings=False)
    directory = tmp_path / "run"
    return Run(
        Budget(cases), {"numpy": capability}, directory, settings, progress=progress, about={}
    )


def test_run_whose_folder_is_removed_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """At the next record; the report would be written beside the new journal."""
    progress = Removes(tmp_path / "run")
    run = small_run(tmp_path, progress)
    speed.execute(run)

    (line,) = [line for line in progress.lines if "journal" in line]
    assert f"nothing of it is lost: the run goes on in {run.directory}" in line
    journal = read(run.directory / "journal.jsonl")
    assert journal.complete and ["ok", "ok"] == [row.status for row in rows.rows(journal)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(28, "No space left on device"), "crashed"),
        (MemoryError("Unable to allocate"), "out_of_memory"),
    ],
    ids=["disk", "memory"],
)
def test_rows_whose_inputs_did_not_fit_fail_and_can_be_tried_again(
    error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the disk, or into memory; not "unavailable", which nobody would notice."""

    def full(*_: Any) -> str:
        raise error

    monkeypatch.setattr(inputs, "save", full)
    sent: list[dict[str, Any]] = []
    workload = MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64)
    request = {"workloads": [workload.to_dict()], "directory": str(tmp_path), "seed": 0}
    judge.prepare(request, sent.append)

    def run_child(*arguments: Any, **_: Any) -> processes.Exit:
        for message in sent:
            arguments[3](dict(message))
        return processes.Exit("ok", "")

    monkeypatch.setattr(processes, "run_child", run_child)
    run = small_run(tmp_path, Progress())
    speed.execute(run)

    assert {(status, f"{type(error).__name__}: {error}")} == {
        (row.status, row.reason) for row in rows.rows(run.journal)
    }
    assert 2 == len(Resumed(run.directory, run.journal, parse(), run.settings).failed())


def test_report_that_cannot_be_written_is_said_and_is_no_success(tmp_path: Path) -> None:
    """The journal is kept, and how to go on is said."""
    mine, out = tmp_path / "mine.py", tmp_path / "run"
    mine.write_text(
        "from samegrad.implementations.mlp_numpy import *\nimport pathlib\n"
        f"pathlib.Path({str(out)!r}, 'figures').touch()\n"
    )
    options = [*OPTIONS[:4], "--batch-size=4", f"--implementation={mine}"]

    done = pytest_run("--benchmark", *options, "--output", str(out))

    assert 1 == done.returncode and "Traceback" not in done.stdout + done.stderr
    assert (
        f"no report: {out}/figures: cannot be written: File exists; journal: {out}" in done.stdout
    )
    assert f"once that is mended: python -m samegrad render {out}" in done.stdout.replace(
        commands.command(), "python -m samegrad"
    )
    assert read(out / "journal.jsonl").complete
