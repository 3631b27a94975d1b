"""What `advise` has found, in lines: a table, the advice with its reason, and what to measure."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import FASTER, NO_DIFFERENCE, SLOWER, ratio
from samegrad.benchmarks.records.quality import UNUSABLE
from samegrad.benchmarks.records.sheets import LEAST_OF_SHEET, SHEETS, band
from samegrad.reports.data import analysis
from samegrad.reports.data.advise import (
    NO_ADVICE,
    TITLES,
    Answer,
    Question,
    command,
    no_interval,
    of_their_dtype,
    shown,
    times,
    title,
)
from samegrad.reports.data.report import shares
from samegrad.reports.data.values import bytes_text, digits, duration, in_order


def text(known: Sequence[Answer], rows: pd.DataFrame, asked: Question) -> list[str]:
    """The answer in lines: a table, the advice with its reason, and what to measure."""
    spoiled = _spoiled(rows, asked)
    if not known:
        return [title(asked), "No run here has measured it or anything near it. To measure it:", "",
                f"  {command(asked)}", *_kept(known, asked, spoiled)]  # fmt: skip
    sizes = [
        spoiled[a.implementation].host_bytes
        if math.isnan(a.memory) and a.implementation in spoiled
        else a.memory
        for a in known
    ]
    table = pd.DataFrame(
        {
            "implementation": [shown(a.implementation, asked) for a in known],
            "time": [duration(a.seconds) for a in known],
            "from": [duration(a.low) for a in known],
            "to": [duration(a.high) for a in known],
            "times the fastest": [times(a.ratio) for a in known],
            "known": [a.how for a in known],
            "peak memory": [bytes_text(size) or "not measured" for size in sizes],
        }
    )
    lines = [title(asked), "", *table.to_string(index=False).splitlines(), ""]
    lines += [_advice(known), *_break_even(known[0], rows), *_threads(known, rows, asked)]
    lines += _kept(known, asked, spoiled)
    part = asked.of(rows)
    unknown = [
        n for n in in_order(part.implementation) if n not in {a.implementation for a in known}
    ]
    if unknown:
        lines.append(f"Nothing near it is measured of {', '.join(unknown)}.")
    if unknown or any(a.row is None for a in known):
        lines += ["", "To measure it instead:", "", f"  {command(asked)}"]
    elif all(map(math.isnan, sizes)):
        lines.append("Memory was not measured; --preset full measures it.")
    return lines


def on_a_gpu(asked: Question, gpu: str) -> list[str]:
    """The band of a call on a GPU that is not there, by its data sheet, in lines.

    Raises:
        ValueError: no data sheet of it is known here, or it says nothing of the dtype.
    """
    dtype, sheet = asked.spec.dtype, SHEETS.get(gpu, {})
    if dtype not in sheet:
        has = [name for name, rates in SHEETS.items() if dtype in rates]
        raise ValueError(f"--gpu {gpu!r:.60} in {dtype}: not known; accepted: {', '.join(has)}")
    workload = MLPWorkload("asked", asked.spec, asked.batch_size, asked.batch_size)
    low, high = map(duration, band(sheet, workload, asked.operation, dtype))
    return [
        f"{TITLES[asked.operation]} of {asked.layers}, batch {asked.batch_size:,}, {dtype}, on "
        f"{gpu}, which is not here: predicted {low} to {high}, nothing is measured.",
        "The least: a graph of its products at the data sheet's rates. The most: an eager "
        f"framework that starts each kernel by itself, at {LEAST_OF_SHEET:.0%} of these rates.",
    ]


def beside(known: Sequence[Answer], machine: str) -> str:
    """What a machine's CPU takes, in a line."""
    said = [
        f"{a.implementation} {duration(a.seconds)} ({a.how}"
        + (f", {duration(a.low)} to {duration(a.high)})" if math.isfinite(a.low) else ")")
        for a in known
    ]
    return f"The CPU of {machine}: {', '.join(said)}."


