"""Looking for runs, and reading them, while others remove some."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.records.journal import NotAJournalError, read
from samegrad.reports.data import loading
from tests.helpers.reports import laptop


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder of three runs."""
    for name in "abc":
        (tmp_path / name).mkdir()
        laptop(tmp_path / name / "journal.jsonl")
    return tmp_path


def test_folder_that_vanishes_while_it_is_searched_is_left_out(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one warning, and the others are found."""
    scandir = os.scandir

    def removing(path: Any) -> Any:
        if path == str(three / "b"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", removing)
    found = loading.paths([three])

    assert [three / name / "journal.jsonl" for name in "ac"] == found
    (line,) = capsys.readouterr().err.splitlines()
    assert f"warning: {three / 'b'}: cannot be searched: No such file" in line


@pytest.mark.parametrize("most", [12, 1])
def test_journal_that_vanishes_before_it_is_read_is_left_out(
    three: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whether all are shown or the newest; nothing is left of none."""
    monkeypatch.setattr(loading, "MOST_RUNS", most)
    monkeypatch.setattr(loading, "ProcessPoolExecutor", InThisProcess)
    found = loading.paths([three])

    def removing(path: Path) -> Any:
        (three / "b" / "journal.jsonl").unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(loading, "read", removing)
    report = loading.load(found)

    assert 2 == report.all_rows.source.nunique()
    assert any("b/journal.jsonl: cannot be read" in warning for warning in report.warnings)
    shutil.rmtree(three)
    with pytest.raises(NotAJournalError, match="cannot be read"):
        loading.load(found)


class InThisProcess:
    """Takes the place of a pool of processes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, function: Any, *lists: Any, chunksize: int) -> Iterator[Any]:
        """One after the other, later."""
        return map(function, *lists)


def test_process_that_reads_and_is_killed_is_one_line(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the memory does not suffice."""

    class Killed(InThisProcess):
        def map(self, *_: Any, **__: Any) -> Iterator[Any]:
            raise BrokenProcessPool

    monkeypatch.setattr(loading, "MOST_RUNS", 1)
    monkeypatch.setattr(loading, "ProcessPoolExecutor", Killed)

    with pytest.raises(NotAJournalError, match="more memory than there is"):
        loading.load(loading.paths([three]))


def test_long_search_says_where_it_is(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, and links are not followed."""
    (three / "d").symlink_to(three / "a")
    monkeypatch.setattr(loading, "SECONDS", -1.0)

    assert 3 == len(loading.paths([three]))
    assert f"searching {three} for runs: 4 folders so far" in capsys.readouterr().err


def test_what_the_system_shows_as_files_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the root folder alone."""
    entered = []

    def walk(top: Any, onerror: Any) -> Iterator[Any]:
        folders = ["home", "proc", "sys"]
        yield str(top), folders, []
        entered.extend(folders)
        inside = ["proc"]
        yield str(Path(top) / "home"), inside, []
        entered.extend(inside)

    monkeypatch.setattr(os, "walk", walk)
    assert [Path("/journal.jsonl")] == loading.paths(["/"])
    assert ["home", "proc"] == entered
