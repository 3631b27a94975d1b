"""The charts of a training run: time to target, learning curves, spread over seeds, one curve."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from samegrad.benchmarks.records.rows import Row
from samegrad.reports.charts.chart import PALETTE, Chart, colours, legend, plain, seconds_axis, text
from samegrad.reports.data.analysis import PARITY
from samegrad.reports.data.report import by_task, headline
from samegrad.reports.data.values import duration, in_order

WIDTHS = (7.0, 4.6, 2.6, 1.0)  # of lines that lie on each other
Trained = Sequence[tuple[str, Row]]  # (source, row)


def time_to_target(rows: pd.DataFrame, trained: Trained) -> Chart | None:
    """Time per epoch and to the target of the headline tasks, or of all tasks with a target."""
    trained = [
        (source, row) for source, row in trained if row.training[0].get("target") is not None
    ]
    if not trained:
        return None
    names = headline(by_task(trained)) or list(by_task(trained))
    palette = colours(rows)
    trained = [(source, row) for source, row in trained if row.case.workload.name in names]
    size = (10, 0.9 + 0.25 * len(names) + 0.22 * len(trained))
    figure, (epochs, targets) = plt.subplots(1, 2, figsize=size)
    many = len({source for source, _ in trained}) > 1
    heights, labels = [], []
    y = -1.0
    for task in names:
        y += 0.6
        for source, row in trained:
            case = row.case
            if case.workload.name != task:
                continue
            y += 1
            heights.append(y)
            label = f"{task}  {case.implementation} {case.device}"
            labels.append(text(label + (f", {source}" if many else "")))
            hatch = "//" if case.device != "cpu" else None
            style = {"color": palette[case.implementation], "hatch": hatch, "edgecolor": "white"}
            seconds = row.median_seconds or 0.0
            epochs.barh(y, seconds, **style)
            epochs.annotate(f" {duration(seconds)}", (seconds, y), va="center")
            reached = [t["to_target_ns"] / 1e9 for t in row.training if t.get("to_target_ns")]
            if len(reached) < len(row.training):
                targets.annotate(" not reached", (0, y), va="center", color="#777777")
                continue
            middle = statistics.median(reached)
            targets.barh(y, middle, **style)
            targets.plot([min(reached), max(reached)], [y, y], color="black", linewidth=1)
            targets.annotate(f" {duration(middle)}", (max(reached), y), va="center")
    epochs.set_yticks(heights, labels)
    targets.set_yticks(heights, [""] * len(heights))
    for axes, title in ((epochs, "time per epoch"), (targets, "time to the validation target")):
        axes.invert_yaxis()
        axes.set_title(title)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.18)
        seconds_axis(axes.xaxis)
    values = {row.case.workload.name: row.training[0]["target"] for _, row in trained}
    listed = ", ".join(f"{task} {100 * value:g} %" for task, value in values.items())
    devices = {row.case.device for _, row in trained}
    no_gpu = "" if devices - {"cpu"} else " There are no GPU rows here."
    caption = (
        "Median over seeds, lines from the fastest to the slowest seed; compilation and "
        f"validation included, loading the data not. Targets: {listed}.{no_gpu}"
    )
    return Chart("time_to_target", figure, caption)


def learning_curves(rows: pd.DataFrame, trained: Trained) -> Chart | None:
    """Loss and metric against the epoch, all implementations on one axis, a panel per task."""
    palette = colours(rows)
    tasks = {
        task: of_task
        for task, of_task in _with_curves(trained).items()
        if any(len(seed["at"]) > 1 for row in of_task for seed in row.training)  # no speedrun
    }
    if not tasks:
        return None
    figure, grid = _panels(len(tasks), 4, 2.7)
    handles: dict[str, Any] = {}
    for axes, (task, of_task) in zip(grid.flat, tasks.items(), strict=False):
        for number, row in enumerate(of_task):
            name = row.case.implementation
            epochs, loss = _median(row, "loss")
            (handles[name],) = axes.plot(
                epochs,
                np.maximum(loss, 1e-9),
                color=palette[name],
                linewidth=WIDTHS[number % 4],
                label=f"{name}, training loss",
            )
        axes.set(yscale="log", title=text(task), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        seeds = [seed for row in of_task for seed in row.training]
        if all(seed.get("validation") and seed["metric"] == "accuracy" for seed in seeds):
            _draw_validation(axes.twinx(), of_task, palette)
    for axes in grid[:, 0]:
        axes.set_ylabel("training loss")
    order = in_order(handles)
    figure.legend(
        [handles[name] for name in order], list(map(text, order)), loc="upper center",
        ncols=len(order), frameon=False, bbox_to_anchor=(0.5, 1.0),
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 0.97 if len(grid) > 2 else 0.93))
    caption = (
        "Solid: mean training loss of an epoch (left axis). Dotted: accuracy on validation data "
        "(right axis). Median over seeds. Lines that lie on each other are drawn in different "
        "widths: the implementations learn the same."
    )
    return Chart("learning_curves", figure, caption)


def _draw_validation(axes: Any, of_task: Sequence[Row], palette: dict[str, str]) -> None:
    """The accuracy on validation data, on an axis of its own."""
    axes.grid(visible=False)
    for row in of_task:
        name = row.case.implementation
        epochs, accuracy = _median(row, "validation")
        axes.plot(
            epochs,
            100 * accuracy,
            color=palette[name],
            linestyle=":",
            linewidth=1.2,
            label=f"{name}, validation accuracy, %",
        )
    axes.set_ylabel("%", rotation=0, labelpad=6)
    low, high = axes.get_ylim()
    if high > 100.5:  # there is nothing above 100 %
        axes.set_ylim(min(low, 95), 100.5)
    axes.spines["right"].set_visible(True)


def _median(row: Row, name: str) -> tuple[list[int], Any]:
    """(epochs, median over seeds) of a quantity, as far as all seeds have it."""
    epochs = min((seed["at"] for seed in row.training), key=len)
    values = [seed[name][: len(epochs)] for seed in row.training]
    return epochs, np.median(values, axis=0)


def spread_over_seeds(rows: pd.DataFrame, trained: Trained) -> Chart | None:
    """The final test metric of every seed, per implementation."""
    tasks, palette = _with_curves(trained), colours(rows)
    if not tasks:
        return None
    figure, grid = _panels(len(tasks), 5, 2.0)
    for axes, (task, of_task) in zip(grid.flat, tasks.items(), strict=False):
        metric = of_task[0].training[0]["metric"]
        percent = metric == "accuracy"
        for x, row in enumerate(of_task):
            tests = [seed["test"] * (100 if percent else 1) for seed in row.training]
            colour = palette[row.case.implementation]
            axes.plot([x] * len(tests), tests, "o", color=colour, alpha=0.6)
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
        names = {"accuracy": "accuracy, %", "r2": "R²", "rmse": "RMSE"}
        axes.set_ylabel(names.get(metric, text(metric)))  # a later version may have others
    figure.tight_layout()
    caption = "The metric on test data after the last epoch, a mark per seed."
    return Chart("spread_over_seeds", figure, caption)


def one_loss_curve(differences: pd.DataFrame) -> Chart | None:
    """How far the implementations are apart in float64, as `analysis.loss_differences` has it."""
    if differences.empty:
        return None
    names, rules = (list(differences[column].unique()) for column in ("task", "optimizer"))
    figure, grid = plt.subplots(
        1, len(names), figsize=(3.2 * len(names) + 1.5, 3.2), sharey=True, squeeze=False
    )
    for axes, task in zip(grid[0], names, strict=True):
        for one in differences[differences.task == task].itertuples():
            apart = np.maximum(one.differences, 1e-17)
            colour = PALETTE[rules.index(one.optimizer) % len(PALETTE)]
            steps = range(1, len(apart) + 1)
            axes.plot(steps, apart, color=colour, label=text(one.optimizer), linewidth=1.2)
        axes.axhline(PARITY, color="black", linestyle="--", linewidth=1)
        axes.set(yscale="log", ylim=(1e-17, 1e-6), title=text(task), xlabel="step")
    grid[0][0].set_ylabel("largest difference of losses")
    legend(grid[0][-1])
    implementations = ", ".join(differences.implementations.explode().unique())
    caption = (
        f"float64: losses of {implementations} on the same batches from the same weights, for "
        "every update rule; the dashed line is what is allowed."
    )
    return Chart("one_loss_curve", figure, caption)


def _with_curves(trained: Trained) -> dict[str, list[Row]]:
    """The tasks that are shown one by one; those of a series have a chart of their own."""
    return {
        task: rows
        for task, rows in by_task(trained).items()
        if not task.startswith("approximation")
    }


def _panels(count: int, columns: int, height: float) -> tuple[Figure, Any]:
    """A grid of at least so many axes, inches high each; those beyond are hidden."""
    rows = -(-count // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(13, height * rows), squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, grid
