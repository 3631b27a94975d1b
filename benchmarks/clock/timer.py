"""The clock: warm-up, calibration, synchronised blocks. The only place where durations arise.

A block is `calls` calls of the work and the wait until every result is there, with garbage
collection off. After the clock has stopped, waiting again and fetching the last loss is timed, and
then once more: what the first of the two takes longer is work that had not been waited for, and a
block with any proves nothing.
"""

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from samegrad.benchmarks.clock import threads
from samegrad.benchmarks.clock.threads import TICK_NS, confined

Clock = Callable[[], int]
# Told that a block that counts "begins", that it has "ended", and that the thread "rests".
Outside = Callable[[str], None]
Tree = Any
Events = tuple[Callable[[], None], Callable[[], Callable[[], int]]]

CPU_BLOCK_NS = 5_000_000  # 5 ms: perf_counter's own cost, below 100 ns, is then below 0.002 %
GPU_BLOCK_NS = 20_000_000  # 20 ms: also against the cost of one synchronisation, about 10 us
LONG = 10  # a call as long as so many blocks needs no repetition and no calibration
CERTAINLY_LONG = 100  # half a second on a CPU: no accident of the system
MOST_BLOCKS = 200
STEADY = 0.05  # two successive blocks that differ by less are warm
MOST_UNSTEADY = 3  # full blocks that are waited for to become steady; on a noisy machine none is
RESIDUAL_SHARE, RESIDUAL_NS = 0.05, 100_000  # what the second wait may take
# What looks like a missing wait has so many blocks before it is called one, of which half must look
# so. Of three, on cores that others use, too, one of 14,000 right repetitions was refused.
SUSPECTED = 7
REST_SECONDS = 0.0005  # as the message to the other clock lets a core rest: it wakes slowly
BUSY_SLACK = 0.1  # cores beyond the threads that were asked for: the interpreter's own
# Where others want the cores, too, what threads wait for them counts, where they were to be fewer
# than there are cores, and may use more. A system that is asked for one thread's is not exact.
WANTED_SLACK, LEAST_WANTED = 0.5, 5  # cores, blocks
# A call that grows and grows has no time: of so many parts of the blocks each takes longer than the
# one before, to this factor in all. Noise does that to a few blocks in a row, not to ten.
TREND_PARTS, TREND = 5, 4.0


