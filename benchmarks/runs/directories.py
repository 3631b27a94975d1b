"""Where a run writes, and whether it can; and whether it is alone on the machine."""

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from samegrad.benchmarks.machine import checkout
from samegrad.benchmarks.records import fleets

NOT_ALONE = "another run is measuring on this machine: the numbers of both suffer"
LEAST_FREE_BYTES = 64 * 2**20  # of the disk; the journal of a full run is a few megabytes


def run_directory(output: Path | None) -> Path:
    """A new directory, named after time and machine, or the empty one of --output.

    Raises:
        ValueError: it is not empty, or it cannot be made.
    """
    if output is not None:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ValueError(
                f"--output {output}: it is not empty; give a new or an empty directory"
            )
        _make(output, exist_ok=True)
        return output
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    node = "".join(c if c.isalnum() else "-" for c in platform.node())[:20] or "machine"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        directory = output_base() / f"{stamp}-{node}{suffix}"
        with contextlib.suppress(FileExistsError):  # another run was faster
            _make(directory, exist_ok=False)
            return directory
    raise ValueError(f"no free name for a run in {output_base()}")


def output_base() -> Path:
    """Where runs go: an installed package writes where its user stands, a checkout into itself."""
    in_checkout = (checkout.ROOT / "pyproject.toml").is_file()
    return (checkout.ROOT if in_checkout else Path.cwd()) / "reports" / "output"


def _make(directory: Path, exist_ok: bool) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise ValueError(f"{directory}: cannot be written: {error.strerror}") from None


def name(directory: Path) -> str:
    """What a run is called: as its directory, of a fleet as its fleet's and its own."""
    whose = directory.resolve().parent.parent
    own = directory.name
    return fleets.run_name(whose, own) if (whose / fleets.NAME).is_file() else own


def check_writable(directory: Path, flag: str = "--output") -> None:
    """Raise ValueError now, rather than after the measurements, if it cannot be written.

    Args:
        flag: by which another one is named.
    """
    try:
        tempfile.TemporaryFile(dir=directory).close()  # of a name that nobody can foresee
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise ValueError(f"{directory}: cannot be written: {error.strerror}") from None
    if free < LEAST_FREE_BYTES:
        raise ValueError(
            f"{directory}: {free / 2**20:.0f} MiB of disk are free, a run needs "
            f"{LEAST_FREE_BYTES / 2**20:.0f}; make room, or give {flag} on another disk"
        )


@contextlib.contextmanager
def noticed() -> Iterator[bool]:
    """Whether no other run is measuring on this machine; the next one will notice this one.

    The lock is one for all users, and only opened for reading: what one of them puts in its place
    is neither followed, written nor waited for, and where nothing can be locked nothing is noticed.
    """
    alone = True
    with contextlib.ExitStack() as stack:
        try:
            import fcntl

            lock = _lock_of_all_users()
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except (ImportError, OSError):  # Windows; a link, or a file that is not for all
            pass
        yield alone


def _lock_of_all_users() -> int:
    path = Path(tempfile.gettempdir()) / "samegrad-measuring.lock"
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except FileNotFoundError:  # to create another user's file is refused, even if it is there
        lock = os.open(path, flags | os.O_CREAT, 0o644)
        os.fchmod(lock, 0o644)  # whatever the umask: others must be able to open it
        return lock
