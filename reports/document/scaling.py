"""How the cost of a step grows with batch size, width, depth and threads, and where it bends.

A curve is fitted by a + c x^p on log times: a is what a call costs whatever its size, p the
exponent of the work, and (a / c)^(1/p) the size at which both are alike. Above that bend the rate
of arithmetic is looked at: where it falls, and which cache the working set outgrows there.
"""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from samegrad.benchmarks.clock.intervals import ratio
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts import style
from samegrad.reports.data import tables

LEAST = 5  # sizes of a curve
FALLS = 0.85  # of the best rate: below it a rate has fallen
SERIES = {  # against: (workloads whose number it is, what is fixed)
    "batch size": ("mnist", "784-128-64-10"),
    "width": (r"width(\d+)", "784-w-w-10, batch 128"),
    "depth": (r"depth(\d+)", "784-(128 d times)-10, batch 128"),
}
TEXT = (
    "Time of a training step fitted by a + c x^p: p is the exponent with its standard error, the "
    "bend is where the fixed cost a equals the work. Beyond it, where the rate of arithmetic falls "
    f"below {100 * FALLS:.0f} % of its best, which cache the working set (inputs, params, "
    "gradients, activations and deltas) outgrows there, and the part of a step that grew most for "
    "each operation, with its share of the time before and there."
)


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are points of a curve, with columns against, x and working_set (bytes)."""
    ok = rows[(rows.status == OK) & (rows.operation == "train_step")]
    ok = tables.comparable(ok[ok.transfer == "resident"])
    found = []
    for against, (workload, _) in SERIES.items():
        part = ok[ok.workload.str.fullmatch(workload)]
        if part.empty:
            continue
        if against == "batch size":
            x = part.batch_size.astype(float)
        else:
            x = part.workload.str.extract(workload)[0].astype(float)
        found.append(part.assign(against=against, x=x))
    if not found:
        return pd.DataFrame()
    every = pd.concat(found)
    every = every.assign(
        working_set=[
            working_set(layers, batch, dtype)
            for layers, batch, dtype in zip(
                every.layers, every.batch_size, every.dtype, strict=True
            )
        ]
    )
    keys = ["against", "source", "implementation", "device", "threads"]
    return every.groupby(keys, sort=False).filter(lambda one: one.x.nunique() >= LEAST)


def working_set(layers: str, batch_size: int, dtype: str) -> int:
    """Bytes of inputs, activations, deltas, params and gradients of a step."""
    sizes = [int(size) for size in layers.split("-")]
    weights = sum((a + 1) * b for a, b in pairwise(sizes))
    entries = batch_size * (sizes[0] + 2 * sum(sizes[1:])) + 2 * weights
    return entries * (8 if dtype == "float64" else 4)


def largest(layers: str, batch_size: int, dtype: str) -> int:
    """Bytes of the largest array that elementwise operations write: a W, or a layer's z."""
    sizes = [int(size) for size in layers.split("-")]
    entries = max(batch_size * max(sizes[1:]), *(a * b for a, b in pairwise(sizes)))
    return entries * (8 if dtype == "float64" else 4)


def fit(x: Sequence[float], seconds: Sequence[float]) -> tuple[float, float, float, float]:
    """(a, c, p, standard error of p) of a + c x^p, by least squares on the logs."""
    from scipy.optimize import least_squares  # a second to import, for few reports

    log_x, log_t = np.log(x), np.log(seconds)

    def residuals(given: Any) -> Any:
        log_a, log_c, p = given
        return np.logaddexp(log_a, log_c + p * log_x) - log_t

    start = (log_t[0] - 0.1, log_t[-1] - log_x[-1], 1.0)
    found = least_squares(residuals, start, bounds=([log_t[0] - 20, -60, 0], [log_t[0] + 1, 20, 4]))
    freedom = max(1, len(log_x) - 3)
    information = found.jac.T @ found.jac
    variance = np.linalg.pinv(information)[2, 2] * (found.fun @ found.fun) / freedom
    a, c, p = math.exp(found.x[0]), math.exp(found.x[1]), float(found.x[2])
    return a, c, p, math.sqrt(max(0.0, variance))


def caches(journal: Journal) -> dict[str, int]:
    """Bytes of each data cache, as the journal's machine says them; {} if it does not."""
    said = str(journal.run["machine"].get("cpu_caches", ""))
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return {
        level: int(size) * units[unit]
        for level, size, unit in re.findall(r"(L\d) (\d{1,9})([KMG])", said)
    }


