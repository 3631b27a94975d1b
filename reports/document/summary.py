"""What a report says first: sentences, computed from the rows."""

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
from samegrad.benchmarks.clock.intervals import NO_DIFFERENCE
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.data import analysis, tables
from samegrad.reports.data.tables import digits, duration
from samegrad.reports.document import learning

LEAST_SIZES = 3  # batch sizes that make a series
MOST_SHARES = 4  # of the best product's rate, that a sentence has room for; NumPy's is always there


def sentences(rows: pd.DataFrame, journals: Sequence[Journal]) -> list[str]:
    """One line per answer; none where nothing was measured that gives one."""
    said: list[str] = []
    if not len(rows):
        return said
    many = rows.source.nunique() > 1
    steps = tables.comparable(rows[(rows.status == OK) & (rows.operation == "train_step")])
    for source, part in steps.groupby("source", sort=False):
        where = f"{source}: " if many else ""
        said += [where + line for line in (fastest(part), reaches(part)) if line]
    said += [*gpu(rows), *looped(rows), *compilation(rows), *differentiation(rows)]
    return [*said, *learned(journals), *spread(rows)]


def fastest(steps: pd.DataFrame) -> str:
    """Which implementation is the fastest, by batch size, for the network with most of them."""
    used = steps[(steps.device == "cpu") | (steps.transfer == "end_to_end")]
    used = used[used.threads == "all"]
    counts = used.groupby("layers").batch_size.nunique()
    if counts.empty or counts.max() < LEAST_SIZES:
        return ""
    layers = counts.idxmax()
    used = used[used.layers == layers]
    found = [(size, contenders(part)) for size, part in used.groupby("batch_size")]
    parts = []
    for names, group in groupby(found, key=lambda pair: pair[1]):
        sizes = [size for size, _ in group]
        size = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
        parts.append(f"{_or(names)} (batch {size})")
    doubt = any(len(names) > 1 for _, names in found)
    return f"The fastest training step of {layers}: {', '.join(parts)}." + (
        ' "Or": their times cannot be told apart.' if doubt else ""
    )


def contenders(part: pd.DataFrame) -> tuple[str, ...]:
    """The fastest, and those of which it is not certain that they are slower."""
    order = part.sort_values("seconds")
    best = next(order.itertuples())
    names = [
        row.implementation + ("" if row.device == "cpu" else " on the GPU")
        for row in order.itertuples()
        if not analysis.slower(row, best)
    ]
    return tuple(tables.by_idiom(names))


