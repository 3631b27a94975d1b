"""What follows from the rows: ratios between them, verdicts, break-even points and crossovers.

Nothing is measured here. Where the data do not determine an answer, that is the answer.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from samegrad.benchmarks.clock.intervals import (
    LEAST_PROCESSES,
    NO_DIFFERENCE,
    SLOWER,
    Ratio,
    paired,
    ratio,
)
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.registry import COMPARED_WITH, SPEED_UPS_OVER
from samegrad.reports.data.report import CASE, pivoted, products, without_products
from samegrad.reports.data.values import KINDS, digits, in_order

STEPS = ("train_step", "epoch")
NETWORK = ["source", "workload", "layers", "batch_size", "threads", "device"]
SQUARE = "square"  # a workload of large products: the best rate of a library
UNDETERMINED = "not determined: the intervals overlap"
TOO_FEW = f"not determined: fewer than {LEAST_PROCESSES} processes"
PARITY = 1e-8  # by how much losses in float64 may differ in the first steps


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """Each implementation's time over NumPy's, on the same source, case and device."""
    ok = without_products(rows[(rows.status == OK) & (rows.transfer == "resident")])
    pairs = _beside(ok, COMPARED_WITH, ["source", "device", *CASE])
    times = list(map(ratio, pairs.process_medians, pairs.process_medians_other))
    table = with_ratios(pairs[["source", *CASE, "implementation", "device"]], "ratio", times)
    return table.assign(verdict=[one.verdict for one in times])


def over_looped(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster than looped Python: float64 on both sides, on one machine."""
    ok = without_products(rows[(rows.status == OK) & (rows.dtype == "float64")])
    pairs = _beside(ok, SPEED_UPS_OVER, ["source", *CASE])
    times = map(ratio, pairs.process_medians_other, pairs.process_medians)
    names = ["source", *CASE, "implementation", "device", "transfer"]
    return with_ratios(pairs[names], "speed_up", times)


def _beside(rows: pd.DataFrame, name: str, alike: list[str]) -> pd.DataFrame:
    """The rows with that of one implementation which is alike; its columns end in `_other`."""
    other = rows[rows.implementation == name].drop_duplicates(alike, keep="last")
    return paired_rows(rows[rows.implementation != name], other, alike)


def paired_rows(rows: pd.DataFrame, others: pd.DataFrame, alike: list[str]) -> pd.DataFrame:
    """All pairs that are alike in some columns; those of the others end in `_other`."""
    return rows.merge(others, on=alike, suffixes=("", "_other"))


def with_ratios(table: pd.DataFrame, name: str, times: Iterable[Ratio]) -> pd.DataFrame:
    """The table with further columns: the ratios, and the ends of their intervals."""
    values = [(one.value, one.low, one.high) for one in times]
    names = [name, f"{name}_low", f"{name}_high"]
    return table.join(pd.DataFrame(values, table.index, names, dtype=float))


def single_differs(rows: Iterable[Any]) -> bool:
    """Whether who is the fastest in a row is not where each call is waited for (p50).

    Args:
        rows: of a frame, as its `itertuples` gives them.
    """
    known = [row for row in rows if not math.isnan(row.p50_seconds)]
    if not known:
        return False
    ahead = min(known, key=lambda row: row.seconds).p50_seconds
    return bool(ahead > NO_DIFFERENCE * min(row.p50_seconds for row in known))


