"""Which implementation for a network: from what this machine has measured, or how to measure it.

Between measured sizes a step's time is taken for a sum of what it must do (Amdahl's and the
roofline's parts): c0 + c1 layers + c2 operations + c3 bytes, each c >= 0, fitted to all measured
steps of an implementation by relative error. How far the fit may be off is shown by leaving out
one network after the other and predicting it. Sizes outside those measured get no answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samegrad.benchmarks.cases.case import MLPWorkload
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.data import analysis
from samegrad.reports.data.report import shares
from samegrad.reports.data.values import bytes_text, digits, duration, in_order

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


def answers(rows: pd.DataFrame, spec: MLPSpec, batch_size: int, device: str) -> list[Answer]:
    """What is known of every implementation of which anything is known, the fastest first."""
    part = rows[(rows.status == OK) & (rows.operation == "train_step") & (rows.device == device)]
    part = part[(part.transfer == "resident") & (part.threads == "all")]
    known = []
    for name in in_order(part.implementation):
        # One that has no such dtype computes in the one that it has, whatever is asked for.
        dtypes = TABLE[name].dtypes if name in TABLE else (spec.dtype,)
        dtype = spec.dtype if spec.dtype in dtypes else dtypes[0]
        own = part[(part.implementation == name) & (part.dtype == dtype)]
        exact = own[(own.layers == _layers(spec)) & (own.batch_size == batch_size)]
        if len(exact):
            row = exact.sort_values("started").iloc[-1]
            times = (row.seconds, row.seconds_low, row.seconds_high)
            known.append(Answer(name, *times, "measured", row.host_bytes, row))
        elif (fitted := between(own, spec, batch_size)) is not None:
            seconds, factor, count = fitted
            how = f"between {count} measured networks"
            known.append(Answer(name, seconds, seconds / factor, seconds * factor, how))
    return sorted(known, key=lambda answer: answer.seconds)


def between(rows: pd.DataFrame, spec: MLPSpec, batch_size: int) -> tuple[float, float, int] | None:
    """(seconds, by what factor it may be off, networks), or None where it would be a guess."""
    newest = rows.sort_values("started").drop_duplicates(["layers", "batch_size"], keep="last")
    if len(newest) < LEAST_NETWORKS:
        return None
    ones, layers = np.ones(len(newest)), newest.layers.str.count("-")
    known = np.column_stack([ones, layers, newest.flops, newest.bytes]).astype(float)
    step, depth = MLPWorkload("asked", spec, batch_size, batch_size), len(spec.layer_sizes) - 1
    asked = np.array([1, depth, step.flops("train_step"), step.bytes("train_step")])
    sizes, size = known[:, 2:], asked[2:]  # operations and bytes; depth is hardly ever varied
    if (size < sizes.min(axis=0) / BEYOND).any() or (size > sizes.max(axis=0) * BEYOND).any():
        return None
    seconds = newest.seconds.to_numpy()
    errors = []
    for number, actual in enumerate(seconds):
        others = np.arange(len(seconds)) != number
        predicted = known[number] @ _fit(known[others], seconds[others])
        errors.append(math.inf if predicted <= 0 else abs(math.log(predicted / actual)))
    factor = math.exp(float(np.quantile(errors, WORST, method="higher")))
    predicted = float(asked @ _fit(known, seconds))
    if predicted <= 0 or not math.isfinite(factor):
        return None
    return predicted, factor, len(seconds)


def _layers(spec: MLPSpec) -> str:
    return "-".join(map(str, spec.layer_sizes))


def _fit(known: Any, seconds: Any) -> Any:
    """The coefficients, none below 0, with the least squares of relative errors."""
    from scipy.optimize import nnls

    relative = known / seconds[:, None]
    scale = relative.max(axis=0)
    return nnls(relative / scale, np.ones(len(seconds)))[0] / scale


def text(
    known: Sequence[Answer], rows: pd.DataFrame, spec: MLPSpec, batch_size: int, device: str
) -> list[str]:
    """The answer in lines: a table, the advice with its reason, and what to measure."""
    title = f"Training step of {_layers(spec)}, batch {batch_size:,}, {spec.dtype}, on {device}:"
    measure = "  " + command(spec, batch_size, device)
    if not known:
        return [title, "No run here has measured it or anything near it. To measure it:", "",
                measure]  # fmt: skip
    table = pd.DataFrame(
        {
            "implementation": [a.implementation for a in known],
            "time per step": [duration(a.seconds) for a in known],
            "from": [duration(a.low) for a in known],
            "to": [duration(a.high) for a in known],
            "known": [a.how for a in known],
            "peak memory": [bytes_text(a.memory) or "not measured" for a in known],
        }
    )
    lines = [title, "", *table.to_string(index=False).splitlines(), ""]
    lines += [_advice(known), *_break_even(known[0], rows)]
    if any(a.row is None for a in known):
        lines += ["", "To measure it instead:", "", measure]
    elif all(math.isnan(a.memory) for a in known):
        lines.append("Memory was not measured; --preset full measures it.")
    return lines


def _advice(known: Sequence[Answer]) -> str:
    """Which one, and why; several where they cannot be told apart."""
    best = known[0]
    equals = [best, *(a for a in known[1:] if not _slower(a, best))]
    names = " or ".join(a.implementation for a in equals)
    reason = _reason(best)
    if len(equals) > 1:
        return f"Use {names}: their times cannot be told apart.{reason}"
    if len(known) == 1:
        return f"Only {names} is known.{reason}"
    times = digits(known[1].seconds / best.seconds)
    return f"Use {names}: {known[1].implementation} takes {times} times as long.{reason}"


def _slower(other: Answer, best: Answer) -> bool:
    """Whether it is certainly slower than the fastest; never where one has no interval."""
    if other.row is not None and best.row is not None:
        return analysis.slower(other.row, best.row)
    return other.low > best.high


def _reason(best: Answer) -> str:
    """Where its time goes, if that was measured."""
    parts = {} if best.row is None else shares(best.row)
    text = ", ".join(f"{100 * share:.0f} % {name}" for name, share in parts.items())
    return f" Its time: {text}." if text else ""


def _break_even(best: Answer, rows: pd.DataFrame) -> list[str]:
    """When the fastest one's compilation has paid for itself, against those without one."""
    if best.row is None:
        return []
    table = analysis.break_even(rows[rows.source == best.row.source])
    if table.empty:
        return []
    alike = ["layers", "batch_size", "dtype", "device"]
    own = table[(table.compiled == best.implementation) & (table.threads == "all")]
    own = own[(own[alike] == best.row[alike]).all(axis=1)]
    return [
        f"Its compilation ({duration(r.extra_seconds)} more at the first call) has paid for itself "
        f"against {r.against}: {r.answer}."
        for r in own.itertuples()
    ]


def command(spec: MLPSpec, batch_size: int, device: str) -> str:
    """What measures it."""
    size = ["--layers", _layers(spec), "--batch-size", str(batch_size)]
    return commands.command("benchmark", *size, "--device", device, "--dtype", spec.dtype)
