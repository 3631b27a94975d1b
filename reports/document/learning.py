"""What networks have learned: the tables and figures of a training run."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import OK
from samegrad.reports.charts.pictures import pictures
from samegrad.reports.charts.style import PALETTE, legend, plain, seconds_axis, text
from samegrad.reports.data import tables

TRAINING = "training"  # the operation of such rows (samegrad.benchmarks.cases.case)
HEADLINE = ("mnist", "cifar10")  # what the names of the tasks of the main figure begin with
WIDTHS = (7.0, 4.6, 2.6, 1.0)  # of lines that lie on each other
PARITY = 1e-8  # by how much losses in float64 may differ in the first steps
Drawn = tuple[Figure, str]


def trained(journals: Sequence[Journal]) -> list[tuple[str, Row]]:
    """(source, row) of every trained row."""
    return [
        (source, row)
        for journal, source in zip(journals, tables.source_labels(journals), strict=True)
        for row in results.rows(journal)
        if row.case.operation == TRAINING and row.status == OK and row.training
    ]


def shown(metric: str, value: float) -> str:
    """A metric as people read it."""
    return f"{100 * value:.2f} %" if metric == "accuracy" else f"{value:.4g}"


def median_range(values: Sequence[float], text: Callable[[float], str]) -> str:
    """The median, and the range where there are several."""
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


def table(journals: Sequence[Journal]) -> pd.DataFrame:
    """A line per task, implementation and device."""
    found = trained(journals)
    many = len({source for source, _ in found}) > 1
    lines = []
    for source, row in found:
        seeds, first = row.training, row.training[0]
        metric, tests = first["metric"], [seed["test"] for seed in row.training]
        reached = [seed["to_target_ns"] / 1e9 for seed in seeds if seed.get("to_target_ns")]
        target = first.get("target")
        to_target = median_range(reached, tables.duration)
        if target is not None and len(reached) < len(seeds):
            to_target += f" in {len(reached)} of {len(seeds)}" if reached else "not reached"
        line = {
            "task": row.case.workload.name,
            "implementation": row.case.implementation,
            "device": row.case.device,
            "test": median_range(tests, partial(shown, metric)),
            "standard error": standard_error(tests, metric),
            "metric": metric,
            "goal": first.get("goal", ""),
            "time per epoch": tables.duration(row.median_seconds or 0.0),
            "validation target": "" if target is None else shown(metric, target),
            "time to target": to_target,
            "compilation": tables.duration(row.compile_seconds) if row.compile_seconds else "",
            "seeds": len(seeds),
        }
        lines.append({"source": source, **line} if many else line)
    return pd.DataFrame(lines)


def data_table(journals: Sequence[Journal]) -> pd.DataFrame:
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


def parity_table(journals: Sequence[Journal]) -> pd.DataFrame:
    """The largest difference of losses between implementations, per task and rule."""
    lines: dict[str, dict[str, str]] = {}
    for task, optimizer, curves in parity(journals):
        if len(curves) > 1:
            line = lines.setdefault(task, {"task": task, "implementations": ", ".join(curves)})
            line[optimizer] = f"{differences(curves).max():.1e}"
    return pd.DataFrame(list(lines.values())).fillna("")


def parity(journals: Sequence[Journal]) -> list[tuple[str, str, dict[str, list[float]]]]:
    """(task, rule, implementation -> losses) of every recorded set of curves."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for journal in journals:
        for record in journal.parity:
            key = record["task"], record["optimizer"]
            found.setdefault(key, {})[record["implementation"]] = record["losses"]
    return [(task, optimizer, curves) for (task, optimizer), curves in found.items()]


def differences(curves: dict[str, list[float]]) -> Any:
    """Per step, how far the implementations are apart; relative to losses above 1."""
    steps = min(map(len, curves.values()))
    losses = np.array([curve[:steps] for curve in curves.values()])
    return (losses.max(axis=0) - losses.min(axis=0)) / np.maximum(1.0, losses.max(axis=0))


def sections(journals: Sequence[Journal]) -> list[tuple[str, str, pd.DataFrame]]:
    """(heading, text, table) of what a training run has to say."""
    if not trained(journals):
        return []
    made = [
        (
            "Learning",
            "Test data, after the last epoch: median over seeds, with their range. Every seed "
            "starts all implementations from the same weights, with the same batches and dropout "
            "masks. Time to target: placing the data, training and validation until the "
            "validation metric reached its target, compilation included. Time per epoch: the "
            "steps alone.",
            table(journals),
        ),
        (
            "Loading the data",
            "Before every training, and in none of the times above.",
            data_table(journals),
        ),
    ]
    same = parity_table(journals)
    if len(same):
        made.append(
            (
                "One loss curve",
                "float64, the first 200 steps: the largest difference between the losses of any "
                f"two implementations, per update rule (allowed: {PARITY:g}).",
                same,
            )
        )
    return made


