"""The cases of one process: gated once, then repeated as often as the parent asks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import FEW_EXAMPLES, Case
from samegrad.benchmarks.cases.draws import ANSWERS, Draw
from samegrad.benchmarks.cases.workload import Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import gpu, system
from samegrad.benchmarks.worker import arrays, subjects
from samegrad.benchmarks.worker.breakdown import Breakdown
from samegrad.benchmarks.worker.subject import Seen, Subject
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.spec import Array, Tree

Message = dict[str, Any]
# Before the first block of a request. OpenBLAS's threads look for more work for a while before they
# sleep, on cores that are another library's by then, be they of another process or of the gate,
# which computes in NumPy: 60 ms of SciPy's products took 112 ms right after a norm of 4 million
# numbers, 90 ms after a rest of 0.05 s, 61 ms after 0.1 s; torch's and JAX's took 1.3 to 1.4 times
# as long. Half of that is enough for later requests: which cases come first in them is left to
# chance.
SETTLE_SECONDS, SETTLE_AGAIN_SECONDS = 0.1, 0.05
REQUEST_CALLS, REQUEST_NS = 200, 50_000_000  # of a request, which somebody waits for


class Bench:
    """What a worker process keeps of its cases from one request to the next.

    A workload is read and placed when its first case is gated, and stays. A case is what is timed
    and how many calls a block takes.
    """

    def __init__(
        self,
        implementation: Implementation,
        request: Message,
        outside: timer.Outside = lambda _: None,
        tell: Callable[[Message], object] = lambda _: None,
        imported: Message | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            request: the first request of `main.measure`.
            outside: told of each block that counts.
            tell: told of each first call.
            imported: what loading the implementation took, in time and memory.
        """
        self.imported = imported or {}
        self.tell, self.handed_in = tell, 0  # how many files it has written of first calls
        self.first_calls: str = request.get("first_calls", "")
        self.outside = outside
        self.implementation = implementation
        self.device: str = request["device"]
        self.threads: str = request["threads"]
        self.clocks = gpu.Clocks() if self.device == "cuda" else None
        self.directory = Path(request["directory"])
        self.settle_seconds: float = max(request["warm_up_seconds"], SETTLE_SECONDS)
        self.target_ns = timer.block_ns(self.device)
        self.gates: dict[Workload, Subject] = {}
        self.present: Subject | None = None  # of the workload whose case was the last
        self.block_sizes: dict[str, tuple[int, float]] = {}  # case -> calls, ns per call
        self.repetitions: dict[str, list[timer.Blocks]] = {}  # case -> its blocks
        self.timed: tuple[Case, timer.Blocks] | None = None  # in the last repetition
        self.answers: list[Array] = []  # what requests of the last repetition gave
        self.looked: tuple[Mapping[str, Tree], Message] | None = None  # at it, where calls followed
        self.ours: bool = request["implementation"] in registry.TABLE
        self.breakdown: Breakdown | None = None  # where this process measures it, too

    def gate(self, case: Case) -> None:
        """Make the first calls of a case's operations, and hand in what they give."""
        gates = self._enter(case.workload)
        for operation in case.gated:
            if operation not in gates.first_ns:
                results = gates.results(operation)
                inputs.save_tree(Path(f"{self.first_calls}{self.handed_in}.npz"), results)
                self.handed_in += 1
                self.tell({"gate": operation, "case": case.id, "about": gates.about()})

    def begin_request(self, blocks: Mapping[str, Sequence[float]]) -> None:
        """Others may have had the machine: the next blocks are preceded by some that settle it.

        Args:
            blocks: case -> calls in a block and seconds per call, where other processes know them.
        """
        self.settle_seconds = max(self.settle_seconds, SETTLE_AGAIN_SECONDS)
        for name, (calls, seconds) in blocks.items():
            self.block_sizes.setdefault(name, (int(calls), 1e9 * seconds))

    def repeat(self, case: Case, seeds: Sequence[int]) -> Message:
        """A block of a case that has passed its gate: the outcome of this repetition.

        Args:
            seeds: of what it computes (`Draw`).
        """
        gates = self._enter(case.workload)
        seed, of_process = seeds
        draw = Draw(seed, of_process, gates.scale)
        blocks, lost = self._timed(case, gates, draw)
        outcome = self._outcome(case, blocks, lost)
        if outcome["status"] != "ok":
            return outcome
        self.timed, self.answers, self.looked = (case, blocks), [], None
        if len(self.repetitions[case.id]) > 1:
            return outcome
        if blocks.last_seen is not None:  # of a network's functions; nobody judges products again
            results, about = self._look()
            self.looked = arrays.copies(results), about  # further calls may write over these
        return {
            **outcome,
            "first_call_ns": gates.first_ns.get(case.operation),
            "compile_ns": gates.compile_ns.get(case.operation) or None,
            **self._broken_down(case, gates, blocks.last_seen),
            **self._requests(case, gates, draw),
        }

    def _requests(self, case: Case, gates: Subject, draw: Draw) -> Message:
        """What one call after the other takes, each waited for, and what was before the first.

        All that they give is kept: the judge says which of them it looks at.
        """
        if case.operation != "forward" or case.workload.batch_size > FEW_EXAMPLES:
            return {}
        work, times = gates.requests(draw), list[int]()
        until = time.perf_counter_ns() + REQUEST_NS
        while len(times) < REQUEST_CALLS and time.perf_counter_ns() < until:
            one = timer.block(work, 1)
            times.append(one.elapsed_ns)
            given = gates.named(case.gated[-1], self.implementation.to_numpy(one.result), [])
            self.answers.append(np.array(given["outputs"]))
        return {"request_ns": times, **self.imported}

    def _timed(
        self, case: Case, gates: Subject, draw: Draw
    ) -> tuple[timer.Blocks, Mapping[str, float]]:
        """The blocks of a repetition, and the shares of the time that were lost to others."""
        operation = case.gated[-1]
        work = gates.work(case.operation, case.transfer, draw)
        first_ns = gates.first_ns[operation] - gates.compile_ns[operation]
        calls, per_call_ns = self.block_sizes.get(case.id, (0, first_ns))
        self._settle(work, per_call_ns)
        before = system.moment()
        blocks = None
        if calls:
            warm = per_call_ns < timer.LONG * self.target_ns
            number = min(draw.calls(calls), work.most_calls)
            blocks = timer.again(work, number, warm=warm, outside=self.outside)
        short = blocks is None or min(blocks.elapsed_ns) < self.target_ns / 2
        if blocks is None or (short and blocks.calls < work.most_calls):
            blocks = timer.measure(
                work, self.target_ns, 0, least=1, seen_ns=first_ns, outside=self.outside
            )
            calls = blocks.calls
        self.block_sizes[case.id] = calls, blocks.per_call_ns
        lost = system.interference(before, system.moment())
        if gates.again(operation, blocks):  # on other weights: somebody may remember these
            return self._timed(case, gates, replace(draw, block=blocks.last_seen.block + 1))
        return blocks, lost

    def evidence(self, path: Path) -> Message:
        """What the last repetition gave, for the judge: a file, and what it needs to know of it."""
        results, about = self.looked or self._look()
        answers = {ANSWERS: np.stack(self.answers)} if self.answers else {}
        inputs.save_tree(path, {**results, **answers})
        return about

    def _look(self) -> tuple[Mapping[str, Tree], Message]:
        """What the last repetition gave, on the host, and what is to be known of it."""
        assert self.timed is not None
        case, blocks = self.timed
        seen, gates = blocks.last_seen, self._enter(case.workload)
        now, results = arrays.numbers(seen.result), gates.fetched(seen)
        changed = not arrays.agree(seen.values, now)
        if not self.ours and not isinstance(self.implementation, OwnCalls):
            changed = changed or not arrays.same_numbers(now, [*arrays.leaves(results)])
        about = {"number": seen.number, "block": seen.block, "changed": changed}
        named = gates.named(case.gated[-1], results, seen.passed)
        return named, {**gates.about(), **about}

    def call(self, case: Case, times: int) -> None:
        """Calls of a case that is neither gated nor timed, for who measures its memory."""
        work = self._enter(case.workload).work(case.operation, case.transfer, Draw())
        work.synchronize(work.run(times, work.start(times)))

    def _enter(self, workload: Workload) -> Subject:
        """A workload on its device, where it is placed at first."""
        gates = self.gates.get(workload)
        if gates is not None and gates is self.present:
            return gates
        if self.present is not None:
            self.present.release()
        self.present = None  # should placing fail, the next case tries again
        if gates is None:
            gates = self.gates[workload] = subjects.read(
                workload, self.implementation, self.device, self.directory, self.ours
            )
        gates.enter()
        self.present = gates
        return gates

    def rest(self) -> None:
        """Give back memory: many processes wait at a time."""
        self.timed, self.answers, self.looked = None, [], None
        if self.present is not None:
            self.present.release()
            self.present = None

    def _settle(self, timed: timer.Work, call_ns: float) -> None:
        """Once a request: clocks up, caches filled, and threads of others asleep by its end."""
        if call_ns < self.settle_seconds * 1e9:
            timer.warm_up(timed, self.settle_seconds)
        elif self.settle_seconds:
            time.sleep(min(self.settle_seconds, SETTLE_SECONDS))
        self.settle_seconds = 0.0

    def _outcome(self, case: Case, blocks: timer.Blocks, lost: Mapping[str, float]) -> Message:
        """What the blocks are worth: a refusal, or their times.

        Args:
            lost: shares of the time that were lost to others.
        """
        threads = system.thread_count(self.threads) if self.device == "cpu" else None
        earlier = self.repetitions.setdefault(case.id, [])
        refusal = blocks.refusal(threads, earlier)
        earlier.append(replace(blocks, last_result=None, last_seen=None))
        fault, limit = self.clocks.look() if self.clocks else ("", "")
        if refusal is None and fault:
            refusal = "rejected", fault
        if refusal is not None:
            return {"status": refusal[0], "reason": refusal[1]}
        return {
            "status": "ok",
            "reason": "",
            "calls": blocks.calls,
            "elapsed_ns": blocks.elapsed_ns,
            "residual_ns": blocks.residual_ns,
            "event_ns": blocks.event_ns if any(blocks.event_ns) else [],
            "busy_ns": blocks.busy_ns,
            "looked_ns": blocks.looked_ns,
            "new_bytes": blocks.new_bytes,
            **({"clock_limit": limit} if limit else {}),
            **lost,
        }

    def _broken_down(self, case: Case, gates: Subject, seen: Seen | None) -> Message:
        """What a call consists of, in the processes that are asked for it."""
        breakdown = self.breakdown
        if breakdown is None:
            return {}
        times, spent_ns = timer.timed(lambda: gates.explained(case, breakdown, seen))
        return {**times, "breakdown_spent_ns": spent_ns} if times else {}
