"""The clock's logic, on a fake clock and a fake asynchronous backend: no test waits or races."""

import gc
import hashlib
import mmap
import os
import statistics
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.clock import threads, timer
from samegrad.benchmarks.clock.calls import most_pending, repeated
from samegrad.benchmarks.clock.threads import TICK_NS
from samegrad.benchmarks.clock.timer import Blocks, Work, block, calibrate, measure

MS = 1_000_000


class FakeDevice:
    """A clock and a queue: dispatch takes no time, work takes its time when it is waited for."""

    def __init__(self, call_ns: int, first_ns: int = 0, waits: bool = True) -> None:
        self.now = 0
        self.queued = 0
        self.call_ns, self.first_ns, self.waits = call_ns, first_ns, waits
        self.calls: list[int] = []

    def clock(self) -> int:
        """Nanoseconds."""
        return self.now

    def run(self, calls: int, start: Any) -> Any:
        """Queue so many calls; the very first one takes longer."""
        self.calls.append(calls)
        self.queued += calls * self.call_ns + (self.first_ns if len(self.calls) == 1 else 0)
        return start

    def synchronize(self, tree: Any) -> None:
        """Wait for the queue, or pretend to."""
        if self.waits:
            self.now += self.queued
            self.queued = 0

    def fetch(self, tree: Any) -> None:
        """A value cannot come back before it is computed."""
        self.now += self.queued
        self.queued = 0

    def work(self) -> Work:
        """What the timer is given."""
        return Work(lambda _: None, self.run, self.synchronize, self.fetch)


