"""The streams of a command: what becomes of them costs words, and no work."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

NAMES = ("stdin", "stdout", "stderr")


class Output:
    """A stream that goes nowhere once it cannot be written, and remembers why.

    A pipe that nobody reads raises as ever: whoever read it has seen enough.
    """

    def __init__(self, stream: Any) -> None:
        self.stream, self.lost = stream, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """As of any stream."""
        self._try(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        self._try(self.stream.flush)

    def _try(self, do: Callable[..., object], *arguments: str) -> None:
        try:
            do(*arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.lost = error.strerror or str(error)
            self.give_up()

    def give_up(self) -> None:
        """Let everything that comes, and what is left, go nowhere."""
        with contextlib.suppress(OSError, ValueError):  # one that is no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def outputs() -> Iterator[tuple[Output, Output]]:
    """Standard output and error as such streams, for as long as the command runs."""
    _open_closed()
    before = sys.stdout, sys.stderr
    made = Output(sys.stdout), Output(sys.stderr)
    streams: Any = sys
    streams.stdout, streams.stderr = made
    try:
        yield made
    finally:
        if (sys.stdout, sys.stderr) == made:
            sys.stdout, sys.stderr = before


def _open_closed() -> None:
    """Open the streams that were closed before we began (`>&-`): they lead nowhere.

    Otherwise the next file that is opened would get the number of one, and what is printed.
    """
    for number, name in enumerate(NAMES):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, opened == number)  # children have it, too
            setattr(sys, name, os.fdopen(opened, "w" if number else "r", encoding="utf-8"))
