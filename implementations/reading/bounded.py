"""Limits of a child: on its processor's time, kept by the system, and on how long it waits.

Standard library only.
"""

import math
import threading
import time
from collections.abc import Callable

try:
    import resource
except ImportError:  # on Windows: there a limit by the clock is all there is
    resource = None  # type: ignore[assignment] # asked before it is used

COUNTED = resource is not None
IDLE = 0.01  # of a second, in which a process computes so much at most: then it waits
OVER = "killed by SIGXCPU"  # what is said of a child that was over its limit


def bound(seconds: float) -> Callable[[], None]:
    """Have this process ended when it has computed for so long from now; give what lifts that.

    All its threads count, no time in which it waits or in which others have the core. The system
    counts whole seconds (RLIMIT_CPU, setrlimit(2)): it may be up to one more.
    """
    if resource is None:
        return lambda: None
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + seconds)
    if soft not in (resource.RLIM_INFINITY, -1) and soft <= limit:
        return lambda: None  # one that others have set comes first
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def while_it_waits(seconds: float, then: Callable[[], None], pause: float = 1.0) -> None:
    """Have something done once this process has computed next to nothing for so long.

    Pauses are counted, not the clock: a machine that is busy, or stands still, ends nobody.
    """

    def watch() -> None:
        waited, before = 0.0, time.process_time()
        while waited < seconds:
            time.sleep(pause)
            now = time.process_time()
            waited = waited + pause if now - before < IDLE * pause else 0.0
            before = now
        then()

    threading.Thread(target=watch, daemon=True).start()
