"""A run: its cases, its journal, and what has come of each case so far.

Every result is in the journal before the next one begins, and what is in it is not measured again:
a run that was killed goes on from there. What is measured when is decided by who executes the run
(`scheduler`, or `samegrad.benchmarks.training.run`).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.machine import gpu, state, system
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.records.journal import Journal, JournalWriter
from samegrad.benchmarks.runs import capabilities as capabilities_module
from samegrad.benchmarks.runs import worker_process
from samegrad.benchmarks.runs.budget import Budget, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.directories import NOT_ALONE, name, noticed
from samegrad.benchmarks.runs.repetitions import Repetitions
from samegrad.implementations.checking import processes
from samegrad.implementations.contract.scratch import scratch

LOOK_SECONDS = 2.0  # between two looks at the machine, which take some milliseconds
SMALLER = "a smaller size timed out"  # what a case is skipped for that may run after all


class Progress:
    """What a run tells its user while it runs; this one is silent."""

    def say(self, line: str) -> None:
        """One line of text."""

    def expect(self, units: int, seconds: float) -> None:
        """How many units of work there will be (one case in one process), and their prediction."""

    def within(self, seconds: float, left: Callable[[], float]) -> None:
        """The prediction of the whole run, and what is left of its time limit, in seconds."""

    def now(self, what: str) -> None:
        """What runs at this moment."""

    def done(self, seconds: float) -> None:
        """One unit is done, which had been predicted to take so long."""

    def measured(self, case: Case, outcome: Mapping[str, Any]) -> None:
        """What the first repetition of a case gave, or why it has no number."""

    def repeating(self, seconds: float) -> None:
        """All units are done, and are repeated for so many seconds at most."""


class Run:
    """One run with its journal; or the rest of one that was interrupted."""

    def __init__(
        self,
        budget: Budget,
        capabilities: Mapping[str, Capabilities],
        directory: Path,
        settings: RunSettings,
        *,
        interpreters: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        about: Mapping[str, Any],
        resume: Journal | None = None,
        retry: Sequence[str] = (),
    ) -> None:
        """Create the run's directory and the first records of its journal.

        Args:
            interpreters: implementation -> path of its Python, where it is not this one.
            progress: told how it goes; by default nobody is.
            about: what else the journal's first record says (preset, command, ...).
            resume: what the journal in the directory holds; `budget` is then that of its run.
            retry: ids of cases whose failures no longer count.

        Raises:
            ValueError: another process writes this run.
            OSError: its journal cannot be written.
        """
        self.budget, self.capabilities, self.directory = budget, capabilities, directory
        self.settings = settings
        self.seconds = math.inf if settings.seconds is None else settings.seconds
        self.interpreters, self.progress = interpreters or {}, progress or Progress()
        self.began = time.monotonic()
        self.failed: set[str] = set()
        self.spared: set[str] = set()
        self.repetitions = Repetitions(settings)
        self.progress.within(budget.seconds, lambda: self.left_seconds)
        self.looked: state.Look | None = None  # at the machine, the last time
        if resume is not None:
            self._go_on(resume, retry)
            return
        machine = system.machine()
        if machine["gpu"] in ("none", gpu.UNNAMED):
            machine |= gpu.named_by(capabilities_module.facts_on(capabilities, "cuda"))
        run = {
            "record": "run",
            "schema": schema.SCHEMA,
            "run": name(directory),
            "started": _now(),
            "machine": machine,
            "fingerprint": system.fingerprint(machine),
            **about,
            "settings": asdict(settings),
        }
        self.writer = JournalWriter(directory / "journal.jsonl")
        self.journal = Journal(run)
        self.writer.append(run)
        for record in capabilities_module.records(capabilities):
            self.write(record)
        self.write(
            {
                "record": "cases",
                "cases": [case.to_dict() for case in budget.cases],
                "processes": budget.processes,
                "predicted_seconds": budget.seconds if budget.seconds < 1e9 else None,
            }
        )
        for case in budget.cases:
            if case.id in budget.excluded:
                status, reason = budget.excluded[case.id]
                self._outcome(case, {"status": status, "reason": reason})

    def _go_on(self, journal: Journal, retry: Sequence[str]) -> None:
        self.writer = JournalWriter(self.directory / "journal.jsonl", resume=True)
        self.journal = journal
        self.write({"record": "resumed", "at": _now()})
        if retry:
            self.write({"record": "retry", "cases": list(retry)})
        self.seconds -= sum(outcome.get("spent_ns", 0) for _, outcome in journal.outcomes) / 1e9
        for case, outcome in journal.outcomes:
            if outcome["status"] != schema.OK:
                self.failed.add(case.id)
            elif journal.needs_proof(case) and case.id not in journal.proofs:
                self.repetitions.lose(case, outcome)
            else:
                self.repetitions.add(case, outcome)

    def execute(self, work: Callable[[Path], None]) -> None:
        """Do the work of the run; the journal is complete only if this returns.

        Args:
            work: measures the cases, in a scratch directory that is removed afterwards.
        """
        with closing(self.writer), scratch() as folder, noticed() as alone:
            if not alone:
                self.progress.say(NOT_ALONE)
            work(folder)
            self.write({"record": "run_complete", "seconds": time.monotonic() - self.began})

    @property
    def running(self) -> list[Case]:
        """The cases that may still get a number."""
        return [case for case in self.budget.running if case.id not in self.failed]

    def left(self, process: int) -> list[Case]:
        """The running cases that a process has not repeated as often as it must."""
        return [case for case in self.running if self.repetitions.unfinished(case, process)]

    @property
    def left_seconds(self) -> float:
        """What is left of the run's time limit."""
        return self.seconds - (time.monotonic() - self.began)

    def predicted(self, case: Case) -> float:
        """Predicted seconds of a case in one process, with one repetition."""
        return self.capabilities[case.implementation].cost_models[case.device].case(case, 0.0)

    def import_seconds(self, worker: WorkerSpec) -> float:
        """Seconds that a process of a worker may take until its first message."""
        one = self.capabilities.get(worker.implementation)  # None: it measures ceilings only
        return capabilities_module.CAPABILITIES_SECONDS if one is None else one.limit

    def make_inputs(
        self,
        module: str,
        request: Callable[[list[str]], dict[str, Any]],
        names: Sequence[str],
        what: str,
        scratch: Path,
        time_limit: float,
    ) -> dict[str, tuple[str, str]]:
        """Have a process of its own write the inputs of workloads, once for all that need them.

        It says {"begin": name}, then {"workload": name} with the inputs' sha256, or with status
        and reason why there are none; and {"say": line} to the user. If it dies, another one makes
        the others; that at which somebody killed it, once more.

        Args:
            module: whose main() it runs.
            request: what it is asked for, from the names that are left.
            names: of all workloads.
            what: is made of each, in words.
            scratch: the directory that they go to.
            time_limit: seconds for each.

        Returns:
            name -> (status, reason) of what has no inputs that could be used.
        """
        left, again = list(names), set[str]()
        without: dict[str, tuple[str, str]] = {}
        current = ""

        def on_message(message: dict[str, Any]) -> float:  # of ours: nothing of a file runs here
            nonlocal current
            if "begin" in message:
                current = message["begin"]
                self.progress.now(f"{what} of {current}")
            elif "say" in message:
                self.progress.say(message["say"])
            else:
                left.remove(message["workload"])
                if reason := message.get("reason") or self._check_inputs(message):
                    status = message.get("status", "unavailable")
                    without[message["workload"]] = (status, reason)
            return time_limit

        while left:
            current = left[0]
            ended = processes.run_child(
                worker_process.command(module),
                request(list(left)),
                system.worker_environment("cpu", scratch),
                on_message,
                time_limit,
                doing=f"making {what}",
            )
            if current in left and (not ended.killed or current in again):
                left.remove(current)
                reason = f"making its {what} {ended.kind}: {ended.reason}"
                without[current] = (worker_process.stopped_short(ended)["status"], reason)
            again.add(current)
        return without

    def _check_inputs(self, message: dict[str, Any]) -> str:
        """Write down the hash of some inputs; why they cannot be used, or ""."""
        known = self.journal.inputs.get(message["workload"])
        if known is None:
            self.write({"record": "inputs", **message})
        elif known != message["sha256"]:
            return "its inputs differ from those of the run that is resumed"
        return ""

    def finish(self, case: Case, process: int, outcome: dict[str, Any]) -> None:
        """Write down one repetition of a case, with a number or without."""
        sources = self.capabilities[case.implementation].record
        about = {
            "process": process,
            "source_sha256": sources.get("source_sha256"),
            "inputs_sha256": self.journal.inputs.get(case.workload.id),
        }
        repetition = self.repetitions.number(case, process)
        first = not self.repetitions.count(case, process)
        if first and process == 0:
            self.progress.measured(case, outcome)
        if first:
            self.progress.done(self.predicted(case))
        if outcome["status"] == schema.OK:
            record = {**outcome, **about, "repetition": repetition}
            self._outcome(case, record)
            self.repetitions.add(case, record)
            return
        self.fail(case, outcome["status"], outcome["reason"], **about)  # once is enough
        if outcome["status"] == "timeout":
            for larger in self.running:
                if larger.larger_than(case):
                    self.fail(larger, "skipped", f"{SMALLER}: {case.id}")

    def look(self) -> None:
        """Write down what others have done since the machine was looked at, if that is a while ago.

        Between requests: while nothing is timed.
        """
        if self.looked is None or time.monotonic() - self.looked.at < LOOK_SECONDS:
            return
        before, self.looked = self.looked, state.look()
        self.write({"record": "state", "when": "during", **state.between(before, self.looked)})

    def spares(self, case: Case, ended: processes.Exit) -> bool:
        """Whether a case at which its process ended is tried again: once, if somebody killed it."""
        if not ended.killed or case.id in self.spared:
            return False
        self.spared.add(case.id)
        self.progress.say(f"{case.id}: its process was {ended.reason}; another one goes on")
        return True

    def fail(self, case: Case, status: str, reason: str, **about: Any) -> None:
        """Write down that a case has no number; it is not tried again."""
        self._outcome(case, {"status": status, "reason": reason, **about})
        self.failed.add(case.id)

    def _outcome(self, case: Case, outcome: dict[str, Any]) -> None:
        self.write({**outcome, "record": "outcome", "case": case.to_dict()})

    def write_memory(self, case: Case, found: dict[str, Any]) -> None:
        """Write down the peak memory of a case's step, or why there is none, once.

        Raises:
            ValueError: it is there already.
        """
        if case.id in self.journal.memory:
            raise ValueError(f"memory of {case.id} again")
        about = {"record": "memory", "case": case.to_dict()}
        self.write({"status": schema.OK, "reason": "", **found, **about})

    def write(self, record: dict[str, Any]) -> None:
        """Add a record to the journal, at once; fields that are None are left out."""
        record = {key: value for key, value in record.items() if value is not None}
        self.writer.append(record)
        self.journal.add(record)
        if self.writer.path.parent != self.directory:
            self.progress.say(
                f"somebody has removed or changed the journal in {self.directory}; nothing of it "
                f"is lost: the run goes on in {self.writer.path.parent}"
            )
            self.directory = self.writer.path.parent


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
