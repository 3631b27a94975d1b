"""A call of DuckDB's that may take long: said, ended by Ctrl-C, and given up at a limit."""

import threading
import time
from collections.abc import Callable
from typing import Any

import duckdb

from samegrad.implementations.contract.texts import say

SILENT_SECONDS = 30.0  # before the user is told what is waited for
ANSWER_SECONDS = 600.0  # of one call
LOOK_SECONDS = 0.05
END_SECONDS = 5.0  # for a query that was told to end


def patiently(connection: duckdb.DuckDBPyConnection, call: Callable[..., Any], *given: Any) -> Any:
    """What a call returns, which runs a query of a connection.

    In a thread of its own: the signal of a Ctrl-C is heard by the main thread, which some queries
    (a recursion without an end) do not leave; others make a RuntimeError of it.

    Raises:
        ValueError: there is no answer within ANSWER_SECONDS.
        duckdb.Error: of the query.
    """
    came: list[tuple[Any, BaseException | None]] = []
    over = threading.Event()  # a join that is interrupted takes its thread for one that has ended

    def work() -> None:
        try:
            came.append((call(*given), None))
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