def figures(journals: Sequence[Journal]) -> dict[str, Drawn]:
    """name -> (figure, caption) of what a training run has to show."""
    found = trained(journals)
    if not found:
        return {}
    colours = _colours(row for _, row in found)
    drawn = {
        "time_to_target": time_to_target(found, colours),
        "learning_curves": curves(found, colours),
        "spread_over_seeds": spread(found, colours),
        "one_loss_curve": one_curve(journals),
        **pictures(journals, found),
    }
    return {name: made for name, made in drawn.items() if made is not None}


def time_to_target(found: Sequence[tuple[str, Row]], colours: dict[str, str]) -> Drawn | None:
    """Time per epoch and to the target, on CPU and GPU, of the headline tasks; all, if none."""
    with_target = [(s, r) for s, r in found if r.training[0].get("target") is not None]
    main = [(s, r) for s, r in with_target if r.case.workload.name.startswith(HEADLINE)]
    chosen = main or with_target
    if not chosen:
        return None
    tasks = list(dict.fromkeys(row.case.workload.name for _, row in chosen))
    figure, both = plt.subplots(1, 2, figsize=(10, 0.9 + 0.25 * len(tasks) + 0.22 * len(chosen)))
    many = len({source for source, _ in chosen}) > 1
    places, names = [], []
    y = -1.0
    for task in tasks:
        y += 0.6
        for source, row in chosen:
            if row.case.workload.name != task:
                continue
            y += 1
            places.append(y)
            label = f"{task}  {row.case.implementation} {row.case.device}" + (
                f", {source}" if many else ""
            )
            names.append(text(label))
            colour = colours[row.case.implementation]
            style = {"color": colour, "hatch": "//" if row.case.device != "cpu" else None}
            both[0].barh(y, row.median_seconds, **style, edgecolor="white")
            reached = [t["to_target_ns"] / 1e9 for t in row.training if t.get("to_target_ns")]
            if len(reached) == len(row.training):
                middle = statistics.median(reached)
                both[1].barh(y, middle, **style, edgecolor="white")
                both[1].plot([min(reached), max(reached)], [y, y], color="black", linewidth=1)
                both[1].annotate(f" {tables.duration(middle)}", (max(reached), y), va="center")
            else:
                both[1].annotate(" not reached", (0, y), va="center", color="#777777")
            both[0].annotate(
                f" {tables.duration(row.median_seconds or 0.0)}",
                (row.median_seconds, y),
                va="center",
            )
    both[0].set_yticks(places, names)
    both[1].set_yticks(places, [""] * len(places))
    for axes, title in zip(both, ("time per epoch", "time to the validation target"), strict=True):
        axes.invert_yaxis()
        axes.set_title(title)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.18)
        seconds_axis(axes.xaxis)
    targets = {r.case.workload.name: r.training[0]["target"] for _, r in chosen}
    said = ", ".join(f"{task} {100 * value:g} %" for task, value in targets.items())
    devices = {row.case.device for _, row in chosen}
    no_gpu = "" if devices - {"cpu"} else " There are no GPU rows here."
    return figure, (
        f"Median over seeds, lines from the fastest to the slowest seed; compilation and "
        f"validation included, loading the data not. Targets: {said}.{no_gpu}"
    )


def curves(found: Sequence[tuple[str, Row]], colours: dict[str, str]) -> Drawn | None:
    """Loss and metric against the epoch, all implementations on one axis, a panel per task."""
    tasks = [t for t in _tasks(found) if not t.startswith("approximation")]
    figure, grid = _panels(len(tasks), 4, 2.7)
    used: dict[str, Any] = {}
    for axes, task in zip(grid.flat, tasks, strict=False):
        of_task = [row for _, row in found if row.case.workload.name == task]
        for number, row in enumerate(of_task):
            seeds = row.training
            at = min((seed["at"] for seed in seeds), key=len)
            loss = np.median([seed["loss"][: len(at)] for seed in seeds], axis=0)
            style = {"color": colours[row.case.implementation], "linewidth": WIDTHS[number % 4]}
            style["label"] = f"{row.case.implementation}, training loss"
            (used[row.case.implementation],) = axes.plot(at, np.maximum(loss, 1e-9), **style)
        axes.set_yscale("log")
        axes.set_title(text(task))
        first = of_task[0].training[0]
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if first.get("validation") and first["metric"] == "accuracy":
            twin = axes.twinx()
            twin.grid(visible=False)
            for row in of_task:
                at = min((seed["at"] for seed in row.training), key=len)
                values = [seed["validation"][: len(at)] for seed in row.training]
                median = 100 * np.median(values, axis=0)
                style = {
                    "color": colours[row.case.implementation],
                    "linestyle": ":",
                    "linewidth": 1.2,
                }
                twin.plot(
                    at, median, **style, label=f"{row.case.implementation}, validation accuracy, %"
                )
            twin.set_ylabel("%", rotation=0, labelpad=6)
            low, high = twin.get_ylim()
            if high > 100.5:  # there is nothing above 100 %
                twin.set_ylim(min(low, 95), 100.5)
            twin.spines["right"].set_visible(True)
    for axes in grid[:, 0]:
        axes.set_ylabel("training loss")
    names = tables.by_idiom(used)
    figure.legend(
        [used[name] for name in names], list(map(text, names)), loc="upper center",
        ncols=len(names), frameon=False, bbox_to_anchor=(0.5, 1.0),
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 0.97 if len(grid) > 2 else 0.93))
    return figure, (
        "Solid: mean training loss of an epoch (left axis). Dotted: accuracy on validation data "
        "(right axis). Median over seeds. Lines that lie on each other are drawn in different "
        "widths: the implementations learn the same."
    )


