"""The charts of times, rates and errors: one mark per implementation and case."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.chart import (
    Chart,
    by_series,
    colours,
    errors,
    legend,
    plain,
    seconds_axis,
    shape,
    text,
)
from samegrad.reports.data.report import comparable, products
from samegrad.reports.data.values import folded, in_order


def time_per_step(rows: pd.DataFrame) -> Chart | None:
    """Time of one training step: a line per case, a mark per implementation and device."""
    steps = comparable(rows[rows.operation == "train_step"])
    ok, missing = steps[steps.status == OK], steps[steps.status != OK]
    if ok.empty:
        return None
    network = ["workload", "layers", "batch_size"]
    cases = steps[network].drop_duplicates()
    weight = cases.layers.map(lambda layers: sum(map(int, layers.split("-"))))
    cases = cases.assign(weight=weight * 1.0).sort_values(["weight", "workload", "batch_size"])
    lines = {(c.workload, c.layers, c.batch_size): i for i, c in enumerate(cases.itertuples())}
    names = [folded(f"{text(name)}  {layers}  batch {batch}") for name, layers, batch in lines]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.36 * len(names)))

    def heights(part: pd.DataFrame, number: int) -> list[float]:
        shift = 0.06 * (number % 5 - 2)  # so that no series covers another
        return [lines[case] + shift for case in part[network].itertuples(index=False, name=None)]

    for number, (part, look) in enumerate(by_series(ok, rows, dtypes=True)):
        y, bars = heights(part, number), errors(part, "seconds")
        axes.errorbar(part.seconds, y, xerr=bars, linestyle="none", markersize=6, **look)
    edge = axes.get_yaxis_transform()
    for number, (part, look) in enumerate(by_series(missing, rows)):
        y = heights(part, number)
        axes.plot([0.99] * len(y), y, "x", color=look["color"], transform=edge, zorder=3)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("time per training step (log scale; left is faster)")
    axes.set_title("One training step: the same network in each idiom")
    seconds_axis(axes.xaxis)
    legend(axes)
    caption = (
        "Time of one step (loss, gradient, update). float32; looped Python computes in float64. "
        "Bars are 95 % intervals over processes, often smaller than the mark."
    )
    if len(missing):
        caption += " A cross at the right edge has no number; the last table says why."
    return Chart("time_per_step", figure, caption)


def _dots(
    part: pd.DataFrame, rows: pd.DataFrame, column: str, title: str, xlabel: str
) -> tuple[Figure, Any]:
    """A line per case, a mark per implementation and device, for a positive quantity."""
    case = part.workload.map(text) + "  " + part.operation
    case += "  batch " + part.batch_size.astype(str) + "  " + part.dtype
    names = list(dict.fromkeys(case))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.28 * len(names)))
    for one, look in by_series(part.assign(case=case), rows):
        y = [names.index(name) for name in one.case]
        axes.plot(one[column], y, linestyle="none", markersize=6, **look)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel, title=title)
    plain(axes.xaxis)
    legend(axes)
    return figure, axes


def over_looped(rows: pd.DataFrame, speed_ups: pd.DataFrame) -> Chart | None:
    """How many times faster than looped Python, as `analysis.over_looped` computes it."""
    if speed_ups.empty:
        return None
    figure, _ = _dots(
        speed_ups,
        rows,
        "speed_up",
        "Speed-up over looped Python (float64 on both sides)",
        "times faster than looped Python (log scale)",
    )
    caption = "Only where both computed the same in float64 on the same machine."
    return Chart("over_looped_python", figure, caption)


def gpu_over_cpu(speed_ups: pd.DataFrame) -> Chart | None:
    """How many times faster a GPU is than the CPU, as `analysis.gpu_over_cpu` computes it."""
    if speed_ups.empty:
        return None
    steps = speed_ups[speed_ups.operation == "train_step"]
    parts = [
        steps.assign(
            source=steps.gpu + " over CPU of " + steps.cpu,
            device="cuda",
            transfer=transfer,
            speed_up=steps[f"{transfer}_speed_up"],
        ).dropna(subset=["speed_up"])
        for transfer in ("end_to_end", "resident")
    ]
    part = pd.concat(parts)
    if part.empty:
        return None
    figure, axes = _dots(
        part, part, "speed_up", "GPU against CPU, training step", "times faster than the CPU"
    )
    axes.axvline(1, color="black", linewidth=0.8)
    caption = "Right of 1 the GPU is faster. End to end counts the batch's way to the GPU."
    return Chart("gpu_over_cpu", figure, caption)


def gflops(rows: pd.DataFrame) -> Chart | None:
    """Floating-point operations per second of the matrix products."""
    part = comparable(rows[(rows.operation == "train_step") & (rows.status == OK)])
    if part.empty:
        return None
    figure, _ = _dots(
        part,
        rows,
        "gflops_per_second",
        "Arithmetic rate of a training step",
        "GFLOP/s, matrix products only (log scale; right is faster)",
    )
    caption = "Counted from the layer sizes; elementwise work is not counted."
    return Chart("gflops", figure, caption)


def gradient_error(rows: pd.DataFrame) -> Chart | None:
    """The error of the tensor nearest to its bound against the speed of its row."""
    part = rows[(rows.operation == "train_step") & (rows.status == OK)]
    part = part[(part.gradient_error > 0) & (part.gradient_bound > 0)]
    part = part[part.gflops_per_second > 0]
    if part.empty:
        return None
    figure, axes = plt.subplots(figsize=(9, 4.8))
    palette = colours(rows)
    marks = dict(zip(dict.fromkeys(part.dtype), "osD^v", strict=False))
    for (name, dtype), one in part.groupby(["implementation", "dtype"], sort=False):
        axes.plot(
            one.gflops_per_second,
            one.gradient_error,
            marks.get(dtype, "o"),
            color=palette[name],
            label=text(f"{name} {dtype}"),
            markersize=5.5,
            alpha=0.8,
        )
    axes.set(xscale="log", yscale="log")
    plain(axes.xaxis)
    axes.set_xlabel("GFLOP/s of a training step (log scale; right is faster)")
    axes.set_ylabel("max|a - ref| / max|ref|")
    axes.set_title("Error against the float64 reference, and speed")
    for dtype, bound in sorted({(r.dtype, r.gradient_bound) for r in part.itertuples()}):
        axes.axhline(bound, color="black", linewidth=0.9)
        axes.annotate(
            f"{dtype} bound {bound:g}", (0.995, bound), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8,
        )  # fmt: skip
    legend(axes)
    caption = (
        "Of each row the tensor nearest to its bound. Every row that has a time is below its "
        "bound; that is what the gate asks for."
    )
    return Chart("gradient_error", figure, caption)


def lines_and_speed(rows: pd.DataFrame, table: pd.DataFrame) -> Chart | None:
    """Lines of code against time, a mark per implementation, from `code.lines_and_speed`."""
    if len(table) < 2:
        return None
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    palette = colours(rows)
    for row in table.itertuples():
        colour = palette[row.implementation]
        name = text(row.implementation)
        marker = shape(row.implementation)
        axes.plot([row.lines], [row.factor], marker, color=colour, markersize=9, label=name)
        axes.annotate(
            name, (row.lines, row.factor), xytext=(8, 5),
            textcoords="offset points", color=colour,
        )  # fmt: skip
    axes.set_yscale("log")
    plain(axes.yaxis)
    axes.set_xlim(0, max(1, table.lines.max()) * 1.25)
    axes.margins(y=0.15)
    axes.set_xlabel("lines of code: network and tables, without blanks, comments and docstrings")
    axes.set(ylabel="times the fastest one's time", title="Lines of code against speed")
    caption = (
        "Geometric mean over the training steps that all of them have a time for, on the CPU "
        f"({table.cases.iloc[0]} cases); below is faster, left is shorter."
    )
    return Chart("lines_and_speed", figure, caption)


def peers(rows: pd.DataFrame, families: Mapping[str, tuple[str, str]]) -> Chart | None:
    """A panel per network: every implementation's step in units of the fastest products."""
    part = rows[(rows.status == OK) & (rows.transfer == "resident") & (rows.dtype == "float32")]
    part = part[(part.threads == "all") & (part.device == "cpu")]
    part = part.assign(case=list(zip(part.source, part.layers, part.batch_size, strict=True)))
    alone = products(part)
    steps = part[(part.operation == "train_step") & part.implementation.isin(list(families))]
    fastest = alone.groupby("case", sort=False).seconds.min()
    counts = steps.case.value_counts()
    cases = sorted(
        (case for case in fastest.index if counts.get(case, 0) > 1),
        key=lambda case: (math.prod(map(int, case[1].split("-")[:2])) * case[2], case),
    )
    if not cases:
        return None
    names = in_order(steps.implementation)
    figure, all_axes = plt.subplots(
        1, len(cases), figsize=(2.2 + 2.1 * len(cases), 1.2 + 0.32 * len(names)), sharey=True,
        squeeze=False,
    )  # fmt: skip
    palette = colours(rows)
    for axes, case in zip(all_axes[0], cases, strict=True):
        for row in steps[steps.case == case].itertuples():
            name = row.implementation
            axes.plot(
                [row.seconds / fastest[case]],
                [names.index(name)],
                shape(name),
                color=palette[name],
                markersize=7,
            )
        of_case = alone[(alone.case == case) & alone.implementation.isin(names)]
        for row in of_case.itertuples():
            axes.plot(
                [row.seconds / fastest[case]], [names.index(row.implementation)], "|",
                color=palette[row.implementation], markersize=11, markeredgewidth=1.6,
            )  # fmt: skip
        axes.axvline(1, color="black", linewidth=0.9)
        _few_ticks(axes)
        axes.set_title(f"{case[1]}\nbatch {case[2]:,}", fontsize=9)
    all_axes[0, 0].set_yticks(range(len(names)), [text(name) for name in names])
    all_axes[0, 0].invert_yaxis()
    scale = "times the fastest library's matrix products of the step (log scale)"
    figure.supxlabel(scale, fontsize=10)
    figure.suptitle("Each idiom, its variants and its peers", x=0.01, ha="left", fontsize=11)
    figure.tight_layout()
    caption = (
        "One training step, float32, on the CPU with all cores. Circle: an idiom, diamond: a "
        "variant of it, plus: what people use instead. Stroke: the matrix products of the "
        "step alone, by that implementation's own library. Black line: the fastest of these."
    )
    return Chart("peers", figure, caption)


def _few_ticks(axes: Any) -> None:
    """Few ticks, as plain numbers; a panel that spans little has finer ones."""
    axes.set_xscale("log")
    high = max(axes.get_xlim()[1], 3.2)
    axes.set_xlim(0.85, high)
    ticks = [1, 1.5, 2, 3, 5, 8] if high < 12 else [1, 3, 10, 30, 100, 300, 1000]
    ticks = [tick for tick in ticks if tick < high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.minorticks_off()
