"""A call of DuckDB's that may take long, or much memory.

What is waited for is said, ended by Ctrl-C, and given up at a limit. DuckDB's own limit of memory
does not count texts while they are made (`repeat('x', 4e9)`): the process has one, too.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from samegrad.implementations.contract.texts import say

try:
    import resource
except ImportError:  # on Windows: there DuckDB's own limit is all there is
    resource = None  # type: ignore[assignment] # asked before it is used

MEMORY = "2GB"  # of a query; beyond it, it ends with an error
SILENT_SECONDS = 30.0  # before the user is told what is waited for
ANSWER_SECONDS = 600.0  # of one call
LOOK_SECONDS = 0.05
END_SECONDS = 5.0  # for a query that was told to end
MORE_BYTES = 3 * 2**30  # that a call may take: DuckDB's own limit, and as much again for texts
TAKEN = Path("/proc/self/statm")  # in pages; Linux


@contextlib.contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of nothing, in memory, and in no more of it than MEMORY; nothing is loaded."""
    loaded = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), "false")
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": "", **loaded})
    connection.execute("SET parquet_metadata_cache = true")  # no part ever changes
    try:
        yield connection
    finally:
        with contextlib.suppress(duckdb.Error):  # of a call that was given up and has not ended
            connection.close()


def patiently(connection: duckdb.DuckDBPyConnection, call: Callable[..., Any], *given: Any) -> Any:
    """What a call returns, which runs a query of a connection.

    In a thread of its own: the signal of a Ctrl-C is heard by the main thread, which some queries
    (a recursion without an end) do not leave; others make a RuntimeError of it.

    Raises:
        ValueError: there is no answer within ANSWER_SECONDS, or it does not fit in memory.
        duckdb.Error: of the query.
    """
    came: list[tuple[Any, BaseException | None]] = []
    over = threading.Event()  # a join that is interrupted takes its thread for one that has ended

    def work() -> None:
        try:
            with _bounded():
                came.append((call(*given), None))
        except MemoryError:
            came.append((None, ValueError("the answer takes too much memory: ask for less of it")))
        except BaseException as error:  # raised again below
            came.append((None, error))
        over.set()

    began, said = time.monotonic(), 0.0
    threading.Thread(target=work, daemon=True).start()
    try:
        while not over.wait(LOOK_SECONDS):
            passed = time.monotonic() - began
            if passed >= ANSWER_SECONDS:
                _end(connection, over)
                raise ValueError(f"the query has no answer within {ANSWER_SECONDS:.0f} s")
            if passed >= said + SILENT_SECONDS:
                said = passed
                left = f"{said:.0f} s so far, at most {ANSWER_SECONDS:.0f} s"
                say(f"samegrad: still waiting for the archive: {left}", error=True)
    except KeyboardInterrupt:
        _end(connection, over)
        raise
    value, error = came[0]
    if error is not None:
        raise error
    return value


def _end(connection: duckdb.DuckDBPyConnection, over: threading.Event) -> None:
    """Tell a query to end, until it does: it may be about to begin."""
    deadline = time.monotonic() + END_SECONDS
    while not over.wait(LOOK_SECONDS) and time.monotonic() < deadline:
        connection.interrupt()


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """The process takes MORE_BYTES at most, where the system counts it."""
    if resource is None or not TAKEN.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = int(TAKEN.read_text().split()[0]) * resource.getpagesize() + MORE_BYTES
    others = [limit for limit in before if limit not in (resource.RLIM_INFINITY, -1)]
    resource.setrlimit(resource.RLIMIT_AS, (min([most, *others]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
