"""The archive on a disk: a folder of Parquet files, to which files are added and nothing else.

A part holds rows of some runs, written beside and renamed once it is whole, under a name that no
other has: who reads sees whole parts only, two who add do not meet, and a full disk costs the part
that was being written. The name ends with the hash of what is in it: a part that is not what was
written, or is not as parts are (`footers`), is left out and said, and the rest is read. Of two with
the same content the one whose name agrees with it counts. A merged part (`merging`) says which
parts it holds, and hides these. A withdrawal (`withdrawing`) is a file of its own, named in the
same way.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.implementations.contract.files import PART, ordinary, replaced
from samegrad.implementations.contract.texts import clean, is_utf8
from samegrad.reports.archive import footers, form

TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "numbers": pa.list_(pa.float64()),
}
SCHEMA = pa.schema([(name, TYPES[column.kind]) for name, column in form.COLUMNS.items()])
ROWS, WITHDRAWN = "rows-", "withdrawn-"  # with which names begin
# When it was written; its hash.
NAME = re.compile(r"(?:rows|withdrawn)-\d{8}-\d{6}-(?:merged-)?([0-9a-f]{16})\.parquet")
MERGED, HOLDS = "merged-", b"samegrad_parts"  # in its name; in its metadata, hashes of its parts
# Of a withdrawal: which copy, of what, when and why.
WITHDRAWALS = {
    "entry": "whole", "run_id": "text", "journal_bytes": "whole", "journal_sha256": "text",
    "withdrawn_at": "text", "reason": "text",
}  # fmt: skip
WITHDRAWAL = pa.schema([(name, TYPES[kind]) for name, kind in WITHDRAWALS.items()])


class Sound(NamedTuple):
    """The files of an archive that hold what was written.

    Attributes:
        paths: by the hash of what is in them.
        lines: one for each other file.
        alike: whether all have the same columns.
    """

    paths: dict[str, Path]
    lines: list[str]
    alike: bool


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
        ArchiveError: it is a file, or DuckDB cannot open what is in it.
    """
    place = os.fspath(folder.resolve())
    if not is_utf8(place):
        said = f"{clean(place)}: an archive's folder needs a name in UTF-8"
        raise ArchiveError(f"{said}; give another one")
    if folder.exists() and not folder.is_dir():
        raise ArchiveError(f"{folder}: a file, where the archive's folder should be")
    return sorted(folder.glob(f"{ROWS}*.parquet"))


def readable(folder: Path) -> Sound:
    """The parts that hold what was written, each once, less those that others hold.

    Whatever their names: of two whose names were swapped, both do.
    """
    sound = _sound(folder)
    held = _held(sound.paths.values())
    return sound._replace(paths={own: path for own, path in sound.paths.items() if own not in held})


def superseded(folder: Path) -> list[Path]:
    """The parts that are there still, and which a merged part holds as well."""
    sound = _sound(folder).paths
    held = _held(sound.values())
    return [path for own, path in sound.items() if own in held]


def _sound(folder: Path) -> Sound:
    return _as_written(parts(folder), SCHEMA, form.NEEDED, "add its runs again and remove it")


def withdrawals(folder: Path) -> Sound:
    """The files that say what was withdrawn."""
    every = sorted(folder.glob(f"{WITHDRAWN}*.parquet"))
    again = "what it withdrew counts again, unless you withdraw it again; then remove it"
    return _as_written(every, WITHDRAWAL, WITHDRAWALS, again)


def _as_written(
    every: Sequence[Path], schema: pa.Schema, needed: Collection[str], again: str
) -> Sound:
    sound, lines = dict[str, Path](), list[str]()
    beneath = footers.Footers(schema, needed)
    stated = {path: match[1] for path in every if (match := NAME.fullmatch(path.name))}
    written, digests = set(stated.values()), dict[Path, str]()
    for path in every:
        try:
            digests[path] = digest(path)
        except OSError as error:
            lines.append(f"{path}: {error.strerror}; it is left out")
    # Of two with the same content the one whose name agrees with it.
    rightly = {own: path for path, own in reversed(digests.items()) if stated.get(path) == own}
    for path, own in digests.items():
        other = rightly.get(own, path)
        if own not in written:
            lines.append(f"{path}: {_other_name(path, own, stated, beneath)}; {again}")
        elif own in sound or other != path:
            other = sound.get(own, other)
            named = ", under a name that says another hash" * (stated.get(path) != own)
            lines.append(f"{path}: a copy of {other.name}{named}; it is left out")
        elif wrong := beneath.strange(path):
            lines.append(f"{path}: no part of an archive: {wrong}; it is left out")
        else:
            sound[own] = path
    return Sound(sound, lines, beneath.kinds == 1)


def _other_name(path: Path, own: str, stated: Mapping[Path, str], known: footers.Footers) -> str:
    """What is said of a file that has not the hash of its name; of one bit nobody can tell more."""
    if known.strange(path):
        return "it is damaged, and left out"
    says = f"its name says the hash {stated[path]}" if path in stated else "its name says no hash"
    return (
        f"{says}, and it has {own}: if its name alone was changed, let that end with "
        f"-{own}.parquet again; else it is damaged. It is left out"
    )


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
