"""The scheduler keeps to the time, and a dead worker costs the case that it was at."""

import json
import os
import signal
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.benchmarks.runs import budget, capabilities, scheduler, speed
from samegrad.benchmarks.runs.directories import NOT_ALONE
from samegrad.benchmarks.runs.run import Progress, Run
from samegrad.benchmarks.runs.worker_process import WorkerProcess
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec

SPEC = MLPSpec((6, 5, 3))


class Kept(Progress):
    """Keeps the lines and counts what was done."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.units = self.finished = 0

    def say(self, line: str) -> None:
        """A line of text, but for that of other runs, which whoever else is here may make."""
        if line != NOT_ALONE:
            self.lines.append(line)

    def expect(self, units: int, seconds: float) -> None:
        """How many units there will be."""
        self.units = units

    def done(self, seconds: float) -> None:
        """One of them."""
        self.finished += 1


@cache
def of_numpy() -> dict[str, capabilities.Capabilities]:
    """What it can do, and how fast it is, found once."""
    return capabilities.find(["numpy"], ["cpu"], {})


def run(
    tmp_path: Path,
    name: str,
    operations: tuple[str, ...],
    processes: int,
    seconds: float,
    hidden: tuple[int, ...] = (5,),
) -> tuple[Journal, Kept]:
    """Measure some operations on small problems, one for each hidden width."""
    available = of_numpy() if name == "numpy" else capabilities.find([name], ["cpu"], {})
    label = registry.label(name)
    problems = [MLPWorkload(f"measured{units}", MLPSpec((6, units, 3)), 8, 128) for units in hidden]
    cases = [Case(problem, operation, label) for problem in problems for operation in operations]
    models = capabilities.cost_models(available)
    made = budget.make(cases, models, {}, processes, seconds, 0.01)
    kept = Kept()
    started = Run(
        made,
        available,
        tmp_path / "run",
        budget.RunSettings(seconds, 0.01, ceilings=False),
        interpreters={},
        progress=kept,
        about={},
    )
    speed.execute(started)
    return read_journal(tmp_path / "run" / "journal.jsonl"), kept


def test_processes_that_do_not_fit_into_the_time_are_given_up_and_said(tmp_path: Path) -> None:
    """The first process runs in any case; every row has its number."""
    journal, kept = run(tmp_path, "numpy", ("forward", "train_step"), 5, seconds=0.5)

    assert journal.complete
    assert [1, 1] == [len(row.process_medians) for row in rows.rows(journal)]
    assert ["time: 1 of 5 processes fit into 0 s on this machine"] == kept.lines


def test_processes_that_fit_are_all_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every unit is counted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # nobody else's runs are noticed
    journal, kept = run(tmp_path, "numpy", ("forward", "train_step"), 3, seconds=60)

    assert [3, 3] == [len(row.process_medians) for row in rows.rows(journal)]
    assert [] == kept.lines and 6 == kept.units == kept.finished
    assert {0, 1, 2} == {record["process"] for _, record in journal.outcomes}
    assert {0, 1, 2} == {record["process"] for record in journal.cpu_speeds}  # one for each turn
    assert 1 == len({record["work"] for record in journal.cpu_speeds})


def test_worker_that_dies_costs_the_case_it_was_at(tmp_path: Path) -> None:
    """The others go on in a new process; the dead one, killed once more, is not tried again."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import os, signal\nfrom samegrad.implementations.mlp_numpy import *\n"
        "def train_step(*a):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    journal, _ = run(tmp_path, str(mine), ("forward", "loss_and_grad", "train_step"), 2, 60)

    by_operation: dict[str, Any] = {row.case.operation: row for row in rows.rows(journal)}
    statuses = {operation: row.status for operation, row in by_operation.items()}
    assert {"forward": "ok", "loss_and_grad": "ok", "train_step": "crashed"} == statuses
    assert "killed by SIGKILL" in by_operation["train_step"].reason
    assert 2 == len(by_operation["forward"].process_medians)
    assert 1 == sum(record["status"] == "crashed" for _, record in journal.outcomes)


