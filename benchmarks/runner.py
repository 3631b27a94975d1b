"""The parent: runs a plan in fresh processes and writes the journal.

It imports no framework. Each round runs one process per implementation and device, in an order
that is drawn anew; a process that dies or hangs costs the case it was at, and the others go on
in a new one.
"""

import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cases as cases_module
from benchmarks import environment, plan, results, worker
from benchmarks.cases import Case
from benchmarks.plan import Plan
from benchmarks.probes import PROBE_SECONDS, Probe, absolute
from implementations import isolation

PREPARE_SECONDS = 300.0  # for one problem
CASE_SECONDS = 60.0  # for one case, besides ten times what it should take
SEED = 0


class Progress:
    """What a run tells while it runs; this one is silent."""

    def say(self, line: str) -> None:
        """One line of text."""

    def expect(self, units: int, seconds: float) -> None:
        """How many units of work there will be (one case in one process), and their prediction."""

    def now(self, what: str) -> None:
        """What runs at this moment."""

    def done(self, seconds: float) -> None:
        """One unit is done, which had been predicted to take so long."""


class Run:
    """One execution of a plan, with its journal."""

    def __init__(
        self,
        the_plan: Plan,
        probes: Mapping[str, Probe],
        directory: Path,
        *,
        seconds: float,
        block_seconds: float,
        warm_up_seconds: float = 0.5,
        interpreters: Mapping[str, str],
        progress: Progress,
        about: Mapping[str, Any],
    ) -> None:
        """Create the run's directory and the first records of its journal.

        Args:
            seconds: time limit of the whole run.
            block_seconds: time for the blocks of a case in a process, at most.
            warm_up_seconds: at the start of each process; twice that on a GPU.
            about: what else the journal's first record says (preset, command, ...).
        """
        self.plan, self.probes, self.directory = the_plan, probes, directory
        self.seconds, self.block_seconds = seconds, block_seconds
        self.warm_up_seconds = warm_up_seconds
        self.interpreters, self.progress = interpreters, progress
        self.began = time.monotonic()
        self.spent: dict[tuple[str, str], float] = {}
        self.failed: set[str] = set()
        self.random = random.Random()
        machine = environment.machine()
        run = {
            "record": "run",
            "schema": results.SCHEMA,
            "run": directory.name,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "fingerprint": environment.fingerprint(machine),
            **about,
        }
        self.writer = results.JournalWriter(directory / "journal.jsonl")
        self.journal = results.Journal(run)
        self.writer.append(run)
        for label, probed in probes.items():
            for device in probed.pilots or ("cpu",):
                self._write(
                    {
                        "record": "implementation",
                        "name": label,
                        "device": device,
                        "status": "unavailable" if probed.reason else "ok",
                        "reason": probed.reason,
                        **{k: v for k, v in probed.record.items() if k not in ("facts", "status")},
                        "facts": probed.record.get("facts", {}).get(device, {}),
                    }
                )
        self._write(
            {
                "record": "plan",
                "cases": [cases_module.to_json(case) for case in the_plan.cases],
                "processes": the_plan.processes,
                "block_seconds": the_plan.block_seconds,
                "predicted_seconds": the_plan.seconds,
            }
        )
        for case in the_plan.cases:
            if case.id in the_plan.excluded:
                status, reason = the_plan.excluded[case.id]
                self._outcome(case, {"status": status, "reason": reason})

    def execute(self) -> None:
        """Run every process of the plan; the journal is complete only if this returns."""
        scratch = Path(tempfile.mkdtemp(prefix="samegrad-"))
        try:
            self._prepare(scratch)
            done = 0
            while done < self.plan.processes:
                self._round(done, scratch)
                done += 1
                self._replan(done)
            self._write({"record": "run_complete", "seconds": time.monotonic() - self.began})
        finally:
            self.writer.__exit__(None, None, None)
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def _running(self) -> list[Case]:
        return [case for case in self.plan.running if case.id not in self.failed]

    def _predicted(self, case: Case) -> float:
        pilot = self.probes[case.implementation].pilots[case.device]
        return pilot.case(case, self.plan.block_seconds)

    def _prepare(self, scratch: Path) -> None:
        problems = {case.problem.id: case.problem for case in self._running}
        self.progress.expect(
            len(self._running) * self.plan.processes,
            sum(self._predicted(case) for case in self._running) * self.plan.processes,
        )
        reasons: dict[str, str] = {}
        while problems:
            current = ""

            def on_message(message: dict[str, Any]) -> None:
                nonlocal current
                if "begin" in message:
                    current = message["begin"]
                    self.progress.now(f"inputs and reference results of {current}")
                    return
                del problems[message["problem"]]
                if "reason" in message:
                    reasons[message["problem"]] = message["reason"]
                else:
                    self._write({"record": "inputs", **message})

            request = {
                "role": "prepare",
                "problems": [asdict(problem) for problem in problems.values()],
                "directory": str(scratch),
                "seed": SEED,
            }
            ended = isolation.run_child(
                worker.command(sys.executable),
                request,
                environment.worker_environment("cpu", scratch),
                on_message,
                PREPARE_SECONDS,
            )
            for problem_id in [current] if current in problems else list(problems):
                del problems[problem_id]
                reasons[problem_id] = f"its reference {ended.kind}: {ended.reason}"
        for case in self._running:
            if case.problem.id in reasons:
                reason = reasons[case.problem.id]
                self._outcome(case, {"status": "unavailable", "reason": reason})
                self.failed.add(case.id)

    def _round(self, process: int, scratch: Path) -> None:
        workers = sorted({(case.implementation, case.device) for case in self._running})
        self.random.shuffle(workers)
        self.spent.clear()
        for implementation, device in workers:
            began = time.monotonic()
            self._process(implementation, device, process, scratch)
            self.spent[implementation, device] = time.monotonic() - began

    def _process(self, label: str, device: str, process: int, scratch: Path) -> None:
        """One process of one implementation; what it leaves behind goes on in another."""
        waiting = self._shuffled(label, device)
        while waiting:
            current: Case | None = None
            by_id = {case.id: case for case in waiting}

            def on_message(
                message: dict[str, Any], by_id: Mapping[str, Case] = by_id
            ) -> float | None:
                nonlocal current
                if "begin" in message:
                    current = by_id[message["begin"]]
                    self.progress.now(f"{process + 1}/{self.plan.processes} {current.id}")
                    # Generous: a slow machine is no reason to kill.
                    return CASE_SECONDS + 10 * self._predicted(current)
                finished = by_id[message["case"]]
                current = None
                waiting.remove(finished)
                self._finish(finished, process, message["outcome"])
                return None

            request = {
                "role": "measure",
                "implementation": absolute(self.probes[label].name),
                "device": device,
                "cases": [cases_module.to_json(case) for case in waiting],
                "directory": str(scratch),
                "block_seconds": self.plan.block_seconds,
                "warm_up_seconds": self.warm_up_seconds * (1 if device == "cpu" else 2),
            }
            ended = isolation.run_child(
                worker.command(self.interpreters.get(self.probes[label].name, sys.executable)),
                request,
                environment.worker_environment(device, scratch),
                on_message,
                PROBE_SECONDS,
            )
            if not waiting:
                return
            # It stopped short: at a case, or before its first one, when none of them can run.
            status = "crashed" if ended.kind == "ok" else ended.kind
            reason = ended.reason or "it ended before its work was done"
            for case in [current] if current is not None else list(waiting):
                waiting.remove(case)
                self._finish(case, process, {"status": status, "reason": reason})

    def _shuffled(self, label: str, device: str) -> list[Case]:
        """The cases of one process: problems in random order, their cases together."""
        mine = [c for c in self._running if (c.implementation, c.device) == (label, device)]
        problems = list(dict.fromkeys(case.problem for case in mine))
        self.random.shuffle(problems)
        self.random.shuffle(mine)
        return sorted(mine, key=lambda case: problems.index(case.problem))

    def _finish(self, case: Case, process: int, outcome: dict[str, Any]) -> None:
        self._outcome(case, {**outcome, "process": process})
        if outcome["status"] != results.OK:
            self.failed.add(case.id)  # later processes need not fail again
        self.progress.done(self._predicted(case))

    def _replan(self, done: int) -> None:
        """After a round, fit what is left into what time is left, from what it really cost."""
        left = self.seconds - (time.monotonic() - self.began)
        if done == self.plan.processes or not self._running:
            return
        measured = sum(self.spent.values())
        timed = len(self._running) * self.plan.block_seconds

        def per_round(block_seconds: float) -> float:
            return measured - timed + len(self._running) * block_seconds

        self.plan.block_seconds = plan.fit(
            per_round, self.plan.processes - done, left, self.block_seconds
        )
        if left < per_round(0.0):
            self.progress.say(
                f"time: {done} of {self.plan.processes} processes fit into "
                f"{self.seconds:.0f} s on this machine"
            )
            self.plan.processes = done

    def _outcome(self, case: Case, outcome: dict[str, Any]) -> None:
        self._write({"record": "outcome", "case": cases_module.to_json(case), **outcome})

    def _write(self, record: dict[str, Any]) -> None:
        self.writer.append(record)
        self.journal.add(record)


def run_directory(output: Path | None) -> Path:
    """A directory that does not exist yet, named after time and machine, or the one given."""
    if output is not None:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ValueError(
                f"--output {output}: there is something already; give a new or an empty directory"
            )
        return output
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    node = "".join(c if c.isalnum() else "-" for c in platform.node())[:20] or "machine"
    # An installed package writes where its user stands; a checkout writes into itself.
    in_checkout = (environment.ROOT / "pyproject.toml").is_file()
    base = (environment.ROOT if in_checkout else Path.cwd()) / "reports" / "output"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        directory = base / f"{stamp}-{node}{suffix}"
        if not directory.exists():
            return directory
    raise ValueError(f"no free name for a run in {base}")


def check_writable(directory: Path) -> None:
    """Raise ValueError now rather than after the measurements if nothing can be written there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe_file = directory / ".writable"
        probe_file.write_text("")
        probe_file.unlink()
    except OSError as error:
        raise ValueError(f"{directory}: cannot be written: {error.strerror}") from None
