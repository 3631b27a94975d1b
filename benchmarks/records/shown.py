"""A row in one line, for who has asked for one in a terminal or a notebook; its repr has all."""

import math
from typing import Any

from samegrad.benchmarks.clock.durations import duration
from samegrad.benchmarks.clock.intervals import interval


class Shown:
    """What is a row has its case, its time or why there is none, and what that is worth."""

    def __str__(self) -> str:
        return in_words(self)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The same, in IPython and in notebooks."""
        printer.text(str(self))


def in_words(row: Any) -> str:
    """A `rows.Row` in one line."""
    case = row.case
    sizes = getattr(getattr(case.workload, "spec", None), "layer_sizes", ())
    named = "-".join(map(str, sizes)) or case.workload.name
    what = f"{case.implementation} on {case.device}, {case.operation} of {named}"
    what += f", batch {case.workload.batch_size}, {case.arithmetic}: "
    if row.median_seconds is None:
        return f"{what}{row.status}: {row.reason}"
    low, high = interval(row.process_medians)
    ends = f", {duration(low)} to {duration(high)}" if math.isfinite(low) else ""
    return f"{what}{duration(row.median_seconds)} a call{ends} ({row.quality})"
