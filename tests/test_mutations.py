"""The tests of what decides about numbers notice the faults that are planted in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.mutations import MODULES
from tests.helpers.mutations_of_checking import Module

COPIED = (
    "benchmarks", "implementations", "reports", "samegrad", "tests", "conftest.py",
    "pyproject.toml",
)  # fmt: skip
SECONDS = 300.0  # for the tests of a module: a fault may make one hang


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own."""
    folder = tmp_path_factory.mktemp("planted")
    for name in COPIED:
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "results", "output")
            shutil.copytree(ROOT / name, folder / name, ignore=left_out)
        else:
            shutil.copy(ROOT / name, folder)
    (folder / "reports" / "results").symlink_to(ROOT / "reports" / "results")  # which tests read
    return folder


def status(folder: Path, module: Module) -> int:
    """The exit status of pytest, run on the tests of a module; 1 if they take too long."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *module.tests]
    # Written within a second, a file of the same length would be taken for the one before.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


@pytest.mark.full
@pytest.mark.parametrize("module", MODULES, ids=lambda module: Path(module.file).stem)
def test_module_without_a_fault_passes(module: Module, copy: Path) -> None:
    """Else the tests below would show nothing."""
    assert 0 == status(copy, module)


@pytest.mark.full
@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param(module, old, new, id=f"{Path(module.file).stem}: {what}")
        for module in MODULES
        for what, old, new in module.faults
    ],
)
def test_planted_fault_is_noticed(module: Module, old: str, new: str, copy: Path) -> None:
    """A test of its module fails."""
    path = copy / module.file
    right = path.read_text()
    path.write_text(right.replace(old, new))
    try:
        assert 1 == status(copy, module)
    finally:
        path.write_text(right)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: Path(module.file).stem)
def test_each_fault_changes_one_place(module: Module) -> None:
    """Of the module as it is now; each has a name of its own."""
    text = (ROOT / module.file).read_text()

    assert [] == [what for what, old, new in module.faults if text.count(old) != 1 or old == new]
    assert len(module.faults) == len({what for what, _, _ in module.faults})
