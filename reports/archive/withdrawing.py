"""Versions of runs that are taken out of an archive; nothing is deleted.

A withdrawal is a file of its own beside the parts. It names the copies of a version that count no
longer, and says since when and why. Of its run then the version before counts again, or none does,
and another one can be added. Copies of it that are added later count (`archive add --again`).
"""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.texts import EMPTY, OPTIONAL, clean
from samegrad.reports.archive import files, merging, store
from samegrad.reports.archive.asking import connected
from samegrad.reports.archive.store import select

MOST_REASON = 300  # characters
NEEDED = EMPTY.removesuffix(OPTIONAL)
MOST_NAMED = 5  # runs of several that are meant
SHOWN = 16  # digits of a journal_sha256
BEGINNING = re.compile("[0-9a-f]{4,64}")
COPY = """
SELECT copies.*, own.withdrawn_at, own.reason FROM (
    SELECT run_id, journal_sha256, journal_bytes, form, added, entry, any_value(run) AS run,
        any_value(started) AS started, any_value(machine) AS machine,
        coalesce(any_value(from_summary), false) AS from_summary,
        any_value(complete) AS complete, count(*) AS rows
    FROM parts WHERE {condition}
    GROUP BY run_id, journal_sha256, journal_bytes, form, added, entry
) AS copies LEFT JOIN withdrawals AS own USING (entry, run_id)
ORDER BY journal_bytes, form, from_summary DESC, added, entry
"""
# Versions that were withdrawn, for the last time, but for those that were added again and count.
LEFT_OUT = """
SELECT max(withdrawn_at) AS withdrawn_at, arg_max(reason, withdrawn_at) AS reason, run_id, run,
    started, machine, fingerprint, count(DISTINCT case_id) AS rows, journal_bytes, journal_sha256
FROM withdrawn ANTI JOIN runs USING (run_id, journal_sha256)
GROUP BY ALL ORDER BY 1 DESC, run_id, journal_sha256
"""


class Withdrawal(NamedTuple):
    """A version that was withdrawn: its journal, ISO 8601 in UTC, and why."""

    journal_bytes: int
    journal_sha256: str
    withdrawn_at: str
    reason: str


class Copy(NamedTuple):
    """A copy of a version of a run; `withdrawn_at` is None if it counts."""

    run_id: str
    journal_sha256: str
    journal_bytes: int
    form: int
    added: str
    entry: int
    run: str
    started: str
    machine: str
    from_summary: bool
    complete: bool
    rows: int
    withdrawn_at: str | None
    reason: str | None

    def __str__(self) -> str:
        """Which run it is of, in words."""
        return f"{self.run_id} ({self.run} of {self.started[:10]} on {self.machine})"

    def version(self) -> str:
        """Which version of it, in words."""
        whole = "complete" if self.complete else "not complete"
        own = f"{self.journal_sha256[:SHOWN]} ({self.journal_bytes:,} bytes of journal"
        return f"{own}, {whole}, {self.rows:,} rows)"


def known(folder: Path) -> dict[str, list[Withdrawal]]:
    """Run id -> what was withdrawn of it, be it that it was added again since."""
    paths = [*files.withdrawals(folder).paths.values()]
    found: dict[str, list[Withdrawal]] = {}
    if paths:
        with connected() as connection:
            store.define_withdrawals(connection, paths)
            query = """
                SELECT run_id, journal_bytes, journal_sha256, max(withdrawn_at),
                    arg_max(reason, withdrawn_at)
                FROM withdrawals GROUP BY ALL ORDER BY ALL"""
            for run_id, *about in connection.execute(query).fetchall():
                found.setdefault(run_id, []).append(Withdrawal(*about))
    return found


def note(connection: duckdb.DuckDBPyConnection) -> str:
    """What is said beside an answer of what was left out of it, or ""."""
    if not select(connection, "FROM withdrawals LIMIT 1").fetchall():
        return ""
    count = len(select(connection, LEFT_OUT).fetchall())
    of_runs = "versions of runs" if count > 1 else "version of a run"
    return f"left out: {count:,} withdrawn {of_runs}; query --withdrawn shows why" if count else ""


def nothing(connection: duckdb.DuckDBPyConnection, folder: str) -> str:
    """What is said beside a list of what was withdrawn and counts no longer if it is empty."""
    if select(connection, LEFT_OUT).fetchall():
        return ""
    if not select(connection, "FROM withdrawn LIMIT 1").fetchall():
        return "nothing is withdrawn"
    query = "SELECT DISTINCT withdrawn_at, reason, run_id, run, journal_sha256 FROM withdrawn"
    typed = command("archive", "query", query, f"--archive={folder}")
    return f"what was withdrawn was added again and counts; when and why it was: `{typed}`"


