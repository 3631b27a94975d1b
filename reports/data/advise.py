"""Which implementation for a network: from what this machine has measured, or how to measure it.

Between measured sizes a step's time is taken for a sum of what it must do (Amdahl's and the
roofline's parts): c0 + c1 layers + c2 operations + c3 bytes, each c >= 0, fitted to all measured
steps of an implementation by relative error. What the fit is worth is shown by leaving out one
network after the other and predicting it. Nothing is said of sizes outside those measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from samegrad.benchmarks.cases import costs
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract import commands
from samegrad.reports.data import analysis, tables
from samegrad.reports.data.tables import digits, duration

LEAST_NETWORKS = 6  # that a fit takes; it has four unknowns
BEYOND = 1.25  # times the largest, or below the smallest, is no longer between
WORST = 0.9  # share of left-out networks within the stated factor


@dataclass(frozen=True)
class Answer:
    """What is known of one implementation.

    Attributes:
        seconds, low, high: of a training step; low and high are its interval, or how far a fit
            may be off.
        how: "measured", or "between N measured networks".
        memory: bytes of its peak, or NaN.
        row: the measured row, or None.
    """

    implementation: str
    seconds: float
    low: float
    high: float
    how: str
    memory: float = math.nan
    row: Any = None


def answers(rows: pd.DataFrame, spec: Any, batch_size: int, device: str) -> list[Answer]:
    """Every implementation that something is known of, the fastest first."""
    arithmetic = spec.dtype
    part = rows[(rows.status == OK) & (rows.operation == "train_step") & (rows.device == device)]
    part = part[(part.transfer == "resident") & (part.threads == "all")]
    layers = "-".join(map(str, spec.layer_sizes))
    found = []
    for name in tables.by_idiom(part.implementation):
        # Looped Python computes in float64 whatever is asked for.
        dtypes = (arithmetic, "float64") if name == "scalar" else (arithmetic,)
        mine = part[(part.implementation == name) & part.dtype.isin(dtypes)]
        exact = mine[(mine.layers == layers) & (mine.batch_size == batch_size)]
        if len(exact):
            row = exact.sort_values("started").iloc[-1]
            found.append(
                Answer(name, row.seconds, row.seconds_low, row.seconds_high, "measured",
                       row.host_bytes, row)
            )  # fmt: skip
        elif (fitted := between(mine, spec, batch_size)) is not None:
            seconds, factor, count = fitted
            how = f"between {count} measured networks"
            found.append(Answer(name, seconds, seconds / factor, seconds * factor, how))
    return sorted(found, key=lambda answer: answer.seconds)


def between(rows: pd.DataFrame, spec: Any, batch_size: int) -> tuple[float, float, int] | None:
    """(seconds, by what factor it may be off, networks), or None where it would be a guess."""
    newest = rows.sort_values("started").drop_duplicates(["layers", "batch_size"], keep="last")
    if len(newest) < LEAST_NETWORKS:
        return None
    known = np.array(
        [_work(r.layers.count("-"), r.flops, r.bytes) for r in newest.itertuples()], dtype=float
    )
    wanted = _work(
        len(spec.layer_sizes) - 1,
        costs.flops(spec, "train_step", batch_size),
        costs.traffic(spec, "train_step", batch_size),
    )
    for column in (2, 3):  # operations and bytes; depth is hardly ever varied
        low, high = known[:, column].min(), known[:, column].max()
        if not low / BEYOND <= wanted[column] <= high * BEYOND:
            return None
    seconds = newest.seconds.to_numpy()
    off = []
    for place in range(len(seconds)):
        others = np.arange(len(seconds)) != place
        predicted = known[place] @ _fit(known[others], seconds[others])
        off.append(math.inf if predicted <= 0 else abs(math.log(predicted / seconds[place])))
    factor = math.exp(float(np.quantile(off, WORST, method="higher")))
    predicted = float(np.array(wanted) @ _fit(known, seconds))
    if predicted <= 0 or not math.isfinite(factor):
        return None
    return predicted, factor, len(seconds)


def _work(layers: int, flops: float, traffic: float) -> list[float]:
    return [1.0, float(layers), float(flops), float(traffic)]


def _fit(known: Any, seconds: Any) -> Any:
    """The coefficients, none below 0, whose relative errors are least in squares."""
    from scipy.optimize import nnls

    relative = known / seconds[:, None]
    scale = relative.max(axis=0)
    return nnls(relative / scale, np.ones(len(seconds)))[0] / scale


def text(
    found: Sequence[Answer], rows: pd.DataFrame, spec: Any, batch_size: int, device: str
) -> list[str]:
    """The answer in lines: a table, the advice with its reason, and what to measure."""
    layers = "-".join(map(str, spec.layer_sizes))
    title = f"Training step of {layers}, batch {batch_size:,}, {spec.dtype}, on {device}:"
    if not found:
        return [title, "Nothing that was measured here says it. To measure it:", "",
                "  " + command(spec, batch_size, device)]  # fmt: skip
    table = pd.DataFrame(
        {
            "implementation": [a.implementation for a in found],
            "time per step": [duration(a.seconds) for a in found],
            "from": [duration(a.low) for a in found],
            "to": [duration(a.high) for a in found],
            "known": [a.how for a in found],
            "peak memory": [_memory(a.memory) for a in found],
        }
    )
    lines = [title, "", *table.to_string(index=False).splitlines(), ""]
    lines += [_advice(found), *_break_even(found, rows)]
    if any(a.row is None for a in found):
        lines += ["", "To measure it instead:", "", "  " + command(spec, batch_size, device)]
    elif all(math.isnan(a.memory) for a in found):
        lines.append("Memory was not measured; --preset full measures it.")
    return lines


def _memory(value: float) -> str:
    return "not measured" if not math.isfinite(value) else f"{digits(value / 2**20)} MiB"


def _advice(found: Sequence[Answer]) -> str:
    """Which one, and why; several where they cannot be told apart."""
    best = found[0]
    equals = [best, *(a for a in found[1:] if not _slower(a, best))]
    names = " or ".join(a.implementation for a in equals)
    reason = _reason(best)
    if len(equals) > 1:
        return f"Use {names}: their times cannot be told apart.{reason}"
    if len(found) == 1:
        return f"Only {names} is known.{reason}"
    times = digits(found[1].seconds / best.seconds)
    return f"Use {names}: {found[1].implementation} takes {times} times as long.{reason}"


def _slower(other: Answer, best: Answer) -> bool:
    """Whether it is slower than the fastest beyond doubt."""
    if other.row is not None and best.row is not None:
        return analysis.slower(other.row, best.row)
    low, high = (a if math.isfinite(a) else b for a, b in (
        (other.low, other.seconds), (best.high, best.seconds)))  # fmt: skip
    return low > high


def _reason(best: Answer) -> str:
    """Where its time goes, if that was measured."""
    shares = {} if best.row is None else tables.shares(best.row)
    said = ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares.items())
    return f" Its time: {said}." if said else ""


def _break_even(found: Sequence[Answer], rows: pd.DataFrame) -> list[str]:
    """When the fastest one's compilation has paid for itself, against those without one."""
    best = found[0]
    if best.row is None:
        return []
    table = analysis.break_even(rows[rows.source == best.row.source])
    if table.empty:
        return []
    mine = table[(table.compiled == best.implementation) & (table.layers == best.row.layers)]
    mine = mine[(mine.batch_size == best.row.batch_size) & (mine.dtype == best.row.dtype)]
    mine = mine[(mine.device == best.row.device) & (mine.threads == "all")]
    return [
        f"Its compilation ({duration(r.extra_seconds)} more at the first call) has paid for itself "
        f"against {r.against}: {r.says}."
        for r in mine.itertuples()
    ]


def command(spec: Any, batch_size: int, device: str) -> str:
    """What measures it."""
    layers = "-".join(map(str, spec.layer_sizes))
    size = ["--layers", layers, "--batch-size", str(batch_size)]
    return commands.command("benchmark", *size, "--device", device, "--dtype", spec.dtype)
