"""The chapter of a training run: what the networks have learned, and how fast."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import pandas as pd

from samegrad.benchmarks.records.journal import Journal
from samegrad.reports.charts import learning as charts
from samegrad.reports.charts.pictures import pictures
from samegrad.reports.data.analysis import PARITY, loss_differences
from samegrad.reports.data.report import Report
from samegrad.reports.data.values import duration, metric_text
from samegrad.reports.document.chapter import Chapter, Table, present


def learning(report: Report) -> Chapter:
    """Results on test data, learning curves, and pictures of the trained networks."""
    trained, rows = report.trained, report.rows
    if not trained:
        return Chapter("Learning")
    differences = loss_differences(report.journals)
    return Chapter(
        "Learning",
        charts=[
            charts.time_to_target(rows, trained),
            charts.learning_curves(rows, trained),
            charts.spread_over_seeds(rows, trained),
            charts.one_loss_curve(differences),
            *pictures(report),
        ],
        tables=[
            Table(
                "Learning",
                "Test data, after the last epoch: median over seeds, with their range. Every seed "
                "starts all implementations from the same weights, with the same batches and "
                "dropout masks. Time to target: placing the data, training and validation until "
                "the validation metric reached its target, compilation included. Time per epoch: "
                "the steps alone.",
                present(report, results(report)),
            ),
            Table(
                "Speedrun",
                "One clock from raw examples in memory to weights: their order, normalising, "
                "placing, the first call with what it compiles, and every step; not imports, "
                "reading files and the test. The recipe is one for all, chosen on held-out "
                "training data; a seed each, all in fresh processes.",
                present(report, speedruns(report)),
            ),
            Table(
                "Loading the data",
                "Before every training, and in none of the times above.",
                loading_times(report.journals),
            ),
            Table(
                "One loss curve",
                "float64, the first 200 steps: the largest difference between the losses of any "
                f"two implementations, per update rule (allowed: {PARITY:g}).",
                parity(differences),
            ),
        ],
    )


def median_range(values: Sequence[float], text: Callable[[float], str]) -> str:
    """The median, and the range where there are several values."""
    if not values:
        return ""
    if len(values) == 1:
        return text(values[0])
    return f"{text(statistics.median(values))} ({text(min(values))} to {text(max(values))})"


def standard_error(values: Sequence[float], metric: str) -> str:
    """Of the mean over seeds."""
    if len(values) < 2:
        return ""
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{100 * error:.2f} %" if metric == "accuracy" else f"{error:.2g}"


def results(report: Report) -> pd.DataFrame:
    """What was learned, as texts: a line per task, implementation and device."""
    lines = []
    for source, row in report.trained:
        seeds, first = row.training, row.training[0]
        metric, target = first["metric"], first.get("target")
        tests = [seed["test"] for seed in seeds]
        reached = [seed["to_target_ns"] / 1e9 for seed in seeds if seed.get("to_target_ns")]
        to_target = median_range(reached, duration)
        if target is not None and len(reached) < len(seeds):
            to_target += f" in {len(reached)} of {len(seeds)}" if reached else "not reached"
        lines.append(
            {
                "source": source,
                "task": row.case.workload.name,
                "implementation": row.case.implementation,
                "device": row.case.device,
                "test": median_range(tests, partial(metric_text, metric)),
                "standard error": standard_error(tests, metric),
                "metric": metric,
                "goal": first.get("goal", ""),
                "time per epoch": duration(row.median_seconds or 0.0),
                "validation target": "" if target is None else metric_text(metric, target),
                "time to target": to_target,
                "compilation": duration(row.compile_seconds) if row.compile_seconds else "",
                "seeds": len(seeds),
            }
        )
    return pd.DataFrame(lines)


def speedruns(report: Report) -> pd.DataFrame:
    """Seconds and test metric of each speedrun: median and worst of its seeds."""
    lines = []
    for source, row in report.trained:
        if not all(seed.get("speedrun_ns") for seed in row.training):
            continue
        times = [seed["speedrun_ns"] / 1e9 for seed in row.training]
        tests, metric = [seed["test"] for seed in row.training], row.training[0]["metric"]
        target = row.training[0]["target"]
        lines.append(
            {
                "source": source,
                "task": row.case.workload.name,
                "implementation": row.case.implementation,
                "device": row.case.device,
                "time, median": duration(statistics.median(times)),
                "time, worst": duration(max(times)),
                "test, median": metric_text(metric, statistics.median(tests)),
                "test, worst": metric_text(metric, min(tests)),
                "reached": f"{sum(test >= target for test in tests)} of {len(tests)}",
            }
        )
    return pd.DataFrame(lines)


def loading_times(journals: Iterable[Journal]) -> pd.DataFrame:
    """How long the data of each task took, which is in no other time."""
    lines = [
        {
            "task": record["workload"],
            "seconds to load and prepare": f"{record['seconds']:.2f}",
            "hash of the records": record["sha256"],
        }
        for journal in journals
        for record in journal.loaded
    ]
    return pd.DataFrame(lines).drop_duplicates() if lines else pd.DataFrame()


def parity(differences: pd.DataFrame) -> pd.DataFrame:
    """The largest difference of losses between implementations, per task and update rule."""
    if differences.empty:
        return differences
    largest = differences.assign(
        largest=[f"{of_steps.max():.1e}" for of_steps in differences.differences],
        implementations=differences.implementations.map(", ".join),
    )
    first = largest.groupby("task", sort=False).implementations.first()
    table = largest.pivot_table("largest", "task", "optimizer", aggfunc="last", sort=False)
    table.insert(0, "implementations", first)
    return table.fillna("").rename_axis(columns=None).reset_index()
