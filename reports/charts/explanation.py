"""The charts that explain a time: the roofline, what a step consists of, the profile."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.chart import (
    LINES,
    Chart,
    by_series,
    colours,
    legend,
    plain,
    seconds_axis,
    text,
)
from samegrad.reports.data.report import Source, comparable, without_products
from samegrad.reports.data.values import digits, duration, folded, in_order

LEAST_CASES = 5  # of a profile
HIDES = 20  # times as long as the fastest: a bar that leaves nothing to see of the others
PARTS = {
    "products_seconds": ("matrix products", "#0072B2"),
    "dispatch_seconds": ("dispatch and Python", "#E69F00"),
    "rest_seconds": ("elementwise and the rest", "#bbbbbb"),
}


def roofline(rows: pd.DataFrame, sources: Sequence[Source]) -> Chart | None:
    """Every row under the machine's ceilings: GFLOP/s against operations per byte."""
    part = rows[(rows.status == OK) & (rows.transfer == "resident") & (rows.flops > 0)]
    roofs = [
        (source, *key, rate / 1e9)
        for source in sources
        for key, rate in source.journal.most_flops().items()
    ]
    if part.empty or not roofs:
        return None
    part = part.assign(intensity=part.flops / part.bytes)
    figure, axes = plt.subplots(figsize=(9, 5.4))
    for group, look in by_series(part, rows):
        x, y = group.intensity, group.gflops_per_second
        axes.plot(x, y, linestyle="none", markersize=4.5, alpha=0.75, **look)
    low, high = part.intensity.min() / 1.6, part.intensity.max() * 2.5
    x = np.geomspace(low, high, 200)
    many = len({source.label for source, *_ in roofs}) > 1
    columns = ["source", "device", "threads", "dtype"]
    used = set(part[columns].itertuples(index=False, name=None))
    shown = [roof for roof in roofs if (roof[0].label, *roof[1:4]) in used]
    for number, (source, device, threads, arithmetic, rate) in enumerate(shown):
        bandwidth = source.journal.most("bandwidth", device, threads)
        y = np.full_like(x, rate)
        if bandwidth:
            y = np.minimum(y, bandwidth / 1e9 * x)
        name = f"{arithmetic} {device}" + ("" if threads == "all" else f", {threads} threads")
        name += f", {source.label}" if many else ""
        axes.plot(x, y, LINES[number % 4], color="black", linewidth=1)
        axes.annotate(
            text(f"{name}: {digits(rate)} GFLOP/s"),
            (high, rate),
            ha="right",
            va="bottom",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set_xlabel("floating-point operations per byte that must be moved (log scale)")
    axes.set_ylabel("GFLOP/s of the matrix products (log scale)")
    axes.set_title("Roofline: how far each row is from what the machine can do")
    plain(axes.xaxis, axes.yaxis)
    legend(axes)
    caption = (
        "Black: the most that this machine can multiply and add (on a CPU a loop that stays in the "
        "registers, else the best matrix product of any library), and what the memory's bandwidth "
        "allows (its slope). Bytes: every array of a call moved once; small networks "
        "stay in caches and may lie above the slope. What keeps rows below is dispatch and "
        "elementwise work: see the next chart."
    )
    return Chart("roofline", figure, caption)


def split(rows: pd.DataFrame) -> Chart | None:
    """What one training step of each implementation consists of, for a few networks."""
    part = comparable(rows[(rows.status == OK) & (rows.operation == "train_step")])
    part = part[(part.transfer == "resident") & part.products_seconds.notna()]
    part = part[~part.series.isin(["width", "cost"])]
    cases = dict.fromkeys(zip(part.workload, part.layers, part.batch_size, strict=True))
    chosen = sorted(cases, key=lambda case: math.prod(map(int, case[1].split("-")[:2])) * case[2])
    if len(chosen) > 4:  # from the smallest to the largest
        chosen = [chosen[round(i * (len(chosen) - 1) / 3)] for i in range(4)]
    if not chosen:
        return None
    order = in_order(part.implementation)
    panels = []
    for workload, layers, batch in chosen:
        of_case = part[
            (part.workload == workload) & (part.layers == layers) & (part.batch_size == batch)
        ]
        of_case = of_case.sort_values("implementation", key=lambda s: s.map(order.index))
        # Looped Python takes hundreds of times as long: it would hide the others.
        panels.append(of_case[of_case.seconds <= HIDES * of_case.seconds.min()])
    bars = [max(3, len(panel)) for panel in panels]
    figure, all_axes = plt.subplots(
        len(chosen),
        1,
        figsize=(9, 1.0 + 0.75 * len(chosen) + 0.24 * sum(bars)),
        height_ratios=bars,
        squeeze=False,
    )
    for axes, panel, (workload, layers, batch) in zip(all_axes[:, 0], panels, chosen, strict=True):
        names = [
            text(f"{r.implementation} {r.device}")
            + ("" if r.threads == "all" else f" {r.threads} thr.")
            for r in panel.itertuples()
        ]
        left = np.zeros(len(panel))
        for column, (name, colour) in PARTS.items():
            # Parts that were measured apart may exceed the whole: they are drawn to its length.
            share = panel[column] / panel[list(PARTS)].sum(axis=1)
            width = (share * panel.seconds).to_numpy()
            axes.barh(names, width, left=left, color=colour, label=name, height=0.7)
            left = left + width
        for y, seconds in enumerate(panel.seconds):
            axes.annotate(f" {duration(seconds)}", (seconds, y), va="center", fontsize=8)
        axes.invert_yaxis()
        axes.set_title(f"{text(workload)}  {folded(layers)}, batch {batch}", fontsize=10)
        axes.set_xlim(0, panel.seconds.max() * 1.14)
        axes.grid(axis="y", visible=False)
        seconds_axis(axes.xaxis)
    handles = all_axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper right", ncols=3, frameon=False)
    figure.suptitle("What a training step consists of", x=0.01, ha="left", fontsize=11)
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    caption = (
        "Matrix products: those of the step alone, by the same library in the same process. "
        "Dispatch and Python: the same step with every layer of width 1. The rest: activations, "
        f"loss, update, memory traffic. What takes more than {HIDES} times as long as the fastest "
        "is left out. Parts that exceed the step, as they were measured apart, are drawn to its "
        "length."
    )
    return Chart("split", figure, caption)


def profile(rows: pd.DataFrame) -> Chart | None:
    """Share of the cases in which each is within a factor of the fastest (Dolan and More 2002).

    A case without a number is within no factor.
    """
    part = without_products(comparable(rows[rows.transfer == "resident"]))
    keys = ["source", "workload", "layers", "operation", "batch_size", "threads", "name"]
    named = part.assign(name=part.implementation + " " + part.device)
    wide = named.drop_duplicates(keys).set_index(keys).seconds.unstack("name")
    wide = wide[wide.notna().sum(axis=1) > 1]  # one alone is the fastest of nothing
    if len(wide) < LEAST_CASES or len(wide.columns) < 2:
        return None
    factor = wide.div(wide.min(axis=1), axis=0).fillna(math.inf)
    most = min(1000.0, factor.replace(math.inf, 1).to_numpy().max() * 1.1)
    x = np.geomspace(1, max(most, 2), 400)
    figure, axes = plt.subplots(figsize=(8, 4.2))
    palette = colours(rows)
    pairs = named.drop_duplicates("name").set_index("name")[["implementation", "device"]]
    order = in_order(part.implementation)
    for name in sorted(factor.columns, key=lambda n: order.index(pairs.implementation[n])):
        share = 100 * (factor[name].to_numpy()[:, None] <= x * (1 + 1e-9)).mean(axis=0)
        line = "-" if pairs.device[name] == "cpu" else "--"
        colour = palette[pairs.implementation[name]]
        axes.step(x, share, where="post", color=colour, linestyle=line, label=text(name))
    axes.set_xscale("log")
    plain(axes.xaxis)
    axes.set(xlim=(0.97, x[-1]), ylim=(0, 102))
    axes.set(xlabel="times the fastest one's time, at most (log scale)", ylabel="% of the cases")
    axes.set_title("How often each is near the fastest")
    legend(axes)
    caption = (
        f"Of {len(wide)} cases (float32; looped Python float64): at 1, how often it is the "
        "fastest; a line that rises early is a safe choice. What has no number never counts."
    )
    return Chart("profile", figure, caption)
