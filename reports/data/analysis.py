"""What follows from the rows: ratios between them, verdicts, break-even points and crossovers.

Nothing is measured here. Where the data do not determine an answer, that is the answer.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import pandas as pd

from samegrad.benchmarks.clock.intervals import (
    LEAST_PROCESSES,
    NO_DIFFERENCE,
    Ratio,
    paired,
    ratio,
)
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.registry import COMPARED_WITH, SPEED_UPS_OVER
from samegrad.reports.data.report import CASE, products, without_products
from samegrad.reports.data.values import digits, in_order

STEPS = ("train_step", "epoch")
NETWORK = ["source", "workload", "layers", "batch_size", "threads", "device"]
SQUARE = "square"  # a workload of large products: the best rate of a library
UNDETERMINED = "not determined: the intervals overlap"
TOO_FEW = f"not determined: fewer than {LEAST_PROCESSES} processes"


def key(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """The values of some columns of a row."""
    return tuple(getattr(row, name) for name in names)


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """Each implementation's time over NumPy's, on the same source, case and device."""
    ok = without_products(rows[(rows.status == OK) & (rows.transfer == "resident")])
    names = ["source", *CASE, "implementation", "device"]
    records = []
    for row, base in _with_base(ok, COMPARED_WITH, ["source", "device", *CASE]):
        times = ratio(row.process_medians, base.process_medians)
        records.append(
            dict(zip(names, key(row, names), strict=True))
            | {"ratio": times.value, "low": times.low, "high": times.high}
            | {"verdict": times.verdict}
        )
    return pd.DataFrame.from_records(records)


def over_looped(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster than looped Python: float64 on both sides, on one machine."""
    ok = without_products(rows[(rows.status == OK) & (rows.dtype == "float64")])
    names = ["source", *CASE, "implementation", "device", "transfer"]
    records = []
    for row, base in _with_base(ok, SPEED_UPS_OVER, ["source", *CASE]):
        times = ratio(base.process_medians, row.process_medians)
        records.append(
            dict(zip(names, key(row, names), strict=True))
            | {"speed_up": times.value, "low": times.low, "high": times.high}
        )
    return pd.DataFrame.from_records(records)


def _with_base(rows: pd.DataFrame, name: str, keys: list[str]) -> Iterator[tuple[Any, Any]]:
    """(row, row of the implementation `name` that equals it in `keys`) wherever both exist."""
    base = {key(row, keys): row for row in rows[rows.implementation == name].itertuples()}
    for row in rows[rows.implementation != name].itertuples():
        if key(row, keys) in base:
            yield row, base[key(row, keys)]


