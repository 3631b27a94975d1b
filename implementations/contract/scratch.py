"""Folders for a while. What a kill leaves behind is removed by the next process that makes one."""

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "samegrad-scratch-"
LEFT_SECONDS = 60.0  # after which no process is about to lock a folder that it has made


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, which is gone afterwards.

    It is locked as long as its process lives: who finds one unlocked knows that nobody needs it.
    """
    _remove_left()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as stack,
    ):
        with contextlib.suppress(ImportError, OSError):  # Windows; a file system without locks
            _lock(Path(name), stack)
        yield Path(name)


def _remove_left() -> None:
    """Remove the folders of processes of this user that have been killed."""
    with contextlib.suppress(ImportError, OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                own = folder.lstat()
                old = time.time() - own.st_mtime > LEFT_SECONDS
                if old and stat.S_ISDIR(own.st_mode) and own.st_uid == os.getuid():
                    _lock(folder, stack)
                    shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path, stack: contextlib.ExitStack) -> None:
    """Lock a folder until the stack ends.

    Raises:
        OSError: another process has, or nothing can be locked there.
        ImportError: on Windows.
    """
    import fcntl

    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    stack.callback(os.close, number)
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
