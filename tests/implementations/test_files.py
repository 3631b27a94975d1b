"""Files are written whole or not at all, and only what is a file is read or replaced."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samegrad.benchmarks import command_line
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import NotAJournalError, read
from samegrad.benchmarks.training import one_task
from samegrad.benchmarks.training import weights as weights_file
from samegrad.benchmarks.training.data import originals
from samegrad.benchmarks.training.data.records import DataError
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.files import replaced
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.render import render

SPEC = MLPSpec((40, 30, 3))
EXAMPLE = ROOT / "reports" / "results" / "differentiation" / "journal.jsonl"


def test_full_disk_leaves_the_weights_that_were_there(tmp_path: Path) -> None:
    """And nothing beside them; the message names the file."""
    path = tmp_path / "weights.npz"
    params = init_params(SPEC, 0)
    weights_file.save_weights(path, SPEC, params, {"task": "iris"})
    before = path.read_bytes()
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from samegrad.benchmarks.training import weights as weights_file\n"
        "from samegrad.implementations.contract.initializers import init_params\n"
        "from samegrad.implementations.contract.spec import MLPSpec\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "spec = MLPSpec((40, 30, 3))\n"
        "try:\n    weights_file.save_weights(Path(sys.argv[1]), spec, init_params(spec, 1), {})\n"
        "except OSError as error:\n    print(error.filename, error.strerror)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True
    )

    assert f"{path} File too large\n" == done.stdout, done.stderr
    assert before == path.read_bytes() and [path] == list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("at", [1, *(pytest.param(at, marks=pytest.mark.full) for at in (2, 5))])
def test_report_that_cannot_be_written_whole_leaves_the_one_that_was_there(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of it is cut, whichever the disk is full at; nor are there remains."""
    render(EXAMPLE, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    synced, count = os.fsync, 0

    def full(number: int) -> None:
        nonlocal count
        count += 1
        if count >= at:
            os.ftruncate(number, 10)
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        render(EXAMPLE, tmp_path)

    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_replaced_file_keeps_its_link_and_its_mode(tmp_path: Path) -> None:
    """A name of any length, too."""
    real, link = tmp_path / ("x" * 255), tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real.name)

    with replaced(link) as beside:
        beside.write_text("new")

    assert link.is_symlink() and "new" == real.read_text()
    assert 0o640 == real.stat().st_mode & 0o777


def pipe(path: Path) -> None:
    """A pipe that nobody writes into."""
    os.mkfifo(path)


def linked_pipe(path: Path) -> None:
    """A link to one."""
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def endless(path: Path) -> None:
    """A link to a device without an end."""
    path.symlink_to("/dev/zero")


def made_when_read(path: Path) -> None:
    """A link to what looks like a file; others beside it have no end."""
    if not Path("/proc/version").is_file():
        pytest.skip("this system has no such files")
    path.symlink_to("/proc/version")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_path_without_a_file_is_told_what_is_there(tmp_path: Path) -> None:
    """In the place of "no such file", which is wrong for a folder, a pipe or a link."""
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "itself.py").symlink_to("itself.py")
    for name in ("my_classifier.py", "conftest.py"):
        (tmp_path / name).touch()
    said = {
        "my_clasifier.py": ": no such file; did you mean .*/my_classifier.py",
        "folder.py": " is a folder without a .py or .ipynb file; give a file",
        "pipe.py": " is no ordinary file",
        "itself.py": " is a link to 'itself.py', which leads to no file",
        "nofile.py": ": no such file(?!; did you mean)",
    }

    for name, text in said.items():
        with pytest.raises(registry.UnknownImplementationError, match=f"{name}'{text}"):
            registry.check_name(str(tmp_path / name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
@pytest.mark.parametrize("make", [pipe, linked_pipe, endless, made_when_read])
def test_what_is_no_file_is_neither_read_nor_replaced(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """Nobody waits for a pipe, and no device is taken for a file of ours."""
    (tmp_path / "titanic").mkdir()
    journal, weights, settings, data = (
        tmp_path / name
        for name in ("journal.jsonl", "weights.npz", "pyproject.toml", "titanic/train.csv")
    )
    make(journal)
    for path in (weights, settings, data):
        path.symlink_to(journal)

    with pytest.raises(NotAJournalError, match="no ordinary file"):
        read(journal)
    with pytest.raises(weights_file.WeightsError, match="no ordinary file"):
        weights_file.load_weights(weights)
    with pytest.raises(ValueError, match="no ordinary file"):
        one_task.train("iris", save=str(weights))
    with pytest.raises(ValueError, match="no ordinary file"):
        command_line.read_settings(tmp_path, "benchmark", {})
    with pytest.raises(DataError, match="no ordinary file"):
        originals.titanic(tmp_path)
    with pytest.raises(OSError, match="no ordinary file"), replaced(weights):
        pass

    assert not stat.S_ISREG(journal.lstat().st_mode) and weights.is_symlink()


def test_table_of_a_million_columns_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """It would take minutes, and gigabytes."""
    (tmp_path / "titanic").mkdir()
    path = tmp_path / "titanic" / "train.csv"
    path.write_text("a," * 499_000 + "a\n")
    with pytest.raises(DataError, match="499,001 columns, expected 12"):
        originals.titanic(tmp_path)

    path.write_text("a," * 999_999 + "a\n")
    with pytest.raises(DataError, match="it unpacks to more than 1,000,000 bytes"):
        originals.titanic(tmp_path)