def _or(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + f" or {names[-1]}"


def reaches(steps: pd.DataFrame) -> str:
    """How near NumPy, or the first there is, comes to what its machine can do, and why."""
    part = steps[steps.ceiling_gflops_per_second.notna() & (steps.transfer == "resident")]
    part = part[part.threads == "all"]
    if part.empty:
        return ""
    part = part.assign(share=part.gflops_per_second / part.ceiling_gflops_per_second)
    counts = part.implementation.value_counts()
    part = part[part.implementation.map(counts) > 1]
    part = part[part.implementation != "scalar"]
    highest = part.groupby("implementation").share.max().nlargest(MOST_SHARES).index
    said = []
    for name in tables.by_idiom(part.implementation):
        mine = part[part.implementation == name]
        if name not in (*highest, analysis.BASE):
            continue
        best, least = mine.loc[mine.share.idxmax()], mine.loc[mine.share.idxmin()]
        said.append(f"{name} {_percent(best.share)} ({_case(best)}; {_why(best)})")
        if name == analysis.BASE:
            said[-1] += f" and {_percent(least.share)} ({_case(least)}; {_why(least)})"
    some = ", the highest" if len(said) < part.implementation.nunique() else ""
    return f"Share of the machine's best matrix product{some}: {', '.join(said)}." if said else ""


def _case(row: Any) -> str:
    return f"{tables.folded(row.layers)}, batch {row.batch_size}"


def _why(row: Any) -> str:
    """What most of its time goes to."""
    shares = tables.shares(row)
    if not shares:
        return "its parts were not measured"
    name = max(shares, key=lambda part: shares[part])
    return f"{_percent(shares[name])} of the time is {name}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def gpu(rows: pd.DataFrame) -> Iterable[str]:
    """From which batch size on a GPU pays, end to end."""
    found = tables.gpu_over_cpu(rows)
    if found.empty:
        return
    found = found[(found.operation == "train_step") & found.end_to_end_speed_up.notna()]
    for (cpu, gpu, layers), part in found.groupby(["cpu", "gpu", "layers"], sort=False):
        if part.batch_size.nunique() < LEAST_SIZES:
            continue
        said = []
        for name in tables.by_idiom(part.implementation):
            mine = part[part.implementation == name].sort_values("batch_size")
            pays = [r.end_to_end_speed_up > NO_DIFFERENCE for r in mine.itertuples()]
            first = next((i for i in range(len(pays)) if all(pays[i:])), None)
            if first is None:
                said.append(f"{name}: not up to batch {mine.batch_size.max():,}")
                continue
            most = mine.end_to_end_speed_up.max()
            size = mine.batch_size.iloc[first]
            said.append(f"{name}: from batch {size:,}, up to {digits(most)} times")
        where = "" if cpu == gpu else f" ({gpu} against the CPU of {cpu})"
        yield (
            f"A GPU pays for {layers}, the batch's way to it included{where}: {'; '.join(said)}."
        )


def looped(rows: pd.DataFrame) -> Iterable[str]:
    """What vectorisation brings over looped Python."""
    found = tables.over_scalar(rows)
    if found.empty:
        return
    found = found[(found.operation == "train_step") & (found.device == "cpu")]
    said = []
    for name in tables.by_idiom(found.implementation):
        times = found[found.implementation == name].speed_up
        said.append(f"{name} {_range(times)}")
    if said:
        yield f"Times faster than looped Python (training step, float64): {', '.join(said)}."


def _range(values: Iterable[float]) -> str:
    low, high = min(values), max(values)
    return digits(low) if low == high else f"{digits(low)} to {digits(high)}"


def compilation(rows: pd.DataFrame) -> Iterable[str]:
    """When a compilation has paid for itself."""
    found = analysis.break_even(rows)
    if found.empty:
        return
    for name, part in found.groupby("compiled", sort=False):
        against = part[part.against == analysis.BASE]
        if against.empty:
            continue
        pays = against[against.steps.map(math.isfinite)]
        never = int((against.steps == math.inf).sum())
        said = f"after {_range(pays.steps)} steps in {len(pays)} cases" if len(pays) else ""
        parts = [said] if said else []
        parts += [f"never in {never}"] if never else []
        doubt = len(against) - len(pays) - never
        parts += [f"not determined in {doubt}"] if doubt else []
        yield f"{name}'s compilation has paid for itself against NumPy: {', '.join(parts)}."


def differentiation(rows: pd.DataFrame) -> Iterable[str]:
    """What a gradient costs in forward passes."""
    found = tables.differentiation(rows)
    if found.empty:
        return
    found = found[found.ratio.notna()]
    largest = found.loc[found.groupby("implementation").parameters.idxmax()]
    if len(largest):
        said = [
            f"{r.implementation} {digits(r.ratio)} ({r.parameters:,} parameters)"
            for r in largest.sort_values("ratio").itertuples()
        ]
        yield f"Forward passes that one gradient costs: {', '.join(said)}."


def learned(journals: Sequence[Journal]) -> Iterable[str]:
    """What the networks of the headline tasks have learned, and the time it took."""
    found = learning.trained(journals)
    tasks = dict.fromkeys(row.case.workload.name for _, row in found)
    main = [task for task in tasks if task.startswith(learning.HEADLINE)] or list(tasks)[:3]
    for task in main:
        of_task = [row for _, row in found if row.case.workload.name == task]
        metric = of_task[0].training[0]["metric"]
        tests = [statistics.median(s["test"] for s in row.training) for row in of_task]
        names = {"accuracy": "test accuracy", "r2": "test R²", "rmse": "test error (RMSE)"}
        values = list(dict.fromkeys(learning.shown(metric, v) for v in sorted(tests)))
        said = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
        line = f"{task}: {names.get(metric, metric)} {said} (medians over seeds)"
        target = of_task[0].training[0].get("target")
        reached = {
            f"{row.case.implementation} {row.case.device}": statistics.median(
                s["to_target_ns"] for s in row.training
            )
            for row in of_task
            if all(s.get("to_target_ns") for s in row.training)
        }
        if target is not None and reached:
            order = sorted(reached, key=lambda name: reached[name])
            times = ", ".join(f"{name} {duration(reached[name] / 1e9)}" for name in order)
            line += f"; {learning.shown(metric, target)} of the validation data after: {times}"
        yield line + "."


def spread(rows: pd.DataFrame) -> Iterable[str]:
    """What small differences are worth."""
    ok = rows[(rows.status == OK) & (rows.operation != learning.TRAINING)]
    known = ok[ok.seconds_low.notna()]
    if len(ok) and known.empty:
        yield "Fewer than 5 processes: no intervals, so a small difference may be none."
    elif len(known):
        half = ((known.seconds_high / known.seconds_low) ** 0.5 - 1).median()
        marked = int((known["flags"] != "").sum())
        yield (
            f"To be believed: half of the rows have a 95 % interval within +-{100 * half:.0f} %, "
            f"{marked} of {len(known)} are marked (why: in their row); a difference smaller than "
            "the intervals is no difference."
        )
