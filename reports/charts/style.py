"""The style of the figures: colours that colour-blind readers tell apart, units on every axis."""

import math
from typing import Any

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib.ticker import FuncFormatter
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import tables

# Okabe and Ito's palette, its yellow (hard to read as text) replaced: distinguishable with every
# common colour deficiency.
OKABE_ITO = ["#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"]
PALETTE = [*OKABE_ITO, "#882255", "#999999"]
OTHERS = ["#CC79A7", "#000000", "#882255", "#999999", "#117733"]  # no idiom's family
# An idiom, its variants and its peers share a hue of the palette and differ in lightness.
KNOWN = {
    "scalar": "#E69F00",
    "numba": "#8A6100",
    "micrograd": "#C9B458",
    "numpy": "#0072B2",
    "numpy_inplace": "#00365C",
    "cupy": "#332288",
    "sklearn": "#56B4E9",
    "torch": "#D55E00",
    "torch_compile": "#7A2E00",
    "torch_nn": "#F2946B",
    "jax": "#009E73",
    "flax": "#66C2A5",
}
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
    "svg.fonttype": "none",
    "svg.hashsalt": "samegrad",
}
LONGEST = 90  # characters of a name in a figure
LINES = ["-", "--", ":", "-."]


def colours(rows: pd.DataFrame) -> dict[str, str]:
    """The same colour for an implementation in every figure."""
    others = [name for name in dict.fromkeys(rows.implementation) if name not in KNOWN]
    return KNOWN | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}


def text(value: Any) -> str:
    """What a journal says, as a figure may show it: no mathematics, no more than a line."""
    shown = " ".join(str(value).split())
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."
    return shown.replace("$", r"\$")


def with_number(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that have one."""
    return rows[rows.status == OK]


def series(rows: pd.DataFrame) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows of each (source, implementation, device, transfer, threads), by idiom."""
    order = tables.by_idiom(rows.implementation)
    keys = ["source", "implementation", "device", "transfer", "threads"]
    groups = [(key, part) for key, part in rows.groupby(keys, sort=False)]
    return sorted(groups, key=lambda group: order.index(group[0][1]))


def label(key: tuple[str, ...], rows: pd.DataFrame, dtype: str = "") -> str:
    """A series as its legend names it."""
    source, implementation, device, transfer, threads = key
    said = f"{implementation} {device}" + (" end to end" if transfer == "end_to_end" else "")
    if threads != "all":
        said += f" {threads} thread{'s' * (threads != '1')}"
    if dtype:
        said += f" ({dtype})"
    said += f", {source}" if rows.source.nunique() > 1 else ""
    return text(said)


def marker(key: tuple[str, ...]) -> str:
    """Round for a CPU, square for fewer threads, triangles for a GPU."""
    if key[2] == "cpu":
        return "o" if key[4] == "all" else "s"
    return "^" if key[3] == "resident" else "v"


def errors(part: pd.DataFrame) -> Any:
    """Distances to both ends of the intervals, 0 where there is none."""
    low = (part.seconds - part.seconds_low).fillna(0).clip(lower=0)
    high = (part.seconds_high - part.seconds).fillna(0).clip(lower=0)
    return [low, high]


def seconds_axis(axis: Any) -> None:
    """Durations with their unit as labels."""

    def shown(value: float, _position: int) -> str:
        if value == 0:
            return "0"
        number, _, unit = tables.duration(value).partition(" ")
        return f"{float(number.replace(',', '')):g} {unit}" if number else ""

    axis.set_major_formatter(FuncFormatter(shown))


def legend(axes: Any, columns: int = 1) -> None:
    """Right of the axes, so that it covers nothing."""
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, ncols=columns, borderaxespad=0
    )


def plain(axis: Any) -> None:
    """Numbers without exponents as labels."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def stacked(axes: Any, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Labels at the ends of lines, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    height = (math.log(high) - math.log(low)) / 26
    place = -math.inf
    for value, label, colour in sorted(ends):
        place = max(math.log(value), place + height)
        axes.annotate(label, (x, math.exp(place)), color=colour, va="center", annotation_clip=False)
