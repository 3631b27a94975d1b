"""Answers as lines of text, for a terminal and for files."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from samegrad.benchmarks.clock.intervals import NO_DIFFERENCE, Ratio
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.texts import shortened
from samegrad.reports.archive.asking import patiently
from samegrad.reports.archive.queries import MOST_SERIES, Beside, Point, Series, Spread
from samegrad.reports.data.values import brief, duration, interval_text

CHUNK = 2**15  # rows of an answer that are held at a time
LEAST_FOR_QUARTERS = 4  # machines: of fewer there are none
WIDEST = 100  # characters of a column
LONGEST = 2**24  # characters of a value in a file: to clean as many takes a second


def aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of texts, each as wide as it must be."""
    shown = [[_cut(brief(text).replace("\n", " ")) for text in line] for line in lines]
    yield from columns.table(shown)


def _cut(text: str) -> str:
    return shortened(text, WIDEST)


def text(answer: Any, most: int) -> Iterator[str]:
    """An answer of DuckDB, of which some lines are shown."""
    lines = patiently(answer, answer.fetchmany, most + 1)
    heads = [column[0] for column in answer.description]
    cells = [[_cell(value) for value in line] for line in lines[:most]]
    yield from aligned([heads, *cells])
    if len(lines) > most:
        yield f"the first {most:,} lines; --csv prints all"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def csv(answer: Any) -> Iterator[str]:
    """All of an answer; a text that a spreadsheet would take for a formula is a text to it."""
    import pandas as pd  # half a second, for a file alone

    from samegrad.reports.data.files import to_csv

    heads = [column[0] for column in answer.description]
    yield to_csv(pd.DataFrame(columns=heads)).rstrip("\r\n")
    while lines := patiently(answer, answer.fetchmany, CHUNK):
        lines = [[_plain(value) for value in line] for line in lines]
        yield to_csv(pd.DataFrame(lines, columns=heads), header=False).rstrip("\r\n")


def _plain(value: Any) -> Any:
    """A value of a file: a list, a date and whatever else there is as a text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else None
    if text is None:
        text = json.dumps(value) if isinstance(value, list) else str(value)
    if len(text) > LONGEST:
        often = f"{len(text):,} characters, at most {LONGEST:,} are printed"
        raise ValueError(f"a value has {often}: ask for a part, such as left(column, 1000)")
    return text


def ratio_text(change: Ratio) -> str:
    """A ratio with its interval and verdict."""
    span = interval_text(change.low, change.high, "{:.3f}".format)
    return f"{change.verdict} {change.value:.3f}" + (f" ({span})" if span else "")


def value_text(point: Point) -> str:
    """A time with its interval."""
    ends = (point.seconds_low, point.seconds_high)
    low, high = (math.nan if end is None else end for end in ends)
    span = interval_text(low, high, duration)
    return duration(point.seconds) + (f" ({span})" if span else "")


def history(series: Sequence[Series], count: int, *, only_steps: bool) -> Iterator[str]:
    """Series after series: a line for each run, what changed since the one before beside it."""
    steps = 0
    for one in series:
        first = one.points[0]
        about = f"{first.case_id} on {first.machine} {first.fingerprint}"
        yield from columns.wrapped(about, columns.room(), columns.GAP)
        lines = []
        for point, step in zip(one.points, (None, *one.steps), strict=True):
            mark = reasons = ""
            if step is not None:
                mark = ratio_text(step.change) if step.certain else ""
                reasons = "; ".join(step.reasons)
                steps += step.certain
            when = point.started[:16] or "unknown time"
            lines.append(
                [f"  {when}", point.run, value_text(point), point.quality or "", mark, reasons]
            )
        yield from aligned(lines)
    cases = f"{count:,} case{'s' * (count != 1)}"
    found = f"{steps:,} step{'s' * (steps != 1)}"
    if only_steps:
        most = f"; the {MOST_SERIES} with the largest changes were looked at"
        yield (
            f"{found}, in {len(series):,} of {cases} (each of one machine) that changed by more "
            f"than {NO_DIFFERENCE - 1:.0%}{most if count > MOST_SERIES else ''}."
        )
    else:
        shown = f"; shown are {len(series):,}" if len(series) != count else ""
        were = "was" if count == 1 else "were"
        yield f"{cases} {were} measured more than once on a machine{shown}. {found}."


def spread(cases: Sequence[Spread], count: int) -> Iterator[str]:
    """Each case over all machines."""
    heads = "case machines fastest 1/4 median 3/4 slowest"
    lines = []
    for one in cases:
        times = one.fastest, one.quarter, one.median, one.three_quarters, one.slowest
        cells = list(map(duration, times))
        if one.machines < LEAST_FOR_QUARTERS:
            cells[1] = cells[3] = ""
        lines.append([one.case, f"{one.machines:,}", *cells, one.fastest_machine])
    yield from aligned([[*heads.split(), "fastest on"], *lines])
    if len(cases) < count:
        yield f"{count:,} cases; shown are {len(cases):,}: --case WORDS chooses"


def beside(cases: Sequence[Beside], machines: Sequence[str], count: int) -> Iterator[str]:
    """Machines side by side, each against the first."""
    lines = []
    for one in cases:
        cells = [one.case]
        for point, against in zip(one.points, one.against, strict=True):
            said = ratio_text(against) if isinstance(against, Ratio) else against or ""
            cells.append("" if point is None else f"{value_text(point)} {said}".rstrip())
        lines.append(cells)
    yield from aligned([["case", *machines], *lines])
    if len(cases) < count:
        yield f"{count:,} cases; shown are {len(cases):,}: --case WORDS chooses"