def block_ns(device: str) -> int:
    """The shortest block that is timed on a device."""
    return CPU_BLOCK_NS if device == "cpu" else GPU_BLOCK_NS


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        start: makes what a block of so many calls starts from, outside the clock (fresh params).
        run: (calls, start) -> everything that must have been computed when the clock stops.
        synchronize: returns once all of that is computed.
        fetch: brings something small of it to the host; it cannot arrive before it is computed.
        copies: of a result, new arrays in the same places: what has been computed for certain.
        events: start and stop of the device's own clock, if it has one.
        compilations: how many functions have been compiled so far.
        collects: whether the garbage collector runs: where nothing else frees what calls leave.
        most_calls: of a block.
    """

    start: Callable[[int], Tree]
    run: Callable[[int, Tree], Tree]
    synchronize: Callable[[Tree], None]
    fetch: Callable[[Tree], Any] = lambda _: None
    copies: Callable[[Tree], Tree] | None = None
    events: Events | None = None
    compilations: Callable[[], int] = lambda: 0
    collects: bool = False
    most_calls: int = 2**62


def work_of(call: Callable[[], Tree], synchronize: Callable[[Tree], None] = lambda _: None) -> Work:
    """Independent calls of one function as work, for what is no case."""

    def run(calls: int, _: Tree) -> Tree:
        result = None
        for _i in range(calls):
            result = call()
        return result

    return Work(lambda _: None, run, synchronize)


@dataclass
class Blocks:
    """The blocks of one case in one process; all durations of whole blocks, in nanoseconds."""

    calls: int = 1
    elapsed_ns: list[int] = field(default_factory=list)
    residual_ns: list[int] = field(default_factory=list)
    event_ns: list[int] = field(default_factory=list)
    looked_ns: list[int] = field(default_factory=list)
    busy_ns: list[int] = field(default_factory=list)
    wanting_ns: list[int] = field(default_factory=list)
    new_bytes: list[int] = field(default_factory=list)
    compiled: int = 0
    last_result: Tree = None
    last_seen: Any = None

    def add(self, timed_block: "Block") -> None:
        """Take in one block."""
        self.last_result, self.last_seen = timed_block.result, timed_block.seen
        self.elapsed_ns.append(timed_block.elapsed_ns)
        self.residual_ns.append(timed_block.residual_ns)
        self.event_ns.append(timed_block.event_ns)
        self.busy_ns.append(timed_block.busy_ns)
        self.looked_ns.append(timed_block.looked_ns)
        self.wanting_ns.append(timed_block.wanting_ns)
        self.new_bytes.append(timed_block.new_bytes)
        self.compiled += timed_block.compiled

    @property
    def per_call_ns(self) -> float:
        """The median block, per call."""
        return statistics.median(self.elapsed_ns) / self.calls

    @property
    def unsynchronised(self) -> bool:
        """Whether the clock stopped before the work had ended.

        Of a missing wait every block suffers; of an interruption by the system, one.
        """
        return statistics.median(self.residual_ns) > _allowed(statistics.median(self.elapsed_ns))

    def refusal(
        self, threads: int | None = None, earlier: Sequence["Blocks"] = ()
    ) -> tuple[str, str] | None:
        """(status, reason) why these blocks are no measurement, or None.

        Args:
            threads: how many threads the process may use; None where its CPU time says nothing.
            earlier: blocks of earlier repetitions. One repetition may be too short to show a second
                thread (where CPU time comes in ticks), or that calls take longer and longer.
        """
        if self.unsynchronised:
            return "rejected", (
                "not synchronised: after the clock stopped at "
                f"{statistics.median(self.elapsed_ns) / 1e6:.3g} ms, waiting again took "
                f"{statistics.median(self.residual_ns) / 1e6:.3g} ms"
            )
        if self.compiled:
            blocks = len(self.elapsed_ns)
            return "rejected", f"recompiled while timing: {self.compiled} times in {blocks} blocks"
        repetitions = [*earlier, self]
        elapsed = sum(sum(blocks.elapsed_ns) for blocks in repetitions)
        busy = sum(sum(blocks.busy_ns) for blocks in repetitions)
        error = TICK_NS * math.sqrt(sum(len(blocks.elapsed_ns) for blocks in repetitions))
        most = math.inf if threads is None else threads
        if busy > (most + BUSY_SLACK) * elapsed + error:
            return "rejected", (
                f"{busy / max(1, elapsed):.2f} cores were busy with {threads} thread"
                f"{'s' * (threads != 1)}: other threads compute, too"
            )
        wanted = busy + sum(sum(blocks.wanting_ns) for blocks in repetitions)
        count = sum(len(blocks.elapsed_ns) for blocks in repetitions)
        few = most < (os.cpu_count() or 1) and count >= LEAST_WANTED
        if few and wanted > (most + WANTED_SLACK) * elapsed + error and not confined(most):
            return "rejected", (
                f"{wanted / max(1, elapsed):.2f} cores were wanted with {threads} thread"
                f"{'s' * (threads != 1)}: other threads compute, too"
            )
        times = [elapsed / blocks.calls for blocks in repetitions for elapsed in blocks.elapsed_ns]
        size = len(times) // TREND_PARTS
        if size >= 2:
            # The least of each: two repetitions in a row may be disturbed, a leak spares none.
            leasts = [min(times[i * size : (i + 1) * size]) for i in range(TREND_PARTS)]
            # Of the last, without what was waited for a core: others may have come and stayed.
            alone = [
                (elapsed - waited) / blocks.calls
                for blocks in repetitions
                for elapsed, waited in zip_longest(
                    blocks.elapsed_ns, blocks.wanting_ns[: len(blocks.elapsed_ns)], fillvalue=0
                )
            ]
            last = min(alone[(TREND_PARTS - 1) * size : TREND_PARTS * size])
            if leasts == sorted(set(leasts)) and last > TREND * leasts[0]:
                return "not_converged", (
                    "the blocks take longer and longer, "
                    f"{last / leasts[0]:.1f} times in all: there is no time per call"
                )
        return None


def timed(
    call: Callable[[], Tree],
    synchronize: Callable[[Tree], None] = lambda _: None,
    clock: Clock = time.perf_counter_ns,
) -> Any:
    """(result, nanoseconds) of one call, synchronised: for a first, cold call."""
    start = clock()
    result = call()
    synchronize(result)
    return result, clock() - start


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        result: what it computed.
        elapsed_ns: wall time until the result was there.
        residual_ns: work that was still going on after that.
        event_ns: by the GPU's own clock, 0 without one.
        busy_ns: CPU time of all threads of the process.
        compiled: how many functions it compiled.
        seen: what was fetched of the result as soon as the clock had stopped.
        looked_ns: how long that took, and waiting for nothing.
        wanting_ns: how long threads of the process waited for a core.
        new_bytes: memory that the process was given meanwhile.
    """

    result: Tree
    elapsed_ns: int
    residual_ns: int
    event_ns: int
    busy_ns: int = 0
    compiled: int = 0
    seen: Any = None
    looked_ns: int = 0
    wanting_ns: int = 0
    new_bytes: int = 0


