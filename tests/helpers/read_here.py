"""Reads a file as `samegrad verify` does, in this process: where its child is not the point."""

import builtins
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from samegrad.implementations.checking.objects.report import CheckReport
from samegrad.implementations.reading.child import answer
from samegrad.implementations.reading.files import from_dict


def read_here(
    path: Path | str,
    name: str = "",
    hints: Sequence[str] = (),
    seed: int = 0,
    exact: bool = False,
) -> CheckReport:
    """The report of a file that does not hang or end the process."""
    sent: list[dict[str, Any]] = []
    request = {"path": str(path), "name": name, "hints": list(hints), "run": True}
    with as_before():
        answer({**request, "seed": seed, "exact": exact}, sent.append)
    return from_dict(sent[-1]["report"])


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """What loading a file changes of the process is put back."""
    held = {name: getattr(sys, name) for name in ("argv", "stdin", "stdout", "stderr")}
    lists = {name: list(getattr(sys, name)) for name in ("path", "meta_path")}
    modules, asks, folder = dict(sys.modules), builtins.input, Path.cwd()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, value in {**held, **lists}.items():
            setattr(sys, name, value)
        for name in set(sys.modules) - set(modules):
            if getattr(sys.modules[name], "__file__", None) is None or name.startswith("samegrad "):
                del sys.modules[name]
        builtins.input = asks
        os.chdir(folder)
