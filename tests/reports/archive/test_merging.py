"""Parts that are merged: the same answers before, in between and after, whenever it is ended."""

from pathlib import Path
from typing import Any, NoReturn

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.cli import main
from samegrad.reports.archive import adding, files, form, merging, store
from tests.helpers.archives import journal, records, rewritten
from tests.helpers.journals import write

ALL = ", ".join(name for name in form.COLUMNS if name != "entry")


class KilledError(BaseException):
    """The process was ended there."""


def answers(archive: Path) -> list[Any]:
    """All that an archive says: the newest rows, and every version."""
    with store.opened(archive) as connection:
        return [
            store.select(connection, f"SELECT {ALL} FROM {table} ORDER BY ALL").fetchall()
            for table in ("rows", "parts")
        ]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four runs in five parts: one has gone on meanwhile."""
    lines = records()
    adding.add(tmp_path / "a", [write(tmp_path / "half.jsonl", *lines[:-6])])
    adding.add(tmp_path / "a", [write(tmp_path / "whole.jsonl", *lines)])
    for number in range(3):
        adding.add(tmp_path / "a", [journal(tmp_path / str(number), name=f"run{number}")])
    return tmp_path / "a"


def test_merged_parts_give_the_same_answers(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Older versions, too; what is added later and merged again as well; a run stays known."""
    before = answers(archive)

    assert 0 == main(["archive", "merge", "--archive", str(archive)])
    assert "5 parts, now 1" in capsys.readouterr().out
    (part,) = archive.iterdir()
    assert before == answers(archive)
    assert {adding.THERE: 1} == adding.add(archive, [tmp_path / "1" / "journal.jsonl"]).counts

    assert (1, 1) == merging.merge(archive) and [part] == list(archive.iterdir())
    adding.add(archive, [journal(tmp_path / "later", name="later", day=9)])
    later = answers(archive)
    assert len(before[0]) + 3 == len(later[0])
    assert (2, 1) == merging.merge(archive) and later == answers(archive)
    assert part not in archive.iterdir()


@pytest.mark.parametrize("where", ["writing", "naming", "removing", "in the midst of removing"])
def test_a_merge_that_is_killed_changes_no_answer(
    where: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next one finishes it."""
    before, removed, unlink = answers(archive), list[Path](), Path.unlink

    def killed(*_: Any, **__: Any) -> NoReturn:
        raise KilledError

    def unlinked(path: Path, **options: Any) -> None:
        if path.name.startswith("rows-"):  # not what `replaced` has written beside
            if removed or where == "removing":
                raise KilledError
            removed.append(path)
        unlink(path, **options)

    with monkeypatch.context() as patched:
        if where == "writing":
            patched.setattr(merging, "_in_form", killed)
        elif where == "naming":
            patched.setattr(Path, "replace", killed)
        else:
            patched.setattr(Path, "unlink", unlinked)
        with pytest.raises(KilledError):
            merging.merge(archive)

    left = {"writing": 5, "naming": 5, "removing": 6, "in the midst of removing": 5}
    assert left[where] == len(list(archive.glob("rows-*.parquet")))
    assert before == answers(archive)
    assert 1 == merging.merge(archive).after == len(list(archive.glob("rows-*.parquet")))
    assert before == answers(archive)


def test_rows_would_be_doubled_if_merged_parts_did_not_say_what_they_hold(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above would see."""
    before = answers(archive)
    with monkeypatch.context() as patched:
        patched.setattr(merging, "_remove", lambda *_: None)
        merging.merge(archive)
    assert before == answers(archive)

    monkeypatch.setattr(files, "_held", lambda _: set())

    assert 2 * len(before[1]) == len(answers(archive)[1])


def test_a_merged_part_that_is_damaged_hides_nothing(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A merge that was killed before it removed anything, and a disk that lost a bit since."""
    before = answers(archive)
    with monkeypatch.context() as patched:
        patched.setattr(merging, "_remove", lambda *_: None)
        merging.merge(archive)
    (merged,) = archive.glob(f"rows-*{files.MERGED}*")
    merged.write_bytes(merged.read_bytes()[:-100])

    assert before == answers(archive)
    assert 1 == main(["archive", "merge", "--archive", str(archive)])
    said = capsys.readouterr()
    assert "it is damaged, and left out" in said.err and "5 parts, now 1" in said.out
    assert before == answers(archive) and merged.is_file()


def test_parts_of_other_versions(archive: Path) -> None:
    """A part without a column of today is merged; one with more columns stays as it is."""
    oldest, newer, *_ = files.parts(archive)
    before = answers(archive)
    rewritten(oldest, pq.read_table(oldest).drop_columns(["remarks"]))
    table = pq.read_table(newer)
    newer = rewritten(newer, table.append_column("future", pa.nulls(len(table), pa.string())))

    with store.opened(archive) as connection:  # of a column that the first part lacks
        counted = store.select(connection, "SELECT count(remarks), count(*) FROM parts").fetchone()
    assert counted == (len(before[1]) - 3, len(before[1]))
    assert (5, 2) == merging.merge(archive)

    assert newer in archive.iterdir()
    assert len(before[0]) == len(answers(archive)[0]) and len(before[1]) == len(answers(archive)[1])


def test_large_parts_stay_and_groups_are_no_larger_than_one_part(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five parts with three rows, two and two become one; then each is more than half full."""
    monkeypatch.setattr(merging, "MOST_ROWS", 7)
    before = answers(archive)

    assert (5, 3) == merging.merge(archive)
    assert (3, 3) == merging.merge(archive)
    assert before == answers(archive)


def test_a_second_merge_at_the_same_time_is_refused_in_one_line(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is a folder that is no archive."""
    with merging.alone(archive):
        assert 2 == main(["archive", "merge", "--archive", str(archive)])
    assert "another merge or withdrawal is under way" in capsys.readouterr().err
    assert 2 == main(["archive", "merge", "--archive", str(archive / "nowhere")])
    assert "no archive with results there" in capsys.readouterr().err