def block(
    work: Work,
    calls: int,
    clock: Clock = time.perf_counter_ns,
    outside: Outside = lambda _: None,
) -> Block:
    """Time one block of `calls` calls.

    Args:
        outside: somebody with a clock of their own.
    """
    start = work.start(calls)
    work.synchronize(start)
    outside("begins")
    was_enabled = gc.isenabled()  # after that: somebody may have put work of theirs into it
    if not work.collects:
        gc.disable()
    try:
        given, compiled = threads.new_memory(), work.compilations()
        opened, before = clock(), threads.computed_and_waited()
        began = clock()
        if work.events is not None:
            work.events[0]()
        result = work.run(calls, start)
        read = work.events[1]() if work.events is not None else None
        work.synchronize(result)
        ended = clock()
        after, closed = threads.computed_and_waited(), clock()
        compiled, given = work.compilations() - compiled, threads.new_memory() - given
        outside("ended")
        delayed = threads.delay()
        waited = clock()
        work.synchronize(result)
        seen = work.fetch(result)
        again = clock()
        work.synchronize(result)
        work.fetch(result)
        closing = clock()
        nothing, delayed = closing - again, threads.delay() - delayed
        outside("rests")
        # Waiting for nothing, and looking at what is there, takes up to twice as long when the
        # caches hold what the block has computed with.
        residual = max(0, again - waited - 2 * nothing - delayed)
        if work.copies is not None and residual > _allowed(ended - began):
            nothing = max(nothing, _first_look(work, work.copies(result), clock))
            residual = max(0, again - waited - 2 * nothing - delayed)
        # Between two clocks this thread may be stopped while others go on: their share counts.
        inside = (ended - began) / max(1, closed - opened)
        busy = round((after[0] - before[0]) * inside)
        wanting = round(threads.waited_between(before[1], after[1], closed - opened) * inside)
    finally:
        if was_enabled:
            gc.enable()
    event = 0 if read is None else read()
    looked = closing - waited
    elapsed = ended - began
    return Block(result, elapsed, residual, event, busy, compiled, seen, looked, wanting, given)


def _allowed(elapsed_ns: float) -> float:
    """How long the second wait of a block may take, in nanoseconds."""
    return max(RESIDUAL_SHARE * elapsed_ns, RESIDUAL_NS)


