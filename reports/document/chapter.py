"""What a report consists of: chapters with their text, tables, charts and listings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from samegrad.reports.charts.chart import Chart
from samegrad.reports.data.code import Listing
from samegrad.reports.data.matrix import Matrix
from samegrad.reports.data.report import CASE, Report, Samples

HEADERS = {
    "batch_size": "batch",
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
        opens: whether each of its rows opens its samples: those of `Document.samples`.
    """

    title: str
    text: str
    frame: pd.DataFrame
    opens: bool = False


class Answer(NamedTuple):
    """A question that people ask, or "", and the answer."""

    question: str
    text: str

    def __str__(self) -> str:
        """Both in a line."""
        return f"{self.question} {self.text}".strip()


class Chapter:
    """One part of a report, of what there is: no empty text, chart or table."""

    def __init__(
        self,
        heading: str,
        text: Iterable[str] = (),
        points: Sequence[str] = (),
        commands: Sequence[str] = (),
        charts: Iterable[Chart | None] = (),
        tables: Iterable[Table] = (),
        listings: Iterable[Listing] = (),
    ) -> None:
        self.heading = heading
        self.text = [line for line in text if line]
        self.points, self.commands = points, commands
        self.charts = [chart for chart in charts if chart is not None]
        self.tables = [table for table in tables if len(table.frame)]
        self.listings = list(listings)

    @property
    def empty(self) -> bool:
        """Whether it has nothing but a heading."""
        parts = (self.text, self.points, self.commands, self.charts, self.tables, self.listings)
        return not any(parts)


class Look(NamedTuple):
    """How an implementation looks in charts: colour, and the shape of its points."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Document:
    """What a report says, in every form.

    Attributes:
        title: one line.
        counts: how many rows have a number, and why others have none.
        machine: the state that each machine was in, which is said first.
        matrix: times and ratios, case by implementation.
        warnings: what makes the report less than it should be.
        summary: what most readers ask, with answers.
        notes: which runs these are.
        first: the chart that stands before all chapters, if any.
        chapters: in order.
        samples: of each row with a number: see `Source.samples`.
        looks: of each implementation, in order.
    """

    title: str
    counts: str
    machine: list[str]
    warnings: list[str]
    matrix: Matrix
    summary: list[Answer]
    notes: list[str]
    first: Chart | None
    chapters: list[Chapter]
    samples: Samples
    looks: dict[str, Look]

    @property
    def charts(self) -> list[Chart]:
        """All charts."""
        first = [] if self.first is None else [self.first]
        return first + [chart for chapter in self.chapters for chart in chapter.charts]


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
    if "ranks" in frame and (frame.ranks == 1).all():
        drop = [*drop, "ranks"]
    return frame.drop(columns=drop, errors="ignore").rename(columns=HEADERS | dict(names or {}))


def columns(rows: pd.DataFrame, **texts: Iterable[str]) -> pd.DataFrame:
    """Case, implementation and device of rows, with further columns.

    transfer is left out where all rows have their batch on the device.
    """
    kept = ["source", *CASE, "implementation", "device"]
    if not (rows.transfer == "resident").all():
        kept.append("transfer")
    return rows[kept].assign(**texts)
