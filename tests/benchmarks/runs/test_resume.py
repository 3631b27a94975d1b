"""Nothing lost: killed runs go on, failures can be tried again, a full disk is said."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import JournalWriter, read
from samegrad.benchmarks.records.quality import WITHOUT_FAULT
from samegrad.benchmarks.runs import directories, scheduler, speed
from samegrad.benchmarks.runs.budget import Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.run import Progress, Run
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.render import render
from tests.benchmarks.test_command import pytest_run
from tests.helpers.no_report import NO_REPORT
from tests.helpers.quiet_machine import QUIET_MACHINE

OPTIONS = (
    "--preset hello --layers 6-4-3 --batch-size 4,8 --implementation numpy,scalar_fast".split()
)


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    """A run in a process group of its own, without its report."""
    options = ["--benchmark", "--benchmark-quiet", *NO_REPORT, *QUIET_MACHINE]
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def shape(directory: Path) -> list[Any]:
    """Everything that a report says of the rows but their samples."""
    journal = read(directory / "journal.jsonl")
    assert journal.complete
    return [
        (r.case.id, r.status, r.reason, len(r.process_medians), r.code, r.inputs)
        for r in rows.rows(journal)
    ]


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.full)])
def test_run_that_is_killed_at_random_goes_on_and_loses_no_completed_row(
    tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL of the parent at moments drawn at random; then to its end.

    What the numbers are worth is the machine's doing, and no part of what the reports share.
    """
    monkeypatch.setattr(rows, "quality", lambda *_, **__: WITHOUT_FAULT)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert 0 == start(*OPTIONS, "--output", str(whole)).wait(180)
    rng = random.Random(4)
    arguments = [*OPTIONS, "--output", str(killed)]
    kept: list[str] = []
    for _ in range(times):
        run = start(*arguments)
        _until_something_is_there(killed / "journal.jsonl", len(kept))
        time.sleep(rng.uniform(0.0, 1.0))
        os.kill(run.pid, signal.SIGKILL)
        run.wait(20)
        lines = (killed / "journal.jsonl").read_text().splitlines()
        done = [line for line in lines if '"record": "outcome"' in line and line.endswith("}")]
        assert kept == done[: len(kept)]
        kept = done
        arguments = [f"--resume={killed}"]
        if read(killed / "journal.jsonl").complete:
            break

    if not read(killed / "journal.jsonl").complete:
        assert 0 == start(f"--resume={killed}").wait(180)

    for directory in (whole, killed):
        render([directory / "journal.jsonl"], directory)

    assert shape(whole) == shape(killed)
    outcomes = [
        (c.id, o["process"], o["repetition"]) for c, o in read(killed / "journal.jsonl").outcomes
    ]
    assert len(set(outcomes)) == len(outcomes)  # nothing was measured twice
    reports = [_without_samples((d / "report.md").read_text()) for d in (whole, killed)]
    assert reports[0] == reports[1]


def _until_something_is_there(path: Path, before: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().count('"record": "outcome"') > before:
            return
        time.sleep(0.05)
    raise AssertionError("the run has written nothing")


def _without_samples(text: str) -> list[str]:
    """Headings, and what stands in the first cells of the tables; no answers from the times."""
    kept = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        kept.append(" | ".join(cells[:2]) if line.startswith("|") else line[:12])
    return [line for line in kept if not line.startswith((" | ---", " | :--", " | load", "- **"))]


def test_what_failed_is_tried_again_on_demand(tmp_path: Path) -> None:
    """--retry-failed repeats the failed cases and no others."""
    switch = tmp_path / "mended"
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import os\nfrom samegrad.implementations import mlp_numpy\n"
        "from samegrad.implementations.mlp_numpy import *\n"
        "def forward(*a, **k):\n"
        f"    if not os.path.exists({str(switch)!r}):\n        raise MemoryError('no room')\n"
        "    return mlp_numpy.forward(*a, **k)\n"
    )
    run = tmp_path / "run"
    options = [*OPTIONS[:4], "--batch-size=4", f"--implementation={mine}"]

    first = pytest_run("--benchmark", *NO_REPORT, *options, "--output", str(run))
    before = read(run / "journal.jsonl")
    nothing = pytest_run("--benchmark", f"--resume={run}")
    switch.write_text("")
    again = [*NO_REPORT, *QUIET_MACHINE, f"--resume={run}", "--retry-failed"]
    second = pytest_run("--benchmark", *again)
    after = read(run / "journal.jsonl")

    assert 1 == first.returncode and "out_of_memory: MemoryError: no room" in first.stdout
    assert 4 == nothing.returncode
    assert "nothing is left to measure: it came to its end; --retry-failed" in nothing.stderr
    assert 0 == second.returncode, second.stdout + second.stderr
    assert {"ok"} == {row.status for row in rows.rows(after)}
    good = [o for _, o in before.outcomes if o["status"] == "ok"]
    assert good == [o for _, o in after.outcomes][: len(good)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume=nowhere"], "--resume nowhere: no such run; give its directory"),
        (["--resume=RUN", "--preset", "hello"], "--preset: a resumed run keeps the options"),
        (["--retry-failed"], "--retry-failed goes with --resume RUN"),
        (["--resume=RUN"], "it is of another machine (fingerprint"),
        (["--resume=OLD"], "the journal does not say how to go on"),
        (["--resume=TEXT"], "not a samegrad journal"),
    ],
)
def test_run_that_cannot_go_on_says_why(arguments: list[str], message: str, tmp_path: Path) -> None:
    """In one line, before anything is measured."""
    example = ROOT / "reports" / "results" / "differentiation" / "journal.jsonl"
    lines = example.read_text().splitlines()
    made = ("RUN", "OLD", "TEXT")
    for name in made:
        (tmp_path / name).mkdir()
    other = '"settings": {"seconds": 9, "block_seconds": 0.1}, "options": {}, "fingerprint": "x", '
    run = lines[0].replace('"fingerprint":', other + '"was":')
    (tmp_path / "RUN" / "journal.jsonl").write_text("\n".join([run, *lines[1:]]))
    (tmp_path / "OLD" / "journal.jsonl").write_text("\n".join(_schema_1(lines)))
    (tmp_path / "TEXT" / "journal.jsonl").write_text("hello\n")
    replaced = [a.replace("=", f"={tmp_path}/") if a[9:] in made else a for a in arguments]

    done = pytest_run("--benchmark", *replaced)

    assert 4 == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def _schema_1(lines: list[str]) -> list[str]:
    import json

    run = json.loads(lines[0])
    for name in ("options", "settings"):
        run.pop(name, None)
    return [json.dumps(run | {"schema": 1}), *lines[1:]]


