"""Learning: what hidden units do meanwhile, initialisers, overfitting, two kinds of decay."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from samegrad.benchmarks.training.data import datasets
from samegrad.benchmarks.training.pictures import by_class, hidden
from samegrad.benchmarks.training.tasks import TASKS
from samegrad.implementations.contract.initializers import INITIALIZERS, init_params
from samegrad.implementations.contract.spec import MLPSpec, Params
from samegrad.reports.charts.chart import PALETTE, Chart, plain
from samegrad.reports.pictures.networks import Run, of_task, outputs, softmax

Array = Any
ORANGE, BLUE, RED, GREEN, PINK, SKY, BLACK, WINE, GREY = PALETTE
SIZE = (8.0, 4.5)  # inches, the proportions of a slide
MOMENTS = {0: "before training", 1: "after one epoch", 20: "after 20 epochs"}
LENGTHS = (1, 2, 3, 4, 5)  # classes of line_length


def _line_length() -> Run:
    """At a tenth of the task's rate: one epoch is then not yet all of it."""
    return of_task("line_length", at=MOMENTS, learning_rate=0.03)


def _activations(run: Run, moment: int) -> tuple[list[Array], Array]:
    """(activations of each hidden layer, outputs as probabilities) of the test images."""
    params, X = run.moments[moment], run.test.X
    layers = hidden(run.recipe.spec, params, X)
    return layers, softmax(outputs(run.recipe.spec, params, X))


def hidden_activations() -> Chart:
    """Single images and class means, before, during and after training, with the outputs."""
    run = _line_length()
    y = run.test.y
    single = [int(np.flatnonzero(y == label)[0]) for label in range(len(LENGTHS))]
    figure, panels = plt.subplots(2, 3, figsize=SIZE, sharex=True, sharey=True)
    for column, (moment, title) in enumerate(MOMENTS.items()):
        layers, probabilities = _activations(run, moment)
        for row, what in enumerate(("one image of each length", "means of 400 images")):
            axes = panels[row][column]
            shown = [by_class(a, y) if row else a[single] for a in (*layers, probabilities)]
            values = np.hstack([*(a / a.max() for a in shown[:-1]), shown[-1]])
            axes.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=1)
            for edge in np.cumsum([layer.shape[1] for layer in layers]):
                axes.axvline(edge - 0.5, color="white", linewidth=2)
            axes.set_title(f"{title}:\n{what}", fontsize=10)
            axes.grid(visible=False)
    widths = [layer.shape[1] for layer in layers]
    ends = np.cumsum([0, *widths, probabilities.shape[1]])
    for axes in panels.flat:
        axes.set_xticks((ends[1:] + ends[:-1] - 1) / 2, ["layer 1", "layer 2", "out"])
        axes.tick_params(length=0)
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(LENGTHS)), [f"length {n}" for n in LENGTHS])
    figure.tight_layout(rect=(0, 0, 0.9, 1))
    bar = figure.add_axes((0.915, 0.2, 0.02, 0.6), label="<colorbar>")
    figure.colorbar(ScalarMappable(Normalize(0, 1), "cividis"), cax=bar)
    bar.set_ylabel("hidden: share of the layer's largest; out: probability", fontsize=9)
    caption = (
        "line_length, 10-16-16-5, relu: the hidden units of single images, and of each class on "
        "average, before, during and after training. At first all lengths look much alike; in the "
        "end each has units of its own, and one output."
    )
    return Chart("hidden_activations", figure, caption)


def network_graph() -> Chart:
    """The network as a graph, its units coloured by what one image makes of them."""
    run = _line_length()
    example = int(np.flatnonzero(run.test.y == 2)[0])
    most = max(float(np.abs(W).max()) for params in run.moments.values() for W, _ in params)
    figure, panels = plt.subplots(1, 3, figsize=SIZE)
    for axes, (moment, title) in zip(panels, MOMENTS.items(), strict=True):
        layers, probabilities = _activations(run, moment)
        x = run.test.X[example]
        rows = [layer[example] for layer in layers]
        values = [x, *(row / max(row.max(), 1e-9) for row in rows), probabilities[example]]
        _graph(axes, values, [W / most for W, _ in run.moments[moment]])
        for place, p in zip(_places(len(LENGTHS)), probabilities[example], strict=True):
            axes.annotate(f"{100 * p:.0f} %", (3.22, place), va="center", fontsize=9)
        axes.set_title(f"{title}", fontsize=11)
    figure.tight_layout(w_pad=1.5)
    lines = [Line2D([], [], color=colour, linewidth=2) for colour in (BLUE, RED)]
    figure.legend(
        lines, ["positive weight", "negative weight (the wider, the larger)"], ncols=2,
        loc="lower center", frameon=False, bbox_to_anchor=(0.5, -0.05),
    )  # fmt: skip
    caption = (
        "One image with a line of length 3 (pixels left, probabilities of lengths 1 to 5 right) in "
        "the network 10-16-16-5; yellow units are the most active of their layer. Training makes "
        "some weights large, and the third output sure."
    )
    return Chart("network_graph", figure, caption)


