"""What follows from the rows: verdicts, break-even of a compilation, and where one overtakes.

Nothing is measured here. Where the data do not determine an answer, that is the answer.
"""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import pandas as pd
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES, NO_DIFFERENCE, ratio
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import tables
from samegrad.reports.data.tables import CASE, medians

BASE = "numpy"  # what verdicts are formed against: every user has it
UNDETERMINED = "not determined: the intervals overlap"
TOO_FEW = f"not determined: fewer than {LEAST_PROCESSES} processes"


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """Each implementation against NumPy as shipped, on the same source, case and device."""
    ok = tables.contested(rows[(rows.status == OK) & (rows.transfer == "resident")])
    base = {
        (r.source, r.device, *(getattr(r, key) for key in CASE)): r
        for r in ok[ok.implementation == BASE].itertuples()
    }
    records = []
    for row in ok[ok.implementation != BASE].itertuples():
        other = base.get((row.source, row.device, *(getattr(row, key) for key in CASE)))
        if other is None:
            continue
        found = ratio(medians(row), medians(other))
        records.append(
            {key: getattr(row, key) for key in ["source", *CASE, "implementation", "device"]}
            | {"ratio": found.value, "low": found.low, "high": found.high}
            | {"verdict": found.verdict}
        )
    return pd.DataFrame.from_records(records)


def slower(row: Any, best: Any) -> bool:
    """Whether it is slower than the fastest beyond doubt; without intervals, by more than 5 %."""
    found = ratio(medians(row), medians(best))
    return found.low > 1 if math.isfinite(found.low) else found.value > NO_DIFFERENCE


def break_even(rows: pd.DataFrame) -> pd.DataFrame:
    """After how many training steps a compilation has paid for itself, against each eager one.

    n steps take first + (n - 1) median; the compiled one is ahead after
    1 + (its first call - the other's) / (the other's median - its own), with the interval that
    the ratio of the medians has.
    """
    part = rows[(rows.status == OK) & (rows.operation == "train_step")]
    part = part[(part.transfer == "resident") & part.first_call_seconds.notna()]
    records = []
    for _, group in part.groupby(["source", "device", *CASE], sort=False):
        compiled = group[group.compile_seconds > 0]
        eager = group[~(group.compile_seconds > 0)]
        for one in compiled.itertuples():
            for other in eager.itertuples():
                extra = one.first_call_seconds - other.first_call_seconds
                steps, said = _steps(extra, one, other)
                names = ["source", "device", *CASE]
                records.append(
                    {key: getattr(one, key) for key in names}
                    | {"compiled": one.implementation, "against": other.implementation}
                    | {"extra_seconds": extra, "steps": steps, "says": said}
                )
    return pd.DataFrame.from_records(records)


def _steps(extra: float, one: Any, other: Any) -> tuple[float, str]:
    found = ratio(medians(other), medians(one))
    if extra <= 0:
        return 1.0, "from the first step"
    if math.isnan(found.low):
        return math.nan, TOO_FEW
    if found.high <= 1:
        return math.inf, f"never: {other.implementation} is faster in every step"
    if found.low <= 1:
        return math.nan, UNDETERMINED

    def after(times: float) -> float:
        return 1 + extra / (one.seconds * (times - 1))

    least, most = (tables.digits(after(t)) for t in (found.high, found.low))
    return after(found.value), f"after {least} to {most} steps"


def crossovers(rows: pd.DataFrame) -> pd.DataFrame:
    """From which batch size or width on one implementation or device overtakes another."""
    part = rows[(rows.status == OK) & (rows.operation == "train_step")]
    # A GPU is compared as it is used: the batch comes from the host's memory.
    part = part[(part.device == "cpu") | (part.transfer == "end_to_end")]
    records: list[dict[str, Any]] = []
    by_width = part[part.workload.str.fullmatch(r"width\d+")]
    by_width = by_width.assign(x=by_width.workload.str.removeprefix("width").astype(float))
    for against, data in (
        ("batch size", part.assign(x=part.batch_size * 1.0)),
        ("width", by_width),
    ):
        fixed = ["layers"] if against == "batch size" else ["batch_size"]
        for key, group in data.groupby(["dtype", "threads", *fixed], sort=False):
            if group.x.nunique() < 3:
                continue
            series = {
                name: one.drop_duplicates("x").set_index("x").sort_index()
                for name, one in group.groupby(["source", "implementation", "device"], sort=False)
            }
            for a, b in combinations(series, 2):
                shared = [x for x in series[a].index if x in series[b].index]
                if len(shared) < 3:
                    continue
                signs = [_sign(series[a].loc[x], series[b].loc[x]) for x in shared]
                names = _short(a, b)
                records.append(
                    {"against": against, "network": _network(against, key[2]), "dtype": key[0]}
                    | {"threads": key[1], "first": names[0], "second": names[1]}
                    | {"says": _overtakes(names, shared, signs)}
                )
    return pd.DataFrame.from_records(records)


def _sign(a: Any, b: Any) -> int | None:
    """-1 where a is faster beyond doubt, 1 where b is, 0 in doubt, None without intervals."""
    found = ratio(medians(a), medians(b))
    if math.isnan(found.low):
        return None
    return -1 if found.high < 1 else (1 if found.low > 1 else 0)


def _overtakes(names: Sequence[str], sizes: Sequence[float], signs: Sequence[int | None]) -> str:
    known = [(x, sign) for x, sign in zip(sizes, signs, strict=True) if sign]
    if None in signs:
        return TOO_FEW
    if not known:
        return UNDETERMINED
    changes = [(x, y, later) for (x, sign), (y, later) in pairwise(known) if sign != later]
    if not changes:
        name = names[0] if known[0][1] < 0 else names[1]
        whole = len(known) == len(sizes)
        doubt = "" if whole else f"; at {len(sizes) - len(known)} of {len(sizes)} sizes in doubt"
        return f"{name} is faster at every size from {sizes[0]:,.0f} to {sizes[-1]:,.0f}{doubt}"
    said = [
        f"{names[0] if later < 0 else names[1]} overtakes between {x:,.0f} and {y:,.0f}"
        for x, y, later in changes
    ]
    return ", then ".join(said)


def _short(a: Any, b: Any) -> tuple[str, str]:
    """Names of two series: the source only where it differs."""
    names = [f"{implementation} {device}" for _, implementation, device in (a, b)]
    if a[0] != b[0]:
        names = [f"{name} ({series[0]})" for name, series in zip(names, (a, b), strict=True)]
    return names[0], names[1]


def _network(against: str, fixed: Any) -> str:
    return str(fixed) if against == "batch size" else f"784-w-w-10, batch {fixed}"
