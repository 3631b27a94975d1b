"""Programs that run without doing anything to what is around them. In a child process only."""

import builtins
import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

ANSWER = "1"  # to what a program asks


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """No file is written, nothing waits, what is asked is answered, meanwhile."""
    opened, slept, asked = builtins.open, time.sleep, builtins.input

    def reads(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if any(letter in mode for letter in "wax+"):
            return io.BytesIO() if "b" in mode else io.StringIO()
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
        for name, value in held.items():
            setattr(os, name, value)