def _places(count: int) -> Array:
    """Heights of the units of a layer, around 0."""
    return (np.arange(count)[::-1] - (count - 1) / 2) * (1.0 if count < 16 else 0.95)


def _graph(axes: Any, values: list[Array], weights: list[Array]) -> None:
    """Units in columns, coloured by values from 0 to 1; lines are weights from -1 to 1."""
    for column, W in enumerate(weights):
        left, right = _places(W.shape[0]), _places(W.shape[1])
        ends = [[(column, a), (column + 1, b)] for a in left for b in right]
        w = W.ravel()
        axes.add_collection(
            LineCollection(
                ends,
                linewidths=2.5 * np.abs(w),
                colors=[BLUE if one > 0 else RED for one in w],
                alpha=0.7,
                zorder=1,
            )
        )
    for column, row in enumerate(values):
        axes.scatter(
            np.full(len(row), float(column)), _places(len(row)), c=row, cmap="cividis", vmin=0,
            vmax=1, s=95, edgecolor="black", linewidth=0.6, zorder=2, label=f"column {column + 1}",
        )  # fmt: skip
    for column, name in enumerate(("pixels", "layer 1", "layer 2", "out")):
        axes.annotate(name, (column, -8.4), ha="center", fontsize=9)
    axes.set(xlim=(-0.25, 3.75), ylim=(-8.6, 8))
    axes.axis("off")


def initialisers() -> Chart:
    """Losses over the epochs from each initialiser, on a network deep enough to tell them apart."""
    figure, axes = plt.subplots(figsize=SIZE)
    width, variances = 32, {}
    for name in INITIALIZERS:
        layers = init_params(MLPSpec((width,) * 40, dtype="float64"), 0, name)
        variances[name] = width * float(np.var([W for W, _ in layers]))
    order = sorted(variances, key=lambda name: -variances[name])
    for number, name in enumerate(order):
        run = of_task(
            "line_length", initializer=name, layer_sizes=(10, *(width,) * 4, 5),
            learning_rate=0.05, epochs=10,
        )  # fmt: skip
        axes.plot(
            *run.curve(), ("-", "--", ":", "-.")[number % 4], color=PALETTE[number],
            marker="osD^vP*X"[number], markersize=5, label=f"{name}  {variances[name]:.2g}",
        )  # fmt: skip
    axes.set_yscale("log")
    plain(axes.yaxis)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.set_title("Eight initialisers, one network: 10-32-32-32-32-5, relu, sgd at rate 0.05")
    axes.legend(
        frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0),
        title="fan_in times the\nvariance of W", alignment="left",
    )  # fmt: skip
    figure.tight_layout()
    caption = (
        "line_length: the same examples in the same order, other first weights. A layer passes on "
        "its inputs' variance times fan_in times the variance of W, relu half of that: 2 keeps it "
        "(He). The smaller the number, the later learning begins; at 0.0032 four layers let hardly "
        "anything through, and only the classes' shares are learned (loss ln 5 = 1.61)."
    )
    return Chart("initialisers", figure, caption)


VARIANTS = {
    "overfit": ("plain", RED, "-"),
    "overfit_decay": ("weight decay 0.005", BLUE, "--"),
    "overfit_dropout": ("dropout 0.3", GREEN, "-."),
}


