"""The parent: runs a plan in fresh processes and writes the journal.

It imports no framework. Every result is in the journal before the next one begins, and what is
there is not measured again: a run that was killed goes on from there.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import schema
from samegrad.benchmarks.records.journal import Journal, JournalWriter
from samegrad.benchmarks.runs import capabilities as probes_module
from samegrad.benchmarks.runs.budget import Plan, Settings
from samegrad.benchmarks.runs.capabilities import Probe
from samegrad.benchmarks.runs.directories import NOT_ALONE, noticed
from samegrad.benchmarks.runs.prepare import prepare
from samegrad.benchmarks.runs.progress import Progress
from samegrad.benchmarks.runs.repetitions import Visits
from samegrad.benchmarks.runs.scheduler import Rounds


class Run:
    """One execution of a plan, with its journal; or the rest of one that was interrupted."""

    def __init__(
        self,
        the_plan: Plan,
        probes: Mapping[str, Probe],
        directory: Path,
        settings: Settings,
        *,
        interpreters: Mapping[str, str],
        progress: Progress,
        about: Mapping[str, Any],
        resume: Journal | None = None,
        retry: Sequence[str] = (),
    ) -> None:
        """Create the run's directory and the first records of its journal.

        Args:
            about: what else the journal's first record says (preset, command, ...).
            resume: what the journal in the directory holds; `the_plan` is then its plan.
            retry: ids of cases whose failures no longer count.
        """
        self.plan, self.probes, self.directory = the_plan, probes, directory
        self.settings = settings
        self.seconds = math.inf if settings.seconds is None else settings.seconds
        self.interpreters, self.progress = interpreters, progress
        self.began = time.monotonic()
        self.failed: set[str] = set()
        self.visits = Visits(settings)
        if resume is not None:
            self._go_on(resume, retry)
            return
        machine = system.machine()
        run = {
            "record": "run",
            "schema": schema.SCHEMA,
            "run": directory.name,
            "started": _now(),
            "machine": machine,
            "fingerprint": system.fingerprint(machine),
            **about,
            "settings": asdict(settings),
        }
        self.writer = JournalWriter(directory / "journal.jsonl")
        self.journal = Journal(run)
        self.writer.append(run)
        for record in probes_module.records(probes):
            self.write(record)
        self.write(
            {
                "record": "cases",
                "cases": [case.to_dict() for case in the_plan.cases],
                "processes": the_plan.processes,
                "predicted_seconds": the_plan.seconds if the_plan.seconds < 1e9 else None,
            }
        )
        for case in the_plan.cases:
            if case.id in the_plan.excluded:
                status, reason = the_plan.excluded[case.id]
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
            else:
                self.visits.add(case, outcome)

    def execute(self) -> None:
        """Run every process of the plan; the journal is complete only if this returns."""
        scratch = Path(tempfile.mkdtemp(prefix="samegrad-"))
        try:
            with noticed() as alone:
                if not alone:
                    self.progress.say(NOT_ALONE)
                self._work(scratch)
                self.write({"record": "run_complete", "seconds": time.monotonic() - self.began})
        finally:
            self.writer.close()
            shutil.rmtree(scratch, ignore_errors=True)

    def _work(self, scratch: Path) -> None:
        self._prepare(scratch)
        Rounds(self, scratch).execute()

    @property
    def running(self) -> list[Case]:
        """The cases that may still get a number."""
        return [case for case in self.plan.running if case.id not in self.failed]

    def left(self, process: int) -> list[Case]:
        """Those of them that a process has not measured yet."""
        return [case for case in self.running if self.visits.unfinished(case, process)]

    @property
    def left_seconds(self) -> float:
        """Of the run's limit."""
        return self.seconds - (time.monotonic() - self.began)

    def predicted(self, case: Case) -> float:
        """Seconds of a case in one process, with one visit."""
        return self.probes[case.implementation].pilots[case.device].case(case, 0.0)

    def _prepare(self, scratch: Path) -> None:
        left = [case for process in range(self.plan.processes) for case in self.left(process)]
        if self.settings.memory:
            left += [case for case in self.running if case.id not in self.journal.memory]
        problems = {case.workload.id: case.workload for case in left}
        self.progress.expect(len(left), sum(self.predicted(case) for case in left))

        def made(problem: str, sha256: str) -> str:
            known = self.journal.inputs.get(problem)
            if known is None:
                self.write({"record": "inputs", "workload": problem, "sha256": sha256})
            elif known != sha256:
                return "its inputs differ from those of the run that is resumed"
            return ""

        reasons = prepare(list(problems.values()), scratch, made, self.progress.now)
        for case in self.running:
            if case.workload.id in reasons:
                self.fail(case, "unavailable", reasons[case.workload.id])

    def finish(self, case: Case, process: int, outcome: dict[str, Any]) -> None:
        """One visit to a case is over, with a number or without."""
        about = {
            "process": process,
            "source_sha256": self.probes[case.implementation].record.get("source_sha256"),
            "inputs_sha256": self.journal.inputs.get(case.workload.id),
        }
        visit = self.visits.number(case, process)
        if not visit:
            self.progress.done(self.predicted(case))
        if outcome["status"] == schema.OK:
            found = {**outcome, **about, "repetition": visit}
            self._outcome(case, found)
            self.visits.add(case, found)
            return
        self.fail(case, outcome["status"], outcome["reason"], **about)  # once is enough
        if outcome["status"] == "timeout":
            for larger in self.running:
                if larger.larger_than(case):
                    self.fail(larger, "skipped", f"a smaller size timed out: {case.id}")

    def fail(self, case: Case, status: str, reason: str, **about: Any) -> None:
        """A case has no number, and is not tried again."""
        self._outcome(case, {"status": status, "reason": reason, **about})
        self.failed.add(case.id)

    def _outcome(self, case: Case, outcome: dict[str, Any]) -> None:
        self.write({"record": "outcome", "case": case.to_dict(), **outcome})

    def write(self, record: dict[str, Any]) -> None:
        """To the journal, at once."""
        record = {key: value for key, value in record.items() if value is not None}
        self.writer.append(record)
        self.journal.add(record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
