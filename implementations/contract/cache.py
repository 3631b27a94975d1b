"""Where what takes long to make is kept: in directories of this user that nobody else can write."""

import contextlib
import functools
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

UNSURE = stat.S_IWGRP | stat.S_IWOTH


@functools.cache
def kept_in(name: str) -> Path:
    """A directory that only this user can write; one for this process alone if there is none.

    Args:
        name: of what it is for.
    """
    for folder in _candidates(name):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _private(folder):
                return folder
    made = tempfile.TemporaryDirectory(prefix=f"samegrad-{name}-")
    _FOR_THIS_PROCESS.append(made)  # removed when Python ends
    return Path(made.name)


_FOR_THIS_PROCESS: list[tempfile.TemporaryDirectory[str]] = []


def _candidates(name: str) -> Iterator[Path]:
    home = os.environ.get("XDG_CACHE_HOME", "")
    if Path(home).is_absolute():
        yield Path(home) / "samegrad" / name
    with contextlib.suppress(RuntimeError):  # nobody's home
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        if base.is_absolute():
            yield base / "samegrad" / name


def _private(folder: Path) -> bool:
    """Whether a directory is this user's, and nobody else can put another in its place."""
    own = folder.lstat()
    if not stat.S_ISDIR(own.st_mode) or own.st_uid != os.getuid() or own.st_mode & UNSURE:
        return False
    for above in folder.resolve().parents:
        seen = above.stat()
        open_to_all = seen.st_mode & UNSURE and not seen.st_mode & stat.S_ISVTX
        if open_to_all or seen.st_uid not in (0, os.getuid()):
            return False
    return os.access(folder, os.W_OK | os.X_OK)
