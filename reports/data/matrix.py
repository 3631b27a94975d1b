"""Case by implementation: times, their ratios to a reference, and which is certainly the fastest.

A ratio is of rows of one run, case and arithmetic; the best is marked where every other row of its
line is certainly slower, and none was measured without giving a usable number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple

import pandas as pd

from samegrad.benchmarks.clock.intervals import interval
from samegrad.benchmarks.records.quality import NOISY, UNUSABLE
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.commands import did_you_mean
from samegrad.implementations.contract.registry import COMPARED_WITH
from samegrad.reports.data import analysis
from samegrad.reports.data.report import CASE, Report
from samegrad.reports.data.values import digits, duration, folded, in_order, interval_text

SHORT = {"float64": "f64", "float32": "f32"}
BEST, DOUBT = "*", "~"  # after a time: certainly the fastest of its line; noisy
NO_INTERVAL = "no interval"  # of any row: too few processes
SINGLE = "single (p50)"  # how a line of latencies ends
OF_SINGLE = f"{SINGLE}: calls one at a time, where another one is the fastest then"


class Cell(NamedTuple):
    """One row of a report, as a cell; `time` is its status where it has no number."""

    time: str
    seconds: float = math.nan
    ratio: float = math.nan
    mark: str = ""
    words: str = ""
    interval: str = ""

    @property
    def times(self) -> str:
        """The ratio as text."""
        return times_text(self.ratio)


class Line(NamedTuple):
    """One case: what it is, and a cell (or None) for each column."""

    group: str
    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Matrix:
    """Lines of cells.

    Attributes:
        columns: implementations, with their devices where there are several.
        names: of the implementations of the columns.
        reference: the column that ratios refer to, or "".
        lines: in the order of the run, those of a network and arithmetic together.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    reference: str
    lines: tuple[Line, ...]

    @property
    def groups(self) -> list[tuple[str, list[Line]]]:
        """The lines of each network and arithmetic."""
        return [(g, list(lines)) for g, lines in groupby(self.lines, key=lambda line: line.group)]

    @property
    def legend(self) -> str:
        """What the marks say."""
        ratios = f"ratios: times {self.reference}'s; " if self.reference else "marks: "
        single = f"; {self.singles}" * bool(self.singles)
        return f"{ratios}{BEST} certainly the fastest, {DOUBT} {self.doubt}{single}"

    @property
    def intervals(self) -> bool:
        """Whether any row has one."""
        return any(cell and cell.interval for line in self.lines for cell in line.cells)

    @property
    def doubt(self) -> str:
        """What a DOUBT says: where no row has an interval, no machine was too noisy for it."""
        return NOISY if self.intervals else NO_INTERVAL

    @property
    def singles(self) -> str:
        """What lines of latencies are; "" if there are none."""
        return OF_SINGLE * any(line.name.endswith(SINGLE) for line in self.lines)


def times_text(ratio: float) -> str:
    """0.067, 0.67, 6.7, 67, 15,200: two digits, of large ones three; empty for NaN."""
    return digits(ratio, 3 if ratio >= 100 else 2)  # 15,228 says more than is known


def matrix(report: Report, reference: str | None = None) -> Matrix:
    """The times of all rows whose batch is on the device already.

    An implementation without float32 (looped Python) stands in the float32 line, marked, where no
    other one has computed the case in float64.

    Args:
        reference: an implementation; by default NumPy, or what has the most numbers.

    Raises:
        ValueError: there is no such implementation here.
    """
    if report.rows.empty:
        return Matrix((), (), "", ())
    rows = report.rows[report.rows.transfer == "resident"]
    known = in_order(rows.implementation)
    if reference is not None and reference not in known:
        raise ValueError(
            f"--reference {reference!r:.60}: no row of it here; there are: {', '.join(known)}"
            f"{did_you_mean(reference, known)}"
        )
    if rows.empty:
        return Matrix((), (), "", ())
    several = rows.device.nunique() > 1
    rows = rows.assign(
        line_dtype=_line_dtypes(report, rows),
        column=rows.implementation + (" " + rows.device if several else ""),
    )
    order = rows.implementation.map(known.index)
    columns = list(dict.fromkeys(rows.column[order.sort_values(kind="stable").index]))
    chosen = _reference(rows, reference)
    keys = ["source", *CASE[:-3], "line_dtype", "threads", "ranks"]
    one_dtype, one_regime = rows.line_dtype.nunique() == 1, (rows.threads == "all").all()
    groups: dict[str, list[Line]] = {}
    parts: dict[tuple[Any, ...], list[Any]] = {}  # grouping a frame costs more than all the rest
    for key, row in zip(rows[keys].itertuples(index=False), rows.itertuples(), strict=True):
        parts.setdefault(tuple(key), []).append(row)
    for key, part in parts.items():
        source, workload, layers, operation, batch, dtype, threads, ranks = key
        group = f"{workload} {folded(layers)}".strip() + ("" if one_dtype else f", {dtype}")
        group = f"{source}: {group}" if report.many else group
        name = f"{operation} {batch}"
        if not one_regime:
            name += f", {threads} thread{'s' * (threads != '1')}"
        if ranks > 1:
            name += f", {ranks} ranks"
        own = groups.setdefault(group, [])
        own.append(Line(group, name, _cells(part, columns, chosen, dtype)))
        if single := _single(part, dtype):
            cells = _cells(single, columns, chosen, dtype)
            own.append(Line(group, f"{name}, {SINGLE}", cells))
    by_column = dict(zip(rows.column, rows.implementation, strict=True))
    names = tuple(by_column[column] for column in columns)
    return Matrix(tuple(columns), names, chosen, tuple(chain.from_iterable(groups.values())))


