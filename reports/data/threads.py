"""The best number of threads for each case, where several were measured."""

from collections.abc import Sequence

import pandas as pd

from samegrad.benchmarks.clock.intervals import SLOWER, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data.report import CASE, comparable
from samegrad.reports.data.values import folded, in_order

LEAST_SIZES = 3  # batch sizes of a network of which a sentence tells
ALIKE = ["source", "device", "implementation", *(name for name in CASE if name != "threads")]


def best(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per case and implementation that was measured with several numbers of threads.

    Returns:
        Columns ALIKE, flops, best (the fastest number of threads), seconds, next (the second),
        times (how many times as long that takes) and certain: whether all others are certainly
        slower.
    """
    ok = rows[(rows.status == OK) & (rows.device == "cpu")]
    records = []
    for values, group in ok.groupby(ALIKE, sort=False):
        ordered = list(
            group.drop_duplicates("threads", keep="last").sort_values("seconds").itertuples()
        )
        if len(ordered) < 2:
            continue
        first, *others = ordered
        ratios = [ratio(other.process_medians, first.process_medians) for other in others]
        records.append(
            dict(zip(ALIKE, values, strict=True))
            | {"flops": first.flops, "best": first.threads, "seconds": first.seconds}
            | {"next": others[0].threads, "times": ratios[0].value}
            | {"certain": all(one.verdict == SLOWER for one in ratios)}
        )
    return pd.DataFrame.from_records(records)


def sentence(table: pd.DataFrame) -> str:
    """From which batch size on all threads are faster, and up to which slower, of one network.

    That with most batch sizes; by training steps; "" where no network has enough of them.
    """
    if table.empty:
        return ""
    steps = comparable(table[table.operation == "train_step"])
    sizes = steps.groupby("layers").batch_size.nunique()
    if sizes.empty or sizes.max() < LEAST_SIZES:
        return ""
    layers = sizes.idxmax()
    own = steps[steps.layers == layers]
    said = [
        f"{name} {_wins(own[own.implementation == name])}" for name in in_order(own.implementation)
    ]
    return f"{folded(layers)}, all threads against fewer: {'; '.join(said)}."


def _wins(own: pd.DataFrame) -> str:
    """What all threads do at the batch sizes of one implementation."""
    certain = own[own.certain]
    wins = sorted(certain[certain.best == "all"].batch_size)
    loses = sorted(certain[certain.best != "all"].batch_size)
    if wins and loses and max(loses) > min(wins):  # the sizes are not in two parts
        return f"slower at batch {_sizes(loses)}, faster at {_sizes(wins)}"
    parts = [f"slower up to batch {max(loses):,}"] if loses else []
    parts += [f"faster from batch {min(wins):,} on"] if wins else []
    return ", ".join(parts) or "no certain difference"


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)
