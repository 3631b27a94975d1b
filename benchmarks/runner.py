"""The parent: runs a plan in fresh processes and writes the journal.

It imports no framework. Each round runs one process per implementation, device and thread count,
in an order that is drawn anew; a process that dies or hangs costs the case it was at, and the
others go on in a new one. What is in the journal is not measured again: a run that was killed goes
on from there.
"""

import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cases as cases_module
from benchmarks import environment, plan, results, schema, worker
from benchmarks import probes as probes_module
from benchmarks.cases import Case, Worker
from benchmarks.journal import Journal, JournalWriter
from benchmarks.output import NOT_ALONE, noticed
from benchmarks.plan import Plan, Settings
from benchmarks.prepare import prepare
from benchmarks.probes import PROBE_SECONDS, Probe, unasked
from benchmarks.progress import Progress
from implementations import isolation, registry

CASE_SECONDS = 60.0  # for one case, besides ten times what it should take
CEILING_SECONDS = 120.0
CEILINGS_COST = 2.0  # seconds per worker, parts of calls included, once all is compiled
MEMORY_OF = ("train_step", "resident", "ieee")  # what peak memory is measured of
LOADED = 0.2  # of a compilation's time is spent again where its result is found on the disk


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
        self.spent: dict[Worker, float] = {}
        self.extra = 0.0  # of this round, what is not spent in every one
        self.failed: set[str] = set()
        self.measured: set[tuple[str, int]] = set()  # (case, process)
        self.random = random.Random()
        if resume is not None:
            self._go_on(resume, retry)
            return
        machine = environment.machine()
        run = {
            "record": "run",
            "schema": schema.SCHEMA,
            "run": directory.name,
            "started": _now(),
            "machine": machine,
            "fingerprint": environment.fingerprint(machine),
            **about,
            "settings": asdict(settings),
        }
        self.writer = JournalWriter(directory / "journal.jsonl")
        self.journal = Journal(run)
        self.writer.append(run)
        for record in probes_module.records(probes):
            self._write(record)
        self._write(
            {
                "record": "plan",
                "cases": [cases_module.to_json(case) for case in the_plan.cases],
                "processes": the_plan.processes,
                "block_seconds": the_plan.block_seconds,
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
        self._write({"record": "resumed", "at": _now()})
        if retry:
            self._write({"record": "retry", "cases": list(retry)})
        self.seconds -= sum(outcome.get("spent_ns", 0) for _, outcome in journal.outcomes) / 1e9
        for case, outcome in journal.outcomes:
            if outcome["status"] != schema.OK:
                self.failed.add(case.id)
            elif "process" in outcome:
                self.measured.add((case.id, outcome["process"]))

    def execute(self) -> None:
        """Run every process of the plan; the journal is complete only if this returns."""
        scratch = Path(tempfile.mkdtemp(prefix="samegrad-"))
        try:
            with noticed() as alone:
                if not alone:
                    self.progress.say(NOT_ALONE)
                self._work(scratch)
                self._write({"record": "run_complete", "seconds": time.monotonic() - self.began})
        finally:
            self.writer.close()
            shutil.rmtree(scratch, ignore_errors=True)

    def _work(self, scratch: Path) -> None:
        self._prepare(scratch)
        process = 0
        while process < self.plan.processes:
            if self._round(process, scratch):
                self._replan(process + 1)
            process += 1
        self._last_ceilings(scratch)
        self._memory(scratch)

    @property
    def _running(self) -> list[Case]:
        return [case for case in self.plan.running if case.id not in self.failed]

    def _left(self, process: int) -> list[Case]:
        return [case for case in self._running if (case.id, process) not in self.measured]

    def _predicted(self, case: Case) -> float:
        pilot = self.probes[case.implementation].pilots[case.device]
        return pilot.case(case, self.plan.block_seconds)

    def _prepare(self, scratch: Path) -> None:
        left = [case for process in range(self.plan.processes) for case in self._left(process)]
        if self.settings.memory:
            left += [case for case in self._running if case.id not in self.journal.memory]
        problems = {case.problem.id: case.problem for case in left}
        self.progress.expect(len(left), sum(self._predicted(case) for case in left))

        def made(problem: str, sha256: str) -> str:
            known = self.journal.inputs.get(problem)
            if known is None:
                self._write({"record": "inputs", "problem": problem, "sha256": sha256})
            elif known != sha256:
                return "its inputs differ from those of the run that is resumed"
            return ""

        reasons = prepare(list(problems.values()), scratch, made, self.progress.now)
        for case in self._running:
            if case.problem.id in reasons:
                self._fail(case, "unavailable", reasons[case.problem.id])

    def _round(self, process: int, scratch: Path) -> bool:
        """One process of each worker; whether there was anything to do."""
        left = self._left(process)
        if not left:
            return False
        workers = {case.worker for case in left}
        if self._looks_at_ceilings(process):
            workers |= unasked(self._running, self.probes)
        order = sorted(workers)
        self.random.shuffle(order)
        self.spent.clear()
        self.extra = 0.0
        for setup in order:
            began = time.monotonic()
            mine = self._shuffled([case for case in left if case.worker == setup])
            self._process(setup, mine, process, scratch)
            self.spent[setup] = time.monotonic() - began
        return True

    def _looks_at_ceilings(self, process: int) -> str:
        """Before, between and after the cases, since the machine is not always the same."""
        if process in (0, self.plan.processes // 2):
            return "before" * self.settings.ceilings
        return "after" * (self.settings.ceilings and process == self.plan.processes - 1)

    def _process(
        self, setup: Worker, waiting: list[Case], process: int, scratch: Path, look: str = ""
    ) -> None:
        """One process of one worker; what it leaves behind goes on in another."""
        look = look or self._looks_at_ceilings(process)
        while waiting or (look and _is_idiom(setup.implementation)):
            current: Case | None = None
            at_ceilings = False
            by_id = {case.id: case for case in waiting}
            paused = time.monotonic()

            def on_message(
                message: dict[str, Any], by_id: Mapping[str, Case] = by_id
            ) -> float | None:
                nonlocal current, at_ceilings, paused
                if at_ceilings and "ceiling" not in message:
                    self.extra += time.monotonic() - paused
                    at_ceilings = False
                if message.get("begin") == "ceilings":
                    at_ceilings, paused = True, time.monotonic()
                    self.progress.now(f"{process + 1}/{self.plan.processes} ceilings of {setup[0]}")
                    return CEILING_SECONDS
                if "ceiling" in message:
                    self._ceiling(setup, message["ceiling"])
                    return None
                if "begin" in message:
                    current = by_id[message["begin"]]
                    self.progress.now(f"{process + 1}/{self.plan.processes} {current.id}")
                    # Generous: a slow machine is no reason to kill.
                    return CASE_SECONDS + 10 * self._predicted(current)
                finished = by_id[message["case"]]
                current = None
                waiting[:] = [case for case in waiting if case != finished]
                self._finish(finished, process, message["outcome"])
                return None

            ended = self._child(setup, waiting, process, look, scratch, on_message)
            looked_first, look = look == "before", ""
            if not waiting and current is None:
                return
            if at_ceilings and looked_first:  # they are lost, and the cases go on without them
                continue
            # It stopped short: at a case, or before its first one, when none of them can run.
            status = "crashed" if ended.kind == "ok" else ended.kind
            reason = ended.reason or "it ended before its work was done"
            for case in [current] if current is not None else list(waiting):
                waiting[:] = [other for other in waiting if other != case]
                self._finish(case, process, {"status": status, "reason": reason})
            waiting[:] = [case for case in waiting if case.id not in self.failed]

    def _child(
        self,
        setup: Worker,
        waiting: Sequence[Case],
        process: int,
        look: str,
        scratch: Path,
        on_message: Any,
        role: str = "measure",
    ) -> isolation.Exit:
        name = getattr(self.probes.get(setup.implementation), "name", setup.implementation)
        request = {
            "role": role,
            **setup._asdict(),
            "implementation": registry.absolute(name),
            "cases": [cases_module.to_json(case) for case in waiting],
            "process": process,
            # Ceilings are believed, so they come from our own idioms: a file that does not wait
            # would raise them for all. Parts are measured only for what has passed every check.
            "ceilings": look if _is_idiom(name) else "",
            "parts": look == "before",
            "with_memory": setup.device == "cpu",
            "directory": str(scratch),
            "block_seconds": self.plan.block_seconds,
            "visited_seconds": self.settings.visited_seconds,
            "warm_up_seconds": self.settings.warm_up_seconds * (1 if setup.device == "cpu" else 2),
        }
        return isolation.run_child(
            worker.command(self.interpreters.get(name, sys.executable), setup.threads),
            request,
            environment.worker_environment(setup.device, scratch, setup.threads, setup.kernel),
            on_message,
            PROBE_SECONDS,
        )

    def _ceiling(self, setup: Worker, found: Mapping[str, Any]) -> None:
        where = {name: getattr(setup, name) for name in ("device", "threads", "kernel")}
        name = setup.implementation
        self._write({"record": "ceiling", "implementation": name, **where, **found})

    def _last_ceilings(self, scratch: Path) -> None:
        """After the cases, where the last round did not; and again where a row is too fast."""
        last = self.plan.processes - 1
        if not self.settings.ceilings:
            return
        workers = {case.worker for case in self._running} | unasked(self._running, self.probes)
        measured = {
            (record["implementation"], record["device"], record["threads"], record["kernel"])
            for record in self.journal.ceilings
            if record["process"] == last
        }
        for setup in sorted(workers):
            if (*setup[:3], setup.kernel) not in measured and _is_idiom(setup.implementation):
                self._process(setup, [], last, scratch, "before")
        found = {row.case.id: row.status for row in results.rows(self.journal)}
        too_fast = {c.worker[1:4] for c in self._running if found[c.id] == "rejected"}
        for setup in sorted(workers):
            if setup[1:4] in too_fast and _is_idiom(setup.implementation):
                self._process(setup, [], last, scratch, "before")

    def _memory(self, scratch: Path) -> None:
        """The peak memory of each training step, in a process that does nothing else."""
        for case in self._running if self.settings.memory else ():
            if (case.operation, case.transfer, case.precision) != MEMORY_OF:
                continue
            if case.id in self.journal.memory:
                continue
            found: dict[str, Any] = {}

            def on_message(message: dict[str, Any], found: dict[str, Any] = found) -> None:
                found.update(message)

            self.progress.now(f"peak memory of {case.id}")
            ended = self._child(case.worker, [case], 0, "", scratch, on_message, "memory")
            outcome = {"status": "ok", "reason": "", **found.get("memory", {})}
            if "memory" not in found:
                reason = ended.reason or "it ended before its work was done"
                status = "crashed" if ended.kind == "ok" else ended.kind
                outcome = found.get("failed", {"status": status, "reason": reason})
            self._write({"record": "memory", "case": cases_module.to_json(case), **outcome})

    def _shuffled(self, mine: list[Case]) -> list[Case]:
        """The cases of one process: problems in random order, their cases together."""
        problems = list(dict.fromkeys(case.problem for case in mine))
        self.random.shuffle(problems)
        self.random.shuffle(mine)
        return sorted(mine, key=lambda case: problems.index(case.problem))

    def _finish(self, case: Case, process: int, outcome: dict[str, Any]) -> None:
        extra = outcome.get("parts_spent_ns") or 0
        if process == 0:
            extra += (1 - LOADED) * (outcome.get("compile_ns") or 0)
        self.extra += extra / 1e9
        about = {
            "process": process,
            "source_sha256": self.probes[case.implementation].record.get("source_sha256"),
            "inputs_sha256": self.journal.inputs.get(case.problem.id),
        }
        if not outcome.get("visit"):
            self.progress.done(self._predicted(case))
        if outcome["status"] == schema.OK:
            self._outcome(case, {**outcome, **about})
            self.measured.add((case.id, process))
            return
        self._fail(case, outcome["status"], outcome["reason"], **about)  # once is enough
        if outcome["status"] == "timeout":
            for larger in self._running:
                if larger.larger_than(case):
                    self._fail(larger, "skipped", f"a smaller size timed out: {case.id}")

    def _fail(self, case: Case, status: str, reason: str, **about: Any) -> None:
        self._outcome(case, {"status": status, "reason": reason, **about})
        self.failed.add(case.id)

    def _replan(self, done: int) -> None:
        """After a round, fit what is left into what time is left, from what it really cost."""
        left = self.seconds - (time.monotonic() - self.began)
        if done == self.plan.processes or not self._running:
            return
        measured = sum(self.spent.values()) - self.extra
        timed = len(self._running) * self.plan.block_seconds
        extras = sum(bool(self._looks_at_ceilings(p)) for p in range(done, self.plan.processes))
        left -= extras * min(self.extra, CEILINGS_COST * len(self.spent))

        def per_round(block_seconds: float) -> float:
            return measured - timed + len(self._running) * block_seconds

        blocks = plan.fit(per_round, self.plan.processes - done, left, self.settings.block_seconds)
        processes = self.plan.processes
        if left < per_round(0.0):
            self.progress.say(
                f"time: {done} of {self.plan.processes} processes fit into "
                f"{self.seconds:.0f} s on this machine"
            )
            processes = done
        self.plan.processes, self.plan.block_seconds = processes, blocks
        self._write({"record": "replan", "processes": processes, "block_seconds": blocks})

    def _outcome(self, case: Case, outcome: dict[str, Any]) -> None:
        self._write({"record": "outcome", "case": cases_module.to_json(case), **outcome})

    def _write(self, record: dict[str, Any]) -> None:
        record = {key: value for key, value in record.items() if value is not None}
        self.writer.append(record)
        self.journal.add(record)


def _is_idiom(name: str) -> bool:
    return name in registry.names()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
