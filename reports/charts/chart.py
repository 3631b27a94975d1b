"""What a chart is: its style, the marks of implementations, units on axes; and its files.

A chart is saved as PNG, SVG, and what is drawn as CSV.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A notebook's kernel leaves the name of its own, which this environment may not have.
os.environ.pop("MPLBACKEND", None)
import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from samegrad.implementations.contract.files import replaced
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.texts import clean
from samegrad.reports.charts.vector import with_titles
from samegrad.reports.data.files import to_csv
from samegrad.reports.data.values import digits, duration, in_order

# Okabe and Ito's palette, its yellow (hard to read as text) replaced: distinguishable with every
# common colour deficiency.
OKABE_ITO = ["#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"]
PALETTE = [*OKABE_ITO, "#882255", "#999999"]
# Of implementations of users; chosen as those of the registry.
OTHERS = ["#A352A0", "#717170", "#9C8500", "#0262D5", "#389850"]
OTHERS_MARKER = "h"
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
    "axes.titley": 1.0,  # where it is anyway: to look for what might be there takes long
}
LONGEST = 90  # characters of a name in a chart
LINES = ["-", "--", ":", "-."]
DPI = 150
PADDING = 0.1  # inches around what is drawn
COLUMNS = ["panel", "series", "x", "y", "low", "high", "value"]  # of a chart's data
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
    return known | {name: _other(i) for i, name in enumerate(others)}


def _other(number: int) -> str:
    """The colours once more, each a hair apart: what is drawn is found by its colour."""
    turn, place = divmod(number, len(OTHERS))
    return f"#{(int(OTHERS[place][1:], 16) + 256 * turn) % 2**24:06X}"


def text(value: Any) -> str:
    """What a journal says, as a chart may show it: no mathematics, no more than a line.

    Nor does it begin with "_": Matplotlib leaves such names out of legends.
    """
    line = clean(" ".join(str(value).split()))
    line = line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
    return (" " * line.startswith("_") + line).replace("$", r"\$")


def by_series(
    part: pd.DataFrame, rows: pd.DataFrame, dtypes: bool = False
) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
    """The rows of each series in order, with their color, marker and label.

    Args:
        part: what is drawn.
        rows: all rows of the report, for colours and for the names of sources.
        dtypes: whether labels say that a series is float64.
    """
    palette, order = colours(rows), in_order(part.implementation)
    groups = list(part.groupby(SERIES, sort=False))
    for key, one in sorted(groups, key=lambda group: order.index(group[0][1])):
        dtype = "float64" if dtypes and (one.dtype == "float64").all() else ""
        look = {"color": palette[key[1]], **marker(key), "label": label(key, rows, dtype)}
        yield one, look


def label(key: tuple[str, ...], rows: pd.DataFrame, dtype: str = "") -> str:
    """A series as its legend names it; with its source if the rows are of several."""
    source, implementation, device, transfer, threads = key
    name = f"{implementation} {device}"
    if transfer != "resident":
        name += f" {transfer.replace('_', ' ')}"
    if threads != "all":
        name += f" {threads} thread{'s' * (threads != '1')}"
    if dtype:
        name += f" ({dtype})"
    return text(name + (f", {source}" if rows.source.nunique() > 1 else ""))


def shape(name: str) -> str:
    """What kind of implementation it is, as a point."""
    return TABLE[name].marker if name in TABLE else OTHERS_MARKER


def marker(key: tuple[str, ...]) -> dict[str, Any]:
    """The shape says the kind; filled for a CPU, half with fewer threads, hollow for a GPU."""
    fill = "full" if key[4] == "all" else "left"
    if key[2] != "cpu":
        fill = "none" if key[3] == "resident" else "bottom"
    return {"marker": shape(key[1]), "fillstyle": fill}


class Seconds(FuncFormatter):
    """Durations with their unit."""


def errors(rows: pd.DataFrame, name: str) -> Any:
    """Distances from a column to NAME_low and NAME_high, 0 where there is no interval."""
    ends = rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]
    return [end.fillna(0).clip(lower=0) for end in ends]


def seconds_axis(axis: Any) -> None:
    """Durations with their unit as labels."""

    def tick(value: float, _position: int) -> str:
        if value == 0:
            return "0"
        number, _, unit = duration(value).partition(" ")
        return f"{float(number.replace(',', '')):g} {unit}" if number else ""

    axis.set_major_formatter(Seconds(tick))


def legend(axes: Any) -> None:
    """Right of the axes, so that it covers nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, borderaxespad=0)


