"""Which process does which repetition of which case, and when.

The processes of a run are started one per worker (implementation, device, number of threads) at a
time, in an order that is drawn anew, and gate their cases. The first process of each also repeats
each case once, which tells what a process costs; all of these begin with the smallest network, so
that something is seen soon. All processes stay alive, and are asked for repetitions in an order
that is drawn anew until every interval is narrow or the time is up. A process that dies or hangs
costs the case it was at, and its other cases go on in a new process.
"""

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec, smallest_first, smallest_workload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import budget
from samegrad.benchmarks.runs.capabilities import cost_models, other_libraries
from samegrad.benchmarks.runs.clocks import Clocks
from samegrad.benchmarks.runs.proofs import Proofs
from samegrad.benchmarks.runs.repetitions import shuffled
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.worker_process import WorkerProcess, stopped_short, too_early
from samegrad.implementations.checking.processes import Exit
from samegrad.implementations.contract import registry

CASE_SECONDS = 60.0  # for one case, besides ten times what it should take
CEILING_SECONDS = 120.0
CEILINGS_COST = 2.0  # seconds per worker, breakdowns of calls included, once all is compiled
MOST_AT_ONCE = 4  # processes that gate at the same time; each holds the inputs of all its cases
MOST_REPLACED = 3  # times that a process is which dies, be it between its requests
ROOM = 0.5  # of the memory that is left may be taken by the next processes


