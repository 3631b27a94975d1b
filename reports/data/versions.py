"""A step over versions: each against the first, and against the one before it."""

import math
from collections.abc import Iterator

import pandas as pd

from samegrad.benchmarks.clock.intervals import CANT_TELL, FASTER, SAME, SLOWER, Ratio, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data.report import Report
from samegrad.reports.data.values import digits, duration, folded, interval_text

KIND = "version"
SAID = {SLOWER: "slower", FASTER: "faster", SAME: "as fast within 5 %", CANT_TELL: "can't tell"}


def named(report: Report) -> list[str]:
    """The versions of a report, in their order."""
    return [name for name, (kind, _) in report.families.items() if kind == KIND]


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
        first, before = None, None
        for row in part.itertuples():
            usable = row.status == OK and not row.machine_too_busy
            line = {"network": network, "version": row.implementation, "first": "", "before": "",
                    "seconds": row.seconds, "seconds_low": row.seconds_low,
                    "seconds_high": row.seconds_high, "reason": row.reason,
                    "over_first": None, "over_before": None}  # fmt: skip
            if usable and first is not None and before is not None:
                line |= {
                    "first": first.implementation,
                    "before": before.implementation,
                    "over_first": ratio(row.process_medians, first.process_medians),
                    "over_before": ratio(row.process_medians, before.process_medians),
                }
            if usable:
                first, before = first or row, row
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
    for network, part in lines.groupby("network", sort=False) if len(lines) else ():
        part = part[part.over_first.notna()]
        if part.empty:
            continue
        told = []
        for verdict, words in SAID.items():
            own = part[[one.verdict == verdict for one in part.over_first]]
            if len(own):
                known = zip(own.version, own.over_first, strict=True)
                told.append(f"{words}: {', '.join(f'{n} {digits(r.value)}' for n, r in known)}")
        steps = [
            f"{line.before} to {line.version} {_with_interval(line.over_before)}"
            for line in part.itertuples()
            if line.over_before.verdict in (SLOWER, FASTER)
        ]
        changes = f"; certain steps: {', '.join(steps)}" if steps else "; no certain step"
        if not any(math.isfinite(one.low) for one in part.over_first):
            changes = "; too few processes for intervals"
        yield f"{network}, over {part['first'].iloc[0]}: {'; '.join(told)}{changes}."
