"""The processes of a run: started in rounds, visited in turns.

Each round starts one process per implementation, device and thread count, in an order that is drawn
anew; it gates its cases. The first round also visits each case once, which tells what a round
costs. The processes of all rounds stay, and are visited in turns until every interval is narrow or
the time is up. A process that dies or hangs costs the case it was at, and the others go on in a new
one.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samegrad.benchmarks.cases import case as cases_module
from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.machine import process_environment, system
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.runs import budget
from samegrad.benchmarks.runs.capabilities import PROBE_SECONDS, unasked
from samegrad.benchmarks.runs.worker_process import Resident, stopped_short
from samegrad.benchmarks.worker import main
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry

if TYPE_CHECKING:
    from samegrad.benchmarks.runs.runner import Run

CASE_SECONDS = 60.0  # for one case, besides ten times what it should take
CEILING_SECONDS = 120.0
CEILINGS_COST = 2.0  # seconds per worker, parts of calls included, once all is compiled
MEMORY_OF = ("train_step", "resident", "ieee")  # what peak memory is measured of
MOST_AT_ONCE = 4  # processes that gate at the same time; each holds the inputs of all its cases
MOST_REPLACED = 3  # times that a process is which dies, and be it between its turns
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
        self.residents: list[Resident] = []  # all that live
        # Seconds of the present round that are not spent in every one.
        self.compiling, self.looking = 0.0, 0.0
        self.random = random.Random()
        pilots = {
            (case.implementation, case.device): self.probes[case.implementation].pilots[case.device]
            for case in run.running
        }
        # Seconds of a round: its gates, as last measured; its visits, as those of the first.
        self.gating, self.visiting = 0.0, budget.round_seconds(run.running, pilots, 0.0)

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
                    self._leave(there)
                    there = []
            self._last_ceilings()
            self._memory()
        finally:
            for resident in list(self.residents):
                self._end(resident)

    def _round(self, process: int) -> list[Resident]:
        """One process of each worker, its cases gated; those that stay."""
        left = self.run.left(process)
        workers = {case.worker for case in left}
        look = self._looks_at_ceilings(process)
        if left and look:
            workers |= unasked(self.run.running, self.probes)
        order = sorted(workers)
        self.random.shuffle(order)
        self.compiling = self.looking = visiting = turning = 0.0
        began = time.monotonic()
        asked = [(setup, [case for case in left if case.worker == setup]) for setup in order]
        found = list[Resident]()
        for number, resident in enumerate(self._gated(process, asked)):
            gated, some = time.monotonic(), [resident]
            resident.word = self._first_word(resident) if look == "before" else {}
            if resident.setup.device != "cpu":  # a GPU's memory is not shared
                others = self._owed([other for other in self.residents if other != resident])
                turns = len(order) * (self.plan.processes - process) - number
                self._turns(some, (self._spare(process + 1) - others) / turns)
                self._leave(some)
                turning += time.monotonic() - gated
                continue
            if process == 0:
                some = self._visited(resident, resident.cases)
                visiting += time.monotonic() - gated
            found += some
        if order:
            self.gating = time.monotonic() - began - visiting - turning - self.compiling
        if visiting:
            self.visiting = visiting - self.looking
        return found

    def _gated(
        self, process: int, asked: Sequence[tuple[WorkerSpec, list[Case]]]
    ) -> Iterator[Resident]:
        """A process for each worker, with its cases gated.

        Nothing is timed while they gate but first calls and compilations, which the first process
        tells: from the second on, several gate at a time where they share no GPU.
        """
        alone = process == 0 or any(setup.device != "cpu" for setup, _ in asked)
        going, gated = list[Resident](), list[Resident]()
        for setup, cases in asked:
            going.append(self._start(setup, process, cases_module.smallest_first(cases)))
            if alone:
                yield from self._pass(going.pop())
            elif len(going) == min(MOST_AT_ONCE, system.cores()):
                gated += self._pass(going.pop(0))
        for resident in going:
            gated += self._pass(resident)
        yield from gated

    def _start(
        self, setup: WorkerSpec, process: int, cases: list[Case], replaces: int = 0
    ) -> Resident:
        resident = self._resident(setup, cases, process)
        resident.replaces = replaces
        resident.child.send(self._request(resident))
        return resident

    def _pass(self, resident: Resident) -> list[Resident]:
        """Hear how a process gates; it, or one for what it leaves behind, or none."""
        while True:
            ended = self._hear(resident, resident.cases)
            if ended is None:
                return [resident]
            self._end(resident)
            # It stopped short: at a case, or before its first one, when none of them can run.
            self._stopped(resident, ended, resident.waiting)
            left = [case for case in resident.waiting if case.id not in self.run.failed]
            if not left:
                return []
            resident = self._start(resident.setup, resident.process, left, resident.replaces)

    def _first_word(self, resident: Resident) -> dict[str, Any]:
        """Ceilings before the first visits of a process, and the parts of calls beside them.

        Ceilings are believed, so they come from our own idioms: a file that does not wait would
        raise them for all.
        """
        idiom = _is_idiom(resident.setup.implementation)
        return {"parts": True, **({"ceilings": resident.process} if idiom else {})}

    def _visited(self, resident: Resident, cases: Sequence[Case]) -> list[Resident]:
        """A turn of a process; it, or the one that takes its place, or none."""
        again = False
        while True:
            wanted = [case for case in cases if case.id not in self.run.failed]
            self._say(resident, wanted)
            ended = self._hear(resident, wanted)
            if ended is None:
                return [resident]
            self._end(resident)
            # Once it may have died between two turns, by no case's fault.
            self._stopped(resident, ended, wanted if again else [])
            left = [case for case in resident.cases if case.id not in self.run.failed]
            cases = self.visits.unseen(left, resident.process)
            if not left or (resident.replaces == MOST_REPLACED and not cases):
                return []
            deaths = resident.replaces + 1
            some = self._pass(self._start(resident.setup, resident.process, left, deaths))
            if not some or not cases:
                return some
            (resident,), again = some, True

    def _turns(self, residents: list[Resident], seconds: float) -> None:
        """Visits in turns, for so many seconds or until none does any good.

        Every case is visited once by every process, and the time for that is kept free.
        """
        deadline = time.monotonic() + seconds
        some = True
        while some:
            some = False
            for resident in self.random.sample(residents, len(residents)):
                mine = [case for case in resident.cases if case.id not in self.run.failed]
                wanted = self.visits.unseen(mine, resident.process)
                if time.monotonic() + self._owed(residents) < deadline:
                    wanted = self.visits.wanted(mine, resident.process, self.plan.processes)
                    wanted = self.visits.share(self._shuffled(wanted))
                if wanted or resident.word:
                    some = True
                    self.progress.turn(deadline - time.monotonic())
                    residents.remove(resident)
                    residents += self._visited(resident, self._shuffled(wanted))

    def _owed(self, residents: Sequence[Resident]) -> float:
        """Predicted seconds of the first visits that have not been made."""
        return sum(
            self.visits.seconds(case) or self.run.predicted(case)
            for resident in residents
            for case in self.visits.unseen(resident.cases, resident.process)
            if case.id not in self.run.failed
        )

    def _looks_at_ceilings(self, process: int) -> str:
        """Before, between and after the cases, since the machine is not always the same."""
        if process in (0, self.plan.processes // 2):
            return "before" * self.settings.ceilings
        return "after" * (self.settings.ceilings and process == self.plan.processes - 1)

    def _say(self, resident: Resident, cases: Sequence[Case]) -> None:
        """Begin a turn of a process (see `worker.measure`)."""
        word, resident.word = resident.word, {}
        blocks = self.visits.blocks(cases)
        resident.child.send({**word, "cases": [case.id for case in cases], "blocks": blocks})

    def _hear(self, resident: Resident, turn: Sequence[Case]) -> processes.Exit | None:
        """Write down what comes of a turn."""
        by_id = {case.id: case for case in turn}
        where = f"{resident.process + 1}/{self.plan.processes}"
        resident.waiting, resident.current = list(turn), None
        paused: float | None = None

        def go_on() -> None:
            nonlocal paused
            if paused is not None:
                self.looking += time.monotonic() - paused
                paused = None

        def on_message(message: dict[str, Any]) -> float | None:
            nonlocal paused
            if "ceiling" not in message:
                go_on()
            if message.get("begin") == "ceilings":
                paused = time.monotonic()
                self.progress.now(f"{where} ceilings of {resident.setup.implementation}")
                return CEILING_SECONDS
            if "ceiling" in message:
                about = resident.setup._asdict()
                del about["precision"]  # the arithmetic says it
                self.run.write({"record": "ceiling", **about, **message["ceiling"]})
                return None
            if "pace" in message:
                self.run.write(
                    {"record": "cpu_speed", "process": resident.process, **message["pace"]}
                )
                return None
            if "begin" in message:
                resident.current = by_id[message["begin"]]
                self.progress.now(f"{where} {resident.current.id}")
                # Generous: a slow machine is no reason to kill.
                return CASE_SECONDS + 10 * self.run.predicted(resident.current)
            outcome, finished = message["outcome"], by_id[message["case"]]
            self.looking += (outcome.get("breakdown_spent_ns") or 0) / 1e9
            if resident.process == 0:
                self.compiling += (1 - LOADED) * (outcome.get("compile_ns") or 0) / 1e9
            resident.current = None
            resident.waiting = [case for case in resident.waiting if case != finished]
            self.run.finish(finished, resident.process, outcome)
            return None

        ended = resident.child.receive(on_message, PROBE_SECONDS)
        go_on()
        return ended

    def _stopped(self, resident: Resident, ended: processes.Exit, others: Sequence[Case]) -> None:
        """The case at which a process stopped short has no number; without one, these others."""
        for case in [resident.current] if resident.current is not None else list(others):
            self.run.finish(case, resident.process, stopped_short(ended))

    def _leave(self, residents: Sequence[Resident]) -> None:
        """Processes may end; those of the last round say first what their library can do."""
        for resident in residents:
            after = self._looks_at_ceilings(resident.process) == "after"
            if after and _is_idiom(resident.setup.implementation):
                resident.word = {"ceilings": resident.process}
                self._say(resident, [])
                self._hear(resident, [])
            self._end(resident)

    def _end(self, resident: Resident) -> None:
        self.residents.remove(resident)
        resident.child.close()

    def _room(self, there: Sequence[Resident], last: int) -> bool:
        """Whether the next round's processes find memory beside those that are there."""
        needed = [r.memory() for r in there if r.process == last]
        available = system.available_memory()
        known = available is not None and None not in needed
        return known and sum(size or 0 for size in needed) < ROOM * (available or 0)

    def _resident(self, setup: WorkerSpec, cases: Sequence[Case], process: int) -> Resident:
        name = self._name(setup)
        command = main.command(self.run.interpreters.get(name, sys.executable), setup.threads)
        env = process_environment.worker_environment(setup.device, self.scratch, setup.threads)
        resident = Resident(setup, process, list(cases), processes.Child(command, env))
        self.residents.append(resident)
        return resident

    def _name(self, setup: WorkerSpec) -> str:
        return getattr(self.probes.get(setup.implementation), "name", setup.implementation)

    def _request(self, resident: Resident) -> dict[str, Any]:
        warm_up = self.settings.warm_up_seconds
        return resident.request(self._name(resident.setup), self.scratch, warm_up)

    def _last_ceilings(self) -> None:
        """After the cases, where the last round did not; and again where a row is too fast."""
        last = self.plan.processes - 1
        if not self.settings.ceilings:
            return
        running = self.run.running
        workers = {case.worker for case in running} | unasked(running, self.probes)
        measured = {
            (record["implementation"], record["device"], record["threads"])
            for record in self.journal.ceilings
            if record["process"] == last
        }
        for setup in sorted(workers):
            if setup[:3] not in measured and _is_idiom(setup.implementation):
                self._look(setup, last)
        found = {row.case.id: row.status for row in rows.rows(self.journal)}
        too_fast = {c.worker[1:4] for c in running if found[c.id] == "rejected"}
        for setup in sorted(workers):
            if setup[1:4] in too_fast and _is_idiom(setup.implementation):
                self._look(setup, last)

    def _look(self, setup: WorkerSpec, process: int) -> None:
        """Ceilings alone, in a process of their own."""
        for resident in self._pass(self._start(setup, process, [])):
            resident.word = self._first_word(resident)
            for other in self._visited(resident, []):
                self._end(other)

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
            resident = self._resident(case.worker, [case], 0)
            resident.child.send(self._request(resident) | {"role": "memory"})
            ended = resident.child.receive(on_message, PROBE_SECONDS) or processes.Exit("ok", "")
            self._end(resident)
            outcome = {"status": "ok", "reason": "", **found.get("memory", {})}
            if "memory" not in found:
                outcome = found.get("failed", stopped_short(ended))
            self.run.write({"record": "memory", "case": case.to_dict(), **outcome})

    def _shuffled(self, mine: list[Case]) -> list[Case]:
        """The cases of one process: problems in random order, their cases together."""
        problems = list(dict.fromkeys(case.workload for case in mine))
        self.random.shuffle(problems)
        self.random.shuffle(mine)
        return sorted(mine, key=lambda case: problems.index(case.workload))

    def _replan(self, done: int) -> None:
        """After a round: do the others fit into what time is left, by what it really cost?"""
        if done == self.plan.processes or not self.run.running:
            return
        left = self.run.left_seconds - self._owed(self.residents)
        if left < self.gating + self.visiting:
            self.progress.say(
                f"time: {done} of {self.plan.processes} processes fit into "
                f"{self.run.seconds:.0f} s on this machine"
            )
            self.plan.processes = done
        self.run.write({"record": "processes", "processes": self.plan.processes})

    def _spare(self, done: int) -> float:
        """Seconds for turns, when so many rounds are done."""
        looks = sum(bool(self._looks_at_ceilings(p)) for p in range(done, self.plan.processes))
        looks += self._looks_at_ceilings(self.plan.processes - 1) == "after"
        ceilings = CEILINGS_COST * len({case.worker for case in self.run.running})
        rounds = (self.plan.processes - done) * (self.gating + self.visiting)
        return self.run.left_seconds - rounds - looks * ceilings


def _is_idiom(name: str) -> bool:
    return name in registry.names()
