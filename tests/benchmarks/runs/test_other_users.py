"""What another user leaves in a folder that all may write neither stops a run nor fools it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.runs import directories

LOCK = "samegrad-measuring.lock"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder such as /tmp, where another user finds it: not among pytest's, which are closed."""
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folder = Path(outer) / "tmp"
        folder.mkdir()
        folder.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.mark.parametrize("what", ["link", "dangling link", "fifo", "folder", "closed file"])
def test_strange_lock_is_neither_followed_nor_waited_for(shared: Path, what: str) -> None:
    """The run goes on; no file of the user is made, changed or locked."""
    mine = shared.parent / "mine"
    if what == "link":
        mine.write_text("my work")
    if what.endswith("link"):
        (shared / LOCK).symlink_to(mine)
    elif what == "fifo":
        os.mkfifo(shared / LOCK)
    elif what == "folder":
        (shared / LOCK).mkdir()
    else:
        (shared / LOCK).write_text("")
        (shared / LOCK).chmod(0)
    before = sorted(shared.parent.iterdir())

    with directories.noticed() as alone:
        assert alone

    assert before == sorted(shared.parent.iterdir())
    assert what != "link" or mine.read_text() == "my work"


def test_lock_of_another_user_is_noticed(shared: Path) -> None:
    """Whatever the umask of whoever made it; and it is not theirs alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    code = (
        "import os, sys, tempfile; os.umask(0o77); os.setgroups([]); os.setuid(65534)\n"
        f"tempfile.tempdir = {str(shared)!r}\n"
        "with directories.noticed() as alone:\n"
        "    print(alone, flush=True); sys.stdin.read()"
    )
    code = f"from samegrad.benchmarks.runs import directories\n{code}"
    command = [sys.executable, "-c", code]
    about: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}

    with subprocess.Popen(command, **about) as first:
        assert "True\n" == first.stdout.readline()
        with directories.noticed() as alone:
            assert not alone
        with subprocess.Popen(command, **about) as second:
            assert "False\n" == second.stdout.readline()
            second.stdin.close()
        first.stdin.close()
    with directories.noticed() as alone:
        assert alone
    assert 0o644 == (shared / LOCK).stat().st_mode & 0o777


def test_check_of_a_folder_writes_through_no_link(tmp_path: Path) -> None:
    """Under no name that somebody could have put there before."""
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("my work")
    (tmp_path / "out" / ".writable").symlink_to(tmp_path / "mine")

    directories.check_writable(tmp_path / "out")

    assert "my work" == (tmp_path / "mine").read_text()
    assert [".writable"] == [path.name for path in (tmp_path / "out").iterdir()]