def overfitting() -> Chart:
    """Held-out loss that falls and rises, and what decay and dropout do about it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, width_ratios=(1.3, 1))
    x = np.linspace(-1, 1, 121)[:, None]
    said = []
    for task, (name, colour, style) in VARIANTS.items():
        run = of_task(task)
        epochs, losses = run.curve(held_out=True)
        left.plot(epochs, losses, style, color=colour, label=f"{name}, held-out points")
        said.append(f"{name} {losses.min():.3f}, then {losses[-1]:.3f}")
        right.plot(x, outputs(run.recipe.spec, run.params, x), style, color=colour, label=name)
        if task == "overfit":
            left.plot(*run.curve(), color=GREY, linewidth=1, label="plain, its 30 points")
            right.plot(
                run.training.X[:, 0], run.training.y[:, 0], "o", color=BLACK, markersize=4,
                label="30 points",
            )  # fmt: skip
    left.set_yscale("log")
    left.set_ylim(4e-3, 1)
    plain(left.yaxis)
    left.set_xlabel("epoch")
    left.set_title("Loss")
    left.legend(frameon=False, loc="upper right", fontsize=9)
    right.plot(x, x**3 - 0.5 * x, color="#555555", linewidth=1, label="without noise")
    right.set_ylim(-1.15, 1.6)
    right.set_xlabel("x")
    right.set_title("What is learned")
    right.legend(
        frameon=False, loc="upper left", fontsize=9, ncols=2, handlelength=1.4, columnspacing=0.8,
        borderaxespad=0,
    )  # fmt: skip
    figure.tight_layout()
    caption = (
        "30 noisy points and a network of 63,501 weights (samegrad train overfit, overfit_decay, "
        f"overfit_dropout). Held-out loss at its least, and at the end: {'; '.join(said)}."
    )
    return Chart("overfitting", figure, caption)


DECAYS = tuple(10.0 ** (power / 2) for power in range(-8, 3))
SEEDS = (0, 1, 2)


def weight_decay() -> Chart:
    """Adam with the same decay as a term of the loss and decoupled: what it makes of a network."""
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE)
    best = []
    for rule, form, colour, marker in (
        ("adam", "L2 in the loss", BLUE, "o"),
        ("adamw", "decoupled", RED, "s"),
    ):
        losses, sizes = [], []
        for decay in DECAYS:
            runs = [
                of_task(
                    "overfit", seed=seed, layer_sizes=(1, 50, 50, 1), optimizer=rule,
                    weight_decay=decay,
                )
                for seed in SEEDS
            ]  # fmt: skip
            losses.append(np.median([run.curve(held_out=True)[1][-1] for run in runs]))
            sizes.append(np.median([_size(run.params) / _size(run.moments[0]) for run in runs]))
        left.plot(DECAYS, losses, color=colour, marker=marker, label=form)
        right.plot(DECAYS, sizes, color=colour, marker=marker, label=form, clip_on=False)
        best.append(f"{form} {DECAYS[int(np.argmin(losses))]:.2g}")
    left.axhline(_loss_of_a_constant(), color=BLACK, linewidth=1, linestyle=":", label="a constant")
    left.set_title("Held-out loss after 1,000 steps")
    right.set_title("Root mean square of the weights: end / start")
    right.set_yscale("symlog", linthresh=0.1)
    right.set_ylim(0)
    for axes in (left, right):
        axes.set_xscale("log")
        plain(axes.xaxis, axes.yaxis)
        axes.set_xlabel("weight decay")
    left.legend(frameon=False)
    figure.tight_layout()
    caption = (
        "Adam, 30 noisy points (as samegrad train overfit), 1-50-50-1, median of 3 seeds. The same "
        "number does two things: as a term of the loss it goes through Adam's division, decoupled "
        "it does not. Best of these decays: " + "; ".join(best) + ". Dotted: the points' mean, all "
        "that too much decay leaves; it has learned nothing, and errs less than a network that has "
        "learned the noise. Under sgd without momentum both are one."
    )
    return Chart("weight_decay", figure, caption)


def _loss_of_a_constant() -> float:
    """Held-out loss of the training points' mean: nothing is left of the weights."""
    fold = datasets.make(TASKS["overfit"].data, None).folds[0]
    training, test = (fold.y[rows] for rows in (fold.training, fold.test))
    return float(np.mean((test - training.mean()) ** 2) / 2)


def _size(params: Params) -> float:
    return float(np.sqrt(np.mean(np.concatenate([W.ravel() for W, _ in params]) ** 2)))
