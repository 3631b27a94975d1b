"""What a report says first: sentences, computed from the rows."""

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from samegrad.benchmarks.records.quality import GOOD, NOISY, UNUSABLE
from samegrad.benchmarks.records.schema import OK
from samegrad.implementations.contract.registry import COMPARED_WITH, SPEED_UPS_OVER
from samegrad.reports.data import analysis
from samegrad.reports.data.report import (
    FEW_PROCESSES,
    Report,
    by_task,
    comparable,
    headline,
    shares,
)
from samegrad.reports.data.values import digits, duration, folded, in_order, metric_text, range_text

LEAST_SIZES = 3  # batch sizes that make a series
MOST_SHARES = 4  # of the ceiling, that a sentence has room for; NumPy's is always one
METRICS = {"accuracy": "test accuracy", "r2": "test R²", "rmse": "test error (RMSE)"}


def sentences(report: Report) -> list[str]:
    """One line per answer; none where nothing was measured that gives one."""
    rows = report.conclusive
    if not len(report.rows):
        return []
    lines: list[str] = []
    steps = comparable(rows[(rows.status == OK) & (rows.operation == "train_step")])
    for source, part in steps.groupby("source", sort=False):
        prefix = f"{source}: " if report.many else ""
        lines += [prefix + line for line in (fastest(part), reaches(part)) if line]
    lines += [*gpu(rows), *vectorisation(rows), *compilation(rows), *differentiation(rows)]
    return [*lines, *learned(report), *uncertainty(report)]


