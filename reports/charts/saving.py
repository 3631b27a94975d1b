"""Figures as files: PNG, SVG, and what is drawn as CSV."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from samegrad.reports.charts.style import Chart
from samegrad.reports.data.report import to_csv

DPI = 150
PADDING = 0.1  # inches around what is drawn
COLUMNS = ["panel", "series", "x", "y", "low", "high", "value"]


def save(charts: Iterable[Chart], directory: Path) -> None:
    """Write three files of each chart's name, and free the memory of its figure."""
    for chart in charts:
        figure = chart.figure
        figure.draw_without_rendering()  # once for both: "tight" would do it for each
        box = figure.get_tightbbox().padded(PADDING)
        with plt.rc_context({"svg.hashsalt": "samegrad"}):  # the same bytes for the same chart
            for suffix in ("png", "svg"):
                figure.savefig(
                    directory / f"{chart.name}.{suffix}",
                    dpi=DPI,
                    bbox_inches=box,
                    metadata={"Date": None} if suffix == "svg" else None,
                )
        to_csv(data(figure), directory / f"{chart.name}.csv")
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