def _advice(known: Sequence[Answer]) -> str:
    """Which one, and why; several where they cannot be told apart."""
    best = known[0]
    equals = [best, *(a for a in known[1:] if a.ratio.verdict != SLOWER)]
    names = " or ".join(a.implementation for a in equals)
    reason = _reason(best)
    if no_interval(known):
        return f"{NO_ADVICE}{reason}"
    if len(equals) > 1:
        return f"Use {names}: their times cannot be told apart.{reason}"
    if len(known) == 1:
        return f"Only {names} is known.{reason}"
    times = digits(known[1].ratio.value)
    return f"Use {names}: {known[1].implementation} takes {times} times as long.{reason}"


def _threads(known: Sequence[Answer], rows: pd.DataFrame, asked: Question) -> list[str]:
    """What other numbers of threads take for the fastest one, as far as that is measured."""
    if asked.device != "cpu":
        return []
    name, said = known[0].implementation, []
    for regime in dict.fromkeys(rows.threads):
        other = replace(asked, threads=regime)
        exact = of_their_dtype(other.exactly(other.of(rows)), asked)
        exact = exact[exact.implementation == name]
        if regime == asked.threads or exact.empty or known[0].row is None:
            continue
        times = ratio(exact.iloc[-1].process_medians, known[0].row.process_medians)
        verdict = {FASTER: ", which is faster", SLOWER: ", which is slower"}.get(times.verdict, "")
        many, took = "s" * (regime != "1"), duration(exact.iloc[-1].seconds)
        said.append(f"With {regime} thread{many} {name} takes {took}{verdict}.")
    return said or ["Other numbers of threads were not measured (--threads 1,all)."]


def _spoiled(rows: pd.DataFrame, asked: Question) -> dict[str, Any]:
    """Implementation -> the newest row of the very call whose time alone is worth nothing."""
    part = of_their_dtype(asked.exactly(asked.of(rows, UNUSABLE)), asked)
    newest = {row.implementation: row for row in part.sort_values("started").itertuples()}
    return {name: newest[name] for name in in_order(newest)}


def _kept(known: Sequence[Answer], asked: Question, spoiled: dict[str, Any]) -> list[str]:
    """Memory that the table has not; of a forward pass also latency, first call and import.

    Who starts for each request waits for the latter.
    """
    measured = {a.implementation: a.row for a in known if a.row is not None}
    told = {a.implementation for a in known}
    sizes = {n: bytes_text(row.host_bytes) for n, row in spoiled.items() if n not in told}
    beside = ", ".join(f"{name} {size}" for name, size in sizes.items() if size)
    lines = [f"Peak memory: {beside}."] if beside else []
    if asked.operation != "forward":
        return lines
    for what, columns in (
        ("One by one, p50 and p99", ("p50_seconds", "p99_seconds")),
        ("First call in a process", ("first_call_seconds",)),
        ("Import", ("import_seconds",)),
    ):
        said = [
            f"{name} {' and '.join(duration(getattr(row, c)) for c in columns)}"
            for name, row in (measured | spoiled).items()
            if not pd.isna(getattr(row, columns[-1]))
        ]
        lines += [f"{what}: {', '.join(said)}."] if said else []
    waited = [row for row in measured.values() if not pd.isna(row.p50_seconds)]
    first = min(waited, key=lambda row: row.p50_seconds, default=None)
    ahead = min(waited, key=lambda row: row.seconds, default=None)
    if (
        first is not None
        and ahead is not None
        and ahead.p50_seconds > NO_DIFFERENCE * first.p50_seconds
    ):
        name, other = first.implementation, ahead.implementation
        lines.append(f"Where each call is waited for, {name} is the fastest, not {other}.")
    return lines


def _reason(best: Answer) -> str:
    """Where its time goes, if that was measured."""
    parts = {} if best.row is None else shares(best.row)
    text = ", ".join(f"{100 * share:.0f} % {name}" for name, share in parts.items())
    return f" Its time: {text}." if text else ""


def _break_even(best: Answer, rows: pd.DataFrame) -> list[str]:
    """When the fastest one's compilation has paid for itself, against those without one."""
    if best.row is None or best.row.operation != "train_step":
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
