"""A fleet: each machine's run comes home, what dies is resumed, what is lost is named."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.fleet import folder as folders
from samegrad.benchmarks.fleet import jobs as job_module
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import fleets, rows
from samegrad.benchmarks.records.journal import read
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.runs import directories
from samegrad.cli import fleet, main
from samegrad.implementations.contract import commands
from tests.helpers import no_figures
from tests.helpers.archives import journal, records
from tests.helpers.no_report import NO_REPORT

RUN = [
    *("--preset", "hello", "--layers", "6-4-3", "--batch-size", "4", "--processes", "2"),
    *("--implementation", "numpy", "--device", "cpu", "-k", "forward or train_step", *NO_REPORT),
]


def outcomes(path: Path) -> list[Any]:
    """Case, process, repetition and time of each outcome in a journal, in order."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    found = [record for record in map(json.loads, lines) if record["record"] == "outcome"]
    return [(r["case"], r.get("process"), r.get("repetition"), r.get("elapsed_ns")) for r in found]


def writer(path: Path) -> int:
    """The process that has a journal open, or 0."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if path.exists() and link.resolve() == path:
                return int(link.parts[2])
    return 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_machine_that_is_killed_is_resumed_and_loses_at_most_one_case(tmp_path: Path) -> None:
    """Two local machines, one killed in the midst: both are in the report, all of it unusable."""
    pytest.importorskip("submitit", reason="the extra fleet is not installed")
    place, killed = tmp_path / "f", tmp_path / "f" / "machines" / "1" / "journal.jsonl"
    command = [sys.executable, "-m", "samegrad", "fleet", "benchmark", "--local", "2"]
    with (tmp_path / "printed").open("w") as printed:
        child = subprocess.Popen(
            [*command, "--folder", str(place), *RUN],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=printed,
            stderr=printed,
        )
    deadline = time.monotonic() + 120
    while child.poll() is None and not (outcomes(killed) and writer(killed)):
        assert time.monotonic() < deadline, (tmp_path / "printed").read_text()
        time.sleep(0.02)
    os.kill(writer(killed), signal.SIGKILL)
    before = outcomes(killed)
    status = child.wait(240)

    said = (tmp_path / "printed").read_text()
    assert 1 == status and "Traceback" not in said, said
    assert "no row has a usable number (4 unusable); the exit status is 1\nreport: " in said
    assert "machine 1: its process was ended; it is tried again" in said
    assert before and before == outcomes(killed)[: len(before)]
    assert b'"resumed"' in killed.read_bytes()
    for path in sorted((place / "machines").glob("*/journal.jsonl")):
        made = rows.rows(run := read(path))
        assert run.complete and 2 == len(made)
        assert re.fullmatch(rf"\d{{8}}-\d{{6}}-f-{path.parent.name}", run.run["run"])
        assert {UNUSABLE} == {row.quality.level for row in made}
        assert all(row.quality.why.startswith("shared machine: 2 runs") for row in made)
    assert "shared machine" in (place / "report.md").read_text()
    assert 5 == len((place / "results.csv").read_text().splitlines())


# ---- what comes home ----


class FakeJob:
    """A job that has ended: what its function did, it has done."""

    def __init__(self, said: str) -> None:
        self.said = said


class FakeJobs:
    """Runs jobs at once, by a function of the test."""

    does: Any = None

    def __init__(self, folder: Path, slurm: Any) -> None:
        self.slurm = slurm

    def submit(self, _: Any, tasks: list[folders.Task]) -> list[FakeJob]:
        return [FakeJob(FakeJobs.does(task)) for task in tasks]

    def ended(self, _: FakeJob) -> bool:
        return True

    def said(self, job: FakeJob) -> str:
        return job.said

    def last_line(self, _: FakeJob) -> str:
        return "its last line"

    def end(self, _: Any) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeJobs]:
    """Jobs of the test instead of submitit's."""
    monkeypatch.setattr(job_module, "Jobs", FakeJobs)
    monkeypatch.setattr(fleet, "POLL_SECONDS", 0.0)
    monkeypatch.setattr("samegrad.reports.charts.chart.save", no_figures.save)
    monkeypatch.setitem(commands.EXTRAS, "fleet", {})
    return FakeJobs


