"""The archive on a disk: a folder of Parquet files, to which files are added and nothing else.

A part holds rows of some runs, written beside and renamed once it is whole, under a name that no
other has: who reads sees whole parts only, two who add do not meet, and a full disk costs the part
that was being written. The name ends with the hash of what is in it: a part that is not what was
written, or is not as parts are (`footers`), is left out and said, and the rest is read. Of each run
the newest version counts, and before a summary that came alone what a journal gave; others are
hidden. A merged part (`merging`) says which parts it holds, and hides these. A withdrawal
(`withdrawing`) is a file of its own, named in the same way, which says which copies of which
versions count no longer.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.files import PART, named, ordinary, replaced
from samegrad.implementations.contract.texts import clean
from samegrad.reports.archive import footers, form
from samegrad.reports.archive.asking import patiently

TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "numbers": pa.list_(pa.float64()),
}
SCHEMA = pa.schema([(name, TYPES[column.kind]) for name, column in form.COLUMNS.items()])
SQL = {
    "text": "VARCHAR", "whole": "BIGINT", "number": "DOUBLE", "truth": "BOOLEAN",
    "numbers": "DOUBLE[]",
}  # fmt: skip
MEMORY = "2GB"  # of a query; beyond it, it ends with an error
ROWS, WITHDRAWN = "rows-", "withdrawn-"  # with which names begin
# When it was written; its hash.
NAME = re.compile(r"(?:rows|withdrawn)-\d{8}-\d{6}-(?:merged-)?([0-9a-f]{16})\.parquet")
OF_THE_QUERY = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
MERGED, HOLDS = "merged-", b"samegrad_parts"  # in its name; in its metadata, hashes of its parts
# Of a withdrawal: which copy, of what, when and why.
WITHDRAWALS = {
    "entry": "whole", "run_id": "text", "journal_bytes": "whole", "journal_sha256": "text",
    "withdrawn_at": "text", "reason": "text",
}  # fmt: skip
WITHDRAWAL = pa.schema([(name, TYPES[kind]) for name, kind in WITHDRAWALS.items()])
FIRST_WITHDRAWALS = """
CREATE TEMP TABLE withdrawals AS SELECT * FROM every_withdrawal
QUALIFY row_number() OVER (PARTITION BY entry, run_id ORDER BY withdrawn_at, reason) = 1
"""
# What is said of a run stands in each of its rows: grouping by all of it takes twice the time.
KEYS = ("run_id", "journal_bytes", "form")
OF_RUN = [name for name in form.RUN if name not in form.ONCE]
LATEST = f"""
CREATE TEMP TABLE latest AS
SELECT {", ".join(OF_RUN)}, entry, added, from_summary, count AS rows FROM (
    SELECT {", ".join(KEYS)}, entry, added, count(*) AS count,
    coalesce(first(from_summary), false) AS from_summary,
    {", ".join(f"first({name}) AS {name}" for name in OF_RUN if name not in KEYS)}
    FROM parts GROUP BY {", ".join(KEYS)}, entry, added
) ANTI JOIN withdrawals USING (entry, run_id) QUALIFY row_number() OVER (
    PARTITION BY run_id
    ORDER BY journal_bytes DESC, form DESC, from_summary, added DESC, entry DESC
) = 1
"""


class Known(NamedTuple):
    """What the archive has of a run: how much of which journal, and summarised by which form.

    Attributes:
        beginnings: hashes of beginnings of it (`beginnings`), or "" where they are not known.
        from_summary: whether it came as a summary alone.
    """

    size: int
    sha256: str
    form: int
    beginnings: str = ""
    from_summary: bool = False


class ArchiveError(ValueError):
    """The folder is no archive, or cannot be read."""


def batch(run: dict[str, Any], rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """The rows of one run, which have been checked, as columns in the order of the table."""
    arrays = []
    for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True):
        values = [row[name] for row in rows] if name in form.ROW else [run[name]] * len(rows)
        if name in form.ONCE:
            values[1:] = [None] * (len(rows) - 1)
        arrays.append(pa.array(values, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def parts(folder: Path) -> list[Path]:
    """The parts of an archive, the oldest first; none if the folder is not there.

    Raises:
        ArchiveError: it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ArchiveError(f"{folder}: a file, where the archive's folder should be")
    return sorted(folder.glob(f"{ROWS}*.parquet"))


def readable(folder: Path) -> tuple[list[Path], list[str]]:
    """The parts that hold what was written, each once, and a line for each other one.

    Whatever their names: of two whose names were swapped, both do.
    """
    sound, lines = _sound(folder)
    held = _held(sound.values())
    return [path for own, path in sound.items() if own not in held], lines


def superseded(folder: Path) -> list[Path]:
    """The parts that are there still, and which a merged part holds as well."""
    sound, _ = _sound(folder)
    held = _held(sound.values())
    return [path for own, path in sound.items() if own in held]