def test_worker_that_is_killed_while_it_measures_costs_nothing(tmp_path: Path) -> None:
    """Once, by a signal as others send them: a new process goes on with the case."""
    mine, killed = tmp_path / "mine.py", tmp_path / "killed"
    mine.write_text(
        "import os, signal\nfrom samegrad.implementations import mlp_numpy\n"
        "from samegrad.implementations.mlp_numpy import *\ncalls = 0\n"
        "def train_step(*a):\n    global calls\n    calls += 1\n"
        f"    if calls > 60 and not os.path.exists({str(killed)!r}):\n"
        f"        open({str(killed)!r}, 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return mlp_numpy.train_step(*a)\n"
    )

    journal, kept = run(tmp_path, str(mine), ("forward", "train_step"), 2, 60)

    assert killed.exists() and journal.complete
    assert ["ok", "ok"] == [row.status for row in rows.rows(journal)]
    assert [2, 2] == [len(row.process_medians) for row in rows.rows(journal)]
    assert ["its process was killed by SIGKILL"] == [
        line.split(": ")[1].split(";")[0] for line in kept.lines
    ]


def test_processes_stay_alive_and_repeat_in_turn(tmp_path: Path) -> None:
    """On a CPU each of them has repeated a case once before any does so for the third time."""
    journal, _ = run(tmp_path, "numpy", ("forward", "train_step"), 3, seconds=60)

    order = [(record["repetition"], record["process"]) for _, record in journal.outcomes]
    firsts = [i for i, (number, _) in enumerate(order) if number == 0]
    thirds = [i for i, (number, _) in enumerate(order) if number == 2]
    assert 6 == len(firsts) == len(thirds) and max(firsts) < min(thirds)


def test_run_begins_with_the_smallest_network(tmp_path: Path) -> None:
    """Before inputs of others are made; in the process that goes on as the first one."""
    run(tmp_path, "numpy", ("forward", "train_step"), 2, seconds=60, hidden=(64, 5))

    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    records = [r for r in map(json.loads, lines) if r["record"] in ("inputs", "outcome")]
    outcomes = [r for r in records if r["record"] == "outcome"]
    names = [r["case"]["workload"]["name"] for r in outcomes]

    assert ["inputs", "outcome", "outcome", "inputs"] == [r["record"] for r in records[:4]]
    assert ["measured5"] * 2 + ["measured64"] * 2 == names[:4]
    assert {0, 1} == {r["process"] for r in outcomes}


def test_process_that_dies_once_it_has_begun_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits for the inputs of larger networks: no row is lost."""
    gate, killed = WorkerProcess.gate, list[int]()

    def dying(one: WorkerProcess, cases: Any) -> None:
        if not killed:
            killed.append(one.child.working())
            os.kill(killed[0], signal.SIGKILL)
        gate(one, cases)

    monkeypatch.setattr(WorkerProcess, "gate", dying)
    journal, _ = run(tmp_path, "numpy", ("forward",), 2, seconds=60, hidden=(64, 5))

    assert killed and journal.complete
    assert [("ok", 2)] * 2 == [(row.status, len(row.process_medians)) for row in rows.rows(journal)]


def test_processes_follow_one_another_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process makes all of its repetitions before the next one begins."""
    monkeypatch.setattr(system, "available_memory", lambda: 2**20)

    journal, _ = run(tmp_path, "numpy", ("forward", "train_step"), 3, seconds=60)

    processes = [record["process"] for _, record in journal.outcomes]
    assert processes == sorted(processes) and {0, 1, 2} == set(processes)
    assert [3, 3] == [len(row.process_medians) for row in rows.rows(journal)]


def test_worker_that_is_killed_between_its_requests_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No case is at fault: none loses its number, and the repetitions go on."""
    killed: list[int] = []
    repeat = scheduler.Scheduler._repeat_in_turn

    def kill_first(self: scheduler.Scheduler, waiting: list[WorkerProcess], seconds: float) -> None:
        for one in waiting:
            killed.append(one.child.process.pid)
            os.kill(killed[-1], signal.SIGKILL)
        repeat(self, waiting, seconds)

    monkeypatch.setattr(scheduler.Scheduler, "_repeat_in_turn", kill_first)
    journal, _ = run(tmp_path, "numpy", ("forward", "train_step"), 2, seconds=60)

    assert 2 == len(killed) and journal.complete
    assert {"ok"} == {record["status"] for _, record in journal.outcomes}
    repetitions = {(c.id, r["process"], r["repetition"]) for c, r in journal.outcomes}
    assert 2 * 2 * 3 == len(repetitions) == len(journal.outcomes)


def test_process_that_dies_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its requests, without a case at fault: it is replaced a few times; numbers stay."""
    ask, new = scheduler.Scheduler._ask, scheduler.Scheduler.new
    started: list[WorkerProcess] = []

    def die_first(self: scheduler.Scheduler, one: WorkerProcess, cases: Any) -> Any:
        if cases and not self.repetitions.not_begun(cases, one.process):
            os.kill(one.child.process.pid, signal.SIGKILL)
            one.child.process.wait(30)
        return ask(self, one, cases)

    def counted(self: scheduler.Scheduler, *arguments: Any) -> WorkerProcess:
        started.append(new(self, *arguments))
        return started[-1]

    monkeypatch.setattr(scheduler.Scheduler, "_ask", die_first)
    monkeypatch.setattr(scheduler.Scheduler, "new", counted)
    journal, _ = run(tmp_path, "numpy", ("forward",), 1, seconds=60)

    assert journal.complete and 1 + scheduler.MOST_REPLACED == len(started)
    assert ["ok"] == [record["status"] for _, record in journal.outcomes]


