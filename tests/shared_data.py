"""The original files of the public data sets, where they are there."""

import os
from pathlib import Path

import pytest

from benchmarks.environment import ROOT

DATA = Path(os.environ.get("SAMEGRAD_DATA") or ROOT.parent / "shared" / "data")


def data_dir(folder: str) -> Path:
    """The directory, or a skip with its reason."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"{DATA / folder} is not there: the original files of {folder} are needed")
    return DATA
