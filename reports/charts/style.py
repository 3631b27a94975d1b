"""What all charts share: a style, the colours of the implementations, units on every axis."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from samegrad.implementations.contract.registry import TABLE
from samegrad.reports.data.values import duration, in_order

# Okabe and Ito's palette, its yellow (hard to read as text) replaced: distinguishable with every
# common colour deficiency.
OKABE_ITO = ["#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"]
PALETTE = [*OKABE_ITO, "#882255", "#999999"]
OTHERS = ["#CC79A7", "#000000", "#882255", "#999999", "#117733"]  # of implementations of users
STYLE = {
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
}
LONGEST = 90  # characters of a name in a chart
LINES = ["-", "--", ":", "-."]
SERIES = ["source", "implementation", "device", "transfer", "threads"]


@dataclass(frozen=True)
class Chart:
    """A figure with its name, which is that of its files, and its caption."""

    name: str
    figure: Figure
    caption: str


@contextmanager
def style() -> Iterator[None]:
    """The style of all charts, while they are drawn."""
    with plt.rc_context(STYLE):  # type: ignore[arg-type] # keys are rc names
        yield


def colours(rows: pd.DataFrame) -> dict[str, str]:
    """The colour of each implementation of a report, the same in every chart."""
    others = [name for name in dict.fromkeys(rows.implementation) if name not in TABLE]
    known = {name: entry.colour for name, entry in TABLE.items()}
    return known | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}


def text(value: Any) -> str:
    """What a journal says, as a chart may show it: no mathematics, no more than a line."""
    line = " ".join(str(value).split())
    line = line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
    return line.replace("$", r"\$")


def by_series(rows: pd.DataFrame) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows of each (source, implementation, device, transfer, threads), in order."""
    order = in_order(rows.implementation)
    groups = [(key, part) for key, part in rows.groupby(SERIES, sort=False)]
    return sorted(groups, key=lambda group: order.index(group[0][1]))


def label(key: tuple[str, ...], rows: pd.DataFrame, dtype: str = "") -> str:
    """A series as its legend names it; with its source if the rows are of several."""
    source, implementation, device, transfer, threads = key
    name = f"{implementation} {device}" + (" end to end" if transfer == "end_to_end" else "")
    if threads != "all":
        name += f" {threads} thread{'s' * (threads != '1')}"
    if dtype:
        name += f" ({dtype})"
    return text(name + (f", {source}" if rows.source.nunique() > 1 else ""))


def marker(key: tuple[str, ...]) -> str:
    """Round for a CPU, square for fewer threads, triangles for a GPU."""
    if key[2] == "cpu":
        return "o" if key[4] == "all" else "s"
    return "^" if key[3] == "resident" else "v"


def errors(middle: pd.Series, low: pd.Series, high: pd.Series) -> Any:
    """Distances to both ends of intervals, 0 where there is none."""
    return [(middle - low).fillna(0).clip(lower=0), (high - middle).fillna(0).clip(lower=0)]


def seconds_axis(axis: Any) -> None:
    """Durations with their unit as labels."""

    def tick(value: float, _position: int) -> str:
        if value == 0:
            return "0"
        number, _, unit = duration(value).partition(" ")
        return f"{float(number.replace(',', '')):g} {unit}" if number else ""

    axis.set_major_formatter(FuncFormatter(tick))


def legend(axes: Any, columns: int = 1) -> None:
    """Right of the axes, so that it covers nothing."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, ncols=columns, borderaxespad=0
    )


def plain(axis: Any) -> None:
    """Numbers without exponents as labels."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def stacked(axes: Any, x: float, ends: list[tuple[float, str, str]]) -> None:
    """(value, label, colour) at the ends of lines, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    height = (math.log(high) - math.log(low)) / 26
    y = -math.inf
    for value, name, colour in sorted(ends):
        y = max(math.log(value), y + height)
        axes.annotate(name, (x, math.exp(y)), color=colour, va="center", annotation_clip=False)