def table(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """Exponent, fixed cost, bend and fall of each curve."""
    every = curves(rows)
    if every.empty:
        return pd.DataFrame()
    sizes = dict(zip(tables.source_labels(journals), map(caches, journals), strict=True))
    records = []
    keys = ["against", "source", "implementation", "device", "threads"]
    for key, one in every.groupby(keys, sort=False):
        ordered = one.sort_values("x")
        a, c, p, error = fit(ordered.x.to_list(), ordered.seconds.to_list())
        bend = (a / c) ** (1 / p) if p > 0.05 else math.inf
        records.append(
            dict(zip(keys, key, strict=True))
            | {"exponent": f"{p:.2f} +- {error:.2f}", "fixed cost": tables.duration(a)}
            | {"bend": _bend(bend, ordered.x), "beyond": _falls(ordered, bend, sizes[key[1]])}
        )
    order = tables.by_idiom(every.implementation)
    found = pd.DataFrame.from_records(records)
    against = list(SERIES)
    found = found.sort_values(
        ["against", "implementation", "threads"],
        key=lambda column: (
            column.map(against.index if column.name == "against" else order.index)
            if column.name != "threads"
            else column
        ),
    )
    if found.source.nunique() == 1:
        found = found.drop(columns="source")
    return tables.narrow(found)


def _bend(bend: float, x: pd.Series) -> str:
    if bend > x.max():
        return f"above {x.max():,.0f}"
    return f"below {x.min():,.0f}" if bend < x.min() else f"{bend:,.0f}"


def _falls(ordered: pd.DataFrame, bend: float, sizes: dict[str, int]) -> str:
    """Where the rate of arithmetic falls for the first time beyond the bend, and why."""
    best, before = 0.0, None
    for row in ordered[ordered.x >= bend].itertuples():
        if row.gflops_per_second < FALLS * best and before is not None:
            return (
                f"{100 * row.gflops_per_second / best:.0f} % of its best rate at {row.x:,.0f}: "
                f"the working set, {before.working_set / 2**20:.3g} to "
                f"{row.working_set / 2**20:.3g} MiB, "
                + _against(sizes, before, row)
                + _slowed(before, row)
            )
        best, before = max(best, row.gflops_per_second), row
    return "no fall"


def _against(sizes: dict[str, int], before: Any, row: Any) -> str:
    """What a working set that grows has to do with the caches, or the largest of its arrays."""
    if not sizes:
        return "may outgrow a cache: their sizes are unknown"

    def outgrown(first: int, second: int) -> str:
        return ", ".join(name for name, size in sizes.items() if first < size <= second)

    if whole := outgrown(before.working_set, row.working_set):
        return f"outgrows {whole}"
    last = max(sizes, key=lambda name: sizes[name])
    said = "outgrows no cache there"
    if before.working_set >= sizes[last]:
        said = f"is beyond {last} already"
    first, second = (largest(one.layers, one.batch_size, one.dtype) for one in (before, row))
    if array := outgrown(first, second):
        said += f", but its largest array, {first / 2**20:.3g} to {second / 2**20:.3g} MiB, "
        said += f"outgrows {array}"
    return said


def _slowed(before: Any, row: Any) -> str:
    """Which part of a step grew most for each operation of arithmetic, if its parts are known."""
    parts, earlier = tables.shares(row), tables.shares(before)
    if not parts or parts.keys() != earlier.keys():
        return ""
    now, then = row.seconds / row.flops, before.seconds / before.flops
    grown = {name: parts[name] * now - earlier[name] * then for name in parts}
    name = max(grown, key=lambda part: grown[part])
    return f"; {name}: {100 * earlier[name]:.0f} to {100 * parts[name]:.0f} % of the time"


def threads(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster all cores are than one thread, at each size; one line per point."""
    every = curves(rows)
    if every.empty or not {"1", "all"} <= set(every.threads):
        return pd.DataFrame()
    keys = ["against", "source", "implementation", "device", "x"]
    single = {_key(row, keys): row for row in every[every.threads == "1"].itertuples()}
    records = []
    for row in every[every.threads == "all"].itertuples():
        key = _key(row, keys)
        if key in single:
            found = ratio(tables.medians(single[key]), tables.medians(row))
            names = dict(zip(keys, key, strict=True))
            records.append({**names, "times": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame.from_records(records)


def threads_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The same, a line per curve: at its smallest and largest size, and at best."""
    found = threads(rows)
    if found.empty:
        return found
    records = []
    keys = ["against", "source", "implementation"]
    for key, one in found.groupby(keys, sort=False):
        ordered, best = one.sort_values("x"), one.loc[one.times.idxmax()]
        records.append(
            dict(zip(keys, key, strict=True))
            | {
                f"at the {word}": f"{tables.digits(row.times)} ({row.x:,.0f})"
                for word, row in (
                    ("smallest", ordered.iloc[0]),
                    ("largest", ordered.iloc[-1]),
                    ("best", best),
                )
            }
        )
    table = pd.DataFrame.from_records(records)
    return table.drop(columns="source") if table.source.nunique() == 1 else table


def _key(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in names)


def figure(rows: pd.DataFrame, journals: Sequence[Journal]) -> tuple[Figure, str] | None:
    """Time against batch size, width and depth, and what threads gain."""
    every = curves(rows)
    against = [name for name in SERIES if not every.empty and (every.against == name).any()]
    if len(against) < len(SERIES):
        return None  # a run of other cases: its batch sizes have a figure of their own
    drawn, all_axes = plt.subplots(2, 2, figsize=(11, 8.2))
    palette = style.colours(rows)
    labels = tables.source_labels(journals)
    for axes, name in zip(all_axes.flat, against, strict=False):
        part = every[every.against == name]
        for (source, who, device, count), one in part.groupby(
            ["source", "implementation", "device", "threads"], sort=False
        ):
            ordered = one.sort_values("x")
            axes.plot(
                ordered.x,
                ordered.seconds,
                "-" if count == "all" else "--",
                marker=style.marker((source, who, device, "resident", count)),
                markersize=3.5,
                linewidth=1.2,
                color=palette[who],
                label=style.text(who + ("" if device == "cpu" else f" {device}")),
            )
        _scale(axes, sorted(part.x.unique()))
        axes.set_yscale("log")
        style.seconds_axis(axes.yaxis)
        axes.set_xlabel(f"{name} ({SERIES[name][1]})")
        axes.set_ylabel("time per step")
        axes.set_title(f"Time against {name}")
        _mark_caches(axes, part, journals, labels)
    _draw_gains(all_axes[1, 1], threads(rows), palette)
    handles: dict[str, Any] = {}
    for axes in all_axes.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if handle.get_linestyle() == "-":
                handles.setdefault(label, handle)
    drawn.legend(
        handles.values(), handles.keys(), loc="upper center", ncols=len(handles), frameon=False
    )
    drawn.tight_layout(rect=(0, 0, 1, 0.96))
    return drawn, (
        "Solid: all cores, dashed: one thread. float32; looped Python float64. Grey: where the "
        "working set of a step equals a cache. What bends, and why, is in the table."
    )


def _draw_gains(axes: Any, gains: pd.DataFrame, palette: dict[str, str]) -> None:
    """What all cores gain over one thread at each batch size."""
    axes.set_visible(len(gains) > 0)
    if gains.empty:
        return
    part = gains[gains.against == "batch size"]
    for (source, who, device), one in part.groupby(
        ["source", "implementation", "device"], sort=False
    ):
        ordered = one.sort_values("x")
        axes.errorbar(
            ordered.x,
            ordered.times,
            yerr=[
                (ordered.times - ordered.low).fillna(0).clip(lower=0),
                (ordered.high - ordered.times).fillna(0).clip(lower=0),
            ],
            marker=style.marker((source, who, device, "resident", "all")),
            markersize=3.5,
            linewidth=1.2,
            color=palette[who],
            capsize=2,
        )
    axes.axhline(1, color="black", linewidth=0.9)
    _scale(axes, sorted(part.x.unique()))
    axes.set_xlabel(f"batch size ({SERIES['batch size'][1]})")
    axes.set_ylabel("times faster")
    axes.set_title("All cores over one thread")


def _scale(axes: Any, x: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    ticks = x if len(x) <= 10 else x[::2]
    axes.set_xticks(ticks, [f"{int(value):,}" for value in ticks], fontsize=8)
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.minorticks_off()


def _mark_caches(
    axes: Any, part: pd.DataFrame, journals: Sequence[Journal], labels: Sequence[str]
) -> None:
    """A line where the working set of a float32 step equals each cache of the first machine."""
    sizes = dict(zip(labels, map(caches, journals), strict=True)).get(part.source.iloc[0], {})
    points = part[part.dtype == "float32"].drop_duplicates("x").sort_values("x")
    if len(points) < 2:
        return
    for level, size in sizes.items():
        if points.working_set.iloc[0] < size < points.working_set.iloc[-1]:
            where = np.interp(math.log(size), np.log(points.working_set), np.log(points.x))
            axes.axvline(math.exp(where), color="#999999", linewidth=0.9, linestyle=":")
            axes.annotate(
                f" {level}", (math.exp(where), 0.99), xycoords=("data", "axes fraction"),
                color="#666666", fontsize=8, va="top",
            )  # fmt: skip
