"""Files of people: written whole or not at all, and read where they are files."""

import contextlib
import difflib
import errno
import math
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from samegrad.implementations.contract.texts import EMPTY, described

# Code, weights, data, journals, settings: no command of ours writes over one of these for another.
INPUTS = {".py", ".ipynb", ".npz", ".npy", ".jsonl", ".toml", ".ini", ".gz"}
MOST_NAMED = 5  # files of a folder
MADE_BY_SYSTEM = ("/proc", "/sys")  # while they are read, some of them without end
LOCK_SECONDS = 0.1  # between two looks at a lock that another process holds
PART = ".part-"  # with which the name of a file begins that is not complete


@contextlib.contextmanager
def exclusive(
    path: Path, seconds: float = math.inf, told: Callable[[], object] | None = None
) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file, as one process at a time; what is yielded releases it early.

    It is released when the process ends, however it ends. On Windows nothing is locked.

    Args:
        seconds: to wait for another process at most, which may be stopped, and hold it for ever.
        told: called once, where there is one to wait for.

    Raises:
        TimeoutError: another process holds it still.
    """
    with path.open("w") as lock:
        try:
            import fcntl
        except ImportError:
            yield lambda: None
            return
        if math.isinf(seconds):  # whoever started us ends us
            fcntl.flock(lock, fcntl.LOCK_EX)
        deadline = time.monotonic() + seconds
        while math.isfinite(seconds):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    reason = f"another process has held it for {seconds:.0f} s"
                    raise TimeoutError(errno.ETIMEDOUT, reason, str(path)) from None
            if told is not None:
                told()
                told = None
            time.sleep(LOCK_SECONDS)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)


def named(what: str, place: str | os.PathLike[str]) -> Path:
    """The path that a text means.

    Raises:
        TypeError: it is no path.
        ValueError: it is empty, and would mean the current folder.
    """
    if not isinstance(place, str | os.PathLike):
        raise TypeError(f"{what} is {described(place)}; give a path")
    if os.fspath(place) == "":
        raise ValueError(f"{what}: {EMPTY}")
    return Path(place)


def instead_of_folder(place: str) -> str:
    """What is said of a folder that is given in the place of a file."""
    found = sorted(
        path.as_posix()
        for path in Path(place).iterdir()
        if path.suffix in (".py", ".ipynb") and path.name[0] not in "_."
    )
    if not found:
        return "is a folder without a .py or .ipynb file; give a file"
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"is a folder; give one of its files: {', '.join(found[:MOST_NAMED])}{more}"


def instead_of_file(place: str) -> str:
    """What is said of a path at which there is no file to read, right after it."""
    path = Path(place)
    if path.is_dir():
        return f" {instead_of_folder(place)}"
    if path.is_symlink() and not path.exists():
        return f" is a link to {str(path.readlink())!r}, which leads to no file"
    if path.exists():
        return " is no ordinary file"
    there: list[str] = []  # without ".py", which all have alike
    with contextlib.suppress(OSError):
        there = [p.stem for p in path.parent.iterdir() if p.suffix == path.suffix]
    near = difflib.get_close_matches(path.stem, there, 1)
    meant = f"; did you mean {path.with_stem(near[0]).as_posix()}?" if near else ""
    return f": no such file{meant}"


@contextlib.contextmanager
def without_bytecode() -> Iterator[None]:
    """Imports leave no __pycache__ in somebody's folder for a while."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept


def is_input(path: Path) -> bool:
    """Whether a path, links followed, is a file that is there and that a command reads."""
    try:
        target = path.resolve()
        return target.suffix.lower() in INPUTS and target.is_file()
    except (OSError, ValueError, RuntimeError):  # a name with NUL, links in a circle
        return False


def ordinary(path: Path) -> Path:
    """The path, if it is an ordinary file or a link to one.

    A pipe would be waited for without end, and a device may have none; nor may what the system
    writes while it is read, although it looks like a file.

    Raises:
        OSError: it is something else, or not there.
    """
    mode = path.stat().st_mode
    made = any(path.resolve().is_relative_to(folder) for folder in MADE_BY_SYSTEM)
    if made or not stat.S_ISREG(mode):
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, "it is no ordinary file", str(path))
    return path


def replaceable(path: Path) -> Path:
    """The file that a path means, links followed, if it may be replaced, or is not there.

    Raises:
        OSError: it may not be written, or is a pipe, a device or a folder.
    """
    target = path.resolve()
    if target.exists() and not os.access(ordinary(target), os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return target


@contextlib.contextmanager
def replaced(path: Path, wait: bool = True) -> Iterator[Path]:
    """Where to write what takes the place of a file, or of what a link points at, once it is whole.

    Whatever stops it (a full disk, an exception), what was there before stays as it was.

    Args:
        wait: for the disk, so that it is whole after a power failure, too.

    Raises:
        OSError: as `replaceable`; or there is no room.
    """
    target = replaceable(path)
    with _part(path, target) as beside:
        yield beside
        if wait:
            _sync(beside)  # a name must not come before what it names
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        beside.replace(target)


@contextlib.contextmanager
def created(path: Path) -> Iterator[Path]:
    """Where to write what becomes a new file once it is whole; nothing that is there is replaced.

    Raises:
        FileExistsError: something is there, be it a link to nowhere.
        OSError: there is no room.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with _part(path, path) as beside:
        yield beside
        _sync(beside)
        try:
            path.hardlink_to(beside)  # a rename would replace what has come meanwhile
        except FileExistsError:
            raise
        except OSError:  # the file system has no links
            beside.rename(path)


@contextlib.contextmanager
def _part(path: Path, target: Path) -> Iterator[Path]:
    """A name beside a file for what is not complete, which is gone afterwards."""
    beside = target.with_name(f"{PART}{secrets.token_hex(4)}{target.suffix[:9]}")
    try:
        yield beside
    except OSError as error:
        if error.filename in (None, str(beside)):
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def _sync(beside: Path) -> None:
    with beside.open("r+b") as file:
        os.fsync(file.fileno())