def plain(*axes: Any) -> None:
    """Numbers without exponents as labels."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def stacked(axes: Any, x: float, ends: list[tuple[float, str, str]]) -> None:
    """(value, label, colour) at the ends of lines, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    height = (math.log(high) - math.log(low)) / 26
    y = -math.inf
    for value, name, colour in sorted(ends):
        y = max(math.log(value), y + height)
        axes.annotate(name, (x, math.exp(y)), color=colour, va="center", annotation_clip=False)


def save(charts: Iterable[Chart], directory: Path) -> None:
    """Write three files of each chart's name, and free the memory of its figure."""
    for chart in charts:
        figure = chart.figure
        box = figure.get_tightbbox().padded(PADDING)  # once for both: "tight" draws it for each
        said = titles(figure)
        # The same bytes for the same chart; its text as text.
        with plt.rc_context({"svg.hashsalt": "samegrad", "svg.fonttype": "none"}):
            for suffix in ("png", "svg"):
                with replaced(directory / f"{chart.name}.{suffix}") as beside:
                    figure.savefig(
                        beside,
                        dpi=DPI,
                        bbox_inches=box,
                        metadata={"Date": None} if suffix == "svg" else None,
                        format=suffix,
                    )
                    if suffix == "svg":
                        beside.write_text(with_titles(beside.read_text("utf-8"), said), "utf-8")
        with replaced(directory / f"{chart.name}.csv") as beside:
            to_csv(data(figure), beside)
        plt.close(figure)


def data(figure: Figure) -> pd.DataFrame:
    """Every point that is drawn: panel, series, x and y, and the ends of its interval.

    Read from the figure itself, so it is what the picture shows. A place on an axis of names is
    the name; of an image, x and y are column and row, and value is what is there.
    """
    lines = []
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    for number, axes in enumerate(panels):
        panel = axes.get_title(loc="left") or axes.get_title() or axes.get_ylabel() or str(number)
        points = list(_points(axes))
        names_x = _names(axes.xaxis, [x for _, x, _, _ in points])
        names_y = _names(axes.yaxis, [y for _, _, y, _ in points])
        for series, x, y, more in points:
            name = "" if series.startswith("_") else series
            place: dict[str, Any] = {"x": names_x.get(x, _short(x)), "y": names_y.get(y, _short(y))}
            lines.append({"panel": panel, "series": name} | place | more)
    frame = pd.DataFrame(lines, columns=COLUMNS)
    return frame.drop(columns=[name for name in COLUMNS[4:] if frame[name].isna().all()])


def titles(figure: Figure) -> dict[str, list[str]]:
    """Id of what is drawn in one go -> what each of its marks says; the ids are given here."""
    made: dict[str, list[str]] = {}
    for axes in figure.axes:
        bars = {
            container.lines[0]: container
            for container in axes.containers
            if isinstance(container, ErrorbarContainer)
        }
        for line in axes.lines:
            if line.get_marker() in ("None", "", None) or line.get_transform() != axes.transData:
                continue
            own = bars.get(line)
            name = str((own or line).get_label()).replace("\\$", "$")
            name = "" if name.startswith("_") else f"{name}: "
            line.set_gid(f"marks{len(made)}")
            made[str(line.get_gid())] = [name + said for said in _said(axes, line, own)]
    return made


