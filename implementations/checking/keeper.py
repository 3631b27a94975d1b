"""The keeper of a child process: no descendant of the child outlives it. Standard library only."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path


def keep() -> None:
    """Go on in a child of this process, which stays behind as its keeper. Linux only.

    The keeper runs nothing but this function, so nothing that is measured ends or stops it. What
    descends from the child is handed to it (PR_SET_CHILD_SUBREAPER, prctl(2)), in whatever session
    or group it is, and ends when the child does, when the parent says so (SIGTERM) or is gone.
    """
    if sys.platform != "linux" or not prctl(36, 1):  # PR_SET_CHILD_SUBREAPER
        return
    signals = {signal.SIGCHLD, signal.SIGTERM}
    for number in signals:
        signal.signal(number, signal.SIG_DFL)  # they may have been ignored by whoever started us
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: it goes with its keeper
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the child's
    prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    os.closerange(0, 2)  # the pipes are the child's
    ended = status = 0
    while not ended and signal.sigwait(signals) != signal.SIGTERM:
        ended, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ChildProcessError):  # none is left
        while True:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
            for process in children(os.getpid()):  # whose own become ours
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
    code = os.waitstatus_to_exitcode(status if ended else 9)
    if code < 0:
        prctl(4, 0)  # PR_SET_DUMPABLE: there is a core already
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        with contextlib.suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def prctl(option: int, value: int) -> bool:
    """Tell the kernel something of this process, on Linux; whether it has taken it."""
    with contextlib.suppress(OSError, AttributeError):
        return sys.platform == "linux" and ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0) == 0
    return False


def children(parent: int) -> list[int]:
    """The processes that another one is the parent of, dead ones left out, by number."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
            state, of = path.read_bytes().rpartition(b")")[2].split()[:2]
            if int(of) == parent and state != b"Z":
                found.append(int(path.parent.name))
    return sorted(found)