def withdraw(
    folder: Path, text: str, reason: str, told: Callable[[str], object] = lambda _: None
) -> str:
    """Take a version of a run out of an archive; what then counts of this run, in words.

    Args:
        text: the beginning of a run_id, or a run's name: its newest version is meant; the beginning
            of a journal_sha256, or a journal: this one.
        told: of each part that is left out, a line.

    Raises:
        ValueError: there is no such run, several are meant, or it was withdrawn before.
        ArchiveError: the folder is no archive, or somebody else merges or withdraws.
        OSError: the disk is full, or the like: the archive is what it was.
    """
    reason = " ".join(clean(reason).split())
    if not reason or len(reason) > MOST_REASON:
        wrong = f"more than {MOST_REASON} characters" if reason else NEEDED
        raise ValueError(f"--reason: {wrong}")
    with merging.alone(folder):
        with store.opened(folder, told) as connection:
            taken, others, newest = _meant(connection, text, folder)
        now = datetime.now(UTC)
        at = now.isoformat(timespec="microseconds")
        lines = [
            (one.entry, one.run_id, one.journal_bytes, one.journal_sha256, at, reason)
            for one in taken
        ]
        columns = [
            pa.array(values, kind)
            for values, kind in zip(zip(*lines, strict=True), files.WITHDRAWAL.types, strict=True)
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_arrays(columns, schema=files.WITHDRAWAL), sink)
        files.named_by_hash(folder, sink.getvalue(), f"{now:%Y%m%d-%H%M%S}-", files.WITHDRAWN)
    left = "none of it is left"
    if others:
        as_before = "" if newest in taken else ", as before"
        left = f"of this run {others[-1].version()} counts{as_before}"
    return f"{taken[-1]}: {taken[-1].version()} is withdrawn; {left}"


def _meant(
    connection: duckdb.DuckDBPyConnection, text: str, folder: Path
) -> tuple[list[Copy], list[Copy], Copy]:
    """The copies of the version that a text means, the others of this run, and what counts now."""
    run_id, version = _named(connection, text, folder)
    every = _copies(connection, "run_id = ?", run_id)
    counting = [one for one in every if one.withdrawn_at is None]
    if not version and counting:
        newest = counting[-1]
        version = newest.journal_sha256
        later = every[every.index(newest) + 1 :]  # all of them are withdrawn
        gone = max(later, key=_when, default=newest)
        if newest.added < _when(gone):
            raise ValueError(
                f"{gone} was withdrawn on {_when(gone)[:10]} ({gone.reason}), and the version "
                f"before it counts; to withdraw that, too, give its journal_sha256, {version[:16]}"
            )
    taken = [one for one in counting if one.journal_sha256 == version]
    if not taken:
        of_it = [one for one in every if one.journal_sha256 == version] or every * (not version)
        if not of_it:
            versions = {one.journal_sha256: one.version() for one in every}
            some = ", ".join([*versions.values()][-MOST_NAMED:])
            has = f"not this version of the run {run_id}, but {some}; give one of these hashes"
            raise ValueError(f"{text:.200}: the archive has {has if every else 'none of this run'}")
        last = max(of_it, key=_when)
        raise ValueError(f"{last} was withdrawn on {_when(last)[:10]} already: {last.reason}")
    return taken, [one for one in counting if one.journal_sha256 != version], counting[-1]


def _when(one: Copy) -> str:
    return one.withdrawn_at or ""


def _named(connection: duckdb.DuckDBPyConnection, text: str, folder: Path) -> tuple[str, str]:
    """(run_id, journal_sha256) of what is meant; the latter is "" where a run is."""
    if not text.strip():
        raise ValueError(f"RUN: {NEEDED}")
    # And pandas: a question, which asks only what was withdrawn, need not wait for it.
    from samegrad.reports.archive import summary as summaries

    path = Path(text)
    names = ("journal.jsonl", summaries.NAME)
    path = next((path / name for name in names if (path / name).is_file()), path)
    if path.is_file():
        is_summary = path.name == summaries.NAME
        content = summaries.read(path).content if is_summary else summaries.content(path)
        return content.run_id, content.sha256
    text = clean(text)  # as the archive has all texts
    condition, values = "run = ?", [text]
    if BEGINNING.fullmatch(text):
        condition += " OR starts_with(run_id, ?) OR starts_with(journal_sha256, ?)"
        values *= 3
    found = _copies(connection, condition, *values)
    runs = {one.run_id: one for one in found if one.run == text or one.run_id.startswith(text)}
    some = [*(runs or {one.journal_sha256: one for one in found}).values()]
    if not some:
        if "/" in text or os.sep in text:
            wrong = "no run is there" if path.is_dir() else "there is no such file"
            raise ValueError(f"{text:.200}: {wrong}, and no run of the archive has this name")
        query = "SELECT run_id, run, started, machine FROM runs"
        every = command("archive", "query", query, f"--archive={folder}")
        raise ValueError(
            f"{text!r:.60}: no such run is there; give a journal, a run's name, or at least four "
            f"digits that a run_id or a journal_sha256 begins with: `{every}`"
        )
    if len(some) > 1:
        more = ", ..." * (len(some) > MOST_NAMED)
        raise ValueError(
            f"{text!r:.60} means {len(some):,} runs; give more of a run_id: "
            f"{', '.join(map(str, some[:MOST_NAMED]))}{more}"
        )
    return some[0].run_id, "" if runs else some[0].journal_sha256


def _copies(connection: duckdb.DuckDBPyConnection, condition: str, *values: str) -> list[Copy]:
    rows = select(connection, COPY.format(condition=condition), values).fetchall()
    return [Copy(*map(_clean, row)) for row in rows]


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
