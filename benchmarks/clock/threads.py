"""What this process has taken so far: time of its threads, waiting for a core, new memory."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment] # asked before it is used

# What the CPU time of a block may be wrong by: on Linux by what reading it takes (`cpu_time`), on a
# system that counts in ticks by one of them. Errors of several blocks cancel for the most part.
TASKS = Path("/proc/self/task")
DELAY = Path("/proc/thread-self/schedstat")
TICK_NS = 1_000_000 if TASKS.exists() else 16_000_000
_left_out: set[str] = set()  # threads whose waiting says nothing
_known: dict[str, tuple[int, int]] = {}  # thread -> what it had computed and waited, last time


def cpu_time() -> int:
    """Nanoseconds of CPU time of all threads of this process so far.

    Linux counts a thread that runs on another core up to that core's last tick, 4 or 10 ms ago:
    most of a block. To ask for that thread's own clock brings its count up to date (two threads of
    torch in blocks of 6 ms: 1.5 to 3.1 ms of standard deviation without that, 0.2 ms with it).
    """
    for _ in _threads():
        pass
    return time.process_time_ns()


def computed_and_waited() -> tuple[int, dict[str, int]]:
    """`cpu_time`, and how long each thread of this process has waited for a core so far.

    In nanoseconds; no threads where the system is no Linux. Two threads that compute where others
    want the cores, too, do not get more than one of them.

    A file is read for those only that have computed since they were asked the last time. JAX has
    15 threads that do not: to ask them all took 1.5 ms, before and after a block of 5 ms, which by
    the parent's clock was part of it.
    """
    waited = {}
    for name, computed in _threads():
        if name not in _left_out:
            if _known.get(name, (0, 0))[0] != computed:
                _known[name] = computed, _delay(TASKS / name / "schedstat")
            waited[name] = _known.get(name, (0, 0))[1]
    return time.process_time_ns(), waited


def waited_between(before: dict[str, int], after: dict[str, int], most: int) -> int:
    """How long threads have waited for a core in so many nanoseconds, each that long at most.

    A wait counts for a thread once it ends: one that began long before is none of these. Of JAX, on
    one core of a disturbed machine, six rows of one process were refused for such waits.
    """
    return sum(min(most, waited - before.get(name, 0)) for name, waited in after.items())


def _threads() -> Iterator[tuple[str, int]]:
    """The threads of this process, each with its CPU time."""
    for task in os.scandir(TASKS) if TASKS.exists() else ():
        with contextlib.suppress(OSError):  # it has ended
            # See pthread_getcpuclockid.
            yield task.name, time.clock_gettime_ns(~int(task.name) << 3 | 6)


def confined(cores: float) -> bool:
    """Whether no thread of this process may use more cores than that.

    Then those that compute take turns on them, which makes nothing faster. One that hands work to
    another, as JAX does, waits for its turn while the other computes: 1.9 cores seem to be wanted.
    """
    if not hasattr(os, "sched_getaffinity"):
        return False
    allowed = set[int]()
    for name, _ in _threads():
        with contextlib.suppress(OSError):  # it has ended
            allowed |= os.sched_getaffinity(int(name))
    return 0 < len(allowed) <= cores


def new_memory() -> int:
    """Bytes of memory that the system has given to this process so far, a page at its first use.

    Huge pages count as one page. Where the system does not say, 0.
    """
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt * resource.getpagesize()


def leave_out_others() -> None:
    """From now on, what the other threads that are there now wait for is not counted.

    The one that reads the parent's messages has just handed one over when a block begins. Where
    there is one core, and others want it, it waits for the whole of the block to go to sleep: of
    one thread that computes, 1.9 cores seem to be wanted.
    """
    own = threading.get_native_id()
    _left_out.update(str(t.native_id) for t in threading.enumerate() if t.native_id != own)


def delay() -> int:
    """How long this thread has waited for a core so far, in nanoseconds; Linux, elsewhere 0."""
    return _delay(DELAY)


def _delay(path: Path) -> int:
    with (
        contextlib.suppress(OSError, ValueError, IndexError),  # it has ended, or is of no Linux
        path.open("rb", buffering=0) as file,
    ):
        return int(file.read().split()[1])
    return 0
