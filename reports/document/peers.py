"""Each idiom at its best: against its own matrix products, and against what people use instead.

Ratios are of rows of one run, machine, device, number of threads and arithmetic. Which
implementation is a variant or a peer of which idiom is what the journal says.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from samegrad.benchmarks.clock.intervals import paired, ratio
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts import style
from samegrad.reports.data import tables
from samegrad.reports.document import listing

STEPS = ("train_step", "epoch")
CASE = ["source", "workload", "layers", "batch_size", "threads", "device"]
TEXT = (
    "Each idiom in its fastest form, its variants included. Over its products: its time over that "
    "of the step's matrix products alone, by the same library in the same processes, into arrays "
    "that are there already; no way of writing the step over that library can go below. Of the "
    "best product: its rate of arithmetic over that of large square products by the library that "
    "is best at them, in the same run; where that is its own library, in the same processes. Peer "
    "over best: the time of what people would use instead over that of the idiom's best; over its "
    "products, which is the most that any way of writing the idiom could gain; and over the idiom "
    "as it is written first, without its variants."
)


def families(journals: Sequence[Journal]) -> dict[str, tuple[str, str]]:
    """Implementation -> (its kind, its idiom), as far as the journals say it."""
    found = {}
    for journal in journals:
        for record in journal.implementations:
            if record.get("kind"):
                name = record["name"]
                base = name if record["kind"] == "idiom" else record.get("base", name)
                found[name] = (str(record["kind"]), str(base))
    return found


def contests(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """One line per case and idiom: its best form, its floor, and each of its peers.

    Columns: CASE, operation, dtype, idiom, best, seconds; over_products and of_square (the share of
    the best rate of square products), both with low and high; peer,
    peer_seconds; over_best (the peer over the best form), over_floor (over the fastest products of
    the idiom's libraries) and over_idiom (over the idiom as it is written first) with low and high;
    NaN where there is no such row.
    """
    known = families(journals)
    kinds = {kind for kind, _ in known.values()}
    ok = rows[(rows.status == OK) & (rows.transfer == "resident")]
    if ok.empty or not kinds & {"variant", "peer"}:
        return pd.DataFrame()
    ok = ok.assign(
        kind=ok.implementation.map(lambda name: known.get(name, ("", ""))[0]),
        idiom=ok.implementation.map(lambda name: known.get(name, ("", ""))[1]),
    )
    ok = ok[ok.kind.isin(["idiom", "variant", "peer"])]
    floors = {
        (*(getattr(row, key) for key in CASE), row.dtype, row.implementation): row
        for row in ok[ok.operation == tables.PRODUCTS].itertuples()
    }
    squares = ok[(ok.operation == tables.PRODUCTS) & (ok.workload == tables.SQUARE)]
    squares = squares.sort_values("seconds")
    records = []
    for key, group in ok[ok.operation.isin(STEPS)].groupby(
        [*CASE, "operation", "dtype", "idiom"], sort=False
    ):
        ours = group[group.kind != "peer"]
        if ours.empty:
            continue
        best: Any = next(ours.loc[[ours.seconds.idxmin()]].itertuples())
        record = dict(zip([*CASE, "operation", "dtype", "idiom"], key, strict=True))
        record |= {"best": best.implementation, "seconds": best.seconds}
        least: Any = None
        floor: Any = None
        if best.operation != "epoch":
            here = (*(getattr(best, name) for name in CASE), best.dtype)
            own = {name: floors.get((*here, name)) for name in ours.implementation}
            floor = own[best.implementation]
            known_floors = [row for row in own.values() if row is not None]
            least = min(known_floors, key=lambda row: row.seconds, default=None)
        record |= _ratio("over_products", best, floor, paired)
        alike = ["source", "threads", "device", "dtype"]
        there = squares[(squares[alike] == [getattr(best, name) for name in alike]).all(axis=1)]
        square: Any = next(there.itertuples(), None)
        same = square is not None and square.implementation == best.implementation
        work = 1.0 if square is None else best.flops / square.flops
        record |= _ratio("of_square", square, best, paired if same else ratio, work)
        itself = next(group[group.implementation == record["idiom"]].itertuples(), None)
        peers = list(group[group.kind == "peer"].itertuples())
        for peer in peers or [None]:
            said = {"peer": peer.implementation if peer else ""}
            said["peer_seconds"] = peer.seconds if peer else math.nan
            over = _ratio("over_best", peer, best) | _ratio("over_idiom", peer, itself)
            records.append({**record, **said, **over, **_ratio("over_floor", peer, least)})
    found = pd.DataFrame.from_records(records)
    if found.empty:
        return found
    return found[found.over_products.notna() | found.over_best.notna()].reset_index(drop=True)


def _ratio(
    name: str, first: Any, second: Any, how: Any = ratio, work: float = 1.0
) -> dict[str, float]:
    """The first time over the second, times `work`."""
    if first is None or second is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    found = how(tables.medians(first), tables.medians(second))
    return {
        name: work * found.value,
        f"{name}_low": work * found.low,
        f"{name}_high": work * found.high,
    }


def table(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """The same, ready to be shown."""
    found = contests(rows, journals)
    if found.empty:
        return found
    shown = found[[*CASE, "operation", "dtype", "best"]].assign(
        time=found.seconds.map(tables.duration),
        over_products=[_shown(row, "over_products") for row in found.itertuples()],
        of_square=[_shown(row, "of_square", 100, " %") for row in found.itertuples()],
        peer=found.peer,
        peer_time=found.peer_seconds.map(tables.duration),
        over_best=[_shown(row, "over_best") for row in found.itertuples()],
        over_floor=[_shown(row, "over_floor") for row in found.itertuples()],
        over_idiom=[tables.digits(value) for value in found.over_idiom],
    )
    drop = [name for name in ("source", "device") if shown[name].nunique() == 1]
    names = {
        "batch_size": "batch",
        "best": "best of the idiom",
        "over_products": "over its products",
        "of_square": "of the best product",
        "peer_time": "peer's time",
        "over_best": "peer over best",
        "over_floor": "over its products alone",
        "over_idiom": "over the idiom itself",
    }
    return tables.narrow(shown.drop(columns=[*drop, "workload"])).rename(columns=names)


def _shown(row: Any, name: str, unit: float = 1, sign: str = "") -> str:
    value, low, high = (unit * getattr(row, name + end) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return ""
    if not math.isfinite(low):
        return tables.digits(value) + sign
    return f"{tables.digits(value)}{sign} ({tables.digits(low)} to {tables.digits(high)})"


def variants(rows: pd.DataFrame, journals: Sequence[Journal]) -> pd.DataFrame:
    """What each variant gains over its idiom, and what it costs in lines."""
    known, sources = families(journals), listing.sources(journals)
    steps = rows[(rows.status == OK) & (rows.operation == "train_step")]
    steps = steps[(steps.transfer == "resident") & (steps.threads == "all")]
    records = []
    for name, (kind, base) in known.items():
        if kind != "variant" or name not in sources or base not in sources:
            continue
        keys = ["source", "workload", "layers", "batch_size", "dtype"]
        mine, theirs = (
            steps[steps.implementation == who].drop_duplicates(keys).set_index(keys).seconds
            for who in (name, base)
        )
        times = (theirs / mine).dropna()
        lines = {who: sum(map(listing.count, sources[who].values())) for who in (name, base)}
        network = {who: listing.count(listing.network(who, sources[who])) for who in (name, base)}
        records.append(
            {
                "variant": name,
                "of": base,
                "lines of the network": f"{network[name]} ({network[base]})",
                "all its files": f"{lines[name]} ({lines[base]})",
                "times as fast": _range(times),
            }
        )
    return pd.DataFrame.from_records(records)


def _range(times: pd.Series) -> str:
    if times.empty:
        return ""
    low, high = tables.digits(times.min()), tables.digits(times.max())
    return low if low == high else f"{low} to {high}"


def figure(rows: pd.DataFrame, journals: Sequence[Journal]) -> tuple[Figure, str] | None:
    """A panel per network: every implementation's step in units of the fastest products."""
    known = families(journals)
    if contests(rows, journals).empty:
        return None
    part = rows[(rows.status == OK) & (rows.transfer == "resident") & (rows.dtype == "float32")]
    part = part[(part.threads == "all") & (part.device == "cpu")]
    floors = part[part.operation == tables.PRODUCTS].groupby(["source", "layers", "batch_size"])
    fastest = floors.seconds.min()
    steps = part[(part.operation == "train_step") & part.implementation.isin(list(known))]
    cases = [key for key in fastest.index if len(_of(steps, key)) > 1]
    if not cases:
        return None
    cases.sort(key=lambda key: math.prod(map(int, key[1].split("-")[:2])) * key[2])
    names = tables.by_idiom(steps.implementation)
    drawn, all_axes = plt.subplots(
        1, len(cases), figsize=(2.2 + 2.1 * len(cases), 1.2 + 0.32 * len(names)), sharey=True,
        squeeze=False,
    )  # fmt: skip
    marks = {"idiom": "o", "variant": "s", "peer": "^"}
    palette = style.colours(rows)
    for axes, key in zip(all_axes[0], cases, strict=True):
        one = _of(steps, key)
        for row in one.itertuples():
            axes.plot(
                [row.seconds / fastest[key]],
                [names.index(row.implementation)],
                marks[known[row.implementation][0]],
                color=palette[row.implementation],
                markersize=7,
            )
        mine = part[(part.operation == tables.PRODUCTS) & part.implementation.isin(names)]
        for row in _of(mine, key).itertuples():
            axes.plot(
                [row.seconds / fastest[key]], [names.index(row.implementation)], "|",
                color=palette[row.implementation], markersize=11, markeredgewidth=1.6,
            )  # fmt: skip
        axes.axvline(1, color="black", linewidth=0.9)
        _scale(axes)
        axes.set_title(f"{key[1]}\nbatch {key[2]:,}", fontsize=9)
    all_axes[0, 0].set_yticks(range(len(names)), [style.text(name) for name in names])
    all_axes[0, 0].invert_yaxis()
    what = "times the fastest library's matrix products of the step (log scale)"
    drawn.supxlabel(what, fontsize=10)
    drawn.suptitle("Each idiom, its variants and its peers", x=0.01, ha="left", fontsize=11)
    drawn.tight_layout()
    return drawn, (
        "One training step, float32, on the CPU with all cores. Circle: an idiom, square: a "
        "variant of it, triangle: what people use instead. Stroke: the matrix products of the "
        "step alone, by that implementation's own library. Black line: the fastest of these."
    )


def _scale(axes: Any) -> None:
    """Few ticks, as plain numbers; a panel that spans little has finer ones."""
    axes.set_xscale("log")
    high = max(axes.get_xlim()[1], 3.2)
    axes.set_xlim(0.85, high)
    ticks = [1, 1.5, 2, 3, 5, 8] if high < 12 else [1, 3, 10, 30, 100, 300, 1000]
    ticks = [tick for tick in ticks if tick < high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.minorticks_off()


def _of(part: pd.DataFrame, key: Any) -> pd.DataFrame:
    source, layers, batch_size = key
    return part[(part.source == source) & (part.layers == layers) & (part.batch_size == batch_size)]
