"""What several tests read, made once, whichever workers of pytest-xdist they run in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from samegrad.implementations.contract.files import exclusive


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first who asks for it fills; the others wait until it is filled.

    Args:
        make: fills the folder, which is not there yet.
    """
    base = factory.getbasetemp()
    root = base.parent if base.name.startswith("popen-") else base  # of a worker, and of the run
    folder, filled = root / name, root / f"{name}.filled"
    with exclusive(root / f"{name}.lock"):
        if not filled.exists():
            make(folder)
            filled.touch()
    return folder