def spread(found: Sequence[tuple[str, Row]], colours: dict[str, str]) -> Drawn | None:
    """The final test metric of every seed, per implementation."""
    tasks = [t for t in _tasks(found) if not t.startswith("approximation")]
    figure, grid = _panels(len(tasks), 5, 2.0)
    for axes, task in zip(grid.flat, tasks, strict=False):
        of_task = [row for _, row in found if row.case.workload.name == task]
        percent = of_task[0].training[0]["metric"] == "accuracy"
        for place, row in enumerate(of_task):
            tests = [seed["test"] * (100 if percent else 1) for seed in row.training]
            axes.plot(
                [place] * len(tests), tests, "o", color=colours[row.case.implementation], alpha=0.6
            )
        labels = [text(row.case.implementation) for row in of_task]
        axes.set_xticks(range(len(of_task)), labels, rotation=30, fontsize=8)
        axes.set_title(text(task))
        axes.margins(x=0.3)
        low, high = axes.dataLim.y0, axes.dataLim.y1
        least = 0.5 if percent else 0.02 * abs(high)  # what differs by less is the same
        room = max(0.3 * (high - low), (least - (high - low)) / 2)
        axes.set_ylim(low - room, high + room)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        plain(axes.yaxis)
        metric = of_task[0].training[0]["metric"]
        axes.set_ylabel("accuracy, %" if percent else {"r2": "R²", "rmse": "RMSE"}[metric])
    figure.tight_layout()
    return figure, "The metric on test data after the last epoch, a mark per seed."


def one_curve(journals: Sequence[Journal]) -> Drawn | None:
    """How far the implementations are apart in float64, step by step."""
    sets = [(t, o, curves) for t, o, curves in parity(journals) if len(curves) > 1]
    if not sets:
        return None
    tasks = list(dict.fromkeys(task for task, _, _ in sets))
    rules = list(dict.fromkeys(rule for _, rule, _ in sets))
    figure, grid = plt.subplots(
        1, len(tasks), figsize=(3.2 * len(tasks) + 1.5, 3.2), sharey=True, squeeze=False
    )
    for axes, task in zip(grid[0], tasks, strict=True):
        for of, rule, curves in sets:
            if of == task:
                apart = np.maximum(differences(curves), 1e-17)
                colour = PALETTE[rules.index(rule) % len(PALETTE)]
                axes.plot(range(1, len(apart) + 1), apart, color=colour, label=rule, linewidth=1.2)
        axes.axhline(PARITY, color="black", linestyle="--", linewidth=1)
        axes.set_yscale("log")
        axes.set_ylim(1e-17, 1e-6)
        axes.set_title(text(task))
        axes.set_xlabel("step")
    grid[0][0].set_ylabel("largest difference of losses")
    legend(grid[0][-1])
    names = ", ".join(dict.fromkeys(name for _, _, curves in sets for name in curves))
    return figure, (
        f"float64: losses of {names} on the same batches from the same weights, for every update "
        "rule; the dashed line is what is allowed."
    )


def _panels(count: int, columns: int, height: float) -> tuple[Figure, Any]:
    """A grid of at least so many axes, inches high each; those beyond are hidden."""
    rows = -(-count // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(13, height * rows), squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, grid


def _tasks(found: Iterable[tuple[str, Row]]) -> list[str]:
    return list(dict.fromkeys(row.case.workload.name for _, row in found))


def _colours(rows: Iterable[Row]) -> dict[str, str]:
    names = dict.fromkeys([*tables.IDIOMS, *(row.case.implementation for row in rows)])
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
