"""What several ranks gain: strong and weak scaling, and what they exchange.

Strong: the same batch on more ranks. Weak: on each rank as many examples as the one had. A rank has
as many cores in all rows of a run, so an efficiency of 1 is what twice the cores should give.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from samegrad.benchmarks.records.schema import OK

SAME = ["source", "workload", "layers", "operation", "dtype", "threads", "implementation", "device"]
SAME += ["transfer"]


def scaling(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of several ranks beside that of one.

    Columns: those of the case; seconds; strong, weak (efficiencies, None without a row to compare
    with); alone_seconds, exchange_seconds, communication_seconds (of the step, what is longer than
    a step of one rank's rows alone), overlap (share of the exchange that is hidden by computing).
    """
    several = rows[(rows.status == OK) & (rows.ranks > 1)] if "ranks" in rows else rows[:0]
    return pd.DataFrame([_beside_one(rows, row) for row in several.to_dict("records")])


def _beside_one(rows: pd.DataFrame, row: dict[str, Any]) -> dict[str, Any]:
    ranks, batch = row["ranks"], row["batch_size"]
    ones = rows[(rows.status == OK) & (rows.ranks == 1)]
    for name in SAME:
        ones = ones[ones[name] == row[name]]
    times = dict(zip(ones.batch_size, ones.seconds, strict=True))
    strong, weak = times.get(batch), None if batch % ranks else times.get(batch // ranks)
    alone, exchange, seconds = row["alone_seconds"], row["exchange_seconds"], row["seconds"]
    known = pd.notna(alone) and pd.notna(exchange)
    waits = max(0.0, seconds - alone) if known else None
    hidden = None if waits is None or not exchange else 1 - waits / exchange
    return {
        **{name: row[name] for name in [*SAME, "ranks", "batch_size", "seconds"]},
        "strong": strong and strong / (ranks * seconds),
        "weak": weak and weak / seconds,
        "alone_seconds": alone if pd.notna(alone) else None,
        "exchange_seconds": exchange if pd.notna(exchange) else None,
        "communication_seconds": waits,
        "overlap": None if hidden is None else min(1.0, max(0.0, hidden)),
    }


def sharing(rows: pd.DataFrame, cores: int, hosts: int = 1) -> Iterator[str]:
    """What must be said of ranks that have no device of their own, a sentence each.

    Args:
        cores: of each host.
    """
    on_cpu = rows[(rows.ranks > 1) & (rows.device == "cpu")] if "ranks" in rows else rows[:0]
    pairs = set(zip(on_cpu.ranks, on_cpu.threads, strict=True)) if len(on_cpu) else set()
    for ranks, threads in sorted(pairs):
        here = -(-ranks // hosts)
        each = int(threads) if str(threads).isdigit() else max(1, cores // here)
        if here * each > cores:
            yield (
                f"{here} ranks of {each} cores share {cores}: their times say what that costs, "
                "and nothing of as many devices."
            )
    if hosts > 1:
        yield (
            f"{hosts} hosts share the ranks out evenly, and rows of one rank are the first's: what "
            "others did meanwhile was watched on that one alone."
        )
    if len(on_cpu) and (on_cpu.ranks > hosts).any():
        yield "The ranks of a CPU share its memory and caches, as devices of their own do not."