def gpu_over_cpu(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster a GPU is than a CPU with the same implementation.

    End to end: the batch comes from the host's memory and the loss goes back, against the CPU
    with its batch in memory. Rows name both machines, which may differ.
    """
    ok = rows[rows.status == OK]
    names = [*CASE, "implementation"]
    gpus = {
        (row.source, row.transfer, *key(row, names)): row
        for row in ok[ok.device != "cpu"].itertuples()
    }
    records = []
    for cpu in ok[ok.device == "cpu"].itertuples():
        for source in dict.fromkeys(source for source, *_ in gpus):
            by_transfer = {
                transfer: gpus.get((source, transfer, *key(cpu, names)))
                for transfer in ("end_to_end", "resident")
            }
            if not any(by_transfer.values()):
                continue
            record = dict(zip(names, key(cpu, names), strict=True))
            record |= {"cpu": cpu.source, "gpu": source}
            for transfer, gpu in by_transfer.items():
                record[f"{transfer}_speed_up"] = _ratio("times", cpu, gpu)["times"]
            records.append(record)
    return pd.DataFrame.from_records(records)


def pays_from(speed_ups: pd.DataFrame) -> int | None:
    """The batch size from which on a GPU is faster end to end, at every larger one, too."""
    ordered = speed_ups.sort_values("batch_size")
    faster = (ordered.end_to_end_speed_up > NO_DIFFERENCE).tolist()
    first = next((i for i in range(len(faster)) if all(faster[i:])), None)
    return None if first is None else int(ordered.batch_size.iloc[first])


def differentiation(rows: pd.DataFrame) -> pd.DataFrame:
    """The cost of a gradient in forward passes, by implementation and number of parameters.

    One line per implementation, device and network of the series `cost`, in float64; without
    a ratio where either of its two times is missing, with the reason.
    """
    part = rows[(rows.series == "cost") & (rows.transfer == "resident")]
    names = ["source", "dtype", "implementation", "device", "series_value", "layers"]
    pairs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in part.itertuples():
        pairs.setdefault(key(row, names), {})[row.operation] = row
    records = []
    for values, pair in pairs.items():
        forward, gradient = pair.get("forward"), pair.get("loss_and_grad")
        if forward is None or gradient is None:
            continue
        record = dict(zip(names, values, strict=True))
        record["parameters"] = int(record.pop("series_value"))
        reasons = [f"{r.status}: {r.reason}" for r in (gradient, forward) if r.status != OK]
        records.append(
            record
            | {"forward_seconds": forward.seconds, "gradient_seconds": gradient.seconds}
            | _ratio("ratio", *((None, None) if reasons else (gradient, forward)))
            | {"reason": reasons[0] if reasons else ""}
        )
    order = in_order(part.implementation)
    records.sort(key=lambda r: (order.index(r["implementation"]), r["device"], r["parameters"]))
    return pd.DataFrame.from_records(records)


def contests(rows: pd.DataFrame, families: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """One line per case and idiom: its best form, its matrix products, and each of its peers.

    Ratios are of rows of one run, machine, device, number of threads and arithmetic.

    Args:
        families: implementation -> (kind, idiom), as the journals say it.

    Returns:
        Columns NETWORK, operation, dtype, idiom, best, seconds; over_products and of_square (the
        share of the best rate of square products), both with _low and _high; peer, peer_seconds;
        over_best (the peer over the best form), over_floor (over the fastest products of the
        idiom's libraries) and over_idiom (over the idiom itself) with _low and _high; NaN where
        there is no such row.
    """
    ok = rows[(rows.status == OK) & (rows.transfer == "resident")]
    if ok.empty or not {kind for kind, _ in families.values()} & {"variant", "peer"}:
        return pd.DataFrame()
    ok = ok.assign(
        kind=ok.implementation.map(lambda name: families.get(name, ("", ""))[0]),
        idiom=ok.implementation.map(lambda name: families.get(name, ("", ""))[1]),
    )
    ok = ok[ok.kind.isin(["idiom", "variant", "peer"])]
    alike = [*NETWORK, "dtype"]
    alone = products(ok)
    floors = {(*key(row, alike), row.implementation): row for row in alone.itertuples()}
    squares = alone[alone.workload == SQUARE].sort_values("seconds")
    keys = [*NETWORK, "operation", "dtype", "idiom"]
    records = []
    for values, group in ok[ok.operation.isin(STEPS)].groupby(keys, sort=False):
        forms = group[group.kind != "peer"]
        if forms.empty:
            continue
        best: Any = next(forms.loc[[forms.seconds.idxmin()]].itertuples())
        own, least = None, None
        if best.operation != "epoch":
            of_forms = {n: floors.get((*key(best, alike), n)) for n in forms.implementation}
            own = of_forms[best.implementation]
            known = [row for row in of_forms.values() if row is not None]
            least = min(known, key=lambda row: row.seconds, default=None)
        record = dict(zip(keys, values, strict=True))
        record |= {"best": best.implementation, "seconds": best.seconds}
        record |= _ratio("over_products", best, own, paired)
        record |= _of_square(best, squares)
        idiom = next(group[group.implementation == record["idiom"]].itertuples(), None)
        records += [
            record
            | {"peer": peer.implementation if peer else ""}
            | {"peer_seconds": peer.seconds if peer else math.nan}
            | _ratio("over_best", peer, best)
            | _ratio("over_idiom", peer, idiom)
            | _ratio("over_floor", peer, least)
            for peer in list(group[group.kind == "peer"].itertuples()) or [None]
        ]
    table = pd.DataFrame.from_records(records)
    if table.empty:
        return table
    return table[table.over_products.notna() | table.over_best.notna()].reset_index(drop=True)


def _of_square(best: Any, squares: pd.DataFrame) -> dict[str, float]:
    """Its rate over that of the best square products of the same run and arithmetic."""
    alike = ["source", "threads", "device", "dtype"]
    same = squares[(squares[alike] == list(key(best, alike))).all(axis=1)]
    square: Any = next(same.itertuples(), None)
    if square is None:
        return _ratio("of_square", None, None)
    one_process = square.implementation == best.implementation
    work = best.flops / square.flops
    return _ratio("of_square", square, best, paired if one_process else ratio, work)


def _ratio(
    name: str,
    first: Any,
    second: Any,
    compute: Callable[[Sequence[float], Sequence[float]], Ratio] = ratio,
    work: float = 1.0,
) -> dict[str, float]:
    """The first time over the second, times `work`, with its interval; NaN without both."""
    if first is None or second is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    times = compute(first.process_medians, second.process_medians)
    values = (work * value for value in (times.value, times.low, times.high))
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def slower(row: Any, best: Any) -> bool:
    """Whether it is certainly slower than the fastest; without intervals, by more than 5 %."""
    times = ratio(row.process_medians, best.process_medians)
    return times.low > 1 if math.isfinite(times.low) else times.value > NO_DIFFERENCE


def break_even(rows: pd.DataFrame) -> pd.DataFrame:
    """After how many training steps a compilation has paid for itself, against each eager one.

    n steps take first + (n - 1) median; the compiled one is ahead after
    1 + (its first call - the other's) / (the other's median - its own), with the interval that
    the ratio of the medians has.
    """
    part = rows[(rows.status == OK) & (rows.operation == "train_step")]
    part = part[(part.transfer == "resident") & part.first_call_seconds.notna()]
    names = ["source", "device", *CASE]
    records = []
    for values, group in part.groupby(names, sort=False):
        compiled = group[group.compile_seconds > 0]
        eager = group[~(group.compile_seconds > 0)]
        for one in compiled.itertuples():
            for other in eager.itertuples():
                extra = one.first_call_seconds - other.first_call_seconds
                steps, answer = _steps(extra, one, other)
                records.append(
                    dict(zip(names, values, strict=True))
                    | {"compiled": one.implementation, "against": other.implementation}
                    | {"extra_seconds": extra, "steps": steps, "answer": answer}
                )
    return pd.DataFrame.from_records(records)


def _steps(extra: float, one: Any, other: Any) -> tuple[float, str]:
    times = ratio(other.process_medians, one.process_medians)
    if extra <= 0:
        return 1.0, "from the first step"
    if math.isnan(times.low):
        return math.nan, TOO_FEW
    if times.high <= 1:
        return math.inf, f"never: {other.implementation} is faster in every step"
    if times.low <= 1:
        return math.nan, UNDETERMINED

    def after(speed_up: float) -> float:
        return 1 + extra / (one.seconds * (speed_up - 1))

    least, most = (digits(after(speed_up)) for speed_up in (times.high, times.low))
    return after(times.value), f"after {least} to {most} steps"


def crossovers(rows: pd.DataFrame) -> pd.DataFrame:
    """From which batch size or width on one implementation or device overtakes another."""
    part = rows[(rows.status == OK) & (rows.operation == "train_step")]
    # A GPU is compared as it is used: the batch comes from the host's memory.
    part = part[(part.device == "cpu") | (part.transfer == "end_to_end")]
    width = part[part.series == "width"]
    records: list[dict[str, Any]] = []
    for against, points, fixed in (
        ("batch size", part.assign(x=part.batch_size.astype(float)), "layers"),
        ("width", width.assign(x=width.series_value), "batch_size"),
    ):
        for (dtype, threads, same), group in points.groupby(
            ["dtype", "threads", fixed], sort=False
        ):
            if group.x.nunique() < 3:
                continue
            curves = {
                name: one.drop_duplicates("x").set_index("x").sort_index()
                for name, one in group.groupby(["source", "implementation", "device"], sort=False)
            }
            for a, b in combinations(curves, 2):
                shared = [x for x in curves[a].index if x in curves[b].index]
                if len(shared) < 3:
                    continue
                signs = [_sign(curves[a].loc[x], curves[b].loc[x]) for x in shared]
                names = _short_names(a, b)
                network = same if against == "batch size" else f"784-w-w-10, batch {same}"
                records.append(
                    {"against": against, "network": network, "dtype": dtype, "threads": threads}
                    | {"first": names[0], "second": names[1]}
                    | {"answer": _overtakes(names, shared, signs)}
                )
    return pd.DataFrame.from_records(records)


def _sign(a: Any, b: Any) -> int | None:
    """-1 where a is certainly faster, 1 where b is, 0 in doubt, None without intervals."""
    times = ratio(a.process_medians, b.process_medians)
    if math.isnan(times.low):
        return None
    return -1 if times.high < 1 else (1 if times.low > 1 else 0)


def _overtakes(names: Sequence[str], sizes: Sequence[float], signs: Sequence[int | None]) -> str:
    known = [(x, sign) for x, sign in zip(sizes, signs, strict=True) if sign]
    if None in signs:
        return TOO_FEW
    if not known:
        return UNDETERMINED
    changes = [(x, y, later) for (x, sign), (y, later) in pairwise(known) if sign != later]
    if not changes:
        name = names[0] if known[0][1] < 0 else names[1]
        doubtful = len(sizes) - len(known)
        doubt = f"; at {doubtful} of {len(sizes)} sizes in doubt" if doubtful else ""
        return f"{name} is faster at every size from {sizes[0]:,.0f} to {sizes[-1]:,.0f}{doubt}"
    return ", then ".join(
        f"{names[0] if later < 0 else names[1]} overtakes between {x:,.0f} and {y:,.0f}"
        for x, y, later in changes
    )


def _short_names(a: Any, b: Any) -> tuple[str, str]:
    """Names of two curves: the source only where it differs."""
    names = [f"{implementation} {device}" for _, implementation, device in (a, b)]
    if a[0] != b[0]:
        names = [f"{name} ({curve[0]})" for name, curve in zip(names, (a, b), strict=True)]
    return names[0], names[1]
