"""The processes of a run: started in rounds, visited in turns.

Each round starts one process per implementation, device and thread count, in an order that is drawn
anew; it gates its cases and visits each once. The processes of all rounds stay, and are visited in
turns until every interval is narrow or the time is up. A process that dies or hangs costs the case
it was at, and the others go on in a new one.
"""

import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import cases as cases_module
from benchmarks import environment, plan, results, worker
from benchmarks.cases import Case, Worker
from benchmarks.probes import PROBE_SECONDS, unasked
from benchmarks.resident import Resident
from implementations import isolation, registry

if TYPE_CHECKING:
    from benchmarks.runner import Run

CASE_SECONDS = 60.0  # for one case, besides ten times what it should take
CEILING_SECONDS = 120.0
CEILINGS_COST = 2.0  # seconds per worker, parts of calls included, once all is compiled
MEMORY_OF = ("train_step", "resident", "ieee")  # what peak memory is measured of
ROOM = 0.5  # of the memory that is left may be taken by the next round's processes
LOADED = 0.2  # of a compilation's time is spent again where its result is found on the disk


class Rounds:
    """All processes of a run that measure."""

    def __init__(self, run: "Run", scratch: Path) -> None:
        """Prepare to carry out a run's plan.

        Args:
            run: whose cases are measured, and who writes down what comes of it.
            scratch: where the inputs are.
        """
        self.run, self.scratch = run, scratch
        self.plan, self.settings, self.probes = run.plan, run.settings, run.probes
        self.progress, self.journal, self.visits = run.progress, run.journal, run.visits
        self.spent: dict[Worker, float] = {}
        self.extra = 0.0  # of this round, what is not spent in every one
        self.random = random.Random()
        pilots = {
            (case.implementation, case.device): self.probes[case.implementation].pilots[case.device]
            for case in run.running
        }
        self.a_round = plan.round_seconds(run.running, pilots, 0.0)

    def execute(self) -> None:
        """Rounds and turns, ceilings around them, and peak memory at last."""
        process, there = 0, list[Resident]()
        try:
            while process < self.plan.processes:
                there += self._round(process)
                process += 1
                self._replan(process)
                if process == self.plan.processes or not self._room(there, process - 1):
                    rounds = 1 + self.plan.processes - process
                    self._turns(there, self._spare(process) / rounds)
                    while there:
                        self._leave(there.pop())
        finally:
            for resident in there:
                resident.close()
        self._last_ceilings()
        self._memory()

    def _round(self, process: int) -> list[Resident]:
        """Open one process of each worker; those that stay."""
        left, found = self.run.left(process), list[Resident]()
        workers = {case.worker for case in left}
        if left and self._looks_at_ceilings(process):
            workers |= unasked(self.run.running, self.probes)
        order = sorted(workers)
        self.random.shuffle(order)
        self.spent.clear()
        self.extra = 0.0
        for number, setup in enumerate(order):
            began = time.monotonic()
            mine = self._shuffled([case for case in left if case.worker == setup])
            opened = self._open(setup, mine, process, self._looks_at_ceilings(process))
            self.spent[setup] = time.monotonic() - began
            some = [opened] if opened is not None else []
            if setup.device != "cpu":  # a GPU's memory is not shared
                turns = len(order) * (self.plan.processes - process) - number
                self._turns(some, self._spare(process + 1) / turns)
                while some:
                    self._leave(some.pop())
            found += some
        return found

    def _looks_at_ceilings(self, process: int) -> str:
        """Before, between and after the cases, since the machine is not always the same."""
        if process in (0, self.plan.processes // 2):
            return "before" * self.settings.ceilings
        return "after" * (self.settings.ceilings and process == self.plan.processes - 1)

    def _open(
        self, setup: Worker, waiting: list[Case], process: int, look: str = ""
    ) -> Resident | None:
        """A process of a worker that has gated its cases and visited each of them once.

        What a process leaves behind that stops short goes on in another one.

        Args:
            look: "before" measures ceilings and the parts of calls, too.
        """
        while waiting or (look == "before" and _is_idiom(setup.implementation)):
            resident = self._resident(setup, waiting, process)
            ended = self._turn(resident, self._request(resident, look), waiting)
            if ended is None:
                return resident
            resident.close()
            looked, look = look == "before", ""
            if resident.at_ceilings and looked:  # lost, and the cases go on without them
                continue
            # It stopped short: at a case, or before its first one, when none of them can run.
            self._stopped(resident, ended, resident.waiting)
            waiting = [case for case in resident.waiting if case.id not in self.run.failed]
        return None

    def _turns(self, residents: list[Resident], seconds: float) -> None:
        """Visits in turns, for so many seconds or until none does any good."""
        deadline = time.monotonic() + seconds
        some = True
        while some:
            self.random.shuffle(residents)
            some = False
            for i, resident in enumerate(residents):
                process = resident.process
                mine = [case for case in resident.cases if case.id not in self.run.failed]
                wanted = self.visits.wanted(mine, process, self.plan.processes)
                if time.monotonic() >= deadline:
                    return
                if wanted:
                    some = True
                    self.progress.turn(deadline - time.monotonic())
                    residents[i] = self._again(resident, self._shuffled(wanted))

    def _again(self, resident: Resident, wanted: list[Case]) -> Resident:
        """One turn of a process; or of the one that takes its place, should it die."""
        ended = self._turn(resident, {"cases": [case.id for case in wanted]}, wanted)
        if ended is None:
            return resident
        resident.close()
        self._stopped(resident, ended, [])
        left = [case for case in resident.cases if case.id not in self.run.failed]
        return self._open(resident.setup, left, resident.process) or replace(resident, cases=[])

    def _turn(
        self, resident: Resident, word: dict[str, Any], turn: Sequence[Case]
    ) -> isolation.Exit | None:
        """Say a word to a process, and write down what comes of it."""
        by_id = {case.id: case for case in turn}
        where = f"{resident.process + 1}/{self.plan.processes}"
        resident.waiting, resident.current = list(turn), None
        paused = time.monotonic()

        def on_message(message: dict[str, Any]) -> float | None:
            nonlocal paused
            if resident.at_ceilings and "ceiling" not in message:
                self.extra += time.monotonic() - paused
                resident.at_ceilings = False
            if message.get("begin") == "ceilings":
                resident.at_ceilings, paused = True, time.monotonic()
                self.progress.now(f"{where} ceilings of {resident.setup.implementation}")
                return CEILING_SECONDS
            if "ceiling" in message:
                self._ceiling(resident.setup, message["ceiling"])
                return None
            if "begin" in message:
                resident.current = by_id[message["begin"]]
                self.progress.now(f"{where} {resident.current.id}")
                # Generous: a slow machine is no reason to kill.
                return CASE_SECONDS + 10 * self.run.predicted(resident.current)
            outcome, finished = message["outcome"], by_id[message["case"]]
            compiling = (1 - LOADED) * (outcome.get("compile_ns") or 0) * (not resident.process)
            self.extra += ((outcome.get("parts_spent_ns") or 0) + compiling) / 1e9
            resident.current = None
            resident.waiting = [case for case in resident.waiting if case != finished]
            self.run.finish(finished, resident.process, outcome)
            return None

        return resident.child.turn(word, on_message, PROBE_SECONDS)

    def _stopped(self, resident: Resident, ended: isolation.Exit, others: Sequence[Case]) -> None:
        """The case at which a process stopped short has no number; without one, these others."""
        status = "crashed" if ended.kind == "ok" else ended.kind
        reason = ended.reason or "it ended before its work was done"
        for case in [resident.current] if resident.current is not None else list(others):
            self.run.finish(case, resident.process, {"status": status, "reason": reason})

    def _leave(self, resident: Resident) -> None:
        """A process may end; one of the last round says first what its library can do."""
        after = self._looks_at_ceilings(resident.process) == "after"
        if after and resident.cases and _is_idiom(resident.setup.implementation):
            self._turn(resident, {"cases": [], "ceilings": resident.process}, [])
        resident.close()

    def _room(self, there: Sequence[Resident], last: int) -> bool:
        """Whether the next round's processes find memory beside those that are there."""
        needed = [r.memory() for r in there if r.process == last]
        available = environment.available_memory()
        known = [size for size in needed if size is not None]
        if available is None or len(known) < len(needed):
            return False
        return sum(known) < ROOM * available

    def _resident(self, setup: Worker, cases: Sequence[Case], process: int) -> Resident:
        name = self._name(setup)
        command = worker.command(self.run.interpreters.get(name, sys.executable), setup.threads)
        env = environment.worker_environment(
            setup.device, self.scratch, setup.threads, setup.kernel
        )
        return Resident(setup, process, list(cases), isolation.Child(command, env))

    def _name(self, setup: Worker) -> str:
        return getattr(self.probes.get(setup.implementation), "name", setup.implementation)

    def _request(self, resident: Resident, look: str = "") -> dict[str, Any]:
        setup, name = resident.setup, self._name(resident.setup)
        return {
            "role": "measure",
            **setup._asdict(),
            "implementation": registry.absolute(name),
            "cases": [cases_module.to_json(case) for case in resident.cases],
            "process": resident.process,
            # Ceilings are believed, so they come from our own idioms: a file that does not wait
            # would raise them for all. Parts are measured only for what has passed every check.
            "ceilings": look == "before" and _is_idiom(name),
            "parts": look == "before",
            "with_memory": setup.device == "cpu",
            "directory": str(self.scratch),
            "warm_up_seconds": self.settings.warm_up_seconds * (1 if setup.device == "cpu" else 2),
        }

    def _ceiling(self, setup: Worker, found: Mapping[str, Any]) -> None:
        where = {name: getattr(setup, name) for name in ("device", "threads", "kernel")}
        name = setup.implementation
        self.run.write({"record": "ceiling", "implementation": name, **where, **found})

    def _last_ceilings(self) -> None:
        """After the cases, where the last round did not; and again where a row is too fast."""
        last = self.plan.processes - 1
        if not self.settings.ceilings:
            return
        workers = {case.worker for case in self.run.running} | unasked(
            self.run.running, self.probes
        )
        measured = {
            (record["implementation"], record["device"], record["threads"], record["kernel"])
            for record in self.journal.ceilings
            if record["process"] == last
        }
        for setup in sorted(workers):
            if (*setup[:3], setup.kernel) not in measured and _is_idiom(setup.implementation):
                self._open(setup, [], last, "before")
        found = {row.case.id: row.status for row in results.rows(self.journal)}
        too_fast = {c.worker[1:4] for c in self.run.running if found[c.id] == "rejected"}
        for setup in sorted(workers):
            if setup[1:4] in too_fast and _is_idiom(setup.implementation):
                self._open(setup, [], last, "before")

    def _memory(self) -> None:
        """The peak memory of each training step, in a process that does nothing else."""
        for case in self.run.running if self.settings.memory else ():
            if (case.operation, case.transfer, case.precision) != MEMORY_OF:
                continue
            if case.id in self.journal.memory:
                continue
            found: dict[str, Any] = {}

            def on_message(message: dict[str, Any], found: dict[str, Any] = found) -> None:
                found.update(message)

            self.progress.now(f"peak memory of {case.id}")
            with self._resident(case.worker, [case], 0) as resident:
                request = self._request(resident) | {"role": "memory"}
                turn = resident.child.turn(request, on_message, PROBE_SECONDS)
            ended = turn or isolation.Exit("ok", "")
            outcome = {"status": "ok", "reason": "", **found.get("memory", {})}
            if "memory" not in found:
                reason = ended.reason or "it ended before its work was done"
                status = "crashed" if ended.kind == "ok" else ended.kind
                outcome = found.get("failed", {"status": status, "reason": reason})
            self.run.write({"record": "memory", "case": cases_module.to_json(case), **outcome})

    def _shuffled(self, mine: list[Case]) -> list[Case]:
        """The cases of one process: problems in random order, their cases together."""
        problems = list(dict.fromkeys(case.problem for case in mine))
        self.random.shuffle(problems)
        self.random.shuffle(mine)
        return sorted(mine, key=lambda case: problems.index(case.problem))

    def _replan(self, done: int) -> None:
        """After a round: do the others fit into what time is left, by what it really cost?"""
        if done == self.plan.processes or not self.run.running or not self.spent:
            return
        self.a_round = sum(self.spent.values()) - self.extra
        processes = self.plan.processes
        if self.run.left_seconds < self.a_round:
            self.progress.say(
                f"time: {done} of {processes} processes fit into "
                f"{self.run.seconds:.0f} s on this machine"
            )
            self.plan.processes = done
        seconds = self.plan.block_seconds
        self.run.write(
            {"record": "replan", "processes": self.plan.processes, "block_seconds": seconds}
        )

    def _spare(self, done: int) -> float:
        """Seconds for turns, when so many rounds are done."""
        looks = sum(bool(self._looks_at_ceilings(p)) for p in range(done, self.plan.processes))
        looks += self._looks_at_ceilings(self.plan.processes - 1) == "after"
        ceilings = CEILINGS_COST * len({case.worker for case in self.run.running})
        rounds = (self.plan.processes - done) * self.a_round
        return self.run.left_seconds - rounds - looks * ceilings


def _is_idiom(name: str) -> bool:
    return name in registry.names()