def _said(axes: Any, line: Any, bars: ErrorbarContainer | None) -> Iterator[str]:
    """The place of each point of a line, with its interval."""
    points = np.asarray(line.get_xydata(), dtype=float)
    both = (axes.xaxis, axes.yaxis)
    named = [_names(axis, points[:, i]) for i, axis in enumerate(both)]
    along = 0 if bars is not None and bars.has_xerr else 1
    collections = bars.lines[2] if bars is not None else ()
    spans = [segment[:, along] for segment in collections[0].get_segments()] if collections else []
    for number, point in enumerate(points):
        texts = [
            named[i].get(value) or _value(axis, value)
            for i, (axis, value) in enumerate(zip(both, point, strict=True))
        ]
        if len(spans) == len(points) and spans[number][0] < spans[number][1]:
            low, high = (_value(both[along], end) for end in spans[number])
            texts[along] += f" ({low} to {high})"
        yield ", ".join(filter(None, texts))


def _value(axis: Any, value: float) -> str:
    """A number in the unit of its axis; nothing on an axis of names."""
    if isinstance(axis.get_major_formatter(), Seconds):
        return duration(value)
    names = isinstance(axis.get_major_locator(), FixedLocator) and axis.get_scale() == "linear"
    return "" if names else digits(value)


def _points(axes: Any) -> Iterator[tuple[str, float, float, dict[str, float]]]:
    """(series, x, y, further columns) of everything that is drawn at a place of the data."""
    inside = set()
    for container in axes.containers:
        label = str(container.get_label())
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            inside |= {line, *caps}
            along = 0 if container.has_xerr else 1
            ends = [segment[:, along] for segment in bars[0].get_segments()] if bars else []
            points: Any = line.get_xydata()
            for number, (x, y) in enumerate(points):
                span = ends[number] if len(ends) == len(points) else (math.nan, math.nan)
                yield label, x, y, {"low": _short(span[0]), "high": _short(span[1])}
        elif isinstance(container, BarContainer):
            for bar in container.patches:
                if container.orientation == "horizontal":
                    middle = bar.get_y() + bar.get_height() / 2
                    yield label, bar.get_x() + bar.get_width(), middle, {}
                else:
                    yield label, bar.get_x() + bar.get_width() / 2, bar.get_height(), {}
    for line in axes.lines:
        if line not in inside and line.get_transform() == axes.transData:
            points = line.get_xydata()
            for x, y in points:
                yield str(line.get_label()), x, y, {}
    for collection in axes.collections:
        if isinstance(collection, QuadMesh):
            corners = np.asarray(collection.get_coordinates())
            centres = (
                corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]
            ) / 4
            values = np.asarray(collection.get_array()).reshape(centres.shape[:2])
            for (row, column), value in np.ndenumerate(values):
                yield "image", *centres[row, column], {"value": float(value)}
        elif isinstance(collection, PathCollection):
            for x, y in np.asarray(collection.get_offsets()):
                yield str(collection.get_label()), x, y, {}
    for image in axes.images:
        values = np.asarray(image.get_array())
        if values.ndim == 2:
            for (row, column), value in np.ndenumerate(values):
                yield "image", column, row, {"value": float(value)}


def _names(axis: Any, places: Iterable[float]) -> dict[float, str]:
    """Place -> name, on an axis on which every place has one; else nothing."""
    locator = axis.get_major_locator()
    if axis.get_scale() != "linear" or not isinstance(locator, FixedLocator | StrCategoryLocator):
        return {}
    ticks = [float(tick) for tick in locator()]
    labels = dict(zip(ticks, axis.get_major_formatter().format_ticks(ticks), strict=True))
    names = {}
    for place in places:
        nearest = min(ticks, key=lambda tick: abs(tick - place), default=math.inf)
        if abs(nearest - place) > 0.5 or not labels[nearest] or _number(labels[nearest]):
            return {}
        names[place] = labels[nearest]
    return names


def _number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("\u2212", "").isdigit()


def _short(value: float) -> float:
    return float(f"{value:.6g}")
