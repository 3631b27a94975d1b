"""A worker process as the parent sees it: its command line, environment and messages."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case, WorkerSpec
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import hosts
from samegrad.benchmarks.runs.clocks import computed_and_waited
from samegrad.implementations.checking import launch
from samegrad.implementations.checking.keeper import children
from samegrad.implementations.checking.processes import Child, Exit, python_child
from samegrad.implementations.contract import registry

MOMENTS = ("begins", "ended", "rests")  # of a block
# Modules whose main() a child runs; by name, since the parent imports neither of them.
WORKER = "samegrad.benchmarks.worker.main"
JUDGE = "samegrad.benchmarks.judge.main"


def command(
    module: str, interpreter: str = sys.executable, threads: str = "all", ranks: int = 1
) -> list[str]:
    """The command line of a child that runs a module's main(), bound to its cores.

    Args:
        module: WORKER, or another one that answers requests.
        interpreter: path of its Python.
        threads: "all", or a number of threads: then it is bound to as many cores.
        ranks: in which it runs; then it is each of them that is bound.
    """
    if ranks > 1:
        return launch.command(module, interpreter, ranks, threads)
    return python_child(module, interpreter, system.affinity(threads))


@dataclass(eq=False)
class WorkerProcess:
    """A process that measures the cases of one worker, and stays alive between its requests.

    Attributes:
        worker: what it is set up for.
        process: its number among the processes of that worker.
        cases: those that it gates first.
        child: the process itself.
        name: of its implementation, as on the command line.
        scratch: where the inputs are.
        waiting: cases of the present request that are not done.
        current: at which of them it is.
        extra: what its next request asks for, besides repetitions.
        replaces: how many processes that have died it takes the place of.
        begun: the cases of the present request that it has begun with.
        ceilings: whether the present request asks for them.
        draws: its seeds, by case.
        moment: of a block, which is the next.
        first_calls: how the paths begin to which it writes results of first calls.
        handed_in: its messages of these, each with its case.
        judged: how many there were before these.
        asked: the case whose results have been asked for, and are to come next.
        stamps: of the present case's blocks, duration by the parent's clock, that of looking at the
            results, and meanwhile CPU time of other processes that descend from it, how long its
            thread and ours have waited for a core, and how long its thread has computed or waited
            for a core, in nanoseconds.
    """

    worker: WorkerSpec
    process: int
    cases: list[Case]
    child: Child
    name: str
    scratch: Path
    waiting: list[Case] = field(default_factory=list)
    current: Case | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    replaces: int = 0
    begun: set[str] = field(default_factory=set)
    ceilings: bool = False
    draws: dict[str, list[int]] = field(default_factory=dict)
    moment: int = 0
    first_calls: str = ""
    handed_in: list[tuple[Case, dict[str, Any]]] = field(default_factory=list)
    judged: int = 0
    asked: Case | None = None
    stamps: list[tuple[int, ...]] = field(default_factory=list)
    _before: tuple[int, int, int] = (0, 0, 0)
    _rank0: int = 0
    _elapsed: int = 0
    _ended_ns: int = 0

    @classmethod
    def start(
        cls,
        worker: WorkerSpec,
        process: int,
        cases: Sequence[Case],
        name: str,
        interpreter: str,
        scratch: Path,
    ) -> "WorkerProcess":
        """A new process, which has not been asked anything."""
        environment = system.worker_environment(worker.device, scratch, worker.threads)
        if worker.ranks > 1 and hosts.count() > 1:
            child: Child = hosts.child(interpreter, worker, WORKER, environment)
        else:
            started = command(WORKER, interpreter, worker.threads, worker.ranks)
            child = Child(started, environment)
        one = cls(worker, process, list(cases), child, name, scratch)
        one.first_calls = str(scratch / f"first{child.process.pid}-")
        return one

    def begin(self, role: str, warm_up_seconds: float) -> None:
        """Send the first request: which implementation and cases, and what is to be done.

        Args:
            role: "measure" (gate the cases, then wait for requests to repeat some) or "memory".
            warm_up_seconds: on a CPU; twice that on a GPU.
        """
        self.child.doing = f"importing {self.worker.implementation} and making its first calls"
        on_cpu = self.worker.device == "cpu"
        self.child.send(
            {
                "role": role,
                **self.worker._asdict(),
                "implementation": registry.absolute(self.name),
                "cases": [case.to_dict() for case in self.cases],
                "process": self.process,
                "with_memory": on_cpu,
                "directory": str(self.scratch),
                "first_calls": self.first_calls,
                "warm_up_seconds": warm_up_seconds * (1 if on_cpu else 2),
            }
        )

    def repeat(
        self,
        cases: Sequence[Case],
        blocks: dict[str, tuple[int, float]],
        draws: dict[str, list[int]],
    ) -> None:
        """Send a request to repeat some of its cases, and for what is `extra`.

        Args:
            blocks: case id -> (calls in a block, seconds per call), where they are known.
            draws: case id -> seeds of what it computes.
        """
        extra, self.extra = self.extra, {}
        self.ceilings, self.draws = "ceilings" in extra, draws
        self.child.doing = f"waiting for {self.worker.implementation}"
        names = [case.id for case in cases]
        self.child.send({**extra, "cases": names, "blocks": blocks, "draws": draws})

    def gate(self, cases: Sequence[Case]) -> None:
        """Send a request to gate more cases, which become its own."""
        self.cases += cases
        self.extra = {"gate": [case.to_dict() for case in cases]}
        self.repeat([], {}, {})

    def receive(
        self,
        asked: Sequence[Case],
        on_message: Callable[[dict[str, Any]], float | None],
        time_limit: float,
    ) -> Exit | None:
        """Receive the messages that answer a request; how the process ended, None if it waits.

        Args:
            asked: the cases that the request named.
            on_message: see `Child.receive`.
            time_limit: seconds for the first message.
        """
        self.waiting, self.current, self.begun, self.asked = list(asked), None, set(), None

        def checked(message: dict[str, Any]) -> float | None:
            if "block" in message:
                self._stamp(message["block"])
                return None
            self._check(message)
            if "begin" in message:
                self.moment, self.stamps = 0, []
            return on_message(message)

        return self.child.receive(checked, time_limit)

    def _check(self, message: dict[str, Any]) -> None:
        """Raise ValueError if a message is of something that was not asked for, or asked once.

        A file may write messages of its own: they win it no time, and it gets no other rows.
        """
        begins, case = message.get("begin"), message.get("case")
        asked, self.asked = self.asked, None
        if "evidence" in message or asked is not None:
            if asked is None or "evidence" not in message or case != asked.id:
                raise ValueError(f"evidence of {case!r:.60}")
            return
        current = None if self.current is None else self.current.id
        if "gate" in message:
            self._hand_in(message)
            return
        if begins == "ceilings" or "ceiling" in message:
            wanted = self.ceilings
        elif begins is not None:
            left = {case.id for case in self.waiting} - self.begun
            wanted = begins in left
            self.begun.add(begins)
        else:
            wanted = "outcome" not in message or (case is not None and case == current)
        if not wanted:
            raise ValueError(f"{begins or case!r:.60} was not asked for")
        if begins is not None:
            self.child.doing = f"at {begins}"

    def _hand_in(self, message: dict[str, Any]) -> None:
        """Keep a message of a first call; raise ValueError if it was not to be made now."""
        case, operation = self.current, message["gate"]
        known = {(one.workload.id, told["gate"]) for one, told in self.handed_in}
        if case is None or message["case"] != case.id or operation not in case.gated:
            raise ValueError(f"first call of {operation!r:.40}")
        if (case.workload.id, operation) in known or not isinstance(message["about"], dict):
            raise ValueError(f"first call of {operation!r:.40} again")
        self.handed_in.append((case, message))

    def _stamp(self, moment: str) -> None:
        """Take the times of a block; raise ValueError if none can begin, end or rest now."""
        if moment != MOMENTS[self.moment] or self.current is None:
            raise ValueError(f"no block {moment!r:.20} now")
        self.moment = (self.moment + 1) % len(MOMENTS)
        if moment == "ended":
            self._elapsed = self.child.arrived_ns - self.child.answered_ns
            self._ended_ns = self.child.arrived_ns
            return
        working, started = self.working(), self.child.process.pid
        keeps = working != started and self.worker.ranks == 1  # or it keeps the other ranks, too
        others = system.descendants_cpu_ns(working, started if keeps else 0)
        ready = sum(computed_and_waited(working))
        waited = computed_and_waited(working)[1]
        waited += sum(computed_and_waited(os.getpid(), own)[1] for own in self.child.threads)
        now = others, waited, ready
        if moment == "rests":
            changes = (max(0, b - a) for a, b in zip(self._before, now, strict=True))
            looked = self.child.arrived_ns - self._ended_ns
            self.stamps.append((self._elapsed, looked, *changes))
        self._before = now

    def stamped(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """An outcome with the parent's own times of its blocks, which are the last ones.

        Raises:
            ValueError: it has more blocks than have been timed.
        """
        count = len(outcome.get("elapsed_ns") or ())
        if not count:
            return outcome
        if count > len(self.stamps):
            raise ValueError("a block that has not been announced")
        names = ("outer_ns", "outer_looked_ns", "others_ns", "waited_ns", "ready_ns")
        stamps = map(list, zip(*self.stamps[-count:], strict=True))
        return {**outcome, **dict(zip(names, stamps, strict=True))}

    def memory(self) -> int | None:
        """Bytes of this machine's memory that it takes; None where the system does not say."""
        size = system.resident_memory(self.working())
        return size and size * hosts.on_each(self.worker.ranks)

    def working(self) -> int:
        """The id of the process that has the clock: of several ranks, that of rank 0."""
        if self.worker.ranks > 1 and not self._rank0:
            self._rank0 = rank0_of(self.child.working())
        return self._rank0 or self.child.working()


def rank0_of(launcher: int) -> int:
    """The process of rank 0 that a launcher has started, behind a keeper; 0 if there is none."""
    for keeper in children(launcher):
        with contextlib.suppress(OSError):  # it has ended
            if b"RANK=0" in Path(f"/proc/{keeper}/environ").read_bytes().split(b"\0"):
                return next(iter(children(keeper)), keeper)
    return 0


def too_early(one: WorkerProcess) -> Exit | None:
    """How a process ended that waits for a request before its cases are done; None if they are.

    A file may say that it waits while it is timed: it would be asked for the same cases for ever.
    """
    if not one.waiting:
        return None
    return Exit("crashed", "it waited for another request before its cases were done")


def stopped_short(ended: Exit) -> dict[str, Any]:
    """What is written of a case whose process ended before it was done."""
    status = "crashed" if ended.kind == "ok" else ended.kind
    return {"status": status, "reason": ended.reason or "it ended without an outcome"}
