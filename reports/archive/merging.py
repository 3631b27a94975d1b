"""Many small parts of an archive into few: nothing is lost or doubled, whenever it is ended.

A merged part says in its metadata which parts it holds, by their hashes. From the moment on at
which it has its name, readers pass these over (`files.readable`); that they are removed then makes
room and changes no answer. What a merge that was killed has left there, the next one removes first.
A part that is damaged is neither merged nor removed; a merged one that is damaged hides nothing.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.implementations.contract.texts import clean, shortened
from samegrad.reports.archive import files
from samegrad.reports.archive.files import ArchiveError

MOST_ROWS = 400_000  # of a merged part; one with half as many is left as it is
GROUP_ROWS = 100_000  # that are held, and become one row group


class Merged(NamedTuple):
    """How many parts there were, and are."""

    before: int
    after: int


def merge(folder: Path, told: Callable[[str], object] = lambda _: None) -> Merged:
    """Merge the small parts of an archive; who adds meanwhile is not disturbed.

    Args:
        told: of each part that is damaged, a line.

    Raises:
        ArchiveError: the folder is none, or another merge or withdrawal is under way.
        OSError: the disk is full, or the like: the archive is what it was.
    """
    if not files.parts(folder):
        raise ArchiveError(f"{folder}: no archive with results there; nothing can be merged")
    with alone(folder):
        _remove(folder, files.superseded(folder))
        before = files.readable(folder)
        for line in before.lines:
            told(clean(line))
        for group in _groups([*before.paths.values()]):
            _write(folder, group)
            _remove(folder, group)
        return Merged(len(before.paths), len(files.readable(folder).paths))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two merges at a time would both hold the same rows; two withdrawals would take two versions.

    Raises:
        ArchiveError: somebody else is at it.
    """
    with contextlib.ExitStack() as stack:
        try:
            import fcntl

            lock = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = "another merge or withdrawal is under way; try again"
            raise ArchiveError(f"{folder}: {said}") from None
        except (ImportError, OSError):  # Windows, a disk without locks: it is not noticed
            pass
        yield


def _groups(parts: Sequence[Path]) -> Iterator[list[Path]]:
    """Small parts, the oldest first, as many together as one part may hold."""
    group, rows = list[Path](), 0
    for path in parts:
        about = _about(path)
        own = about.num_rows
        # Of a newer version of samegrad: this one would lose what it does not know.
        if 2 * own > MOST_ROWS or set(about.schema.to_arrow_schema().names) - {*files.SCHEMA.names}:
            continue
        if rows + own > MOST_ROWS:
            yield from [group] * (len(group) > 1)
            group, rows = [], 0
        group.append(path)
        rows += own
    yield from [group] * (len(group) > 1)


def _about(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> ArchiveError:
    said = shortened(str(error).splitlines()[0], 200)
    return ArchiveError(
        f"{path}: cannot be read as part of an archive: {said}; move it away, add its runs again"
    )


def _write(folder: Path, group: Sequence[Path]) -> Path:
    """Add the part that holds those of a group; whole, or not at all."""
    hashes = [files.digest(path) for path in group]
    schema = files.SCHEMA.with_metadata({files.HOLDS: json.dumps(hashes)})
    sink = pa.BufferOutputStream()
    rows = 0
    with pq.ParquetWriter(sink, schema, compression="zstd") as out:
        for table in _tables(group):
            out.write_table(table.cast(schema))
            rows += len(table)
    if rows != sum(_about(one).num_rows for one in group):
        raise ArchiveError(f"{folder}: its parts changed while they were merged; try again")
    stamp = max(path.name for path in group).removeprefix("rows-")[:15]  # as old as the last one
    return files.named_by_hash(folder, sink.getvalue(), f"{stamp}-{files.MERGED}")


def _tables(group: Sequence[Path]) -> Iterator[pa.Table]:
    waiting, rows = list[pa.Table](), 0
    for path in group:
        for batch in _batches(path):
            waiting.append(_in_form(pa.Table.from_batches([batch])))
            rows += len(batch)
            if rows >= GROUP_ROWS:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(GROUP_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _in_form(table: pa.Table) -> pa.Table:
    """The columns of today; those that an older part lacks are empty."""
    for name, kind in zip(files.SCHEMA.names, files.SCHEMA.types, strict=True):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table.select(files.SCHEMA.names).cast(files.SCHEMA)


def _remove(folder: Path, paths: Sequence[Path]) -> None:
    """Remove parts that another one holds, once that one's name is on the disk."""
    if paths and os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for path in paths:
        path.unlink(missing_ok=True)
