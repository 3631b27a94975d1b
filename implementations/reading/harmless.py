"""Programs that run without doing anything to what is around them. In a child process only."""

import builtins
import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWER = "1"  # to what a program asks


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Files are written to memory, nothing waits, what is asked is answered, meanwhile."""
    opened, slept, asked = builtins.open, time.sleep, builtins.input
    limit = sys.getrecursionlimit()
    kept: dict[str, bytes] = {}

    def reads(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        path = str(Path(file).absolute()) if isinstance(file, str | Path) else ""
        if any(letter in mode for letter in "wax+"):
            made = _Kept(kept, path)
            return made if "b" in mode else io.TextIOWrapper(made, "utf-8", newline="")
        if path in kept:
            raw = io.BytesIO(kept[path])
            return raw if "b" in mode else io.TextIOWrapper(raw, "utf-8")
        return opened(file, mode, *args, **kwargs)

    def waits(seconds: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            slept(seconds)  # what watches this process counts by it

    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731 # as the others
    held = {name: getattr(os, name) for name in ("mkdir", "makedirs", "remove", "rename", "unlink",
                                                 "rmdir", "system")}  # fmt: skip
    builtins.open = io.open = reads
    time.sleep = waits
    builtins.input = lambda *_: ANSWER
    for name in held:
        setattr(os, name, nothing)
    try:
        yield
    finally:
        builtins.open = io.open = opened
        time.sleep, builtins.input = slept, asked
        sys.setrecursionlimit(limit)
        for name, value in held.items():
            setattr(os, name, value)


class _Kept(io.BytesIO):
    """What is written to a file, to be read again."""

    def __init__(self, kept: dict[str, bytes], path: str) -> None:
        super().__init__()
        self._kept, self._path = kept, path

    def close(self) -> None:
        if not self.closed and self._path:
            self._kept[self._path] = self.getvalue()
        super().close()