def _first_look(work: Work, copies: Tree, clock: Clock) -> int:
    """Nanoseconds of a first look at arrays that are there: a second one may find what it made."""
    work.synchronize(copies)
    time.sleep(REST_SECONDS)
    began = clock()
    work.synchronize(copies)
    work.fetch(copies)
    return clock() - began


def calibrate(work: Work, target_ns: int, clock: Clock = time.perf_counter_ns) -> int:
    """How many calls make a block of at least `target_ns`, once two such blocks are alike."""
    calls = 1
    previous = block(work, calls, clock).elapsed_ns
    full = 0
    for _ in range(40):  # a bound that growth by a tenth at least never reaches
        elapsed = block(work, calls, clock).elapsed_ns
        full += elapsed >= target_ns or calls == work.most_calls
        if full and (abs(elapsed - previous) < STEADY * elapsed or full == MOST_UNSTEADY):
            break
        if elapsed < target_ns:
            # Past the target by a tenth, at most tenfold at once: early blocks are cold and long.
            growth = round(1.1 * calls * target_ns / max(elapsed, 1))
            calls = min(10 * calls, max(calls + 1, growth), work.most_calls)
        previous = elapsed
    return calls


def measure(
    work: Work,
    target_ns: int,
    budget_ns: float,
    clock: Clock = time.perf_counter_ns,
    least: int = 3,
    seen_ns: int = 0,
    outside: Outside = lambda _: None,
) -> Blocks:
    """Calibrate, then time as many blocks as the budget allows, but a long call once only.

    The work has been called before (by the gate). A call that is as long as ten blocks is not
    called again to be warmed up: its first block counts.

    Args:
        target_ns: shortest block.
        budget_ns: time for the timed blocks.
        least: so many blocks of a call that is not long, whatever the budget.
        seen_ns: what an earlier call took, if one was seen: a call that is long twice is long.
        outside: somebody with a clock of their own.
    """
    blocks, at_least = Blocks(), 1
    for _ in range(2):
        blocks.add(block(work, 1, clock, outside))
        if blocks.elapsed_ns[-1] < LONG * target_ns:  # short, or long once by accident
            at_least, blocks = least, Blocks(calibrate(work, target_ns, clock))
            break
        if blocks.elapsed_ns[-1] > CERTAINLY_LONG * target_ns or seen_ns >= LONG * target_ns:
            break
    return _fill(work, blocks, at_least, budget_ns, clock, outside)


def again(
    work: Work,
    calls: int,
    clock: Clock = time.perf_counter_ns,
    warm: bool = True,
    outside: Outside = lambda _: None,
) -> Blocks:
    """One more block of as many calls: a later repetition.

    Args:
        warm: whether a short one that is not counted fills the caches; a long call needs none.
        outside: somebody with a clock of their own.
    """
    if warm:
        block(work, max(1, calls // 5), clock)
    return _fill(work, Blocks(calls), 1, 0, clock, outside)


def _fill(
    work: Work, blocks: Blocks, least: int, budget_ns: float, clock: Clock, outside: Outside
) -> Blocks:
    spent = sum(blocks.elapsed_ns)
    while (
        (len(blocks.elapsed_ns) < SUSPECTED and blocks.elapsed_ns and blocks.unsynchronised)
        or (len(blocks.elapsed_ns) < least)
        or (
            spent + spent / max(1, len(blocks.elapsed_ns)) <= budget_ns
            and len(blocks.elapsed_ns) < MOST_BLOCKS
        )
    ):
        # One block's results at a time, as in a training loop.
        blocks.last_result = blocks.last_seen = None
        blocks.add(block(work, blocks.calls, clock, outside))
        spent += blocks.elapsed_ns[-1]
    return blocks


def warm_up(work: Work, seconds: float, clock: Clock = time.perf_counter_ns) -> None:
    """Run the work for a while, so that clocks and caches are up before the first case."""
    deadline = clock() + seconds * 1e9
    while clock() < deadline:
        block(work, 1, clock)
