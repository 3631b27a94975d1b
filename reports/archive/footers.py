"""Whether a Parquet file can be part of an archive: what its footer says, before a row is read.

That a part has the hash of its name shows that it is what somebody wrote, not what that was. One
file with other columns, or a few kilobytes that unpack to gigabytes, must not cost the others.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MOST_ROWS = 2**22  # whoever adds begins a new part beyond 400,000
MOST_BYTES = 2**34  # unpacked
MOST_COLUMNS = 1000

Columns = Mapping[str, list[tuple[str, ...]]]


def strange(path: Path, schema: pa.Schema, needed: Collection[str]) -> str:
    """Why a file is no part of an archive, or "".

    Columns may be missing, as in parts of older versions, and there may be more.

    Args:
        schema: what a part has.
        needed: columns of which no value is missing.
    """
    try:
        about = pq.read_metadata(path)
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        if about.num_columns > MOST_COLUMNS:
            return f"it has {about.num_columns:,} columns"
        own, known = columns(about.schema), _expected(schema)
        if lacking := [name for name in needed if name not in own]:
            return f"it has no column {lacking[0]}"
        lower = {name.lower(): name for name in known}  # SQL does not tell A from a
        for name, kind in own.items():
            if kind != known.get(lower.get(name.lower(), ""), kind) or (
                name not in known and name.lower() in lower
            ):
                return f"its column {name} is another one"
        rows = max(about.num_rows, sum(group.num_rows for group in groups))
        if rows < 1:
            return "it has no rows"
        if rows > MOST_ROWS or sum(group.total_byte_size for group in groups) > MOST_BYTES:
            return f"it says that it has {rows:,} rows, more than a part may have"
        places = {about.schema.column(n).path: n for n in range(about.num_columns)}
        for group in groups:
            for name in needed:
                known_of = group.column(places[name]).statistics
                if known_of is not None and known_of.has_null_count and known_of.null_count:
                    return f"values of {name} are missing"
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"it is no Parquet file ({str(error).splitlines()[0][:100]})"
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
    pq.write_table(schema.empty_table(), sink)
    return columns(pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema)