def gpu_over_cpu(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster a GPU is than a CPU with the same implementation.

    End to end: the batch comes from the host's memory and the loss goes back, against the CPU
    with its batch in memory. Rows name both machines, which may differ.
    """
    ok = rows[rows.status == OK]
    names = [*CASE, "implementation"]
    pairs = paired_rows(ok[ok.device == "cpu"], ok[ok.device != "cpu"], names)
    if pairs.empty:
        return pd.DataFrame()
    pairs = with_ratios(
        pairs, "times", map(ratio, pairs.process_medians, pairs.process_medians_other)
    ).rename(columns={"source": "cpu", "source_other": "gpu"})
    table = pivoted(pairs, [*names, "cpu", "gpu"], "transfer_other", "times")
    return table.reindex(columns=["end_to_end", "resident"]).add_suffix("_speed_up").reset_index()


def pays_from(speed_ups: pd.DataFrame) -> int | None:
    """The batch size from which on a GPU is faster end to end, at every larger one, too."""
    ordered = speed_ups.sort_values("batch_size")
    faster = (ordered.end_to_end_speed_up > NO_DIFFERENCE).tolist()
    first = next((i for i in range(len(faster)) if all(faster[i:])), None)
    return None if first is None else int(ordered.batch_size.iloc[first])


def thread_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times faster with all cores than with fewer (`regime`); whether that is certain."""
    names = ["source", "device", "implementation", *(name for name in CASE if name != "threads")]
    pairs = paired_rows(rows[rows.threads == "all"], rows[rows.threads != "all"], names)
    times = list(map(ratio, pairs.process_medians_other, pairs.process_medians))
    return pairs.assign(
        regime=pairs.threads_other,
        times=[one.value for one in times],
        certain=[one.verdict == SLOWER for one in times],
    )


def differentiation(rows: pd.DataFrame) -> pd.DataFrame:
    """The cost of a gradient in forward passes, by implementation and number of parameters.

    One line per implementation, device and network of the series `cost`, in float64; without
    a ratio where either of its two times is missing, with the reason.
    """
    part = rows[(rows.series == "cost") & (rows.transfer == "resident")]
    gradients, forward = (part[part.operation == name] for name in ("loss_and_grad", "forward"))
    names = ["source", "dtype", "implementation", "device", "series_value", "layers"]
    pairs = paired_rows(gradients, forward, names)
    reasons = (pairs.status + ": " + pairs.reason).where(
        pairs.status != OK,
        (pairs.status_other + ": " + pairs.reason_other).where(pairs.status_other != OK, ""),
    )
    times = [
        Ratio(math.nan) if reason else ratio(gradient, forward)
        for reason, gradient, forward in zip(
            reasons, pairs.process_medians, pairs.process_medians_other, strict=True
        )
    ]
    order = in_order(part.implementation)
    table = with_ratios(pairs[names], "ratio", times).assign(
        parameters=pairs.series_value.astype(int),
        forward_seconds=pairs.seconds_other,
        gradient_seconds=pairs.seconds,
        reason=reasons,
        place=pairs.implementation.map(order.index),
    )
    return table.sort_values(["place", "device", "parameters"], kind="stable", ignore_index=True)


def contests(rows: pd.DataFrame, families: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """One line per case and idiom: its best form, its matrix products, and each of its peers.

    Ratios are of rows of one run, machine, device, number of threads and arithmetic.

    Args:
        families: implementation -> (kind, idiom), as the journals say it.

    Returns:
        Columns NETWORK, operation, dtype, idiom, best, seconds, limit_seconds; over_products and
        of_square (the share of the best rate of square products), both with _low and _high; peer,
        peer_seconds;
        over_best (the peer over the best form), over_floor (over the fastest products of the
        idiom's libraries) and over_idiom (over the idiom itself) with _low and _high; NaN where
        there is no such row.
    """
    ok = rows[(rows.status == OK) & (rows.transfer == "resident")]
    if ok.empty or not {kind for kind, _ in families.values()} & {"variant", "peer"}:
        return pd.DataFrame()
    ok = ok[ok.implementation.map(lambda name: families.get(name, ("",))[0] in KINDS)]
    ok = ok.assign(
        kind=[families[name][0] for name in ok.implementation],
        idiom=[families[name][1] for name in ok.implementation],
    )
    alike = [*NETWORK, "dtype"]
    alone = products(ok)
    floors = {(*_key(row, alike), row.implementation): row for row in alone.itertuples()}
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
            of_forms = {n: floors.get((*_key(best, alike), n)) for n in forms.implementation}
            own = of_forms[best.implementation]
            known = [row for row in of_forms.values() if row is not None]
            least = min(known, key=lambda row: row.seconds, default=None)
        record = dict(zip(keys, values, strict=True))
        record |= {"best": best.implementation, "seconds": best.seconds}
        record |= {"limit_seconds": best.limit_seconds}
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


def _key(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in names)


def _of_square(best: Any, squares: pd.DataFrame) -> dict[str, float]:
    """Its rate over that of the best square products of the same run and arithmetic."""
    alike = ["source", "threads", "device", "dtype"]
    same = squares[(squares[alike] == list(_key(best, alike))).all(axis=1)]
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
    """Whether it is certainly slower than the fastest; never without intervals."""
    return ratio(row.process_medians, best.process_medians).verdict == SLOWER


def break_even(rows: pd.DataFrame) -> pd.DataFrame:
    """After how many training steps a compilation has paid for itself, against each eager one.

    n steps take first + (n - 1) median; the compiled one is ahead after
    1 + (its first call - the other's) / (the other's median - its own), with the interval that
    the ratio of the medians has.
    """
    part = rows[(rows.status == OK) & (rows.operation == "train_step")]
    part = part[(part.transfer == "resident") & part.first_call_seconds.notna()]
    names = ["source", "device", *CASE]
    part = part.assign(case=part.groupby(names, sort=False).ngroup())
    compiled = part.compile_seconds > 0
    pairs = paired_rows(part[compiled], part[~compiled], [*names, "case"])
    pairs = pairs.sort_values("case", kind="stable", ignore_index=True)
    extra = pairs.first_call_seconds - pairs.first_call_seconds_other
    answers = list(map(_steps, extra, pairs.itertuples()))
    return pairs[names].assign(
        compiled=pairs.implementation,
        against=pairs.implementation_other,
        extra_seconds=extra,
        steps=[steps for steps, _ in answers],
        answer=[answer for _, answer in answers],
    )


def _steps(extra: float, pair: Any) -> tuple[float, str]:
    times = ratio(pair.process_medians_other, pair.process_medians)
    if extra <= 0:
        return 1.0, "from the first step"
    if math.isnan(times.low):
        return math.nan, TOO_FEW
    if times.high <= 1:
        return math.inf, f"never: {pair.implementation_other} is faster in every step"
    if times.low <= 1:
        return math.nan, UNDETERMINED

    def after(speed_up: float) -> float:
        return 1 + extra / (pair.seconds * (speed_up - 1))

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
        doubtful = [f"{x:,.0f}" for x, sign in zip(sizes, signs, strict=True) if not sign]
        if doubtful:
            certain = ", ".join(f"{x:,.0f}" for x, _ in known)
            return f"{name} is faster at {certain}; in doubt at {', '.join(doubtful)}"
        return f"{name} is faster at every size from {sizes[0]:,.0f} to {sizes[-1]:,.0f}"
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


def loss_differences(journals: Iterable[Journal]) -> pd.DataFrame:
    """How far the implementations' losses in float64 are apart, in each of the first steps.

    Returns:
        Columns task, optimizer, implementations, differences; the latter an array with a number
        per step, relative to losses above 1. One line per task and update rule that more than one
        implementation has.
    """
    curves: dict[tuple[str, str], dict[str, list[float]]] = {}
    for journal in journals:
        for record in journal.parity:
            of_rule = curves.setdefault((record["task"], record["optimizer"]), {})
            of_rule[record["implementation"]] = record["losses"]
    records = []
    for (task, optimizer), by_name in curves.items():
        if len(by_name) > 1:
            steps = min(map(len, by_name.values()))
            losses = np.array([losses[:steps] for losses in by_name.values()])
            highest = losses.max(axis=0)
            records.append(
                {"task": task, "optimizer": optimizer, "implementations": list(by_name)}
                | {"differences": (highest - losses.min(axis=0)) / np.maximum(1.0, highest)}
            )
    return pd.DataFrame.from_records(records)
