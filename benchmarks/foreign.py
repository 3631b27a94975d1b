"""Options of pytest and of its plugins: those that mean nothing here, and what others may write."""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from samegrad.benchmarks.command_line import OPTIONS
from samegrad.implementations.contract.files import is_input
from samegrad.implementations.contract.texts import EMPTY, clean, no_value

REFUSED = {
    r"--benchmark-timer": "the clock is ours (benchmarks/clock/timer.py)",
    r"--benchmark-(min-rounds|min-time|max-time|precision|confidence)": "use --preset",
    r"--benchmark-calibration-precision": "blocks are calibrated by benchmarks/clock/timer.py",
    r"--benchmark-warmup(-iterations)?": "every case is warmed up",
    r"--benchmark-disable-gc": "garbage collection is off inside every block",
    r"--benchmark-(skip|disable)": "leave out --benchmark to measure nothing",
    r"--benchmark-cprofile(-loops|-top|-dump)?": "items replay what other processes measured",
    r"-n(\d+|auto|logical)?|--numprocesses|--dist": "side by side, processes disturb each other",
    r"--doctest-(modules|glob)": "there are no doctests among the benchmarks",
    r"--looponfail|-f": "a benchmark is run once",
}
STORAGES = ("file", "elasticsearch+http", "elasticsearch+https")
READ = {"-c", "--config-file", "--rootdir", "--confcutdir", "--inifile"}  # these write nothing


def refuse_options(typed: Sequence[str]) -> None:
    """Refuse options that mean nothing with --benchmark, and empty values of any.

    Raises:
        UsageError: such an option is there.
    """
    for before, argument in pairwise(["", *typed]):
        # pytest's own too: -m "" would measure everything.
        name, equals, value = argument.partition("=")
        wrong = no_value(value) if equals and name.startswith("--") else ""
        wrong = wrong or (EMPTY if not argument.strip() else "")
        if wrong:
            raise pytest.UsageError(f"{argument.strip() or before}: {wrong}")
        for pattern, reason in REFUSED.items():
            if re.fullmatch(pattern, name):
                raise pytest.UsageError(f"{argument} means nothing with --benchmark: {reason}")


def refuse_storage(place: str) -> None:
    """Refuse a place where pytest-benchmark cannot keep runs.

    Raises:
        UsageError: it is a URL of another kind.
    """
    scheme, separator, _ = place.partition("://")
    if separator and scheme not in STORAGES:
        raise pytest.UsageError(
            f"--benchmark-storage {clean(scheme)}: is not accepted; give a folder, or a URL of "
            f"{' or '.join(STORAGES)}"
        )


def spare_inputs(arguments: Sequence[str]) -> None:
    """Refuse options that are not ours and name a file that a benchmark reads.

    Which of them write (--log-file, --junit-xml, --debug, --benchmark-json, those of plugins),
    nobody knows: they empty a file before anything is measured, or replace it afterwards.

    Raises:
        UsageError: such an option is there, with --benchmark.
    """
    if "--benchmark" not in arguments:
        return
    flags = {option.flag: option for option in OPTIONS}
    read: list[Path] = []
    others: list[tuple[str, str]] = []
    for before, argument in pairwise(["", *arguments]):
        name, equals, value = argument.partition("=")
        if name in flags or (before in flags and flags[before].metavar is not None):
            texts = value if name in flags else argument
            read += [Path(part) for text in texts.split(",") for part in _paths(text)]
        elif equals or (before.startswith("-") and "=" not in before):
            others.append((name if equals else before, value if equals else argument))
    data = os.environ.get("SAMEGRAD_DATA")
    read += [Path(data)] if data else []
    for name, value in others:
        if name in READ:
            continue
        path = Path(value)
        if path.name == "journal.jsonl":
            raise pytest.UsageError(
                clean(f"{value}: it would replace a journal; give another file")
            )
        if is_input(path) or any(_same(path, place) for place in read):
            what = f"{name} {value}: it would replace what is read; give another file"
            raise pytest.UsageError(clean(what))
        logs = name.replace("_", "-").endswith("log-file")  # also -o log_file
        wrong = _not_writable(path) if logs else _waits(path)
        if wrong:
            raise pytest.UsageError(clean(f"{name} {value}: {wrong}; give another file"))


def _waits(path: Path) -> str:
    """Whether a path is a pipe that has no reader yet, in words; those of a shell have one."""
    try:
        alone = path.is_fifo() and path.resolve().parts[1:2] not in (("dev",), ("proc",))
    except (OSError, ValueError):
        return ""
    return "a pipe, whose reader would be waited for" if alone else ""


def _not_writable(path: Path) -> str:
    """Why pytest cannot open its log, which it would say in a traceback."""
    if wrong := _waits(path):
        return wrong
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    except ValueError:  # a name that is none is refused later
        pass
    return ""


def _paths(text: str) -> list[str]:
    """What a value of ours may name: FILE, FILE:NAME, NAME=FILE."""
    return [part for part in (text, text.partition("=")[2], text.rpartition(":")[0]) if part]


def _same(path: Path, place: Path) -> bool:
    """Whether a file that is there is another one."""
    try:
        return path.is_file() and place.is_file() and path.samefile(place)
    except (OSError, ValueError):
        return False
