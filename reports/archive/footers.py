"""Whether a Parquet file can be part of an archive: what its footer says, before a row is read.

That a part has the hash of its name shows that it is what somebody wrote, not what that was. One
file with other columns, or a few kilobytes that unpack to gigabytes, must not cost the others.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MOST_ROWS = 2**22  # whoever adds begins a new part beyond 400,000
MOST_BYTES = 2**34  # unpacked
MOST_COLUMNS = 1000
MOST_SEEN = 100  # different lists of columns that are remembered

Columns = Mapping[str, list[tuple[str, ...]]]


class Footers:
    """The footers of files of one kind, of which nearly all have the same columns."""

    def __init__(self, schema: pa.Schema, needed: Collection[str]) -> None:
        """What is expected.

        Args:
            schema: what a part has. Columns may be missing, as in parts of older versions, and
                there may be more.
            needed: columns of which no value is missing.
        """
        self.needed = needed
        self._expected = _expected(schema)
        self._seen: list[tuple[pq.ParquetSchema, str]] = []  # with what is wrong with it
        self.kinds = 0  # how many different ones are those of parts

    def strange(self, path: Path) -> str:
        """Why a file is no part of an archive, or ""."""
        try:
            about = pq.read_metadata(path)
            groups = [about.row_group(number) for number in range(about.num_row_groups)]
            if wrong := self._wrong(about.schema) or self._lacking(about, groups):
                return wrong
            rows = max(about.num_rows, sum(group.num_rows for group in groups))
            if rows < 1:
                return "it has no rows"
            if rows > MOST_ROWS or sum(group.total_byte_size for group in groups) > MOST_BYTES:
                return f"it says that it has {rows:,} rows, more than a part may have"
        except (pa.ArrowException, OSError, ValueError) as error:
            return f"it is no Parquet file ({str(error).splitlines()[0][:100]})"
        return ""

    def _wrong(self, schema: pq.ParquetSchema) -> str:
        """What is wrong with these columns; asked once of hundreds of parts that have the same."""
        for seen, wrong in self._seen:
            if seen.equals(schema):
                return wrong
        wrong = self._other(schema)
        if len(self._seen) < MOST_SEEN:
            self._seen.append((schema, wrong))
        self.kinds += not wrong
        return wrong

    def _other(self, schema: pq.ParquetSchema) -> str:
        if len(schema) > MOST_COLUMNS:
            return f"it has {len(schema):,} columns"
        own, known = columns(schema), self._expected
        if lacking := [name for name in self.needed if name not in own]:
            return f"it has no column {lacking[0]}"
        lower = {name.lower(): name for name in known}  # SQL does not tell A from a
        for name, kind in own.items():
            if kind != known.get(lower.get(name.lower(), ""), kind) or (
                name not in known and name.lower() in lower
            ):
                return f"its column {name} is another one"
        return ""

    def _lacking(self, about: pq.FileMetaData, groups: Sequence[pq.RowGroupMetaData]) -> str:
        places = {about.schema.column(n).path: n for n in range(about.num_columns)}
        for group in groups:
            for name in self.needed:
                known_of = group.column(places[name]).statistics
                if known_of is not None and known_of.has_null_count and known_of.null_count:
                    return f"values of {name} are missing"
        return ""


def columns(schema: pq.ParquetSchema) -> Columns:
    """Name -> what is stored of it, as the file has it and not as it says that Arrow has it."""
    made: dict[str, list[tuple[str, ...]]] = {}
    for number in range(len(schema)):
        one = schema.column(number)
        kind = (one.physical_type, str(one.logical_type), str(one.max_repetition_level))
        made.setdefault(one.path.split(".")[0], []).append(kind)
    return made


@lru_cache(maxsize=2)
def _expected(schema: pa.Schema) -> Columns:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema):
        pass  # no table: `empty_table` waits for pandas
    return columns(pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema)
