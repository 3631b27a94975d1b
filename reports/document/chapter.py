"""What a report consists of: chapters with their text, tables, charts and listings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from samegrad.reports.charts.style import Chart
from samegrad.reports.data.code import Listing
from samegrad.reports.data.report import CASE, Report

HEADERS = {
    "batch_size": "batch",
    "flags": "marks",
    "end_to_end_speed_up": "end to end",
    "resident_speed_up": "resident",
    "speed_up": "times faster",
    "answer": "in words",
}


@dataclass(frozen=True)
class Table:
    """A table, ready to be shown.

    Attributes:
        title, text: above it.
        frame: texts and counts.
        samples: per row, the number of its samples in `Document.samples`.
    """

    title: str
    text: str
    frame: pd.DataFrame
    samples: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Chapter:
    """One part of a report, in the order in which it is shown."""

    heading: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    listings: tuple[Listing, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it has nothing but a heading."""
        fields = (self.text, self.points, self.commands, self.charts, self.tables, self.listings)
        return not any(fields)


def chapter(
    heading: str,
    text: str | Sequence[str] = (),
    charts: Iterable[Chart | None] = (),
    tables: Iterable[Table] = (),
    listings: Iterable[Listing] = (),
) -> Chapter:
    """A chapter of what there is: no empty text, chart or table."""
    lines = [text] if isinstance(text, str) else text
    return Chapter(
        heading,
        text=tuple(line for line in lines if line),
        charts=tuple(chart for chart in charts if chart is not None),
        tables=tuple(table for table in tables if len(table.frame)),
        listings=tuple(listings),
    )


def present(
    report: Report,
    frame: pd.DataFrame,
    drop: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A table without columns that say the same in every row, with titles that people read.

    Args:
        drop: further columns to leave out.
        names: titles of columns, besides HEADERS.
    """
    drop = [*drop, *(() if report.many else ("source",))]
    if "threads" in frame and (frame.threads == "all").all():
        drop = [*drop, "threads"]
    return frame.drop(columns=drop, errors="ignore").rename(columns=HEADERS | dict(names or {}))


def columns(rows: pd.DataFrame, **texts: Iterable[str]) -> pd.DataFrame:
    """Case, implementation and device of rows, with further columns.

    transfer is left out where all rows have their batch on the device.
    """
    kept = ["source", *CASE, "implementation", "device"]
    if not (rows.transfer == "resident").all():
        kept.append("transfer")
    return rows[kept].assign(**texts)
