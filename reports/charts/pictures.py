"""Pictures of trained networks, from the arrays that a training run leaves in its journal."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import Record
from samegrad.reports.charts.chart import PALETTE, Chart, plain
from samegrad.reports.data.report import Report

TINTS = ["#f6d9a8", "#a8cde4", "#a9dcc9"]  # of PALETTE's orange, blue and green
POINTS = [PALETTE[0], PALETTE[1], PALETTE[3]]
DIGITS = ("mnist", "mnist_512")  # tasks whose misread images are shown
Pictures = Mapping[tuple[str, str], Record]  # (task, name) -> arrays


def pictures(report: Report) -> Iterator[Chart | None]:
    """A chart of whatever the journals have arrays for."""
    arrays = {
        (record["task"], record["name"]): record["arrays"]
        for journal in report.journals
        for record in journal.pictures
    }
    yield activations(arrays)
    yield regions(arrays)
    yield fits(arrays)
    yield overfitting(arrays, {row.case.workload.name: row for _, row in report.trained})
    for task, name in arrays:
        if name == "confusion" and task in DIGITS:
            yield misread(task, arrays[task, name])


def activations(pictures: Pictures) -> Chart | None:
    """Mean activation of each hidden unit by class, before, during and after training."""
    arrays = pictures.get(("line_length", "activations"))
    if arrays is None:
        return None
    figure, row = plt.subplots(1, 3, figsize=(12, 2.6), sharey=True)
    for axes, moment in zip(row, ("before", "during", "after"), strict=True):
        values = np.array(arrays[moment])
        least = min(0.0, values.min())
        image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=least)
        axes.set_title(f"{moment} training" if moment != "during" else "after one epoch")
        axes.set_xlabel("hidden unit (layer 1, then layer 2)")
        axes.axvline(values.shape[1] / 2 - 0.5, color="white", linewidth=2)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, shrink=0.9)
    row[0].set_yticks(range(5), [f"length {n}" for n in range(1, 6)])
    figure.tight_layout()
    caption = (
        "line_length: how strongly each of the 2 x 16 hidden units responds, on average, to lines "
        "of each length."
    )
    return Chart("line_length_activations", figure, caption)


def regions(pictures: Pictures) -> Chart | None:
    """Which part of the plane a network takes for which class."""
    tasks = [task for task in ("xor", "discrete_mapping") if (task, "regions") in pictures]
    if not tasks:
        return None
    figure, row = plt.subplots(1, len(tasks), figsize=(5.2 * len(tasks), 4.2), squeeze=False)
    for axes, task in zip(row[0], tasks, strict=True):
        arrays = pictures[task, "regions"]
        x, y = np.array(arrays["x"]), np.array(arrays["y"])
        value, labels = np.array(arrays["value"]), np.array(arrays["labels"])
        points, count = np.array(arrays["points"]), int(labels.max()) + 1
        if task == "xor":
            mesh = {"cmap": "cividis", "vmin": 0, "vmax": 1, "rasterized": True}
            image = axes.pcolormesh(x, y, value, **mesh)
            figure.colorbar(image, ax=axes, label="output: probability of 1")
            axes.contour(x, y, value, levels=[0.5], colors="white", linewidths=1.5)
        else:
            mesh = {"cmap": ListedColormap(TINTS[:count]), "vmin": 0, "vmax": count - 1}
            axes.pcolormesh(x, y, value, **mesh, rasterized=True)
        for label in range(count):
            of_class = points[labels == label]
            name = f"class {label}" if task == "xor" else f"prototype {'ABC'[label]}"
            axes.scatter(
                of_class[:, 0], of_class[:, 1], s=70 if task == "xor" else 14, label=name,
                color=POINTS[label], edgecolor="white", linewidth=0.6, zorder=3,
            )  # fmt: skip
        axes.legend(loc="upper right", framealpha=0.9)
        axes.set_title(task)
        axes.grid(visible=False)
        projected = task != "xor"
        axes.set_xlabel("first principal component" if projected else "x1")
        axes.set_ylabel("second principal component" if projected else "x2")
    figure.tight_layout()
    caption = (
        "Decision regions. xor: the white line is where the output is 0.5. "
        "discrete_mapping: regions on the plane of the two principal components of the training "
        "data, and the test data projected onto it."
    )
    return Chart("decision_regions", figure, caption)


def fits(pictures: Pictures) -> Chart | None:
    """The sine by a cubic; a curve by hidden layers of different widths, and by steps."""
    sine = pictures.get(("sine", "curve"))
    curves = {
        arrays["width"]: arrays
        for (task, name), arrays in pictures.items()
        if task.startswith("approximation") and name == "curve"
    }
    panels = (sine is not None) + 2 * bool(curves)
    if not panels:
        return None
    figure, row = plt.subplots(1, panels, figsize=(4.3 * panels, 3.5), squeeze=False)
    panels_left = iter(row[0])
    if sine is not None:
        axes = next(panels_left)
        axes.plot(sine["x"], sine["true"], color="black", linewidth=1, label="sin x")
        axes.plot(sine["x"], sine["fitted"], color=PALETTE[1], label="cubic, 2,000 steps")
        axes.legend(frameon=False)
        axes.set(title="sine", xlabel="x")
    if curves:
        axes = next(panels_left)
        widths = sorted(curves)
        narrow = curves[8] if 8 in curves else curves[widths[0]]
        axes.plot(narrow["x"], narrow["true"], color="black", linewidth=1, label="the curve")
        axes.plot(
            narrow["x"],
            narrow["fitted"],
            color=PALETTE[1],
            label=f"trained, {narrow['width']} units",
        )
        axes.plot(
            narrow["x"], narrow["staircase"], color=PALETTE[2], linewidth=1,
            label=f"constructed, {narrow['width']} steps",
        )  # fmt: skip
        axes.legend(frameon=False)
        axes.set(title="approximation", xlabel="x")
        axes = next(panels_left)

        def rmse(arrays: Record) -> float:
            apart = np.array(arrays["fitted"]) - np.array(arrays["true"])
            return float(np.sqrt(np.mean(apart**2)))

        trained = [rmse(curves[width]) for width in widths]
        stairs = [curves[width]["staircase_rmse"] for width in widths]
        axes.plot(widths, trained, "o-", color=PALETTE[1], label="trained (tanh)")
        axes.plot(widths, stairs, "s-", color=PALETTE[2], label="constructed (unit steps)")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.set(xlabel="hidden units", ylabel="RMSE", title="error against width")
        axes.legend(frameon=False)
    figure.tight_layout()
    caption = (
        "Left: a cubic polynomial fitted to the sine. Then one hidden layer fitted to a curve, and "
        "the staircase whose weights are written down, as in the constructive proof of universal "
        "approximation: its error halves as its width doubles."
    )
    return Chart("function_fits", figure, caption)


ROSE = 1.2  # times its least value: a held-out loss that rises


def overfitting(pictures: Pictures, rows: Mapping[str, Row]) -> Chart | None:
    """A few points: loss on them and on held-out points, plain, with decay and with dropout.

    Args:
        rows: task -> its row.
    """
    names = ("overfit", "overfit_decay", "overfit_dropout")
    tasks = [
        name
        for name in names
        if (name, "curve") in pictures
        and name in rows
        and all(seed.get("validation_loss") for seed in rows[name].training)
    ]
    if not tasks:
        return None
    figure, grid = plt.subplots(
        2, len(tasks), figsize=(4.2 * len(tasks), 6), squeeze=False, sharey="row"
    )
    count, rises = len(pictures[tasks[0], "curve"]["points"]), ""
    ends: list[str] = []
    for number, task in enumerate(tasks):
        above, below, arrays = grid[0][number], grid[1][number], pictures[task, "curve"]
        seeds = rows[task].training
        at = min((seed["at"] for seed in seeds), key=len)
        for field, colour, label in (
            ("loss", PALETTE[1], f"{count} training points"),
            ("validation_loss", PALETTE[2], "300 held-out points"),
        ):
            median = np.median([seed[field][: len(at)] for seed in seeds], axis=0)
            above.plot(at, np.maximum(median, 1e-9), color=colour, label=label)
            ends.append(f"{median[-1]:.3g}")
        if task == names[0] and median[-1] > ROSE * median.min():
            rises = f" (it falls to {median.min():.3g}, then rises to {median[-1]:.3g})"
        above.set(yscale="log", title=task, xlabel="epoch")
        points = np.array(arrays["points"])
        x = np.array(arrays["x"])
        below.plot(x, x**3 - 0.5 * x, color="black", linewidth=1, label="without noise")
        below.plot(x, arrays["fitted"], color=PALETTE[1], label="network")
        below.plot(points[:, 0], points[:, 1], "o", color=PALETTE[2], label="training points")
        below.set(ylim=(-1.6, 1.1), xlabel="x")  # with room for a legend
    grid[0][0].set_ylabel("loss")
    grid[0][0].legend(frameon=False, loc="upper right")
    grid[1][0].legend(frameon=False, loc="lower left")
    figure.tight_layout()
    caption = (
        f"A network of 63,501 weights and {count} points. Above: the loss on the points ends at "
        f"{ends[0]}, the loss on held-out points at {ends[1]}{rises}; weight decay and dropout "
        "(whose training loss is measured with dropout) hold the training loss up. Median over "
        "seeds."
    )
    return Chart("overfitting", figure, caption)


def misread(task: str, arrays: Record) -> Chart:
    """The confusion matrix, and the digits that were read most wrongly."""
    counts = np.array(arrays["counts"])
    images = [np.array(image, dtype=float).reshape(28, 28) for image in arrays["images"]]
    figure = plt.figure(figsize=(11, 4.4))
    halves: Any = figure.subfigures(1, 2, width_ratios=[1.1, 1])
    left, right = halves
    axes = left.subplots()
    wrong = counts - np.diag(np.diag(counts))
    axes.imshow(wrong, cmap="Blues", vmin=0, vmax=max(1, wrong.max()))
    for true in range(10):
        for read in range(10):
            value = counts[true, read]
            dark = true != read and wrong[true, read] > 0.6 * wrong.max()
            colour = "white" if dark else "#999999" if true == read else "black"
            if value:
                axes.text(read, true, value, ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set(xlabel="read as", ylabel="is")
    axes.set_title(f"{task}: {int(wrong.sum())} of {int(counts.sum()):,} misread")
    axes.grid(visible=False)
    tiles: Any = right.subplots(3, 4)
    for tile in tiles.flat:
        tile.axis("off")
    for tile, image, true, read in zip(
        tiles.flat, images, arrays["true"], arrays["read"], strict=False
    ):
        tile.imshow(image, cmap="gray_r")
        tile.set_title(f"{true}, read as {read}", fontsize=8, loc="center")
    plain(axes.xaxis, axes.yaxis)
    caption = (
        f"{task}, test data: how often each digit was read as which (darker: more mistakes), and "
        "the twelve whose wrong reading the network was surest of."
    )
    return Chart(f"misread_{task}", figure, caption)
