"""Functions: what hidden units build them from, cross entropy, the cost of a derivative."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from samegrad.benchmarks.training.data.simulated import curve
from samegrad.benchmarks.training.loop import mean_loss
from samegrad.benchmarks.training.pictures import staircase_of
from samegrad.implementations.contract.commands import HOME
from samegrad.implementations.contract.registry import TABLE
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.charts.chart import PALETTE, Chart, errors
from samegrad.reports.data import analysis, loading
from samegrad.reports.pictures.networks import outputs, softmax

Array = Any
ORANGE, BLUE, RED, GREEN, PINK, SKY, BLACK = PALETTE[:7]
SIZE = (8.0, 4.5)  # inches, the proportions of a slide
COSTS = HOME / "reports" / "results" / "differentiation" / "journal.jsonl"


def _units(x: Array, weight: float, places: Array, out: Array, activation: Any) -> Array:
    """A network of one hidden layer: out times units that rise at some places."""
    spec = MLPSpec((1, len(places), 1), activation, loss="mse")
    W1 = np.full((1, len(places)), weight)
    hidden, last = (W1, -weight * places), (out[:, None], np.zeros(1))
    return outputs(spec, [hidden, last], x[:, None])[:, 0]


def universal_approximation() -> Chart:
    """A steep sigmoid is a step; two steps are a bump, many a staircase, that is any function."""
    figure, ((steep, step), (bump, stairs)) = plt.subplots(2, 2, figsize=(8.0, 5.0))
    x = np.linspace(-1, 1, 1001)
    looks = ((3, ORANGE, ":"), (10, SKY, "-."), (30, BLUE, "--"), (300, BLACK, "-"))
    for weight, colour, style in looks:
        y = _units(x, weight, np.array([0.2]), np.ones(1), "sigmoid")
        steep.plot(x, y, style, color=colour, label=f"w = {weight}")
    steep.set_title("1  A sigmoid w (x - 0.2) grows steep")
    steep.legend(frameon=False, loc="upper left", fontsize=9)
    y = _units(x, 1.0, np.array([0.2]), np.array([0.7]), "unit_step")
    step.plot(x, y, color=BLUE)
    step.annotate("height: weight out, 0.7", (1, 0.74), ha="right", va="bottom", fontsize=9)
    step.annotate("place: -bias / weight in", (0.16, 0.3), ha="right", fontsize=9)
    step.set(ylim=(-0.1, 1.1))
    step.set_title("2  A unit is a step anywhere, of any height")
    places = np.array([-0.4, 0.2])
    parts = [
        _units(x, 1.0, places[i : i + 1], np.array([s]), "unit_step")
        for i, s in ((0, 0.7), (1, -0.7))
    ]
    for part, name, style in zip(parts, ("+0.7 at -0.4", "-0.7 at 0.2"), ("--", "-."), strict=True):
        bump.plot(x, part, style, color=SKY if part.max() > 0 else ORANGE, label=name)
    bump.plot(x, sum(parts), color=BLUE, linewidth=2, label="both")
    bump.set(ylim=(-0.9, 1.4))
    bump.legend(
        frameon=False, loc="upper right", fontsize=9, ncols=3, columnspacing=0.9, handlelength=1.6
    )
    bump.set_title("3  The difference of two steps is a bump")
    stairs.plot(x, curve(x), color=BLACK, linewidth=1, label="a function")
    said = []
    for width, colour in ((8, ORANGE), (32, BLUE)):
        spec, params = staircase_of(lambda x: curve(x), -1.0, 1.0, width, "float64")
        y = outputs(spec, params, x[:, None])[:, 0]
        stairs.plot(x, y, color=colour, label=f"{width} steps")
        said.append(f"{width} steps {np.sqrt(np.mean((y - curve(x)) ** 2)):.3f}")
    stairs.set(ylim=(-1.5, 1.5))
    stairs.legend(frameon=False, loc="upper left", fontsize=9)
    stairs.set_title("4  Many steps are as near as one likes")
    for axes in (bump, stairs):
        axes.set_xlabel("x")
    figure.tight_layout()
    caption = (
        "Universal approximation, its pieces: every panel is a network with one hidden layer. "
        f"Root of the mean squared error of the staircase: {', '.join(said)}; it halves as the "
        "width doubles."
    )
    return Chart("universal_approximation", figure, caption)


LOGITS = {
    "sure and right": (0.0, 4.0, 0.5),
    "unsure": (0.2, 0.4, 0.0),
    "sure and wrong": (4.0, 0.0, 0.5),
}


def cross_entropy() -> Chart:
    """Outputs of low, middle and high cross entropy, and where they are on -ln p."""
    figure = plt.figure(figsize=SIZE)
    places = figure.add_gridspec(3, 2, width_ratios=(1, 1.5))
    right = figure.add_subplot(places[:, 1])
    p = np.linspace(0.005, 1, 400)
    right.plot(p, -np.log(p), color=BLACK, linewidth=1.5, label="-ln p")
    spec, said = MLPSpec((1, 3)), []
    for row, ((name, logits), colour, marker) in enumerate(
        zip(LOGITS.items(), (GREEN, ORANGE, RED), "os^", strict=True)
    ):
        axes = figure.add_subplot(places[row, 0])
        z, y = np.array([logits]), np.array([1])
        loss, shares = mean_loss(spec, z, y), softmax(z)[0]
        bars = axes.bar(["cat", "dog", "owl"], shares, color="#bbbbbb", label=name)
        bars[1].set_color(colour)
        for bar, share in zip(bars, shares, strict=True):
            axes.annotate(
                f"{share:.2f}", (bar.get_x() + bar.get_width() / 2, share), ha="center",
                va="bottom", fontsize=9,
            )  # fmt: skip
        axes.set(ylim=(0, 1.25), yticks=[0, 1])
        axes.set_title(f"{name}: {loss:.2f}")
        right.plot(shares[1], loss, marker, color=colour, markersize=11, label=name)
        right.annotate(
            f"{loss:.2f}", (shares[1], loss), xytext=(10, 8), textcoords="offset points",
            fontsize=11,
        )  # fmt: skip
        said.append(f"{name} {loss:.2f}")
    right.set(xlim=(-0.02, 1.08), ylim=(-0.15, 5.4))
    right.set_xlabel("probability p of the right class (dog)")
    right.set_title("Cross entropy of one example: -ln p")
    right.legend(frameon=False, loc="upper right")
    figure.tight_layout()
    caption = (
        f"Softmax of three outputs for an image of a dog. Cross entropy: {', '.join(said)}. Only "
        "the probability of the right class counts; being sure and wrong costs without end."
    )
    return Chart("cross_entropy", figure, caption)


WAYS = {
    "numerical": "differences of the loss",
    "dual": "forward mode (dual numbers)",
    "symbolic": "symbolic (a formula each)",
    "graph": "reverse mode, a graph",
    "numpy": "reverse mode, by hand",
    "torch": "reverse mode, torch",
    "jax": "reverse mode, JAX",
}


def cost_of_ways() -> Chart:
    """Forward passes that a gradient takes by each way, from the published run.

    Raises:
        ValueError: its journal is not there.
    """
    if not COSTS.is_file():
        raise ValueError(
            "cost_of_ways is drawn from a published run, which a clone of the repository has; "
            "anywhere: samegrad benchmark --preset differentiation, whose report has the figure"
        )
    report = loading.load([COSTS])
    costs = analysis.differentiation(report.rows)
    figure, axes = plt.subplots(figsize=SIZE)
    ends = []
    for name, way in WAYS.items():
        part = costs[(costs.implementation == name) & (costs.device == "cpu")]
        part = part[part.ratio.notna()].sort_values("parameters")
        if part.empty:
            continue
        entry = TABLE[name]
        axes.errorbar(
            part.parameters, part.ratio, yerr=errors(part, "ratio"), color=entry.colour,
            marker=entry.marker, markersize=6, capsize=2, label=way,
        )  # fmt: skip
        ends.append((float(part.ratio.iloc[-1]), way))
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("parameters (8-w-4, tanh, batch 8, float64)")
    axes.set_ylabel("gradient time / forward time")
    axes.set_title("How many forward passes does a gradient take?")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    handles, names = axes.get_legend_handles_labels()
    order = [names.index(way) for _, way in sorted(ends, reverse=True)]
    axes.legend(
        [handles[i] for i in order], [names[i] for i in order], frameon=False, loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip
    figure.tight_layout()
    caption = (
        "Measured (docs/ways-to-differentiate.md): reverse mode takes a few forward passes for any "
        "number of parameters, differences and dual numbers take passes in proportion to it. "
        "Bars: 95 % intervals over processes."
    )
    return Chart("cost_of_ways", figure, caption)
