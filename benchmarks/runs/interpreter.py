"""Whether a file is an interpreter that our workers run in: it is asked, in a child with limits.

What it starts ends with it, and of what it says no more is read than an answer takes.
"""

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samegrad.implementations.checking import processes
from samegrad.implementations.contract.texts import say

ASKED = "import sys; print(*sys.version_info[:2])"
OLDEST = (3, 11)
LIMIT_SECONDS = 30.0  # from a cold disk
SILENT_SECONDS = 5.0  # before it is said what is being waited for
LONGEST = 100  # bytes of an answer

Message = dict[str, Any]


def why_not(path: str) -> str:
    """Why a file is no interpreter for workers, or ""."""
    try:
        if not Path(path).is_file():
            return "no such interpreter"
    except (OSError, ValueError):  # a name that no file can have
        return "no such interpreter"
    said: list[str] = []
    waits = f"samegrad: {path} has not said its version yet (limit: {LIMIT_SECONDS:.0f} s)"
    timer = threading.Timer(SILENT_SECONDS, say, [waits])
    timer.daemon = True
    timer.start()
    try:
        ended = processes.run_child(
            processes.python_child("samegrad.benchmarks.runs.interpreter"),
            {"path": path},
            os.environ,
            lambda message: said.extend(message["said"].split()),
            LIMIT_SECONDS,
        )
    finally:
        timer.cancel()
    if ended.kind == "timeout":
        return f"it has not said its version within {LIMIT_SECONDS:.0f} s"
    try:
        version = tuple(map(int, said))
    except ValueError:
        version = ()
    if len(version) != 2:
        return "it does not run as a Python interpreter"
    return "" if version >= OLDEST else f"it is Python {version[0]}.{version[1]}"


def main() -> None:
    """Ask one."""
    processes.serve(_ask)


def _ask(request: Message, send: Callable[[Message], None]) -> None:
    answer = b""
    try:
        with subprocess.Popen(
            [request["path"], "-c", ASKED],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as asked:
            assert asked.stdout is not None
            answer = asked.stdout.readline(LONGEST)
            asked.kill()  # nothing else of it is waited for
    except OSError:  # it cannot be executed
        pass
    send({"said": answer.decode("ascii", errors="replace")})
