"""Scratch folders: of a process that was killed they go when another one makes its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.contract import scratch as module
from samegrad.implementations.contract.scratch import PREFIX, scratch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="nothing is locked there")
KILLED = """
import os
from samegrad.implementations.contract.scratch import scratch
with scratch() as folder:
    (folder / "inputs.npz").write_bytes(b"x")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are; they count as old at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "LEFT_SECONDS", -1e6)
    return tmp_path


def test_folder_of_a_killed_process_goes_with_the_next_start(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is certain that its process has not merely not locked it yet."""
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False, cwd=place)
    (left,) = place.glob(f"{PREFIX}*/inputs.npz")

    with monkeypatch.context() as young:
        young.setattr(module, "LEFT_SECONDS", 60.0)
        with scratch():
            assert left.exists()
    with scratch() as folder:
        assert [folder] == list(place.iterdir())

    assert (-9, []) == (done.returncode, list(place.iterdir()))


def test_folder_of_a_process_that_lives_stays(place: Path) -> None:
    """However old it is."""
    with scratch() as first, scratch() as second:
        assert {first, second} == set(place.iterdir())


def test_what_is_no_folder_of_this_user_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to the user's own folder, a file, another user's: of such a name."""
    mine = place / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    (place / f"{PREFIX}link").symlink_to(mine)
    (place / f"{PREFIX}file").write_text("x")
    before = sorted(place.rglob("*"))
    with scratch() as folder:
        assert sorted([*before, folder]) == sorted(place.rglob("*"))
    (place / f"{PREFIX}theirs").mkdir()
    user = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: user)
    with scratch():
        assert (place / f"{PREFIX}theirs").is_dir()