def _line_dtypes(report: Report, rows: pd.DataFrame) -> pd.Series:
    """In the line of which arithmetic each row stands."""
    names = ["source", *CASE]
    looped = ~rows.implementation.isin(report.rows[report.rows.dtype == "float32"].implementation)
    cases, in_float32 = (
        pd.MultiIndex.from_frame(one[names]) for one in (rows, rows.assign(dtype="float32"))
    )
    moved = looped & ~cases.isin(cases[~looped]) & in_float32.isin(cases[~looped])
    return rows.dtype.mask(moved, "float32")


def _reference(rows: pd.DataFrame, name: str | None) -> str:
    """The column of the reference: on the CPU, if it is there."""
    ok = rows[rows.status == OK]
    counts = ok.column.value_counts()
    if name is None and not (ok.implementation == COMPARED_WITH).any():
        return str(counts.idxmax()) if len(counts) > 1 else ""
    of_name = rows[rows.implementation == (name or COMPARED_WITH)]
    on_cpu = of_name[of_name.device == "cpu"]
    return str((on_cpu if len(on_cpu) else of_name).column.iloc[0])


def _single(part: Sequence[Any], dtype: str) -> list[Any]:
    """The rows of a line by the latency of single calls; none where the same one is the fastest.

    Who answers requests waits for each call, and a framework that is ahead while calls follow each
    other may be behind then.
    """
    of_dtype = [row for row in part if row.status == OK and row.dtype == dtype]
    alike = [row for row in of_dtype if not math.isnan(row.p50_seconds)]
    if not analysis.single_differs(alike):
        return []
    # Of one whose latency was not measured nobody knows: nothing is certain then.
    whole = len(alike) == len(of_dtype)
    rows = []
    for row in part:
        if row.status == OK and math.isnan(row.p50_seconds):
            continue
        known = whole and math.isfinite(row.seconds_low)
        low, high = interval(row.request_medians) if known else (math.nan, math.nan)
        rows.append(
            row._replace(
                seconds=row.p50_seconds,
                seconds_low=low,
                seconds_high=high,
                process_medians=row.request_medians,
            )
        )
    return rows


def _cells(
    part: Sequence[Any], columns: Sequence[str], reference: str, dtype: str
) -> tuple[Cell | None, ...]:
    """The cells of a line, of whose rows these are."""
    by_column: dict[str, Any] = {row.column: row for row in part}
    alike = [r for r in by_column.values() if r.status == OK and r.dtype == dtype]
    certain = [r for r in alike if math.isfinite(r.seconds_low) and not r.machine_too_busy]
    best = min(certain, key=lambda r: r.seconds, default=None)
    if best is not None and (
        len(alike) < 2
        or any(r.status == UNUSABLE and r.dtype == dtype for r in by_column.values())
        or len(certain) < len(alike)
        or not all(analysis.slower(r, best) for r in certain if r is not best)
    ):
        best = None
    base = by_column.get(reference)
    cells: list[Cell | None] = []
    for column in columns:
        row = by_column.get(column)
        if row is None:
            cells.append(None)
        elif row.status != OK:
            cells.append(Cell(row.status, words=row.reason))
        else:
            ratio = math.nan
            if base is not None and base in alike and row in alike and not row.machine_too_busy:
                ratio = row.seconds / base.seconds
            ends = interval_text(row.seconds_low, row.seconds_high, duration)
            other = "" if row.dtype == dtype else f" ({SHORT.get(row.dtype, row.dtype)})"
            cells.append(
                Cell(
                    duration(row.seconds) + other,
                    row.seconds,
                    ratio,
                    BEST if row is best else DOUBT if row.quality == NOISY else "",
                    "; ".join(filter(None, [ends, row.remarks])),
                    ends,
                )
            )
    return tuple(cells)
