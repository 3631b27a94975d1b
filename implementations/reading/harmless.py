"""Programs that run without doing anything to what is around them. In a child process only."""

import builtins
import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.reading import absent
from samegrad.implementations.reading.older import OF_NUMPY

TABLES = (".csv", ".txt", ".data")
ANSWER = "1"  # to what a program asks


@contextlib.contextmanager
def harmless(digits: bool = False) -> Iterator[None]:
    """Files are written to memory, nothing waits, what is asked is answered, meanwhile.

    Args:
        digits: whether tables that are not there are given, of images of digits.
    """
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
        if digits and path.endswith(TABLES) and not Path(path).exists():
            text = absent.table(Path(path).name)
            return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text)
        return opened(file, mode, *args, **kwargs)

    def of_text(read: Callable[..., Any], file: Any, *args: Any, **kwargs: Any) -> Any:
        missing = isinstance(file, str | Path) and not Path(file).exists()
        return read(reads(file) if missing else file, *args, **kwargs)

    def waits(seconds: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            slept(seconds)  # what watches this process counts by it

    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731 # as the others
    held = {name: getattr(os, name) for name in ("mkdir", "makedirs", "remove", "rename", "unlink",
                                                 "rmdir", "system")}  # fmt: skip
    builtins.open = io.open = reads
    older = [name for name in OF_NUMPY if not hasattr(np, name)]
    for name in older:
        setattr(np, name, OF_NUMPY[name])
    texts = {name: getattr(np, name) for name in ("loadtxt", "genfromtxt")}
    for name, read in texts.items():
        setattr(np, name, partial(of_text, read))
    time.sleep = waits
    builtins.input = lambda *_: ANSWER
    for name in held:
        setattr(os, name, nothing)
    try:
        yield
    finally:
        builtins.open = io.open = opened
        for name in older:
            delattr(np, name)
        for name, read in texts.items():
            setattr(np, name, read)
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
