"""A limit on the processor's time of a child, kept by the system. Standard library only."""

import math
import time
from collections.abc import Callable

try:
    import resource
except ImportError:  # on Windows: there a limit by the clock is all there is
    resource = None  # type: ignore[assignment]

COUNTED = resource is not None
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
