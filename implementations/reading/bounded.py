"""Limits of a child: on its processor's time, kept by the system, and on how long it waits.

Standard library only.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

try:
    import resource
except ImportError:  # on Windows: there a limit by the clock is all there is
    resource = None  # type: ignore[assignment] # asked before it is used

COUNTED = resource is not None
_TOO_LONG: set[Any] = set()  # code of functions that did
CALL_SECONDS = 6.0  # of a single call that is tried: what takes longer trains to its end
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


class TooLongError(Exception):
    """A call that is tried takes too long to be called again and again."""


def unless_too_long(function: Callable[..., Any], call: Callable[[], Any]) -> Any:
    """What a call of a function gives, if none of it took too long before."""
    code = getattr(function, "__code__", None)
    if code in _TOO_LONG:
        raise TooLongError("it took too long before")
    try:
        return call()
    except TooLongError:
        _TOO_LONG.update([code] if code is not None else [])
        raise


@contextlib.contextmanager
def at_most(seconds: float = CALL_SECONDS) -> Iterator[None]:
    """Raise TooLongError within what computes for longer, where the system can tell of it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise TooLongError(f"it takes longer than {seconds:g} s")

    held = signal.signal(signal.SIGVTALRM, stop)
    # Again if it is caught; that of a call around this one goes on when this one has ended.
    around = signal.setitimer(signal.ITIMER_VIRTUAL, seconds, min(seconds, 1.0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, *around)
        signal.signal(signal.SIGVTALRM, held)


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
