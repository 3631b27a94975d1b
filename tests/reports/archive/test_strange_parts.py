"""Parts that somebody else wrote: what they are named by is right, what is in them is not."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.cli import main
from samegrad.reports.archive import adding, files, footers, store
from tests.helpers.archives import journal, rewritten


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two runs of three rows in two parts."""
    for name in ("r1", "r2"):
        adding.add(tmp_path / "a", [journal(tmp_path / name, name=name)])
    return tmp_path / "a"


def replaced(name: str, values: Any) -> Any:
    """A table with another column in the place of one."""
    return lambda table: table.set_column(
        table.column_names.index(name), name, pa.array([values] * len(table))
    )


def broken(name: str) -> Any:
    """A part in which the page of a column is none."""

    def change(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, use_dictionary=False)
        data = sink.getvalue().to_pybytes()
        group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
        start = group.column(table.column_names.index(name)).data_page_offset
        return data[:start] + b"\xff" * 8 + data[start + 8 :]

    return change


CHANGES = {
    "it has no column run_id": lambda table: table.drop_columns(["run_id"]),
    "it has no column added": lambda _: pa.table({"x": [1]}),
    "its column seconds is another one": replaced("seconds", "fast"),
    "its column process_seconds is another one": replaced("process_seconds", 1.0),
    "its column Remarks is another one": lambda table: table.append_column(
        "Remarks", pa.array([{"a": 1}] * len(table))
    ),
    "it has no rows": lambda table: table.slice(0, 0),
    "values of case_id are missing": lambda table: table.set_column(
        table.column_names.index("case_id"), "case_id", pa.nulls(len(table), pa.string())
    ),
    "it is no Parquet file": lambda _: b"PAR1" + bytes(100),
    "rows, more than a part may have": lambda table: pa.concat_tables([table] * 4),
    "columns": lambda table: pa.table({f"c{n}": [1] for n in range(footers.MOST_COLUMNS + 1)}),
    "cannot be read: ": broken("machine"),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_part_that_is_none_is_a_line_and_the_rest_answers(
    words: str, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though its hash is right, which anybody can compute."""
    monkeypatch.setattr(footers, "MOST_ROWS", 9)
    part = files.parts(archive)[0]
    part = rewritten(part, CHANGES[words](pq.read_table(part)))

    for command in ("query", "history", "compare"):
        query = ["SELECT count(*) FROM rows"] if command == "query" else []
        assert 1 == main(["archive", command, *query, f"--archive={archive}"])
        said = capsys.readouterr()
        *nothing, line = said.err.splitlines()  # no machine has measured a case twice
        assert f"{part}: " in line and words in line and "it is left out" in line
        assert all(more.startswith("no case that ") for more in nothing) and len(nothing) < 2
        assert command != "query" or "3" in said.out
    advised = ["advise", "--layers=64-32-10", f"--archive={archive}"]
    assert main(advised) in (0, 1)
    assert words in capsys.readouterr().err


def test_an_archive_of_nothing_else_is_one_line(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names one of them."""
    for part in files.parts(archive):
        rewritten(part, broken("machine")(pq.read_table(part)))

    assert 2 == main(["archive", "query", "FROM rows", f"--archive={archive}"])

    (line,) = capsys.readouterr().err.splitlines()
    assert str(files.parts(archive)[0]) in line and "cannot be read" in line


@pytest.mark.parametrize("csv", [[], ["--csv"]])
def test_a_query_that_ends_on_a_part_names_it(
    csv: list[str], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a column is broken that nothing has read before; merging stops at it, too."""
    part = files.parts(archive)[0]
    part = rewritten(part, broken("remarks")(pq.read_table(part)))

    assert 0 == main(["archive", "query", "SELECT count(*) FROM rows", f"--archive={archive}"])
    capsys.readouterr()
    for command in (["query", "FROM rows", *csv], ["merge"]):
        assert 2 == main(["archive", *command, f"--archive={archive}"])
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{part}: cannot be read" in line and "move it away" in line


def test_a_column_that_no_part_has_is_empty(archive: Path) -> None:
    """As in an archive of an older version."""
    for part in files.parts(archive):
        rewritten(part, pq.read_table(part).drop_columns(["remarks", "process_seconds"]))

    with store.opened(archive, pytest.fail) as connection:
        query = "SELECT DISTINCT remarks, process_seconds, typeof(remarks) FROM rows"
        assert [(None, None, "VARCHAR")] == store.select(connection, query).fetchall()
