"""An archive as tables of SQL: what its files say together, of each run the newest version.

Before a summary that came alone counts what a journal gave; older versions are hidden, and so is
what a withdrawal takes out: which copies of which versions count no longer.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.files import named
from samegrad.implementations.contract.texts import clean, is_utf8, shortened
from samegrad.reports.archive import form
from samegrad.reports.archive.asking import connected, patiently
from samegrad.reports.archive.files import WITHDRAWALS, ArchiveError, readable, withdrawals

SQL = {
    "text": "VARCHAR", "whole": "BIGINT", "number": "DOUBLE", "truth": "BOOLEAN",
    "numbers": "DOUBLE[]",
}  # fmt: skip
OF_THE_QUERY = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
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
    by_hash, lines, alike = readable(folder)
    sound, taken_out = [*by_hash.values()], withdrawals(folder)
    if lines and not sound:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise ArchiveError(f"none of the archive's parts can be read: {lines[0]}{more}")
    for line in (*lines, *taken_out.lines):
        told(clean(line))
    if not sound:
        add = command("archive", "add", "RUN", f"--archive={folder}")
        raise ArchiveError(f"{folder}: no archive with results there; `{add}` makes one")
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connected())
        try:
            without = _define(connection, sound, [*taken_out.paths.values()], alike=alike)
        except duckdb.Error as error:
            wrong = _unreadable(sound)
            if not 0 < len(wrong) < len(sound):
                said = next(iter(wrong.values()), f"{folder}: cannot be read: {_line(error)}")
                raise ArchiveError(said) from None
            for line in wrong.values():
                told(f"{line}; it is left out")
            connection = stack.enter_context(connected())
            sound = [path for path in sound if path not in wrong]
            without = _define(connection, sound, [*taken_out.paths.values()])
        for line in without:
            told(line)
        try:
            yield connection
        except duckdb.Error as error:  # which may come as late as rows are fetched
            raise ArchiveError(_refused(connection, error)) from None


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
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    taken_out: Sequence[Path] = (),
    *,
    alike: bool = False,
) -> list[str]:
    """Make tables and views; a line for each withdrawal that cannot be read.

    Args:
        alike: whether all have the same columns: then one of their footers is read, not all.
    """
    files = [os.fspath(path.resolve()) for path in paths]
    everything = connection.read_parquet(files, union_by_name=not alike)
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
    sound = readable(folder)
    if not sound.paths:
        for line in sound.lines:
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
    for text in (query, *values):
        if isinstance(text, str) and not is_utf8(text):
            raise ValueError(f"{text!r:.60}: this is not UTF-8, as all texts of an archive are")
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
    return shortened(clean(str(error).splitlines()[0]), 300)