def fastest(steps: pd.DataFrame) -> str:
    """Which implementation is the fastest, by batch size, for the network with most of them."""
    used = steps[(steps.device == "cpu") | (steps.transfer == "end_to_end")]
    used = used[used.threads == "all"]
    counts = used.groupby("layers").batch_size.nunique()
    if counts.empty or counts.max() < LEAST_SIZES:
        return ""
    layers = counts.idxmax()
    by_size = [
        (size, contenders(part)) for size, part in used[used.layers == layers].groupby("batch_size")
    ]
    answers = []
    for names, group in groupby(by_size, key=lambda pair: pair[1]):
        sizes = [size for size, _ in group]
        span = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
        answers.append(f"{_or(names)} (batch {span})")
    doubt = any(len(names) > 1 for _, names in by_size)
    return f"The fastest training step of {layers}: {', '.join(answers)}." + (
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
    return tuple(in_order(names))


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def reaches(steps: pd.DataFrame) -> str:
    """How near implementations come to what the machine can do, and why not nearer."""
    part = steps[steps.ceiling_gflops_per_second.notna() & (steps.transfer == "resident")]
    part = part[(part.threads == "all") & (part.implementation != SPEED_UPS_OVER)]
    part = part.assign(share=part.gflops_per_second / part.ceiling_gflops_per_second)
    counts = part.implementation.value_counts()
    part = part[part.implementation.map(counts) > 1]
    if part.empty:
        return ""
    highest = part.groupby("implementation").share.max().nlargest(MOST_SHARES).index
    answers = []
    for name in in_order(part.implementation):
        if name not in (*highest, COMPARED_WITH):
            continue
        own = part[part.implementation == name]
        best, least = own.loc[own.share.idxmax()], own.loc[own.share.idxmin()]
        answer = f"{name} {_percent(best.share)} ({_case(best)}; {_why(best)})"
        if name == COMPARED_WITH:
            answer += f" and {_percent(least.share)} ({_case(least)}; {_why(least)})"
        answers.append(answer)
    highest_only = ", the highest" if len(answers) < part.implementation.nunique() else ""
    of_what = "Share of the most that the machine can multiply and add"
    return f"{of_what}{highest_only}: {', '.join(answers)}."


def _case(row: Any) -> str:
    return f"{folded(row.layers)}, batch {row.batch_size}"


def _why(row: Any) -> str:
    """What most of its time goes to."""
    by_part = shares(row)
    if not by_part:
        return "its parts were not measured"
    name = max(by_part, key=lambda part: by_part[part])
    return f"{_percent(by_part[name])} of the time is {name}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"


def gpu(rows: pd.DataFrame) -> Iterator[str]:
    """From which batch size on a GPU pays, end to end."""
    table = analysis.gpu_over_cpu(rows)
    if table.empty:
        return
    table = table[(table.operation == "train_step") & table.end_to_end_speed_up.notna()]
    for (cpu, gpu, layers), part in table.groupby(["cpu", "gpu", "layers"], sort=False):
        if part.batch_size.nunique() < LEAST_SIZES:
            continue
        answers = []
        for name in in_order(part.implementation):
            own = part[part.implementation == name]
            size = analysis.pays_from(own)
            if size is None:
                answers.append(f"{name}: not up to batch {own.batch_size.max():,}")
            else:
                most = digits(own.end_to_end_speed_up.max())
                answers.append(f"{name}: from batch {size:,}, up to {most} times")
        machines = "" if cpu == gpu else f" ({gpu} against the CPU of {cpu})"
        yield (
            f"A GPU pays for {layers}, the batch's way to it included{machines}: "
            f"{'; '.join(answers)}."
        )


def vectorisation(rows: pd.DataFrame) -> Iterator[str]:
    """How many times faster than looped Python."""
    table = analysis.over_looped(rows)
    if table.empty:
        return
    table = table[(table.operation == "train_step") & (table.device == "cpu")]
    answers = [
        f"{name} {range_text(table[table.implementation == name].speed_up)}"
        for name in in_order(table.implementation)
    ]
    if answers:
        yield f"Times faster than looped Python (training step, float64): {', '.join(answers)}."


def compilation(rows: pd.DataFrame) -> Iterator[str]:
    """When a compilation has paid for itself."""
    table = analysis.break_even(rows)
    if table.empty:
        return
    for name, part in table[table.against == COMPARED_WITH].groupby("compiled", sort=False):
        pays = part[part.steps.map(math.isfinite)]
        never = int((part.steps == math.inf).sum())
        doubt = len(part) - len(pays) - never
        cases = f"{len(pays)} case{'s' * (len(pays) > 1)}"
        answers = [
            f"after {range_text(pays.steps)} steps in {cases}" if len(pays) else "",
            f"never in {never}" if never else "",
            f"not determined in {doubt}" if doubt else "",
        ]
        answer = ", ".join(filter(None, answers))
        yield f"{name}'s compilation has paid for itself against NumPy: {answer}."


def differentiation(rows: pd.DataFrame) -> Iterator[str]:
    """What a gradient costs in forward passes."""
    table = analysis.differentiation(rows)
    if table.empty:
        return
    table = table[table.ratio.notna()]
    largest = table.loc[table.groupby("implementation").parameters.idxmax()]
    answers = [
        f"{row.implementation} {digits(row.ratio)} ({row.parameters:,} parameters)"
        for row in largest.sort_values("ratio").itertuples()
    ]
    if answers:
        yield f"Forward passes that one gradient costs: {', '.join(answers)}."


def learned(report: Report) -> Iterator[str]:
    """What the networks of the main tasks have learned, and the time it took."""
    tasks = by_task(one for one in report.trained if one[0] not in report.too_busy)
    for task in headline(tasks) or list(tasks)[:3]:
        rows = tasks[task]
        first = rows[0].training[0]
        metric, target = first["metric"], first.get("target")
        tests = [statistics.median(seed["test"] for seed in row.training) for row in rows]
        values = list(dict.fromkeys(metric_text(metric, value) for value in sorted(tests)))
        value = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
        line = f"{task}: {METRICS.get(metric, metric)} {value} (medians over seeds)"
        reached = {
            f"{row.case.implementation} {row.case.device}": statistics.median(
                seed["to_target_ns"] for seed in row.training
            )
            for row in rows
            if all(seed.get("to_target_ns") for seed in row.training)
        }
        if target is not None and reached:
            order = sorted(reached, key=lambda name: reached[name])
            times = ", ".join(f"{name} {duration(reached[name] / 1e9)}" for name in order)
            line += f"; {metric_text(metric, target)} of the validation data after: {times}"
        yield line + "."


def uncertainty(report: Report) -> Iterator[str]:
    """What small differences are worth."""
    ok = report.ok[~report.ok.source.isin(report.too_busy)]
    trained = [row.case.operation for _, row in report.trained[:1]]
    ok = ok[~ok.operation.isin(trained)]
    known = ok[ok.seconds_low.notna()]
    if len(ok) and known.empty:
        yield FEW_PROCESSES
    elif len(known):
        half = ((known.seconds_high / known.seconds_low) ** 0.5 - 1).median()
        counts = report.rows["quality"].value_counts()
        levels = [f"{counts[name]} {name}" for name in (GOOD, NOISY, UNUSABLE) if name in counts]
        yield (
            f"Uncertainty: {', '.join(levels)} (by how much, and why: in their row); half of the "
            f"rows have a 95 % interval within +-{100 * half:.0f} %; a difference smaller than the "
            "intervals is no difference."
        )