class Interrupts(Progress):
    """Ctrl-C after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def done(self, seconds: float) -> None:
        """One of them."""
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.full  # half a minute; kills at random moments, below, go the same ways
def test_processes_and_ceilings_of_an_interrupted_run_are_made_up_for(tmp_path: Path) -> None:
    """Three processes, interrupted in the second: each case has three samples in the end."""
    cases = [
        Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), operation, "numpy")
        for operation in ("forward", "loss_and_grad", "train_step")
    ]
    model = CostModel(1e-4, 0.0, 1e9, 1.0)
    capability = Capabilities("numpy", "numpy", cost_models={"cpu": model})

    def run(progress: Progress, resume: Any = None) -> None:
        planned = Budget(cases, processes=3)
        settings = RunSettings(None, 0.01, 0.0)
        speed.execute(
            Run(
                planned,
                {"numpy": capability},
                tmp_path / "run",
                settings,
                interpreters={},
                progress=progress,
                about={},
                resume=resume,
            )
        )

    with pytest.raises(KeyboardInterrupt):
        run(Interrupts(5))
    partial = read(tmp_path / "run" / "journal.jsonl")
    run(Progress(), partial)

    whole = read(tmp_path / "run" / "journal.jsonl")
    assert not partial.complete or not [r for r in rows.rows(partial) if r.status != "ok"]
    assert whole.complete
    assert [3, 3, 3] == [len(row.process_medians) for row in rows.rows(whole)]
    first = [(c.id, o["process"]) for c, o in whole.outcomes if o["repetition"] == 0]
    assert 9 == len(first) == len(set(first))
    looked = {r["process"] for r in whole.ceilings if r["implementation"] == "numpy"}
    assert {0, 1, 2} == looked


def test_what_was_not_proved_is_measured_again(tmp_path: Path) -> None:
    """Its results are gone with the process; numbers of repetitions go on."""
    case = Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), "forward", "numpy")
    other = Case(case.workload, "train_step", "numpy")
    model = CostModel(1e-4, 0.0, 1e9, 1.0)
    capability = Capabilities("numpy", "numpy", cost_models={"cpu": model})

    def run(resume: Any = None) -> Any:
        planned = Budget([case, other], processes=1)
        settings = RunSettings(None, 0.01, 0.0, ceilings=False)
        made = Run(
            planned,
            {"numpy": capability},
            tmp_path / "run",
            settings,
            interpreters={},
            about={},
            resume=resume,
        )
        speed.execute(made)
        return read(tmp_path / "run" / "journal.jsonl")

    whole = run()
    path = tmp_path / "run" / "journal.jsonl"
    lines = path.read_text().splitlines()
    lost = f'"operation": "{case.operation}"'
    gone = [line for line in lines if '"record": "proof"' in line and lost in line]
    left = [line for line in lines if line not in gone and "run_complete" not in line]
    path.write_text("\n".join(left) + "\n")
    killed = {row.status for row in rows.rows(read(path))}
    resumed = run(read(path))

    assert gone and {"not_run", "ok"} == killed
    assert {"ok"} == {row.status for row in rows.rows(resumed)}
    numbers = {
        c.operation: [o["repetition"] for d, o in resumed.outcomes if c == d] for c in (case, other)
    }
    before = sum(c == case for c, _ in whole.outcomes)
    assert list(range(len(numbers["forward"]))) == numbers["forward"]
    assert len(numbers["forward"]) > before
    proved = {proof["repetition"] for proof in resumed.proofs[case.id]}
    assert min(proved) >= before


def test_other_code_is_not_resumed(tmp_path: Path) -> None:
    """The samples would be of two programs."""
    mine = tmp_path / "mine.py"
    mine.write_text("from samegrad.implementations.mlp_numpy import *\n")
    options = [*OPTIONS[:4], "--batch-size=4", f"--implementation={mine}"]
    options += [*NO_REPORT, *QUIET_MACHINE, "--output", str(tmp_path / "run")]
    assert 0 == pytest_run("--benchmark", *options).returncode
    path = tmp_path / "run" / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "run_complete" not in line) + "\n")
    mine.write_text("from samegrad.implementations.mlp_numpy import *\n# faster\n")

    done = pytest_run("--benchmark", f"--resume={tmp_path / 'run'}")

    assert 4 == done.returncode
    assert "the code of mine has changed since the run began" in done.stderr


RUN = {"record": "run", "schema": 2, "run": "r", "machine": {}, "fingerprint": "f"}


def test_torn_line_is_cut_off_before_the_run_goes_on(tmp_path: Path) -> None:
    """What was being written when the run died costs that record only."""
    path = tmp_path / "journal.jsonl"
    with closing(JournalWriter(path)) as writer:
        writer.append(RUN)
    path.write_text(path.read_text() + '{"record": "run_comp')

    with closing(JournalWriter(path, resume=True)) as writer:
        writer.append({"record": "run_complete"})

    journal = read(path)
    assert journal.complete and [] == journal.warnings


def test_run_that_is_being_written_cannot_be_resumed(tmp_path: Path) -> None:
    """By another process, or by this one."""
    path = tmp_path / "journal.jsonl"
    with (
        closing(JournalWriter(path)),
        pytest.raises(ValueError, match="another process is writing this run"),
    ):
        JournalWriter(path, resume=True)


def test_record_that_does_not_fit_on_the_disk_is_said_and_leaves_whole_lines(
    tmp_path: Path,
) -> None:
    """With what was saved and how to go on; the journal can be read."""
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from samegrad.benchmarks.records.journal import JournalWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = JournalWriter(Path(sys.argv[1]))\n"
        f"writer.append({RUN!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "source = {'record': 'source', 'path': 'p', 'sha256': 's', 'text': 'x' * 5000}\n"
        "try:\n    writer.append(source)\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    path = tmp_path / "journal.jsonl"

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True
    )

    assert "File too large; 0 outcomes are saved: make room, then " in done.stdout
    assert f" benchmark --resume={tmp_path}" in done.stdout
    assert [] == read(path).warnings


def test_run_without_room_on_the_disk_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A journal needs some of it."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))

    with pytest.raises(ValueError, match="0 MiB of disk are free, a run needs 64"):
        directories.check_writable(tmp_path)


def test_two_runs_that_begin_at_once_get_directories_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the same second."""
    monkeypatch.setattr(directories, "output_base", lambda: tmp_path)

    names = {directories.run_directory(None).name for _ in range(3)}

    assert 3 == len(names)


