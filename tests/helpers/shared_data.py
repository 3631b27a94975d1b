"""The data of tasks; the original files of public data sets, where they are there."""

import os
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.training.data import datasets, simulated
from samegrad.benchmarks.training.tasks import TASKS

DATA = Path(os.environ.get("SAMEGRAD_DATA") or ROOT.parent / "shared" / "data")


def data_dir(folder: str) -> Path:
    """The directory, or a skip with its reason."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"{DATA / folder} is not there: the original files of {folder} are needed")
    return DATA


def fold_of(name: str) -> datasets.Fold:
    """The first fold of a task; a skip where its files are not there."""
    data = TASKS[name].data
    if data.records not in simulated.SIMULATED:
        data_dir(data.records)
    return datasets.make(data, DATA if DATA.is_dir() else None).folds[0]
