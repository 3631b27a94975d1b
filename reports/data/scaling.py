"""How the cost of a step grows with batch size, width, depth and threads, and where it bends.

A curve is fitted by a + c x^p on log times: a is what a call costs whatever its size, p the
exponent of the work, and (a / c)^(1/p) the size at which both are alike. Beyond that bend: where
the rate of arithmetic falls, and which cache the working set outgrows there.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from samegrad.benchmarks.clock.intervals import ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data.analysis import paired_rows, with_ratios
from samegrad.reports.data.report import comparable, shares
from samegrad.reports.data.values import digits, duration, in_order

LEAST_SIZES = 5  # of a curve
FALLS = 0.85  # of the best rate: below it a rate has fallen
FIXED = {  # against: what all networks of such a curve share
    "batch size": "784-128-64-10",
    "width": "784-w-w-10, batch 128",
    "depth": "784-(128 d times)-10, batch 128",
}
CURVE = ["against", "source", "implementation", "device", "threads"]


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are points of a curve, with columns against, x and working_set (bytes)."""
    ok = rows[(rows.status == OK) & (rows.operation == "train_step")]
    ok = comparable(ok[ok.transfer == "resident"])
    batch = ok[ok.layers == FIXED["batch size"]]
    width, depth = ok[ok.series == "width"], ok[ok.series == "depth"]
    parts = [
        batch.assign(against="batch size", x=batch.batch_size.astype(float)),
        width.assign(against="width", x=width.series_value),
        depth.assign(against="depth", x=depth.series_value),
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame()
    points = pd.concat(parts)
    networks = zip(points.layers, points.batch_size, points.dtype, strict=True)
    points = points.assign(working_set=[working_set(*network) for network in networks])
    return points.groupby(CURVE, sort=False).filter(lambda one: one.x.nunique() >= LEAST_SIZES)


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

    def residuals(coefficients: Any) -> Any:
        log_a, log_c, p = coefficients
        return np.logaddexp(log_a, log_c + p * log_x) - log_t

    start = (log_t[0] - 0.1, log_t[-1] - log_x[-1], 1.0)
    bounds = ([log_t[0] - 20, -60, 0], [log_t[0] + 1, 20, 4])
    best = least_squares(residuals, start, bounds=bounds)
    freedom = max(1, len(log_x) - 3)
    variance = np.linalg.pinv(best.jac.T @ best.jac)[2, 2] * (best.fun @ best.fun) / freedom
    a, c, p = math.exp(best.x[0]), math.exp(best.x[1]), float(best.x[2])
    return a, c, p, math.sqrt(max(0.0, variance))


def growth(points: pd.DataFrame, cache_sizes: Mapping[str, dict[str, int]]) -> pd.DataFrame:
    """Exponent, fixed cost, bend and fall of each curve, as texts.

    Args:
        points: what `curves` returns.
        cache_sizes: source -> what `caches` returns.
    """
    records = []
    for values, one in points.groupby(CURVE, sort=False) if len(points) else ():
        curve = dict(zip(CURVE, values, strict=True))
        ordered = one.sort_values("x")
        a, c, p, error = fit(ordered.x.to_list(), ordered.seconds.to_list())
        bend = (a / c) ** (1 / p) if p > 0.05 else math.inf
        sizes = cache_sizes[curve["source"]]
        records.append(
            curve
            | {"exponent": f"{p:.2f} +- {error:.2f}", "fixed cost": duration(a)}
            | {"bend": _bend(bend, ordered.x), "beyond": _fall(ordered, bend, sizes)}
        )
    names = in_order(record["implementation"] for record in records)
    against = list(FIXED)
    records.sort(
        key=lambda r: (
            against.index(r["against"]), names.index(r["implementation"]), r["threads"]
        )
    )  # fmt: skip
    return pd.DataFrame.from_records(records)


def _bend(bend: float, x: pd.Series) -> str:
    if bend > x.max():
        return f"above {x.max():,.0f}"
    return f"below {x.min():,.0f}" if bend < x.min() else f"{bend:,.0f}"


def _fall(ordered: pd.DataFrame, bend: float, sizes: dict[str, int]) -> str:
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
    """Which caches a growing working set outgrows, or the largest of its arrays."""
    if not sizes:
        return "may outgrow a cache: their sizes are unknown"

    def outgrown(first: int, second: int) -> str:
        return ", ".join(name for name, size in sizes.items() if first < size <= second)

    if whole := outgrown(before.working_set, row.working_set):
        return f"outgrows {whole}"
    last = max(sizes, key=lambda name: sizes[name])
    text = "outgrows no cache there"
    if before.working_set >= sizes[last]:
        text = f"is beyond {last} already"
    first, second = (largest(one.layers, one.batch_size, one.dtype) for one in (before, row))
    if array := outgrown(first, second):
        text += f", but its largest array, {first / 2**20:.3g} to {second / 2**20:.3g} MiB, "
        text += f"outgrows {array}"
    return text


def _slowed(before: Any, row: Any) -> str:
    """Which part of a step grew most for each operation of arithmetic, if its parts are known."""
    now, earlier = shares(row), shares(before)
    if not now or now.keys() != earlier.keys():
        return ""
    time_now, time_then = row.seconds / row.flops, before.seconds / before.flops
    grown = {name: now[name] * time_now - earlier[name] * time_then for name in now}
    name = max(grown, key=lambda part: grown[part])
    return f"; {name}: {100 * earlier[name]:.0f} to {100 * now[name]:.0f} % of the time"


def thread_gains(points: pd.DataFrame) -> pd.DataFrame:
    """How many times faster all cores are than one thread, at each size; one line per point.

    Args:
        points: what `curves` returns.
    """
    if points.empty or not {"1", "all"} <= set(points.threads):
        return pd.DataFrame()
    names = ["against", "source", "implementation", "device", "x"]
    single = points[points.threads == "1"].drop_duplicates(names, keep="last")
    pairs = paired_rows(points[points.threads == "all"], single, names)
    times = map(ratio, pairs.process_medians_other, pairs.process_medians)
    return with_ratios(pairs[names], "times", times)


def thread_table(gains: pd.DataFrame) -> pd.DataFrame:
    """The same as texts, a line per curve: at its smallest and largest size, and at best."""
    records = []
    names = ["against", "source", "implementation"]
    for values, one in gains.groupby(names, sort=False) if len(gains) else ():
        ordered, best = one.sort_values("x"), one.loc[one.times.idxmax()]
        sizes = {"smallest": ordered.iloc[0], "largest": ordered.iloc[-1], "best": best}
        records.append(
            dict(zip(names, values, strict=True))
            | {f"at the {n}": f"{digits(row.times)} ({row.x:,.0f})" for n, row in sizes.items()}
        )
    return pd.DataFrame.from_records(records)