def _sound(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The hash of each part that is what was written, with its path; a line for each other one."""
    return _as_written(parts(folder), SCHEMA, form.NEEDED, "add its runs again and remove it")


def withdrawals(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that say what was withdrawn, and a line for each that is not what was written."""
    every = sorted(folder.glob(f"{WITHDRAWN}*.parquet"))
    again = "what it withdrew counts again, unless you withdraw it again; then remove it"
    sound, lines = _as_written(every, WITHDRAWAL, WITHDRAWALS, again)
    return [*sound.values()], lines


def _as_written(
    every: Sequence[Path], schema: pa.Schema, needed: Collection[str], again: str
) -> tuple[dict[str, Path], list[str]]:
    sound, lines = dict[str, Path](), list[str]()
    written = {match[1] for path in every if (match := NAME.fullmatch(path.name))}
    for path in every:
        try:
            own = digest(path)
        except OSError as error:
            lines.append(f"{path}: {error.strerror}; it is left out")
            continue
        if own not in written:
            lines.append(f"{path}: it is damaged, and left out; {again}")
        elif own in sound:
            lines.append(f"{path}: a copy of {sound[own].name}; it is left out")
        elif wrong := footers.strange(path, schema, needed):
            lines.append(f"{path}: no part of an archive: {wrong}; it is left out")
        else:
            sound[own] = path
    return sound, lines


def _held(sound: Collection[Path]) -> set[str]:
    """The hashes of the parts that others of these hold."""
    held = set[str]()
    if any(MERGED in path.name for path in sound):
        for path in sound:
            with contextlib.suppress(pa.ArrowException, OSError, ValueError, TypeError):
                about = pq.read_metadata(path).metadata or {}
                held |= set(map(str, json.loads(about.get(HOLDS, b"[]"))))
    return held


def digest(path: Path) -> str:
    """The hash of what is in a part.

    Raises:
        OSError: it is no ordinary file, or cannot be read.
    """
    with ordinary(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write(folder: Path, batches: Sequence[pa.RecordBatch]) -> Path:
    """Add one part.

    Raises:
        OSError: it cannot be written, and nothing of it is there.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as out:
        out.write_table(pa.Table.from_batches(batches))
    return named_by_hash(folder, sink.getvalue(), f"{datetime.now(UTC):%Y%m%d-%H%M%S}-")


def named_by_hash(folder: Path, data: pa.Buffer, beginning: str, kind: str = ROWS) -> Path:
    """Add a file that is whole, under a name that says what must be in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}{beginning}{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    assert not path.name.startswith(PART)
    with replaced(path) as beside:
        beside.write_bytes(data)
    return path


@contextlib.contextmanager
def opened(
    place: str | os.PathLike[str], told: Callable[[str], object] = lambda _: None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an archive that can read it and nothing else.

    Its views: `rows`, the newest version of each run; `runs`, a line for each of these; `parts`,
    every version; `withdrawn`, those that count no longer. The configuration is locked, and no file
    but the parts can be opened.

    Args:
        told: of each part that is left out, a line.

    Raises:
        ArchiveError: it has no rows, one of its files is not as this version writes them, or what
            is done with the connection ends on one.
    """
    folder = named("--archive", place)
    sound, lines = readable(folder)
    taken_out, more_lines = withdrawals(folder)
    if lines and not sound:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise ArchiveError(f"none of the archive's parts can be read: {lines[0]}{more}")
    for line in (*lines, *more_lines):
        told(clean(line))
    if not sound:
        add = command("archive", "add", "RUN", f"--archive={folder}")
        raise ArchiveError(f"{folder}: no archive with results there; `{add}` makes one")
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connected())
        try:
            without = _define(connection, sound, taken_out)
        except duckdb.Error as error:
            wrong = _unreadable(sound)
            if not 0 < len(wrong) < len(sound):
                said = next(iter(wrong.values()), f"{folder}: cannot be read: {_line(error)}")
                raise ArchiveError(said) from None
            for line in wrong.values():
                told(f"{line}; it is left out")
            connection = stack.enter_context(connected())
            without = _define(connection, [path for path in sound if path not in wrong], taken_out)
        for line in without:
            told(line)
        try:
            yield connection
        except duckdb.Error as error:  # which may come as late as rows are fetched
            raise ArchiveError(_refused(connection, error)) from None


def connected() -> duckdb.DuckDBPyConnection:
    """A database of nothing, in memory, and in no more of it than MEMORY."""
    return duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": ""})


def _unreadable(paths: Sequence[Path]) -> dict[Path, str]:
    """A line for each part that cannot be read to its end, which is asked once something failed."""
    lines = {}
    for path in paths:
        with connected() as connection:
            try:
                _define(connection, [path])
                every = ", ".join(f'"{name}"' for name in form.COLUMNS)
                connection.execute(f"SELECT bit_xor(hash({every})) FROM parts").fetchall()
            except duckdb.Error as error:
                lines[path] = clean(f"{path}: cannot be read: {_line(error)}")
    return lines


def _define(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], taken_out: Sequence[Path] = ()
) -> list[str]:
    """Make tables and views; a line for each withdrawal that cannot be read."""
    files = [os.fspath(path.resolve()) for path in paths]
    everything = connection.read_parquet(files, union_by_name=True)
    there = {*everything.columns}
    chosen = [
        f'"{name}"' if name in there else f'CAST(NULL AS {SQL[column.kind]}) AS "{name}"'
        for name, column in form.COLUMNS.items()
    ]
    everything.project(", ".join(chosen)).create_view("parts")
    lines = define_withdrawals(connection, taken_out)
    connection.execute(LATEST)
    connection.execute("CREATE VIEW runs AS SELECT * EXCLUDE entry FROM latest")
    hidden = "" if _all_latest(connection) else " SEMI JOIN latest USING (entry)"
    connection.execute(f"CREATE VIEW rows AS SELECT * EXCLUDE entry FROM parts{hidden}")
    connection.execute(
        "CREATE VIEW withdrawn AS SELECT own.withdrawn_at, own.reason, parts.* EXCLUDE (entry) "
        "FROM parts JOIN withdrawals AS own USING (entry, run_id)"
    )
    quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    connection.execute(f"SET allowed_paths = [{quoted}]")
    for setting in ("enable_external_access = false", "lock_configuration = true"):
        connection.execute(f"SET {setting}")
    return lines


def define_withdrawals(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> list[str]:
    """Make the table `withdrawals`; a line for each file that cannot be read."""
    columns = ", ".join(f"{name} {SQL[kind]}" for name, kind in WITHDRAWALS.items())
    connection.execute(f"CREATE TEMP TABLE every_withdrawal ({columns})")
    lines = []
    for path in paths:
        try:
            connection.execute(
                f"INSERT INTO every_withdrawal SELECT {', '.join(WITHDRAWALS)} "
                "FROM read_parquet(?)",
                [os.fspath(path.resolve())],
            )
        except duckdb.Error as error:
            lines.append(clean(f"{path}: cannot be read: {_line(error)}; it is left out"))
    connection.execute(FIRST_WITHDRAWALS)
    return lines


def _all_latest(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether nothing is hidden, so that no row need be looked up."""
    query = "SELECT (SELECT count(*) FROM parts) = (SELECT sum(rows) FROM latest)"
    return bool((connection.execute(query).fetchone() or (False,))[0])


def known(folder: Path, told: Callable[[str], object] = lambda _: None) -> dict[str, Known]:
    """Run id -> what the archive has of it; {} where there is none yet, or none can be read.

    Args:
        told: of each part that is left out, a line.
    """
    sound, lines = readable(folder)
    if not sound:
        for line in lines:
            told(clean(line))
        return {}
    query = """
        SELECT run_id, journal_bytes, journal_sha256, form, coalesce(own.beginnings, ''),
            from_summary
        FROM latest LEFT JOIN (
            SELECT entry, any_value(beginnings) AS beginnings FROM parts GROUP BY entry
        ) AS own USING (entry)"""
    with opened(folder, told) as connection:
        return {run_id: Known(*rest) for run_id, *rest in connection.execute(query).fetchall()}


def select(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> duckdb.DuckDBPyConnection:
    """Ask one question, in SQL that changes nothing.

    Raises:
        ValueError: it is something else than one SELECT, DuckDB refuses it, or it takes too long.
    """
    try:
        text = query.strip().rstrip(";")
        statements = connection.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ValueError("an archive is only read: give one SELECT")
        # WITH may name a COPY or an INSERT, but not within another query.
        query = f"SELECT * FROM (\n{text}\n)"
        patiently(connection, connection.execute, query, list(values))
        return connection
    except duckdb.Error as error:
        raise ValueError(_refused(connection, error)) from None


def _refused(connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> str:
    return f"the query is refused: {_line(error)}{_cause(connection, error)}"


def _cause(connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> str:
    """The part on which a query ended, if it is not the query's own fault; else ""."""
    if isinstance(error, OF_THE_QUERY):
        return ""
    with contextlib.suppress(duckdb.Error):
        asked = connection.execute("SELECT unnest(current_setting('allowed_paths'))").fetchall()
        for line in _unreadable([Path(path) for (path,) in asked]).values():
            return f"; {line}; move it away and add its runs again"
    return ""


def _line(error: Exception) -> str:
    return clean(str(error).splitlines()[0])[:300]
