"""The charts of times against a size: batch size, width, depth, number of parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.chart import (
    LINES,
    SERIES,
    Chart,
    by_series,
    colours,
    errors,
    label,
    marker,
    plain,
    seconds_axis,
    stacked,
    text,
)
from samegrad.reports.data.report import comparable
from samegrad.reports.data.scaling import FIXED


def against_batch_size(rows: pd.DataFrame) -> Chart | None:
    """Time of a training step against batch size, for the network with most batch sizes."""
    steps = comparable(rows[rows.operation == "train_step"])
    counts = steps[steps.status == OK].groupby("layers").batch_size.nunique()
    if counts.empty or counts.max() < 3:
        return None
    layers = str(counts.idxmax())
    steps = steps[steps.layers == layers]
    steps = steps.assign(x=steps.batch_size.astype(float))
    return _sweep(rows, steps, "batch_size", f"batch size ({layers})")


def against_width(rows: pd.DataFrame) -> Chart | None:
    """Time of a training step against the width of the two hidden layers."""
    steps = comparable(rows[rows.operation == "train_step"])
    steps = steps[steps.series == "width"]
    steps = steps.assign(x=steps.series_value)
    return _sweep(rows, steps, "width", "width of the two hidden layers (784-w-w-10, batch 128)")


def _sweep(rows: pd.DataFrame, steps: pd.DataFrame, name: str, xlabel: str) -> Chart | None:
    """Time against x, on log-log axes with intervals."""
    ok, missing = steps[steps.status == OK], steps[steps.status != OK]
    if ok.x.nunique() < 3:
        return None
    figure, axes = plt.subplots(figsize=(8.5, 4.8))
    sources = list(dict.fromkeys(rows.source))
    ends: list[tuple[float, str, str]] = []
    for part, look in by_series(ok, rows, dtypes=True):
        one = part.sort_values("x")
        bars, line = errors(one, "seconds"), LINES[sources.index(one.source.iloc[0]) % len(LINES)]
        axes.errorbar(
            one.x, one.seconds, yerr=bars, markersize=5, linestyle=line, capsize=2.5, **look
        )
        ends.append((one.seconds.iloc[-1], look["label"], look["color"]))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = sorted(ok.x.unique())
    axes.set_xticks(ticks, [f"{int(x):,}" for x in ticks])
    axes.set(xlabel=xlabel, ylabel="time per training step")
    axes.set_title(f"Time of a training step against {name.replace('_', ' ')}")
    axes.margins(y=0.1)
    edge = axes.get_xaxis_transform()
    for number, (one, look) in enumerate(by_series(missing, rows)):
        # At the upper edge, a line for each series, so that none covers another.
        y = [0.985 - 0.03 * number] * len(one)
        axes.plot(one.x, y, "x", color=look["color"], transform=edge, clip_on=False)
    seconds_axis(axes.yaxis)
    stacked(axes, ok.x.max() * 1.18, ends)
    caption = "Both axes are logarithmic; bars are 95 % intervals over processes."
    if len(missing):
        caption += " A cross at the upper edge has no number; the last tables say why."
    return Chart(name, figure, caption)


def cost_of_differentiation(rows: pd.DataFrame, costs: pd.DataFrame) -> Chart | None:
    """Gradient time over forward time against the number of parameters.

    Args:
        costs: what `analysis.differentiation` computes.
    """
    if costs.empty or costs.ratio.notna().sum() < 2:
        return None
    figure, axes = plt.subplots(figsize=(9, 5.4))
    palette = colours(rows)
    sources = list(dict.fromkeys(costs.source))
    ends: list[tuple[float, str, str]] = []
    for (source, name, device), part in costs.groupby(["source", "implementation", "device"]):
        ok, missing = part[part.ratio.notna()], part[part.ratio.isna()]
        if ok.empty:
            continue
        colour, key = palette[name], (source, name, device, "resident", "all")
        axes.errorbar(
            ok.parameters,
            ok.ratio,
            yerr=errors(ok, "ratio"),
            color=colour,
            **marker(key),
            markersize=5,
            linestyle=LINES[sources.index(source) % len(LINES)],
            capsize=2,
        )
        last = ok.iloc[-1]
        if last.parameters == costs.parameters.max():
            ends.append((last.ratio, label(key, costs), colour))
        else:
            end = (last.parameters * 1.1, last.ratio)
            axes.annotate(label(key, costs), end, color=colour, va="center")
        # What was skipped: at the upper edge, a line for each implementation.
        y = 0.97 - 0.03 * (list(palette).index(name) % 4)
        edge = axes.get_xaxis_transform()
        axes.plot(missing.parameters, [y] * len(missing), "x", color=colour, transform=edge)
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(top=costs.ratio.max() * 6)
    axes.set_xlabel("number of parameters (8-w-4, tanh, batch 8, float64)")
    axes.set_ylabel("gradient time / forward time")
    axes.set_title("Cost of differentiation: how many forward passes one gradient takes")
    axes.grid(visible=True, which="major")
    plain(axes.yaxis)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    stacked(axes, costs.parameters.max() * 1.25, ends)
    caption = (
        "Reverse mode costs a few forward passes however many parameters there are; dual numbers "
        "and differences of the loss take passes in proportion to them. Bars are 95 % intervals "
        "over processes."
    )
    if costs.ratio.isna().any():
        caption += " A cross marks what has no number; the table says why."
    return Chart("cost_of_differentiation", figure, caption)


def scaling(
    rows: pd.DataFrame,
    points: pd.DataFrame,
    gains: pd.DataFrame,
    caches: Mapping[str, dict[str, int]],
) -> Chart | None:
    """Time against batch size, width and depth, and what threads gain; None without all three.

    Args:
        points, gains: what `scaling.curves` and `scaling.thread_gains` return.
        caches: source -> bytes of each cache.
    """
    if points.empty or not set(FIXED) <= set(points.against):
        return None
    figure, all_axes = plt.subplots(2, 2, figsize=(11, 8.2))
    palette = colours(rows)
    for axes, against in zip(all_axes.flat, FIXED, strict=False):
        part = points[points.against == against]
        for key, one in part.groupby(SERIES, sort=False):
            _, name, device, _, threads = key
            ordered = one.sort_values("x")
            axes.plot(
                ordered.x,
                ordered.seconds,
                "-" if threads == "all" else "--",
                **marker(key),
                markersize=3.5,
                linewidth=1.2,
                color=palette[name],
                label=text(name + ("" if device == "cpu" else f" {device}")),
            )
        _powers_of_two(axes, sorted(part.x.unique()))
        axes.set_yscale("log")
        seconds_axis(axes.yaxis)
        axes.set(xlabel=f"{against} ({FIXED[against]})", ylabel="time per step")
        axes.set_title(f"Time against {against}")
        _mark_caches(axes, part, caches[part.source.iloc[0]])
    _draw_gains(all_axes[1, 1], gains, palette)
    handles: dict[str, Any] = {}
    for axes in all_axes.flat:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            if handle.get_linestyle() == "-":
                handles.setdefault(name, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="upper center", ncols=len(handles), frameon=False
    )
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    caption = (
        "Solid: all cores, dashed: one thread. float32; looped Python float64. Grey: where the "
        "working set of a step equals a cache. What bends, and why, is in the table."
    )
    return Chart("scaling", figure, caption)


def _draw_gains(axes: Any, gains: pd.DataFrame, palette: dict[str, str]) -> None:
    """What all cores gain over one thread at each batch size."""
    axes.set_visible(len(gains) > 0)
    if gains.empty:
        return
    part = gains[gains.against == "batch size"]
    for (source, name, device), one in part.groupby(
        ["source", "implementation", "device"], sort=False
    ):
        ordered = one.sort_values("x")
        axes.errorbar(
            ordered.x,
            ordered.times,
            yerr=errors(ordered, "times"),
            **marker((source, name, device, "resident", "all")),
            markersize=3.5,
            linewidth=1.2,
            color=palette[name],
            capsize=2,
        )
    axes.axhline(1, color="black", linewidth=0.9)
    _powers_of_two(axes, sorted(part.x.unique()))
    axes.set(xlabel=f"batch size ({FIXED['batch size']})", ylabel="times faster")
    axes.set_title("All cores over one thread")


def _powers_of_two(axes: Any, x: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    ticks = x if len(x) <= 10 else x[::2]
    axes.set_xticks(ticks, [f"{int(value):,}" for value in ticks], fontsize=8)
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.minorticks_off()


def _mark_caches(axes: Any, part: pd.DataFrame, caches: dict[str, int]) -> None:
    """A line where the working set of a float32 step equals each cache of the first machine."""
    points = part[part.dtype == "float32"].drop_duplicates("x").sort_values("x")
    if len(points) < 2:
        return
    for level, size in caches.items():
        if points.working_set.iloc[0] < size < points.working_set.iloc[-1]:
            x = math.exp(np.interp(math.log(size), np.log(points.working_set), np.log(points.x)))
            axes.axvline(x, color="#999999", linewidth=0.9, linestyle=":")
            axes.annotate(
                f" {level}", (x, 0.99), xycoords=("data", "axes fraction"),
                color="#666666", fontsize=8, va="top",
            )  # fmt: skip