def test_second_run_on_a_machine_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both go on; both numbers suffer."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # nobody else's runs

    with directories.noticed() as first, directories.noticed() as second:
        assert (True, False) == (first, second)


def test_larger_sizes_of_what_timed_out_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the reason; other operations and smaller sizes run."""
    monkeypatch.setattr(scheduler, "CASE_SECONDS", 1.0)
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import time\nfrom samegrad.implementations import mlp_numpy\n"
        "from samegrad.implementations.mlp_numpy import *\n"
        "def train_step(spec, params, state, X, *rest):\n"
        "    if len(X) >= 8:\n        time.sleep(600)\n"
        "    return mlp_numpy.train_step(spec, params, state, X, *rest)\n"
    )
    cases = [
        Case(MLPWorkload("own", MLPSpec((6, 4, 3)), batch, 128), operation, "mine")
        for batch in (16, 8, 4)  # the order of the plan says nothing
        for operation in ("forward", "train_step")
    ]
    model = CostModel(1e-4, 0.0, 1e9, 1.0)
    capability = Capabilities(str(mine), "mine", cost_models={"cpu": model})
    run = Run(
        Budget(cases, processes=1),
        {"mine": capability},
        tmp_path / "run",
        RunSettings(None, 0.01, 0.0, ceilings=False),
        interpreters={},
        progress=Progress(),
        about={},
    )
    speed.execute(run)

    rows_by_size = {
        (r.case.workload.batch_size, r.case.operation): r for r in rows.rows(run.journal)
    }
    assert {"ok"} == {rows_by_size[b, "forward"].status for b in (4, 8, 16)}
    assert ["ok", "timeout", "skipped"] == [
        rows_by_size[b, "train_step"].status for b in (4, 8, 16)
    ]
    assert rows_by_size[16, "train_step"].reason.startswith(
        "a smaller size timed out: own-train_step"
    )