def measured(task: folders.Task, **about: Any) -> str:
    """A whole run of that machine."""
    path, _ = folders.place(Path(task.folder), task.number)
    journal(path, name=f"r{task.number}", cpu=f"CPU {task.number}", **about)
    return ""


def test_lost_machines_are_named_and_the_same_command_goes_on(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason; the others are in the report, and are not measured again."""
    place, tasks = tmp_path / "f", list[int]()

    def does(task: folders.Task) -> str:
        tasks.append(task.number)
        return measured(task) if task.number != 2 else "its job ended: node_fail"

    fake.does = does
    command = ["fleet", "benchmark", "--slurm", "3", "--folder", str(place), "--tries", "2"]
    assert 1 == main(command)
    said = capsys.readouterr()
    assert [1, 2, 3, 2] == tasks
    assert "machine 2 is lost: its job ended: node_fail (0 values came home)" in said.err
    assert 7 == len((place / "results.csv").read_text().splitlines())

    fake.does = measured
    assert 0 == main(command)
    assert "lost" not in capsys.readouterr().err
    assert 10 == len((place / "results.csv").read_text().splitlines())
    assert 2 == main([*command, "--preset", "hello"])
    assert "it was begun with ``; give another folder, or these options" in capsys.readouterr().err


def test_machine_with_other_code_is_named_and_in_no_report(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """What most have is right."""
    fake.does = lambda task: measured(task, text="x = 2\n" if task.number == 1 else "x = 1\n")

    assert 1 == main(["fleet", "benchmark", "--slurm", "3", "--folder", str(tmp_path / "f")])

    said = capsys.readouterr()
    assert "machine 1 is not in the report: the code of numpy is" in said.err
    assert "CPU 1" not in (tmp_path / "f" / "results.csv").read_text()
    assert 7 == len((tmp_path / "f" / "results.csv").read_text().splitlines())


def test_fleet_without_a_usable_number_ends_with_1(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """As a run does; one machine with a number is enough."""
    command = ["fleet", "benchmark", "--slurm", "2", "--folder"]
    fake.does = lambda task: measured(task, shared="2 runs")

    assert 1 == main([*command, str(tmp_path / "none")])

    *_, nothing, report = capsys.readouterr().out.splitlines()
    assert nothing.startswith("no row has a usable number (") and report.startswith("report: ")
    fake.does = lambda task: measured(task, **({"shared": "2 runs"} if task.number == 1 else {}))
    assert 0 == main([*command, str(tmp_path / "one")])


def test_inputs_of_another_hash_are_named(tmp_path: Path) -> None:
    """Weights and examples are drawn on each machine."""
    known = {n: read(journal(tmp_path / str(n), name=f"r{n}")) for n in (1, 2, 3)}
    known[3].inputs = dict.fromkeys(known[3].inputs, "2" * 12)

    (line,) = folders.strangers(known).values()

    assert "the hash of the inputs of" in line and f"is {'2' * 12}" in line
    assert {} == folders.strangers({1: known[1], 2: known[2]})
    (line,) = folders.strangers({2: known[2], 3: known[3]}).values()
    assert "of machine 2" in line and line.endswith("which of them is right is not known")


def test_machine_that_is_not_that_of_its_facts_is_named(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """As an archive would: its rows would be another machine's."""

    def does(task: folders.Task) -> str:
        said = measured(task)
        path = Path(task.folder) / "machines" / "2" / "journal.jsonl"
        if task.number == 2:
            first, _, rest = path.read_text().partition("\n")
            about = json.loads(first) | {"fingerprint": "0" * 12}
            path.write_text(json.dumps(about) + "\n" + rest)
        return said

    fake.does = does
    assert 1 == main(["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f")])

    said = capsys.readouterr().err
    assert "machine 2 is not in the report: its machine's fingerprint is not that of" in said
    assert "CPU 2" not in (tmp_path / "f" / "results.csv").read_text()