class Scheduler:
    """All processes of a run that measure."""

    def __init__(self, run: Run, scratch: Path) -> None:
        """Nothing of a run is started yet; its inputs are in `scratch`."""
        self.run, self.scratch, self.progress = run, scratch, run.progress
        self.budget, self.settings, self.journal = run.budget, run.settings, run.journal
        self.capabilities, self.repetitions = run.capabilities, run.repetitions
        self.alive, self.random = list[WorkerProcess](), random.Random()
        self.clocks, self.proofs = Clocks(), Proofs(run, scratch)
        self.first = smallest_workload([case for case in run.left(0) if case.device == "cpu"])
        # Who has measured these; seconds that it took, and of them repeating.
        self.begun, self.spent = dict[WorkerSpec, WorkerProcess](), (0.0, 0.0)
        # Seconds that the next processes will not spend: compiling, ceilings, breakdowns.
        self.compiling, self.explaining = 0.0, 0.0
        self.ceilings_began: float | None = None
        # For all processes of each worker, and for as much again as one of them takes.
        self.time_is_left = True
        # Seconds that a process of each worker takes: its gates, and its first repetitions.
        self.gating = 0.0
        self.repeating = budget.process_seconds(run.running, cost_models(self.capabilities), 0.0)

    def __enter__(self) -> "Scheduler":
        return self

    def __exit__(self, *about: Any) -> None:
        """End all processes; of an interrupted run, once what it timed is judged."""
        for one in list(self.alive):
            self.close(one)
        self.proofs.__exit__(*about)

    def measure(self) -> None:
        """Processes with their repetitions, ceilings around them."""
        process, waiting = 0, list[WorkerProcess]()
        while process < self.budget.processes:
            waiting, process = waiting + self._start_all(process), process + 1
            self._reconsider(process)
            if process == self.budget.processes or not self._fits(waiting, process - 1):
                groups = 1 + self.budget.processes - process
                self._repeat_in_turn(waiting, self._seconds_to_repeat(process) / groups)
                self._close_all(waiting)
                waiting = []
                self.proofs.judge(last=process == self.budget.processes)
        self._measure_last_ceilings()

    def _start_all(self, process: int) -> list[WorkerProcess]:
        """One process of each worker, its cases gated; those that stay alive."""
        left = self.run.left(process)
        workers = {case.worker for case in left} | set(self.begun)
        when = self._when_ceilings(process)
        if left and when:
            workers |= other_libraries(self.run.running, self.capabilities)
        order = self.random.sample(sorted(workers), len(workers))
        if process:
            self.compiling = self.explaining = 0.0
        else:  # XLA compiles for minutes for a GPU: a run that is cut off has all other rows
            order.sort(key=lambda one: budget.compiling(one, left, cost_models(self.capabilities)))
        (spent, repeating), on_gpu, self.spent = self.spent, 0.0, (0.0, 0.0)
        began = time.monotonic() - spent
        asked = [(worker, [case for case in left if case.worker == worker]) for worker in order]
        staying = list[WorkerProcess]()
        for number, one in enumerate(self._gate_all(process, asked)):
            gated, same = time.monotonic(), [one]
            one.extra = self._explanation(one) if when == "before" else {}
            if one.worker.device != "cpu":  # a GPU's memory is not shared
                others = self._first_seconds([other for other in self.alive if other != one])
                left_over = len(order) * (self.budget.processes - process) - number
                seconds = self._seconds_to_repeat(process + 1) - others
                self._repeat_in_turn(same, seconds / left_over)
                self._close_all(same)
                self.proofs.judge()
                on_gpu += time.monotonic() - gated
                continue
            if process == 0:
                same = self._repeat(one, self.repetitions.not_begun(one.cases, process))
                repeating += time.monotonic() - gated
            staying += same
        if order:
            self.gating = time.monotonic() - began - repeating - on_gpu - self.compiling
        if repeating:
            self.repeating = repeating - self.explaining
        return staying

    def begin(self) -> None:
        """Gate and repeat the smallest workload, which all processes gate first; these go on."""
        began, repeating = time.monotonic(), 0.0
        for worker in dict.fromkeys(case.worker for case in self.first):
            own = [c for c in self.first if c.worker == worker and c.id not in self.run.failed]
            for one in self._gated(self._start(worker, 0, smallest_first(own))) if own else ():
                one.extra = {"breakdown": True} if self.settings.ceilings else {}
                gated = time.monotonic()
                self.begun |= {same.worker: same for same in self._repeat(one, one.cases)}
                repeating += time.monotonic() - gated
        self.spent = time.monotonic() - began, repeating

    def _gate_all(
        self, process: int, asked: Sequence[tuple[WorkerSpec, list[Case]]]
    ) -> Iterator[WorkerProcess]:
        """A process for each worker, with its cases gated.

        Nothing is timed while they gate but first calls and compilations, which the first process
        tells: from the second on, several gate at a time where they share no GPU.
        """
        alone = process == 0 or any(worker.device != "cpu" for worker, _ in asked)
        gating, gated = list[WorkerProcess](), list[WorkerProcess]()
        for worker, cases in asked:
            if begun := self.begun.pop(worker, None):
                begun.gate([case for case in smallest_first(cases) if case not in begun.cases])
            gating.append(begun or self._start(worker, process, smallest_first(cases)))
            if alone:
                yield from self._gated(gating.pop())
            elif len(gating) == min(MOST_AT_ONCE, system.cores()):
                gated += self._gated(gating.pop(0))
        for one in gating:
            gated += self._gated(one)
        yield from gated

    def _start(
        self, worker: WorkerSpec, process: int, cases: Sequence[Case], replaces: int = 0
    ) -> WorkerProcess:
        """A process that gates some cases."""
        one = self.new(worker, cases, process)
        one.replaces = replaces
        one.begin("measure", self.settings.warm_up_seconds)
        return one

    def _gated(self, one: WorkerProcess) -> list[WorkerProcess]:
        """A process once it has gated its cases; or one for what it leaves behind, or none."""
        while True:
            ended = self._receive(one, one.cases)
            if ended is None:
                self.proofs.judge_first_calls(one)
                if not one.cases or any(case.id not in self.run.failed for case in one.cases):
                    return [one]  # who has no cases measures ceilings
            self.close(one)
            if ended is None:
                return []
            # It stopped short: at a case, or before its first one, when none of them can run.
            self._fail_stopped(one, ended, one.waiting)
            left = [case for case in one.waiting if case.id not in self.run.failed]
            if not left:
                return []
            one = self._start(one.worker, one.process, left, one.replaces)

    def _explanation(self, one: WorkerProcess) -> dict[str, Any]:
        """What is measured before the first repetitions: ceilings, and what calls consist of.

        Ceilings are believed, so they come from our own idioms: a file that does not wait would
        raise them for all.
        """
        idiom = one.worker.implementation in registry.names()
        return {"breakdown": True, **({"ceilings": one.process} if idiom else {})}

    def _repeat(self, one: WorkerProcess, cases: Sequence[Case]) -> list[WorkerProcess]:
        """One repetition of some cases; the process, or the one that takes its place, or none."""
        replaced = False
        while True:
            asked = [case for case in cases if case.id not in self.run.failed]
            ended = self._ask(one, asked)
            if ended is None:
                return [one]
            self.close(one)
            # Once it may have died between two requests, by no case's fault.
            self._fail_stopped(one, ended, asked if replaced else [])
            left = [case for case in one.cases if case.id not in self.run.failed]
            cases = self.repetitions.not_begun(left, one.process)
            if not left or (one.replaces == MOST_REPLACED and not cases):
                return []
            gated = self._gated(self._start(one.worker, one.process, left, one.replaces + 1))
            if not gated or not cases:
                return gated
            (one,), replaced = gated, True

    def _repeat_in_turn(self, waiting: list[WorkerProcess], seconds: float) -> None:
        """Repetitions by one process after another, until no row improves or the time is up.

        Every case is repeated once by every process, and the time for that is kept free.
        """
        deadline = time.monotonic() + seconds
        asked = True
        while asked:
            asked = False
            for one in self.random.sample(waiting, len(waiting)):
                own = [case for case in one.cases if case.id not in self.run.failed]
                cases = self.repetitions.not_begun(own, one.process)
                first = self._first_seconds(waiting) + self.proofs.seconds
                if time.monotonic() + first < deadline:
                    processes = self.budget.processes
                    cases = self.repetitions.worth_repeating(own, one.process, processes)
                    cases = self.repetitions.share(shuffled(cases, self.random))
                if cases or one.extra:
                    asked = True
                    self.progress.repeating(deadline - time.monotonic())
                    waiting.remove(one)
                    waiting += self._repeat(one, shuffled(cases, self.random))

    def _first_seconds(self, processes: Sequence[WorkerProcess]) -> float:
        """Predicted seconds of the first repetitions that have not been made."""
        return sum(
            self.repetitions.seconds(case) or self.run.predicted(case)
            for one in processes
            for case in self.repetitions.not_begun(one.cases, one.process)
            if case.id not in self.run.failed
        )

    def _when_ceilings(self, process: int) -> str:
        """When a process measures ceilings: "before" or "after" its repetitions, or "" (never).

        In the first and the last one, since the machine is not always the same; in the middle one
        where time is left.
        """
        if process == 0 or (self.time_is_left and process == self.budget.processes // 2):
            return "before" * self.settings.ceilings
        return "after" * (self.settings.ceilings and process == self.budget.processes - 1)

    def _ask(self, one: WorkerProcess, cases: Sequence[Case]) -> Exit | None:
        """Request repetitions of a process; how it ended, None if it waits for the next request."""
        one.repeat(cases, self.repetitions.blocks(cases), self.proofs.seeds(one.process, cases))
        ended = self._receive(one, cases) or too_early(one)
        if self.proofs.due:
            self.proofs.judge()
        return ended

    def _receive(self, one: WorkerProcess, asked: Sequence[Case]) -> Exit | None:
        """Write down what a process answers to a request; how it ended, None if it waits."""
        by_id = {case.id: case for case in asked}
        told = lambda message: self._on_message(one, by_id, message)  # noqa: E731 # one line
        ended = one.receive(asked, told, self.run.import_seconds(one.worker))
        self._end_ceilings()
        self.run.look()
        return ended

    def _on_message(
        self, one: WorkerProcess, by_id: Mapping[str, Case], message: dict[str, Any]
    ) -> float | None:
        """Write down a message; the time limit in seconds for the next one, None to keep it."""
        where = f"{one.process + 1}/{self.budget.processes}"
        if "ceiling" in message:
            about = one.worker._asdict()
            del about["precision"]  # the arithmetic says it
            self.run.write({"record": "ceiling", **about, **message["ceiling"]})
            return CEILING_SECONDS
        self._end_ceilings()
        if message.get("begin") == "ceilings":
            self.ceilings_began = time.monotonic()
            self.progress.now(f"{where} ceilings of {one.worker.implementation}")
            return CEILING_SECONDS
        if "cpu_speed" in message:
            self.run.write(message["cpu_speed"] | {"record": "cpu_speed", "process": one.process})
            return None
        if "begin" in message:
            one.current = by_id[message["begin"]]
            self.progress.now(f"{where} {one.current.id}")
            return CASE_SECONDS + 10 * self.run.predicted(one.current)
        if "gate" in message:  # which is judged once all have come
            return None
        if "evidence" in message:
            self.proofs.keep(one, message["evidence"])
            return CASE_SECONDS
        outcome, finished = message["outcome"], by_id[message["case"]]
        self.explaining += (outcome.get("breakdown_spent_ns") or 0) / 1e9
        if one.process == 0:
            self.compiling += (1 - budget.LOADED) * (outcome.get("compile_ns") or 0) / 1e9
        entry = registry.TABLE.get(one.name)  # by its name: a file of a user's has none of these
        helpers = entry.processes if entry else 0
        outcome = self.clocks.judged(finished, one.process, one.stamped(outcome), helpers)
        outcome = self.proofs.with_gate(finished, one.process, outcome)
        one.current = None
        one.waiting = [case for case in one.waiting if case != finished]
        repetition = self.repetitions.number(finished, one.process)
        self.run.finish(finished, one.process, outcome)
        if finished.id not in self.run.failed:
            self.proofs.timed(one, finished, outcome, repetition)
        return CASE_SECONDS + 10 * self.run.predicted(finished)  # until it begins with another

    def _end_ceilings(self) -> None:
        if self.ceilings_began is not None:
            self.explaining += time.monotonic() - self.ceilings_began
            self.ceilings_began = None

    def _fail_stopped(self, one: WorkerProcess, ended: Exit, others: Sequence[Case]) -> None:
        """The case at which a process stopped short has no number; without one, these others."""
        for case in [one.current] if one.current is not None else list(others):
            if not self.run.spares(case, ended):
                self.run.finish(case, one.process, stopped_short(ended))

    def _close_all(self, processes: Sequence[WorkerProcess]) -> None:
        """End processes; the last one of a worker first measures ceilings once more."""
        for one in processes:
            after = self._when_ceilings(one.process) == "after"
            if after and one.worker.implementation in registry.names():
                one.extra = {"ceilings": one.process}
                self._ask(one, [])
            self.close(one)

    def close(self, one: WorkerProcess) -> None:
        """End a process."""
        self.alive.remove(one)
        one.child.close()

    def _fits(self, waiting: Sequence[WorkerProcess], last: int) -> bool:
        """Whether the next processes find memory beside those that wait, by what the last took."""
        needed = [one.memory() for one in waiting if one.process == last]
        available = system.available_memory()
        known = available is not None and None not in needed
        return known and sum(size or 0 for size in needed) < ROOM * (available or 0)

    def new(self, worker: WorkerSpec, cases: Sequence[Case], process: int) -> WorkerProcess:
        """A process that has not been asked anything."""
        name = worker.implementation
        if name in self.capabilities:
            name = self.capabilities[name].name
        interpreter = self.run.interpreters.get(name, sys.executable)
        one = WorkerProcess.start(worker, process, cases, name, interpreter, self.scratch)
        self.alive.append(one)
        return one

    def _measure_last_ceilings(self) -> None:
        """Ceilings after the cases, where no last process did."""
        if not self.settings.ceilings:
            return
        last, running = self.budget.processes - 1, self.run.running
        workers = {case.worker for case in running} | other_libraries(running, self.capabilities)
        measured = {
            (record["implementation"], record["device"], record["threads"])
            for record in self.journal.ceilings
            if record["process"] == last
        }
        for worker in sorted(workers):
            if worker[:3] not in measured and worker.implementation in registry.names():
                self._measure_ceilings(worker, last)

    def _measure_ceilings(self, worker: WorkerSpec, process: int) -> None:
        """Ceilings alone, in a process of their own."""
        for one in self._gated(self._start(worker, process, [])):
            one.extra = self._explanation(one)
            for other in self._repeat(one, []):
                self.close(other)

    def _reconsider(self, done: int) -> None:
        """After a process of each worker: do the others fit into the time, by what it cost?"""
        if done == self.budget.processes or not self.run.running:
            return
        left = self.run.left_seconds - self._first_seconds(self.alive)
        each = self.gating + self.repeating
        self.time_is_left = left > (self.budget.processes - done + 1) * each
        if left < each:
            self.progress.say(
                f"time: {done} of {self.budget.processes} processes fit into "
                f"{self.run.seconds:.0f} s on this machine"
            )
            self.budget.processes = done
        self.run.write({"record": "processes", "processes": self.budget.processes})

    def _seconds_to_repeat(self, done: int) -> float:
        """Seconds for repetitions, when so many processes of each worker have gated."""
        last = self.budget.processes
        moments = [self._when_ceilings(process) for process in range(done, last)]
        ceilings = sum(map(bool, moments)) + (self._when_ceilings(last - 1) == "after")
        workers = len({case.worker for case in self.run.running})
        processes = (last - done) * (self.gating + self.repeating)
        return self.run.left_seconds - processes - ceilings * CEILINGS_COST * workers
