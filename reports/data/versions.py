"""A step over versions: each against the first, and against the one before it.

A version with variables of its own (`jax==0.4.35 XLA_FLAGS=...`) is no later one: it is compared
with the same version without them.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from samegrad.benchmarks.clock.intervals import CANT_TELL, FASTER, SAME, SLOWER, Ratio, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data.report import Report
from samegrad.reports.data.values import digits, duration, folded, interval_text

KIND = "version"
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=(?!=)")  # as benchmarks.versions.environments reads them
SAID = {SLOWER: "slower", FASTER: "faster", SAME: "as fast within 5 %", CANT_TELL: "can't tell"}


def named(report: Report) -> list[str]:
    """The versions of a report, in their order."""
    return [name for name, (kind, _) in report.families.items() if kind == KIND]


def split(name: str) -> tuple[str, str]:
    """(a version without its variables, its variables): ("jax==0.4.35", "XLA_FLAGS=...")."""
    words = name.split()
    variables = [word for word in words if VARIABLE.match(word)]
    return " ".join(w for w in words if w not in variables), " ".join(variables)


def short(names: Sequence[str]) -> dict[str, str]:
    """Name without variables -> what tells it from the others: "0.4.32" where all are of jax."""
    plain = list(dict.fromkeys(split(name)[0] for name in names))
    pairs = [name.split(" ")[0].partition("==") for name in plain]
    numbers = [number for _, _, number in pairs]
    alike = len({library for library, _, _ in pairs}) == 1 and all(numbers)
    if not alike or len(set(numbers)) < len(plain):
        return {name: name for name in plain}
    return dict(zip(plain, numbers, strict=True))


def shared(report: Report) -> dict[str, object]:
    """What all environments had alike: package or "python" -> its version."""
    facts = [
        dict(record.get("facts") or {})
        for journal in report.journals
        for record in journal.implementations
        if record.get("kind") == KIND and record["status"] == OK
    ]
    first = facts[0] if facts else {}
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in facts)}


def networks(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(network, its rows), in the order of the run; of several runs with their labels."""
    many = rows.source.nunique() > 1
    for (source, layers, batch), part in rows.groupby(
        ["source", "layers", "batch_size"], sort=False
    ):
        yield f"{folded(layers)} (batch {batch:,})" + (f", {source}" if many else ""), part


def table(report: Report) -> pd.DataFrame:
    """A line for each network and version: seconds, ratios to the first and to the one before.

    The first is the first with a number. Where a machine was too busy nothing is compared.
    """
    rows = report.rows[report.rows.implementation.isin(named(report))]
    lines = []
    for network, part in networks(rows):
        first, before, known = None, None, dict[str, Any]()
        for row in part.itertuples():
            usable = row.status == OK and not row.machine_too_busy
            plain, variables = split(row.implementation)
            line = {"network": network, "version": row.implementation, "first": "", "before": "",
                    "seconds": row.seconds, "seconds_low": row.seconds_low,
                    "seconds_high": row.seconds_high, "reason": row.reason,
                    "over_first": None, "over_before": None}  # fmt: skip
            base = known.get(plain) if variables else before
            if usable and first is not None:
                line |= {
                    "first": first.implementation,
                    "over_first": ratio(row.process_medians, first.process_medians),
                }
            if usable and base is not None:
                line |= {
                    "before": base.implementation,
                    "over_before": ratio(row.process_medians, base.process_medians),
                }
            if usable:
                first = row if first is None else first
            if usable and not variables:
                before = known[plain] = row
            lines.append(line)
    return pd.DataFrame(lines)


def shown(lines: pd.DataFrame) -> pd.DataFrame:
    """The same as texts."""
    return pd.DataFrame(
        {
            "network": line.network,
            "version": line.version,
            "time": duration(line.seconds),
            "interval": interval_text(line.seconds_low, line.seconds_high, duration),
            "over the first": _with_interval(line.over_first),
            "over the one before": _with_interval(line.over_before),
            "in words": SAID[line.over_first.verdict] if line.over_first else line.reason,
        }
        for line in lines.itertuples()
    )


def _with_interval(one: Ratio | None) -> str:
    if one is None:
        return ""
    ends = interval_text(one.low, one.high)
    return digits(one.value) + (f" ({ends})" if ends else "")


def sentences(lines: pd.DataFrame) -> Iterator[str]:
    """Of each network: which versions are slower than the first, and where it changes."""
    called = short([*lines.version]) if len(lines) else {}

    def listed(part: pd.DataFrame, ratios: str) -> str:
        pairs = zip(part.version, part[ratios], strict=True)
        return ", ".join(f"{called[split(name)[0]]} {digits(one.value)}" for name, one in pairs)

    for network, part in lines.groupby("network", sort=False) if len(lines) else ():
        part = part[part.over_first.notna()]
        if part.empty:
            continue
        variables = part.version.map(lambda name: split(name)[1])
        plain = part[variables == ""]
        told = [
            f"{words}: {listed(own, 'over_first')}"
            for verdict, words in SAID.items()
            if len(own := plain[[one.verdict == verdict for one in plain.over_first]])
        ]
        steps = [
            f"{called[line.before]} to {called[line.version]} {_with_interval(line.over_before)}"
            for line in plain.itertuples()
            if line.over_before is not None and line.over_before.verdict in (SLOWER, FASTER)
        ]
        told.append(f"certain steps: {', '.join(steps)}" if steps else "no certain step")
        if not any(math.isfinite(one.low) for one in part.over_first):
            told[-1] = "too few processes for intervals"
        for own, others in part[part.over_before.notna()].groupby(variables, sort=False):
            if own:
                told.append(f"times itself with {own}: {listed(others, 'over_before')}")
        yield f"{network}, over {part['first'].iloc[0]}: {'; '.join(told)}."