def test_full_disk_is_said_before_any_job(
    tmp_path: Path,
    fake: type[FakeJobs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the option that a fleet has."""
    fake.does = pytest.fail
    monkeypatch.setattr(directories, "LEAST_FREE_BYTES", 2**80)

    assert 2 == main(["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f")])

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("make room, or give --folder on another disk")


def test_disk_that_fills_is_said_once_and_nothing_is_tried_again(
    tmp_path: Path,
    fake: type[FakeJobs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What came home stays, and is reported; once there is room the same command goes on."""
    place, tasks = tmp_path / "f", list[int]()

    def does(task: folders.Task) -> str:
        tasks.append(task.number)
        monkeypatch.setattr(directories, "LEAST_FREE_BYTES", 2**80)
        path, _ = folders.place(Path(task.folder), task.number)
        lines = records(f"r{task.number}", cpu=f"CPU {task.number}")[:-5]
        journal(path, *(one | {"repetition": 0} for one in lines))
        return "its process was ended"

    fake.does = does
    command = ["fleet", "benchmark", "--slurm", "2", "--folder", str(place)]
    assert 1 == main(command)
    said = capsys.readouterr()
    assert [1, 2] == tasks
    (once,) = [line for line in said.out.splitlines() if "tried again" in line]
    assert "MiB of disk are free, a run needs" in once and "once there is room" in once
    lost = [line for line in said.err.splitlines() if " is lost: " in line]
    assert 2 == len(lost) and all("a run needs" in line for line in lost)
    assert all(line.endswith("(6 values came home)") for line in lost)
    assert 5 <= len((place / "results.csv").read_text().splitlines())
    assert 2 == main(command)
    assert "make room" in capsys.readouterr().err

    monkeypatch.setattr(directories, "LEAST_FREE_BYTES", 0)
    fake.does = measured
    assert 0 == main(command)
    assert "lost" not in capsys.readouterr().err


def test_full_disk_of_one_machine_is_not_tried_again_and_others_are(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """By what its job has said, be it in a long line."""
    tasks = list[int]()

    def does(task: folders.Task) -> str:
        tasks.append(task.number)
        if task.number == 1:
            return "ERROR: runs/x: cannot be written: No space left on device; 3 outcomes are saved"
        return measured(task) if tasks.count(2) > 1 else "its job ended: node_fail"

    fake.does = does
    assert 1 == main(["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f")])

    said = capsys.readouterr()
    assert [1, 2, 2] == tasks
    full = "runs/x: cannot be written: No space left on device"
    assert f"machine 1: ERROR: {full}; its disk is full; it is not tried again\n" in said.out
    assert f"machine 1 is lost: ERROR: {full} (0 values came home)" in said.err
    assert 4 == len((tmp_path / "f" / "results.csv").read_text().splitlines())


def test_report_that_cannot_be_written_is_a_line_beside_the_others(
    tmp_path: Path,
    fake: type[FakeJobs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is lost is said still."""

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device", "results.csv")

    fake.does = lambda task: measured(task) if task.number == 1 else "its job ended: node_fail"
    command = ["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f")]
    with monkeypatch.context() as patched:
        patched.setattr("samegrad.reports.render.render", full)
        assert 1 == main(command)

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("no report: results.csv: No space left on device; ")
    assert "machine 2 is lost: its job ended: node_fail" in second
    fake.does = measured
    assert 0 == main(command)


def test_jobs_that_cannot_be_begun_again_are_lost_and_the_others_go_on(
    tmp_path: Path,
    fake: type[FakeJobs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whom nobody could submit at all ends the command."""
    submit, seen = FakeJobs.submit, list[int]()

    def refused(self: FakeJobs, function: Any, tasks: list[folders.Task]) -> list[FakeJob]:
        seen.append(len(tasks))
        if len(seen) > 1:
            raise ValueError("--slurm: sbatch: error: invalid account")
        return submit(self, function, tasks)

    monkeypatch.setattr(FakeJobs, "submit", refused)
    fake.does = lambda task: measured(task) if task.number == 1 else "its job ended: node_fail"
    command = ["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f")]

    assert 1 == main(command)

    said = capsys.readouterr().err
    assert [2, 1] == seen
    assert "machine 2 is lost: no job can be begun: --slurm: sbatch: error: invalid acc" in said
    assert 2 == main(command)
    assert "sbatch: error: invalid account" in capsys.readouterr().err


def test_what_is_complete_is_said_with_its_values(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the processes that a run has in the end, not of those that it began with."""

    def does(task: folders.Task) -> str:
        path, _ = folders.place(tmp_path / "f", task.number)
        *lines, end = records("r1")
        lines = [one | {"repetition": 0} for one in lines if not one.get("process")]
        journal(path, *lines, {"record": "processes", "processes": 1}, end)
        assert (3, 3) == folders.progress(path)
        return ""

    fake.does = does

    assert 0 == main(["fleet", "benchmark", "--slurm", "1", "--folder", str(tmp_path / "f")])

    assert "machine 1: complete, 3 values\n" in capsys.readouterr().out


def test_fleets_in_folders_of_one_name_have_runs_of_different_names(tmp_path: Path) -> None:
    """By when they began; a folder that is named by its time has it once."""
    known = {}
    for number, name in enumerate(("a/fleet", "b/fleet", "20260102-000000-fleet", "old/fleet")):
        folders.begin(tmp_path / name, [], 2)
        about = json.loads((tmp_path / name / "fleet.json").read_text())
        assert 2 == about["machines"] and re.fullmatch(r"\d{8}-\d{6}", about.pop("began"))
        if "old" not in name:
            about["began"] = f"20260101-00000{number}"
        (tmp_path / name / "fleet.json").write_text(json.dumps(about))
        known[name] = directories.name(tmp_path / name / "machines" / "2-2")

    assert {
        "a/fleet": "20260101-000000-fleet-2-2",
        "b/fleet": "20260101-000001-fleet-2-2",
        "20260102-000000-fleet": "20260102-000000-fleet-2-2",
        "old/fleet": "fleet-2-2",  # of an earlier version
    } == known
    assert "2" == directories.name(tmp_path / "nowhere" / "machines" / "2")


def test_the_most_machines_of_a_fleet_are_kept(tmp_path: Path) -> None:
    """Of several commands; what they lack is known, be the file one of an earlier version."""
    for count in (2, 3, 1):
        folders.begin(tmp_path / "f", [], count)
    journal(tmp_path / "f" / "machines" / "2-2")

    assert [1, 3] == fleets.absent(tmp_path / "f")

    for text in ("{}", "x", "[]", '{"machines": "9"}'):
        (tmp_path / "f" / "fleet.json").write_text(text)
        assert [1] == fleets.absent(tmp_path / "f")


def test_progress_has_a_total(
    tmp_path: Path,
    fake: type[FakeJobs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of each machine and of all; those that have no plan yet are taken to be like the others."""
    monkeypatch.setattr(fleet, "SAY_SECONDS", 0.0)
    polls = list[int]()
    monkeypatch.setattr(FakeJobs, "ended", lambda *_: len(polls) > 2)

    def slept(_: float) -> None:
        polls.append(1)
        if len(polls) == 1:
            path, _ = folders.place(tmp_path / "f", 1)
            lines = records("r1", cpu="CPU 1")
            first = [one | {"repetition": 0} for one in lines if one["record"] == "outcome"]
            others = [one for one in lines if one["record"] != "outcome"][:-1]
            again, lost = first[0] | {"repetition": 1}, first[-1] | {"status": "crashed"}
            del lost["repetition"]
            journal(path, *others, *first[:2], again, lost)

    monkeypatch.setattr("time.sleep", slept)
    monkeypatch.setattr(fleet, "_check", lambda _: None)  # whose wait for a child sleeps, too
    fake.does = lambda _: "its job ended: node_fail"
    command = ["fleet", "benchmark", "--slurm", "2", "--folder", str(tmp_path / "f"), "--tries=1"]
    assert 1 == main(command)

    said = [one for one in capsys.readouterr().out.splitlines() if "so far" in one]
    # Two processes of three cases, of which one has no number; a run may yet have fewer processes.
    assert ["values so far: 2 of about 8 (machine 1: 2 of 4, ...)"] == said
    assert (0, 0) == folders.progress(tmp_path) == folders.progress(tmp_path / "nowhere")


def test_unknown_option_of_slurm_is_one_line_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of submitit's names, of which there are dozens."""
    pytest.importorskip("submitit", reason="the extra fleet is not installed")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")

    with pytest.raises(ValueError, match="partitio") as error:
        job_module.Jobs(tmp_path, {"partitio": "x"})

    assert str(error.value).endswith("; did you mean 'partition'?") and len(str(error.value)) < 120


def test_fewer_machines_than_a_fleet_has_are_refused(
    tmp_path: Path, fake: type[FakeJobs], capsys: pytest.CaptureFixture[str]
) -> None:
    """The report would lack what was measured."""
    fake.does = measured
    place = ["--folder", str(tmp_path / "f")]
    assert 0 == main(["fleet", "benchmark", "--slurm", "2", *place])
    before = (tmp_path / "f" / "results.csv").read_bytes()
    capsys.readouterr()

    assert 2 == main(["fleet", "benchmark", "--slurm", "1", *place])

    (line,) = capsys.readouterr().err.splitlines()
    assert "has runs of 2 machines" in line and "give --slurm 2" in line
    assert before == (tmp_path / "f" / "results.csv").read_bytes()


# ---- in a job ----


def task(folder: Path, **changes: Any) -> folders.Task:
    """What a job is told."""
    made = folders.Task(str(folder), 1, str(Path.cwd()), (), folders.code())
    return replace(made, **changes)


def test_job_measures_nothing_without_the_folder_or_with_other_code(tmp_path: Path) -> None:
    """It says which machine has what."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert "give --folder on a disk that all machines see" in fleet.measure(task(tmp_path))
        folders.begin(tmp_path, [])
        said = fleet.measure(task(tmp_path, code="0" * 12))
    finally:
        signal.signal(signal.SIGTERM, handler)

    assert f"is not that of the fleet ({folders.code()}, {'0' * 12})" in said
    assert not (tmp_path / "machines").exists()


def test_run_goes_on_on_such_a_machine_and_begins_anew_on_another(tmp_path: Path) -> None:
    """Samples of two machines are never one row's."""
    own = tmp_path / "machines" / "1"
    assert (own, False) == folders.place(tmp_path, 1)
    here = system.machine()
    lines = records(**here)
    lines[0] |= {"machine": here, "fingerprint": system.fingerprint(here)}
    journal(own, *lines)

    assert (own, True) == folders.place(tmp_path, 1)
    journal(own, cpu="another CPU")
    assert (own.with_name("1-2"), False) == folders.place(tmp_path, 1)
    (own / "journal.jsonl").write_text("{")  # killed before it was a journal
    assert (own.with_name("1-2"), False) == folders.place(tmp_path, 1)


def test_numbers_of_a_shared_machine_are_unusable(tmp_path: Path) -> None:
    """Whatever their intervals."""
    shared = read(journal(tmp_path / "a", shared="2 runs"))

    made = [row.quality for row in rows.rows(shared)]

    assert {(UNUSABLE, "shared machine: 2 runs")} == {(one.level, one.why) for one in made}
    assert {"good"} == {r.quality.level for r in rows.rows(read(journal(tmp_path / "b")))}


# ---- what is typed ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of the arguments --slurm --local is required"),
        (["--local", "2", "--slurm", "2"], "not allowed with argument"),
        (["--local", "0"], "give a whole number from 1 to 1000"),
        (["--local", "2", "--slurm-options", "time=1"], "--slurm-options goes with --slurm"),
        (["--slurm", "2", "--slurm-options", "gpu"], "give NAME=VALUE"),
        (["--slurm", "2"], "there is no sbatch here"),
        (["--local", "2", "--folder", "/proc/f"], "--folder /proc/f: cannot be written"),
        (["--local", "2", "--output=x"], "each machine has its own"),
        (["--local", "2", "--folder", "."], "neither an empty folder nor that of a fleet"),
        (["--local", "2", "--presett", "hello"], "did you mean '--preset'?"),
        (["--local", "2", "--preset", "helo"], "did you mean 'hello'?"),
        (["--local", "2", "--layers", "64-abc"], "--layers '64-abc' is not accepted"),
        (["--local", "2", "--no-such-option"], "have no such option"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything starts; no folder is left behind."""
    pytest.importorskip("submitit", reason="the extra fleet is not installed")
    (tmp_path / "mine").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    where = [] if "--folder" in arguments else ["--folder", str(tmp_path / "f")]

    assert 2 == main(["fleet", "benchmark", *arguments, *where])

    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


# ---- Slurm's commands, as far as they go without a cluster ----

SBATCH = """#!/bin/sh
# Runs each task of the array at once; the last one dies with its node.
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
export SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1
for task in $(seq 0 $((tasks - 1))); do
    SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task setsid sh "$1" &
done >/dev/null 2>&1
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do
    case "$1" in --output|--error) shift ;; esac
    shift
done
exec "$@"
"""


def test_an_array_of_slurm_gives_results_and_names_a_dead_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without accounting, too: what has left the queue without a result has ended.

    What sbatch refuses is said once.
    """
    pytest.importorskip("submitit", reason="the extra fleet is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    gone = "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2\nexit 1\n"
    texts = {"sbatch": SBATCH, "srun": SRUN, "squeue": "#!/bin/sh\necho RUNNING\n"}
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    jobs = job_module.Jobs(tmp_path / "jobs", {"partition": "gpu", "time": "3"})

    done, failed, dead = jobs.submit(int, ["5", "five", "6"])

    deadline = time.monotonic() + 60
    while not (done.paths.result_pickle.exists() and failed.paths.result_pickle.exists()):
        said = [path.read_text() for path in (tmp_path / "jobs").rglob("*.err")]
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    assert jobs.ended(done) and jobs.ended(failed) and not jobs.ended(dead)
    (programs / "squeue").write_text(gone)
    assert not jobs.ended(dead)  # as it was asked a moment ago
    monkeypatch.setattr(job_module, "ASKING_SECONDS", 0.0)
    assert jobs.ended(dead)
    assert "5" == jobs.said(done)
    assert "ValueError: invalid literal for int() with base 10: 'five'" == jobs.said(failed)
    monkeypatch.setattr(job_module, "LATE_SECONDS", 0.0)
    assert "its job ended: no_longer_known" == jobs.said(dead)
    (programs / "squeue").write_text("#!/bin/sh\necho NODE_FAIL\n")
    assert jobs.ended(dead) and "its job ended: node_fail" == jobs.said(dead)
    (script,) = (tmp_path / "jobs").glob("*submission.sh")
    (programs / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: no such place' >&2\nexit 1\n")
    capsys.readouterr()
    with pytest.raises(ValueError, match="--slurm: sbatch: error: no such place"):
        jobs.submit(int, ["5", "6"])
    assert "" == capsys.readouterr().err
    for line in ("partition=gpu", "time=3", "exclusive", "nodes=1", "array=0-2%3"):
        assert f"#SBATCH --{line}\n" in script.read_text()


def test_what_never_answers_is_waited_for_with_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue of Slurm's, of whose jobs what is known stays known; a benchmark's options."""
    asked = "import time; time.sleep(60)"
    monkeypatch.setattr(job_module, "ANSWER_SECONDS", 0.2)
    assert "RUNNING" == job_module._answer([sys.executable, "-c", asked], "RUNNING")

    (tmp_path / "slow_plugin.py").write_text(asked)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(fleet, "CHECK_SECONDS", 0.5)
    with pytest.raises(ValueError, match="could not be read within"):
        fleet._check(["-p", "slow_plugin"])
