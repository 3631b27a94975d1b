"""The figures: what each shows, and its caption."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts import explanation
from samegrad.reports.charts.style import (
    LINES,
    STYLE,
    colours,
    errors,
    label,
    legend,
    marker,
    plain,
    seconds_axis,
    series,
    stacked,
    text,
    with_number,
)
from samegrad.reports.data import tables
from samegrad.reports.document import learning, listing, peers, scaling


def all_figures(rows: pd.DataFrame, journals: Sequence[Journal]) -> dict[str, tuple[Figure, str]]:
    """name -> (figure, caption) for whatever the rows have something to show."""
    rows = rows.assign(workload=rows.workload.map(text))
    with plt.rc_context(STYLE):  # type: ignore[arg-type] # keys are rc names
        drawn = {
            "time_per_step": time_per_step(rows),
            "batch_size": sweep(rows, "batch_size"),
            "width": sweep(rows, "width"),
            "profile": explanation.profile(rows),
            "over_looped_python": speed_up(rows),
            "peers": peers.figure(rows, journals),
            "scaling": scaling.figure(rows, journals),
            "gpu_over_cpu": gpu(rows),
            "cost_of_differentiation": cost_of_differentiation(rows),
            "roofline": explanation.roofline(rows, journals),
            "split": explanation.split(rows),
            "gflops": gflops(rows),
            "gradient_error": gradient_error(rows),
            "lines_and_speed": listing.figure(rows, journals),
            **learning.figures(journals),
        }
    return {name: found for name, found in drawn.items() if found is not None}


def time_per_step(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """Time of one training step: a line per case, a mark per implementation and device."""
    planned = tables.comparable(rows[rows.operation == "train_step"])
    part = with_number(planned)
    if part.empty:
        return None
    cases = planned[["workload", "layers", "batch_size"]].drop_duplicates()
    weight = cases.layers.map(lambda text: sum(map(int, text.split("-"))))
    cases = cases.assign(weight=weight * 1.0).sort_values(["weight", "workload", "batch_size"])
    names = [
        tables.folded(f"{c.workload}  {c.layers}  batch {c.batch_size}") for c in cases.itertuples()
    ]
    place = {(c.workload, c.layers, c.batch_size): i for i, c in enumerate(cases.itertuples())}
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.36 * len(names)))
    palette = colours(rows)
    for number, (key, one) in enumerate(series(part)):
        y = [
            place[w, s, b] for w, s, b in zip(one.workload, one.layers, one.batch_size, strict=True)
        ]
        dtype = "float64" if (one.dtype == "float64").all() else ""
        axes.errorbar(
            one.seconds,
            [value + 0.06 * (number % 5 - 2) for value in y],
            xerr=errors(one),
            fmt=marker(key),
            color=palette[key[1]],
            label=label(key, rows, dtype),
            markersize=6,
        )
    missing = planned[planned.status != OK]
    for number, (key, one) in enumerate(series(missing)):
        at_edge = axes.get_yaxis_transform()
        edge = [
            float(place[w, s, b] + 0.06 * (number % 5 - 2))
            for w, s, b in zip(one.workload, one.layers, one.batch_size, strict=True)
        ]
        axes.plot([0.99] * len(edge), edge, "x", color=palette[key[1]], transform=at_edge, zorder=3)
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
    return figure, caption


def sweep(rows: pd.DataFrame, against: str) -> tuple[Figure, str] | None:
    """Time of a training step against batch size or width, on log-log axes with intervals."""
    planned = tables.comparable(rows[rows.operation == "train_step"])
    if against == "width":
        planned = planned[planned.workload.str.fullmatch(r"width\d+")]
        planned = planned.assign(x=planned.workload.str.removeprefix("width").astype(float))
        what = "width of the two hidden layers (784-w-w-10, batch 128)"
    else:
        counts = with_number(planned).groupby("layers").batch_size.nunique()
        if counts.empty or counts.max() < 3:
            return None
        layers = str(counts.idxmax())
        planned = planned[planned.layers == layers]
        planned = planned.assign(x=planned.batch_size.astype(float))
        what = f"batch size ({layers})"
    part = with_number(planned)
    if part.empty or part.x.nunique() < 3:
        return None
    figure, axes = plt.subplots(figsize=(8.5, 4.8))
    palette, styles = colours(rows), list(dict.fromkeys(rows.source))
    ends: list[tuple[float, str, str]] = []
    for key, one in series(part):
        ordered = one.sort_values("x")
        dtype = "float64" if (ordered.dtype == "float64").all() else ""
        axes.errorbar(
            ordered.x,
            ordered.seconds,
            yerr=errors(ordered),
            marker=marker(key),
            markersize=5,
            linestyle=LINES[styles.index(key[0]) % len(LINES)],
            color=palette[key[1]],
            capsize=2.5,
            label=label(key, rows, dtype),
        )
        ends.append((ordered.seconds.iloc[-1], label(key, rows, dtype), palette[key[1]]))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sorted(part.x.unique()), [f"{int(x):,}" for x in sorted(part.x.unique())])
    axes.set_xlabel(what)
    axes.set_ylabel("time per training step")
    axes.set_title(
        f"Time of a training step against {'width' if against == 'width' else 'batch size'}"
    )
    axes.margins(y=0.1)
    missing = planned[planned.status != OK]
    for place, (key, one) in enumerate(series(missing)):
        # At the upper edge, a line for each series, so that none covers another.
        y = [0.985 - 0.03 * place] * len(one)
        at_edge = axes.get_xaxis_transform()
        axes.plot(one.x, y, "x", color=palette[key[1]], transform=at_edge, clip_on=False)
    seconds_axis(axes.yaxis)
    stacked(axes, part.x.max() * 1.18, ends)
    caption = "Both axes are logarithmic; bars are 95 % intervals over processes."
    if len(missing):
        caption += " A cross at the upper edge has no number; the last tables say why."
    return figure, caption


def _dots(
    part: pd.DataFrame, rows: pd.DataFrame, column: str, title: str, xlabel: str
) -> tuple[Figure, Any]:
    """A line per case, a mark per implementation and device, for a positive quantity."""
    case = part.workload + "  " + part.operation + "  batch " + part.batch_size.astype(str)
    case += "  " + part.dtype
    names = list(dict.fromkeys(case))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.28 * len(names)))
    palette = colours(rows)
    for key, one in series(part.assign(case=case)):
        axes.plot(
            one[column],
            [names.index(name) for name in one.case],
            marker(key),
            color=palette[key[1]],
            label=label(key, rows),
            markersize=6,
        )
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.set_title(title)
    legend(axes)
    return figure, axes


def speed_up(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """How many times faster than looped Python."""
    part = tables.over_scalar(rows)
    if part.empty:
        return None
    figure, axes = _dots(
        part,
        rows,
        "speed_up",
        "Speed-up over looped Python (float64 on both sides)",
        "times faster than looped Python (log scale)",
    )
    plain(axes.xaxis)
    return figure, "Only where both computed the same in float64 on the same machine."


def gpu(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """How many times faster a GPU is than the CPU, end to end and resident."""
    found = tables.gpu_over_cpu(rows)
    if found.empty:
        return None
    found = found[found.operation == "train_step"]
    parts = []
    for transfer in ("end_to_end", "resident"):
        part = found.assign(
            source=found.gpu + " over CPU of " + found.cpu,
            device="cuda",
            transfer=transfer,
            speed_up=found[f"{transfer}_speed_up"],
        )
        parts.append(part.dropna(subset=["speed_up"]))
    part = pd.concat(parts)
    if part.empty:
        return None
    figure, axes = _dots(
        part, part, "speed_up", "GPU against CPU, training step", "times faster than the CPU"
    )
    axes.axvline(1, color="black", linewidth=0.8)
    plain(axes.xaxis)
    return figure, "Right of 1 the GPU is faster. End to end counts the batch's way to the GPU."


def gflops(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """Floating-point operations per second of the matrix products."""
    part = tables.comparable(with_number(rows[rows.operation == "train_step"]))
    if part.empty:
        return None
    figure, axes = _dots(
        part,
        rows,
        "gflops_per_second",
        "Arithmetic rate of a training step",
        "GFLOP/s, matrix products only (log scale; right is faster)",
    )
    plain(axes.xaxis)
    return figure, "Counted from the layer sizes; elementwise work is not counted."


def gradient_error(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """The error of the tensor nearest to its bound against the speed that it was had at."""
    part = with_number(rows[rows.operation == "train_step"])
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
    axes.set_xscale("log")
    axes.set_yscale("log")
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
    return figure, (
        "Of each row the tensor nearest to its bound. Every row that has a time is below its "
        "bound; that is what the gate asks for."
    )


def cost_of_differentiation(rows: pd.DataFrame) -> tuple[Figure, str] | None:
    """Gradient time over forward time against the number of parameters."""
    found = tables.differentiation(rows)
    if found.empty or found.ratio.notna().sum() < 2:
        return None
    figure, axes = plt.subplots(figsize=(9, 5.4))
    palette = colours(rows)
    sources = list(dict.fromkeys(found.source))
    ends: list[tuple[float, str, str]] = []
    for (source, name, device), part in found.groupby(["source", "implementation", "device"]):
        ok, missing = part[part.ratio.notna()], part[part.ratio.isna()]
        if ok.empty:
            continue
        colour = palette[name]
        axes.errorbar(
            ok.parameters,
            ok.ratio,
            yerr=[(ok.ratio - ok.low).fillna(0), (ok.high - ok.ratio).fillna(0)],
            color=colour,
            marker="o" if device == "cpu" else "^",
            markersize=5,
            linestyle=LINES[sources.index(source) % len(LINES)],
            capsize=2,
        )
        text, last = label((source, name, device, "resident", "all"), found), ok.iloc[-1]
        if missing.empty:
            ends.append((last.ratio, text, colour))
            continue
        here = (last.parameters * 1.1, last.ratio)
        axes.annotate(text, here, color=colour, va="center")
        # What was skipped: at the upper edge, a line for each implementation.
        y = 0.97 - 0.03 * (list(palette).index(name) % 4)
        at_edge = axes.get_xaxis_transform()
        axes.plot(missing.parameters, [y] * len(missing), "x", color=colour, transform=at_edge)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(top=found.ratio.max() * 6)
    axes.set_xlabel("number of parameters (8-w-4, tanh, batch 8, float64)")
    axes.set_ylabel("gradient time / forward time")
    axes.set_title("Cost of differentiation: how many forward passes one gradient takes")
    axes.grid(visible=True, which="major")
    plain(axes.yaxis)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    stacked(axes, found.parameters.max() * 1.25, ends)
    caption = (
        "Reverse mode costs a few forward passes however many parameters there are; dual numbers "
        "and differences of the loss take passes in proportion to them. Bars are 95 % intervals "
        "over processes."
    )
    if found.ratio.isna().any():
        caption += " A cross marks what has no number; the table says why."
    return figure, caption
