"""What this process has taken so far: time of its threads, waiting for a core, new memory."""

import contextlib
import os
import threading
import time
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# What the CPU time of a block may be wrong by: on Linux by what reading it takes (`cpu_time`), on a
# system that counts in ticks by one of them. Errors of several blocks cancel for the most part.
TASKS = Path("/proc/self/task")
DELAY = Path("/proc/thread-self/schedstat")
TICK_NS = 1_000_000 if TASKS.exists() else 16_000_000
_left_out: set[str] = set()  # threads whose waiting says nothing


def cpu_time() -> int:
    """Nanoseconds of CPU time of all threads of this process so far.

    Linux counts a thread that runs on another core up to that core's last tick, 4 or 10 ms ago:
    most of a block. To ask for that thread's own clock brings its count up to date (two threads of
    torch in blocks of 6 ms: 1.5 to 3.1 ms of standard deviation without that, 0.2 ms with it).
    """
    if TASKS.exists():
        for task in os.scandir(TASKS):
            with contextlib.suppress(OSError):  # it has ended
                time.clock_gettime_ns(~int(task.name) << 3 | 6)  # see pthread_getcpuclockid
    return time.process_time_ns()


def waiting_time() -> int:
    """Nanoseconds that threads of this process have waited for a core so far; Linux, elsewhere 0.

    Two threads that compute where others want the cores, too, do not get more than one of them.
    """
    if not TASKS.exists():
        return 0
    tasks = (task for task in os.scandir(TASKS) if task.name not in _left_out)
    return sum(_delay(Path(task.path) / "schedstat") for task in tasks)


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
    with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended, or is of no Linux
        return int(path.read_text().split()[1])
    return 0