def planned(
    tmp_path: Path,
    body: str,
    setup: WorkerSpec,
    settings: budget.RunSettings,
    operation: str = "train_step",
) -> Run:
    """A run of one case of a file, whose speed is not looked at first."""
    mine = tmp_path / "mine.py"
    mine.write_text("import os\nfrom samegrad.implementations.mlp_numpy import *\n" + body)
    case = Case(MLPWorkload("own", SPEC, 8, 128), operation, "mine", "cpu", "resident", *setup[2:])
    model = budget.CostModel(1e-4, 0.0, 1e9, 1.0)
    capability = capabilities.Capabilities(str(mine), "mine", cost_models={"cpu": model})
    return Run(
        budget.Budget([case], processes=1),
        {"mine": capability},
        tmp_path / "run",
        settings,
        interpreters={},
        progress=Progress(),
        about={},
    )


def test_import_that_hangs_in_a_worker_is_waited_for_as_when_it_was_probed(tmp_path: Path) -> None:
    """Somebody's file may hang at its second import: it is not given more than the run has."""
    settings = budget.RunSettings(None, 0.01, 0.0, ceilings=False)
    run = planned(tmp_path, "import time\ntime.sleep(600)\n", WorkerSpec("mine"), settings)
    run.capabilities["mine"].limit = 2.0

    speed.execute(run)

    (row,) = rows.rows(run.journal)
    assert ("timeout", "no result within 2 s; killed") == (row.status, row.reason)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_worker_is_bound_before_it_imports_anything(tmp_path: Path) -> None:
    """One thread: one core, and every library told so."""
    body = (
        "assert 1 == len(os.sched_getaffinity(0))\n"
        "assert {'1'} == {os.environ[v] for v in "
        "('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NPROC')}\n"
    )
    setup = WorkerSpec("mine", threads="1")

    run = planned(tmp_path, body, setup, budget.RunSettings(None, 0.01, 0.0, ceilings=False))
    speed.execute(run)

    (row,) = rows.rows(run.journal)
    assert ("ok", "") == (row.status, row.reason)


def test_peak_memory_is_that_of_the_call_alone(tmp_path: Path) -> None:
    """64 MiB that a step takes and gives back; not those of imports and inputs."""
    body = (
        "from samegrad.implementations import mlp_numpy\nimport numpy as np\n"
        "kept = np.ones(2**24)\n"  # 128 MiB
        "def train_step(*a):\n    np.ones(2**23)\n    return mlp_numpy.train_step(*a)\n"
    )
    settings = budget.RunSettings(None, 0.01, 0.0, memory=True, ceilings=False)

    run = planned(tmp_path, body, WorkerSpec("mine"), settings)
    speed.execute(run)

    (row,) = rows.rows(run.journal)
    if row.host_bytes is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 60 * 2**20 < row.host_bytes < 80 * 2**20


@pytest.mark.full  # a quarter of a minute
def test_ceilings_are_measured_before_between_and_after(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By our own idioms, whatever is timed: a file that does not wait must not raise them."""
    monkeypatch.setattr(registry, "names", lambda: ("numpy",))  # starts fastest
    body = "def products(kinds, pairs, out=None):\n    return pairs\n"
    body += "CAPABILITIES = Capabilities(products=products)\n"
    run = planned(tmp_path, body, WorkerSpec("mine"), budget.RunSettings(None, 0.01, 0.0))
    run.budget.processes = 3
    speed.execute(run)

    moments: dict[str, set[int]] = {}
    for record in run.journal.ceilings:
        if record["quantity"] == "gemm":
            moments.setdefault(record["implementation"], set()).add(record["process"])
    assert {"numpy"} <= set(moments) and "mine" not in moments
    assert {0, 1, 2} == moments["numpy"]
    (row,) = rows.rows(run.journal)
    assert row.ceiling is not None and row.ceiling > 1e8
    assert not [remark for remark in row.remarks if remark.startswith(rows.BELOW)]
    assert row.split is not None