def test_memory_that_calls_take_anew_is_counted() -> None:
    """Pages that are touched for the first time; memory that is kept is not."""
    size = 2**24
    kept = np.ones(size, np.uint8)

    def fresh() -> None:
        with mmap.mmap(-1, size) as pages:
            pages[:: mmap.PAGESIZE] = b"1" * (size // mmap.PAGESIZE)

    assert size <= block(timer.work_of(fresh), 1).new_bytes
    assert size / 10 > block(timer.work_of(lambda: kept.fill(2)), 1).new_bytes


@pytest.mark.parametrize("call_ns", [20_000, MS, 20 * MS])
def test_block_reads_a_known_delay_exactly(call_ns: int) -> None:
    """Whatever the calls take is what the clock says, and nothing is left to wait for."""
    device = FakeDevice(call_ns)

    one_block = block(device.work(), 7, device.clock)

    assert (7 * call_ns, 0) == (one_block.elapsed_ns, one_block.residual_ns)


def test_blocks_are_linear_in_their_calls() -> None:
    """k, 2k and 4k calls take k, 2k and 4k times as long."""
    device = FakeDevice(MS)

    elapsed_ns = [block(device.work(), calls, device.clock).elapsed_ns for calls in (1, 2, 4)]

    assert [MS, 2 * MS, 4 * MS] == elapsed_ns


def test_work_that_was_not_waited_for_is_refused() -> None:
    """A synchronize that returns at once leaves the work to the fetch after the clock stopped."""
    device = FakeDevice(MS, waits=False)

    blocks = measure(device.work(), 5 * MS, 20 * MS, device.clock)

    assert "not synchronised" in str(blocks.refusal())


def test_work_that_was_waited_for_is_accepted() -> None:
    """The same device with a synchronize that waits."""
    device = FakeDevice(MS)

    blocks = measure(device.work(), 5 * MS, 20 * MS, device.clock)

    assert blocks.refusal() is None
    assert {MS} == {elapsed // blocks.calls for elapsed in blocks.elapsed_ns}


def test_cost_of_waiting_for_nothing_is_no_residual() -> None:
    """A wait that takes 1 ms by itself, and a fetch: what is left is work that was not done."""
    device = FakeDevice(MS)

    def synchronize(tree: Any) -> None:
        device.synchronize(tree)
        device.now += MS

    one_block = block(Work(lambda _: None, device.run, synchronize, device.fetch), 5, device.clock)

    assert (6 * MS, 0) == (one_block.elapsed_ns, one_block.residual_ns)


@pytest.mark.parametrize(("waits", "residual"), [(True, 0), (False, 3 * MS)])
def test_first_look_that_takes_longer_is_no_residual(
    waits: bool, residual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compared with a first look at copies; a missing wait is seen all the same."""
    # The system's own count of waits for a core is real time, and is taken off the residual.
    monkeypatch.setattr(threads, "delay", lambda: 0)
    device = FakeDevice(MS, waits=waits)
    seen: list[Any] = []

    def fetch(tree: Any) -> None:
        device.fetch(tree)
        device.now += 0 if any(tree is one for one in seen) else 2 * MS
        seen.append(tree)

    looked = replace(device.work(), start=lambda _: object(), fetch=fetch)
    alone = block(looked, 5, device.clock)
    compared = block(replace(looked, copies=lambda _: object()), 5, device.clock)

    assert 2 * MS <= alone.residual_ns
    assert residual == compared.residual_ns


def test_residual_is_judged_by_share_and_by_size() -> None:
    """5 % of the block or 0.1 ms, whichever is more."""
    assert Blocks(1, [100 * MS], [4 * MS]).refusal() is None
    assert Blocks(1, [100 * MS], [6 * MS]).refusal() is not None
    assert Blocks(1, [10_000], [99_000]).refusal() is None
    assert Blocks(1, [10_000], [101_000]).refusal() is not None
    assert Blocks(1, [100 * MS] * 3, [0, 9 * MS, 0]).refusal() is None  # one interruption


@pytest.mark.parametrize("first_ns", [0, 40 * MS, 300 * MS])
def test_slow_first_call_changes_neither_calls_nor_times(first_ns: int) -> None:
    """0.3 s of compilation in the first call are gone before calibration counts."""
    device = FakeDevice(20_000, first_ns)

    blocks = measure(device.work(), 5 * MS, 50 * MS, device.clock)

    assert 250 <= blocks.calls <= 400
    assert {blocks.calls * 20_000} == set(blocks.elapsed_ns)


def test_calibration_fills_a_block() -> None:
    """Short calls are repeated until a block is long enough."""
    device = FakeDevice(1000)

    calls = calibrate(device.work(), 5 * MS, device.clock)

    assert 5000 <= calls <= 6000


def test_long_call_is_neither_warmed_up_nor_calibrated_again() -> None:
    """Its first block counts; below half a second a second one confirms that it was no accident."""
    once, twice, often = FakeDevice(800 * MS), FakeDevice(80 * MS), FakeDevice(80 * MS)

    assert [800 * MS] == measure(once.work(), 5 * MS, 0, once.clock).elapsed_ns
    assert [1] == once.calls
    assert [80 * MS] * 2 == measure(twice.work(), 5 * MS, 0, twice.clock).elapsed_ns
    assert [80 * MS] * 3 == measure(often.work(), 5 * MS, 300 * MS, often.clock).elapsed_ns


def test_budget_decides_how_many_blocks_but_never_fewer_than_three() -> None:
    """Of short blocks at least three; more if there is time."""
    few, many = FakeDevice(MS), FakeDevice(MS)

    assert 3 == len(measure(few.work(), 5 * MS, 0, few.clock).elapsed_ns)
    assert 10 <= len(measure(many.work(), 5 * MS, 100 * MS, many.clock).elapsed_ns) <= 20


def test_garbage_collection_is_off_inside_and_on_again_after_a_failure() -> None:
    """Also when the timed work raises."""
    seen: list[bool] = []

    def run(calls: int, start: Any) -> Any:
        seen.append(gc.isenabled())
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        block(Work(lambda _: None, run, lambda tree: None), 1)

    assert [False] == seen
    assert gc.isenabled()


def test_garbage_collection_stays_on_where_nothing_else_frees_what_is_left() -> None:
    """Its time is a part of such a step's."""
    seen: list[bool] = []

    block(
        Work(
            lambda _: None, lambda c, s: seen.append(gc.isenabled()), lambda _: None, collects=True
        ),
        1,
    )

    assert [True] == seen


def test_event_clock_is_read_after_the_wait() -> None:
    """Start, stop, synchronise, read: events have no time before the device has passed them."""
    device, order = FakeDevice(MS), []
    real = device.synchronize

    def stop() -> Callable[[], int]:
        order.append("stop")

        def read() -> int:
            order.append("read")
            return 3 * MS

        return read

    def synchronize(tree: Any) -> None:
        order.append("wait")
        real(tree)

    work = Work(
        lambda _: None, device.run, synchronize, events=(lambda: order.append("start"), stop)
    )

    assert 3 * MS == block(work, 3, device.clock).event_ns
    assert ["wait", "start", "stop", "wait", "wait", "wait", "read"] == order


def test_start_is_made_outside_the_clock() -> None:
    """Fresh params cost nothing of the block."""
    device = FakeDevice(MS)

    def start(_: int) -> Any:
        device.now += 500 * MS

    one_block = block(Work(start, device.run, device.synchronize), 2, device.clock)

    assert 2 * MS == one_block.elapsed_ns


def test_warm_up_runs_for_its_time() -> None:
    """Half a second of calls of 10 ms are 50."""
    device = FakeDevice(10 * MS)

    timer.warm_up(device.work(), 0.5, device.clock)

    assert 50 == len(device.calls)


def test_later_repetition_counts_neither_calibration_nor_its_first_block() -> None:
    """One block of as many calls as at the first repetition; before a long call there is none."""
    device, long = FakeDevice(MS), FakeDevice(900 * MS)

    blocks = timer.again(device.work(), 7, device.clock)
    timer.again(long.work(), 1, long.clock, warm=False)

    assert [1, 7] == device.calls
    assert (7, [7 * MS]) == (blocks.calls, blocks.elapsed_ns)
    assert [1] == long.calls


def test_calls_that_take_longer_from_repetition_to_repetition_have_no_time() -> None:
    """A repetition is one block: the trend is that of all of them so far."""
    earlier = [Blocks(1, [n * MS], [0]) for n in (10, 11, 13, 14, 20, 22, 30, 31, 43)]
    growing = Blocks(10, [440 * MS], [0]).refusal(None, earlier)
    alone = Blocks(10, [440 * MS], [0]).refusal(None)
    back = Blocks(10, [100 * MS], [0]).refusal(None, earlier)

    assert growing is not None and "not_converged" == growing[0]
    assert alone is None and back is None


def test_second_thread_shows_over_several_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CPU time comes in ticks of 16 ms a block of 5 ms alone says nothing."""
    repetitions = [Blocks(1, [5 * MS], [0], busy_ns=[10 * MS]) for _ in range(15)]
    honest = [Blocks(1, [5 * MS], [0], busy_ns=[n * MS]) for n in (16, 0, 5, 16, 0, 0, 16, 16, 0)]

    monkeypatch.setattr(timer, "TICK_NS", 16 * MS)
    assert repetitions[0].refusal(1) is None
    refusal = repetitions[0].refusal(1, repetitions[1:])
    assert refusal is not None and "2.00 cores were busy with 1 thread" in refusal[1]
    assert honest[0].refusal(1, honest[1:]) is None
    monkeypatch.setattr(timer, "TICK_NS", MS)  # where it does not, it says all
    assert repetitions[0].refusal(1) is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_may_be_as_many_as_were_asked_for_however_the_ticks_fall(threads: int) -> None:
    """1,000 cases of 15 blocks whose CPU time is off by a tick at both ends: none is refused."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        ends = rng.uniform(0, TICK_NS, (15, 2))
        repetitions = [
            Blocks(1, [6 * MS], [0], busy_ns=[max(0, round(threads * 6 * MS + a - b))])
            for a, b in ends
        ]
        assert repetitions[0].refusal(threads, repetitions[1:]) is None


def test_threads_that_want_a_core_count_where_others_have_them() -> None:
    """Two threads at half of a core each, where one was asked for; not where all were."""
    two = Blocks(1, [5 * MS] * 9, [0], busy_ns=[5 * MS] * 9, wanting_ns=[5 * MS] * 9)
    one = Blocks(1, [5 * MS] * 9, [0], busy_ns=[2 * MS] * 9, wanting_ns=[3 * MS] * 9)

    assert "2.00 cores were wanted with 1 thread" in str(two.refusal(1))
    assert one.refusal(1) is None and two.refusal(os.cpu_count()) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no threads")
def test_threads_that_take_turns_on_their_core_want_no_other() -> None:
    """JAX hands steps to another thread: 1.9 wanted. One that may go elsewhere computes, too."""
    two = Blocks(1, [5 * MS] * 9, [0], busy_ns=[5 * MS] * 9, wanting_ns=[5 * MS] * 9)
    everywhere, stop = os.sched_getaffinity(0), threading.Event()
    bound, other = [], []

    def bind() -> None:
        os.sched_setaffinity(0, everywhere)
        other.append(threading.get_native_id())
        stop.wait()

    thread = threading.Thread(target=bind)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        names = [str(threading.get_native_id())]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threads, "_threads", lambda: [(name, 0) for name in names])
            bound.append(two.refusal(1))
            thread.start()
            while not other:
                time.sleep(0.001)
            names.append(str(other[0]))
            bound.append(two.refusal(1))
    finally:
        stop.set()
        thread.join()
        os.sched_setaffinity(0, everywhere)

    assert bound[0] is None
    assert len(everywhere) == 1 or "2.00 cores were wanted" in str(bound[1])


@pytest.mark.skipif(not threads.TASKS.exists(), reason="only Linux counts threads one by one")
def test_cpu_time_counts_a_thread_that_is_running_on_another_core() -> None:
    """By as much as its own clock says; where that is not asked, up to a tick is missing."""
    stop, data = threading.Event(), bytes(2**16)

    def spin() -> None:
        while not stop.is_set():
            hashlib.sha256(data)  # without the interpreter's lock

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        its_clock = time.pthread_getcpuclockid(thread.ident or 0)
        others = []
        for _ in range(100):
            time.sleep(0.001)
            whole = threads.cpu_time()
            others.append(whole - time.clock_gettime_ns(its_clock) - time.thread_time_ns())
    finally:
        stop.set()
        thread.join()
    first, *_, last = statistics.quantiles(others, n=10)
    assert last - first < MS / 2


@pytest.mark.parametrize("stopped", [1, 2])
def test_stop_between_two_clocks_adds_no_thread(
    stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before or after the block: one thread works all the time, and one is what is counted."""
    device, count = FakeDevice(MS), [0]

    def computed_and_waited() -> tuple[int, dict[str, int]]:
        count[0] += 1
        device.now += 10 * MS if count[0] == stopped else 0
        return (device.now if stopped == 2 else device.now - 10 * MS * (count[0] == 1)), {}

    monkeypatch.setattr(threads, "computed_and_waited", computed_and_waited)
    one_block = block(device.work(), 5, device.clock)

    assert 5 * MS == one_block.elapsed_ns == one_block.busy_ns


def test_interruption_in_an_only_block_is_no_missing_wait() -> None:
    """It is looked at again; work that is never waited for is refused all the same."""
    once = FakeDevice(MS)
    interrupted = [True]

    def fetch(_: Any) -> None:
        once.now += 9 * MS if interrupted else 0
        interrupted.clear()

    blocks = timer.measure(replace(once.work(), fetch=fetch), 5 * MS, 0, once.clock, least=1)
    never = FakeDevice(MS, waits=False)
    other = timer.measure(never.work(), 5 * MS, 0, never.clock, least=1)

    assert blocks.refusal() is None
    assert other.refusal() is not None and timer.SUSPECTED <= len(other.elapsed_ns)


@pytest.mark.parametrize(("slow", "refused"), [(3, False), (4, True)])
def test_missing_wait_shows_in_half_of_the_blocks(slow: int, refused: bool) -> None:
    """Looking at what is there takes long, too, where somebody else has the core."""
    device, left = FakeDevice(MS), [True] * slow + [False] * 9

    def fetch(_: Any) -> None:
        device.now += 9 * MS if first[0] and left.pop(0) else 0
        first[0] = not first[0]

    first = [True]  # of the two looks at a block
    blocks = timer.again(replace(device.work(), fetch=fetch), 5, device.clock, warm=False)

    assert refused == (blocks.refusal() is not None)


@pytest.mark.parametrize(
    ("blocks", "threads", "expected"),
    [
        (Blocks(1, [MS] * 3, [0] * 3, compiled=2), None, ("rejected", "recompiled while timing")),
        (
            Blocks(1, [100 * MS] * 3, [0] * 3, busy_ns=[150 * MS] * 3),
            1,
            ("rejected", "1.50 cores were busy with 1 thread: other threads"),
        ),
        (
            Blocks(1, [MS * n for n in (10, 11, 13, 14, 20, 22, 30, 31, 43, 44)], [0] * 10),
            None,
            ("not_converged", "the blocks take longer and longer, 4.3 times in all"),
        ),
    ],
)
def test_blocks_that_measure_something_else_are_refused(
    blocks: Blocks, threads: int | None, expected: tuple[str, str]
) -> None:
    """A compiler, other threads, a call that becomes longer and longer."""
    refusal = blocks.refusal(threads)

    assert refusal is not None
    assert expected[0] == refusal[0] and expected[1] in refusal[1]


@pytest.mark.parametrize(
    ("blocks", "threads"),
    [
        (Blocks(1, [100 * MS] * 3, [0] * 3, busy_ns=[109 * MS] * 3), 1),
        (Blocks(1, [100 * MS] * 3, [0] * 3, busy_ns=[190 * MS] * 3), 2),
        # Of three short blocks the time that reading the clocks takes is a tenth.
        (Blocks(1, [5 * MS] * 3, [0] * 3, busy_ns=[6 * MS] * 3), 1),
        (Blocks(1, [100 * MS] * 3, [0] * 3, busy_ns=[300 * MS] * 3), None),
        (Blocks(1, [MS * n for n in (10, 12, 14, 16, 18, 30)], [0] * 6), None),
        # Ten repetitions of a run in which the last two were disturbed.
        (Blocks(1, [MS * n for n in (54, 54, 57, 53, 55, 55, 76, 57, 399, 300)], [0] * 10), None),
        (Blocks(1, [MS * n for n in (10, 10, 13, 14, 12, 12, 18, 19, 80, 80)], [0] * 10), None),
        (Blocks(1, [MS * n for n in (10, 11, 12, 13, 14, 15, 16, 17, 18, 19)], [0] * 10), None),
    ],
)
def test_blocks_within_the_rules_are_accepted(blocks: Blocks, threads: int | None) -> None:
    """As many threads as asked for; blocks that vary without a trend."""
    assert blocks.refusal(threads) is None


def test_compilations_inside_the_clock_are_counted() -> None:
    """And those before it, in the start of a block, are not."""
    compiled = [0]

    def start(_: int) -> None:
        compiled[0] += 1

    def run(calls: int, _: Any) -> None:
        compiled[0] += 10

    work = Work(start, run, lambda _: None, compilations=lambda: compiled[0])

    assert 10 == block(work, 1).compiled


def test_blocks_are_at_most_200_and_half_of_them_are_shorter_than_what_counts() -> None:
    """However much time there is; the median block, per call."""
    device = FakeDevice(MS)

    assert 200 == len(measure(device.work(), 5 * MS, 1e15, device.clock).elapsed_ns)
    assert 2.0 == Blocks(10, [10, 20, 900]).per_call_ns


def test_calibration_waits_for_two_blocks_that_are_alike_but_not_for_ever() -> None:
    """Two within 5 %, or three full ones; calls grow tenfold at most."""

    def blocks_until(*milliseconds: float) -> int:
        device, times = FakeDevice(0), [*milliseconds, *[milliseconds[-1]] * 50]

        def run(calls: int, start: Any) -> None:
            device.queued += round(times[len(device.calls)] * MS)
            device.calls.append(calls)

        calibrate(replace(device.work(), run=run), 5 * MS, device.clock)
        return len(device.calls)

    assert 2 == blocks_until(6.0, 6.2)
    assert 4 == blocks_until(6.0, 6.6, 6.0, 6.6, 6.0, 6.6)
    short = FakeDevice(1000)
    calibrate(short.work(), 5 * MS, short.clock)
    assert [1, 1, 10, 100, 1000] == short.calls[:5]


@pytest.mark.parametrize(("result_bytes", "most"), [(8, 16), (2**23, 2), (2**40, 1)])
def test_no_more_results_wait_together_than_a_cache_holds(result_bytes: int, most: int) -> None:
    """16 of them, or 16 MiB; none is left out."""
    waited: list[list[int]] = []
    run = repeated(
        lambda start, i: start + i,
        lambda tree: waited.append(list(tree)),
        most_pending(result_bytes),
    )

    left = run(40, 0)

    assert list(range(40)) == [i for some in [*waited, left.last] for i in some]
    assert {most} == set(map(len, waited)) and len(left.last) <= most
    assert left.before == 40 - len(left.last)


@pytest.mark.parametrize("most", [1, 3, 16])
@pytest.mark.parametrize("calls", [1, 2, 7, 40])
def test_every_call_is_looked_at_as_often_as_any_other(calls: int, most: int) -> None:
    """And is the one that it is said to be."""
    run = repeated(lambda start, i: start + i, lambda _: None, most)
    counts = [0] * calls

    for _ in range(100 * calls):
        number, result = run(calls, 5).any()
        assert result == 5 + number
        counts[number] += 1

    # 100 each: five standard deviations.
    assert calls == 1 or (50 < min(counts) and max(counts) < 150)


def test_one_block_alone_that_looks_like_a_missing_wait_is_looked_at_twice_more() -> None:
    """A later repetition is one block."""
    device = FakeDevice(MS)
    interrupted = [True]

    def fetch(_: Any) -> None:
        device.now += 9 * MS if interrupted else 0
        interrupted.clear()

    blocks = timer.again(replace(device.work(), fetch=fetch), 5, device.clock, warm=False)

    assert 3 == len(blocks.elapsed_ns) and blocks.refusal() is None


def test_results_of_a_block_are_gone_before_the_next_begins() -> None:
    """As in a loop of training: two of them take twice the memory."""

    class Result:
        """Something that can be looked for."""

    made: list[Any] = []
    alive: list[int] = []
    device = FakeDevice(MS)

    def run(calls: int, start: Any) -> Any:
        device.run(calls, start)
        alive.append(sum(one() is not None for one in made))
        result = Result()
        made.append(weakref.ref(result))
        return result

    blocks = measure(replace(device.work(), run=run), 5 * MS, 30 * MS, device.clock)

    assert {0} == set(alive[-len(blocks.elapsed_ns) :])


def test_block_is_no_longer_than_it_may_be() -> None:
    """However fast a call seems to be."""
    device = FakeDevice(call_ns=1000)
    work = device.work()

    assert 300 == calibrate(replace(work, most_calls=300), timer.CPU_BLOCK_NS, device.clock)
    assert 5000 <= calibrate(work, timer.CPU_BLOCK_NS, device.clock)


def test_garbage_collector_is_turned_off_inside_the_parents_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody may have put work of theirs into it."""
    order: list[str] = []
    monkeypatch.setattr(gc, "disable", lambda: order.append("off"))
    timer.block(timer.work_of(lambda: order.append("called")), 1, outside=order.append)

    assert ["begins", "off", "called", "ended", "rests"] == order


@pytest.mark.skipif(not threads.TASKS.exists(), reason="Linux only")
def test_files_are_read_of_threads_that_have_computed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read those of a hundred threads that sleep would take longer than a block."""
    asked: list[str] = []
    monkeypatch.setattr(threads, "_left_out", set())
    monkeypatch.setattr(threads, "_known", {})

    def delay(path: Path) -> int:
        asked.append(path.parent.name)
        return 7

    monkeypatch.setattr(threads, "_delay", delay)
    end = threading.Event()
    asleep = [threading.Thread(target=end.wait) for _ in range(3)]
    for thread in asleep:
        thread.start()
    time.sleep(0.05)
    _, before = threads.computed_and_waited()
    first, own = list(asked), str(threading.get_native_id())
    asked.clear()
    _, after = threads.computed_and_waited()
    end.set()

    assert {own, *(str(thread.native_id) for thread in asleep)} <= set(first)
    assert own in asked
    assert not {str(thread.native_id) for thread in asleep} & set(asked)
    assert before == after


def test_wait_that_began_before_a_block_is_none_of_it() -> None:
    """It is known once it ends; a second thread that computes all the time waits in every block."""
    before = {"main": 7 * MS, "pool": 0}

    assert 6 * MS == threads.waited_between(before, {"main": 8 * MS, "pool": 40 * MS}, 5 * MS)
    assert 5 * MS == threads.waited_between(before, {"main": 7 * MS, "new": 9 * MS}, 5 * MS)


@pytest.mark.skipif(not threads.TASKS.exists(), reason="Linux only")
def test_waiting_of_threads_that_were_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of this one counts, and that of those that come."""
    monkeypatch.setattr(threads, "_left_out", set())
    monkeypatch.setattr(threads, "_known", {})
    monkeypatch.setattr(threads, "_delay", lambda _: 1)
    end = threading.Event()
    before, after = (threading.Thread(target=end.wait) for _ in range(2))
    before.start()
    threads.leave_out_others()
    left, known = len(threads._left_out), threads.computed_and_waited()[1]
    after.start()

    assert str(before.native_id) in threads._left_out
    assert known | {str(after.native_id): 1} == threads.computed_and_waited()[1] and left >= 1
    assert str(threading.get_native_id()) not in threads._left_out
    end.set()
    before.join()
    after.join()


@pytest.mark.parametrize(("waited", "refused"), [(0, True), (9, False)])
def test_blocks_that_wait_longer_and_longer_for_a_core_have_a_time(
    waited: int, refused: bool
) -> None:
    """Others have come, and stayed: no call takes longer for it."""
    blocks = [Blocks(1, [n * MS], [0], wanting_ns=[n * MS * waited // 10]) for n in range(2, 13)]

    refusal = blocks[-1].refusal(None, blocks[:-1])

    assert refused is (refusal is not None and refusal[0] == "not_converged")
