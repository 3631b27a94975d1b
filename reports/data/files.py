"""Rows as files hold them: CSV whose texts are no formulas."""

import json
import re
from typing import Any

import pandas as pd

from samegrad.implementations.contract.texts import clean

NOT_IN_FILES = [
    "series", "series_value", "ranks", "alone_seconds", "exchange_seconds", "request_medians",
]  # fmt: skip
# How a spreadsheet's formula begins, in letters of any width.
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\n]")


def flat(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as files hold them: numbers and texts only."""
    of_ranks = rows.threads + " in each of " + rows.ranks.astype(str) + " ranks"
    rows = rows.assign(threads=rows.threads.mask(rows.ranks > 1, of_ranks))
    rows = rows.drop(columns=NOT_IN_FILES, errors="ignore")
    if "process_medians" in rows:
        rows = rows.assign(process_medians=[json.dumps(list(s)) for s in rows.process_medians])
    return rows


def to_csv(table: pd.DataFrame, file: Any = None, header: bool = True) -> str:
    """A table as CSV; a text that a spreadsheet would take for a formula becomes a text to it."""
    changed = {}
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            values = table[name].tolist()
            quoted = {value: _quoted(value) for value in set(values) if isinstance(value, str)}
            if any(old != new for old, new in quoted.items()):
                changed[name] = [quoted.get(value, value) for value in values]
    return table.assign(**changed).to_csv(file, index=False, header=header) or ""


def _quoted(text: str) -> str:
    shown = clean(text)
    return f"'{shown}" if FORMULA.match(shown) else shown
