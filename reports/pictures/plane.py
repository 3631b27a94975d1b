"""The plane: XOR, and which part of it a network takes for which class."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgb

from samegrad.benchmarks.training.loop import Examples
from samegrad.benchmarks.training.recipe import Recipe
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.charts.chart import PALETTE, Chart
from samegrad.reports.pictures.networks import grid, of_task, outputs, softmax, trained

Array = Any
ORANGE, BLUE, RED, GREEN, PINK, SKY, BLACK, WINE, GREY = PALETTE
SIZE = (8.0, 4.5)  # inches, the proportions of a slide
MARKERS = "os^Dv"
COLOURS = (ORANGE, BLUE, GREEN, PINK, WINE)
FINE = 120  # points per side of a region
EDGE = 1.9  # of the plane: no point is cut
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour on white, so much of it."""
    return tuple(1 - share + share * part for part in to_rgb(colour))


def _points(axes: Any, X: Array, y: Array, names: list[str], size: float) -> None:
    """Examples, a marker and a colour for each class."""
    for label, name in enumerate(names):
        axes.scatter(
            *X[y == label].T, s=size, color=COLOURS[label], marker=MARKERS[label], label=name,
            edgecolor="white", linewidth=0.8, zorder=3,
        )  # fmt: skip
    axes.grid(visible=False)
    axes.set_aspect("equal")


def xor() -> Chart:
    """By two lines, in the plane and in the plane of the hidden units; and as it is learned."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.0, 3.3))
    labels, names = np.array([0, 1, 1, 0]), ["0", "1"]
    side, X = grid(-0.5, 1.5, FINE)
    two = ListedColormap([tint(ORANGE, 0.3), tint(BLUE, 0.3)])
    shades = [
        tint(ORANGE, 0.6),
        (1.0, 1.0, 1.0),
        tint(BLUE, 0.6),
    ]  # of the same classes, by how sure

    def steps(X: Array) -> Array:  # h1: at least one input; h2: both
        return (X.sum(axis=1, keepdims=True) > np.array([0.5, 1.5])) * 1.0

    inside = steps(X) @ np.array([1.0, -1.0]) > 0.5
    left.pcolormesh(side, side, inside.reshape(FINE, FINE), cmap=two, rasterized=True)
    for at, name, x in ((0.5, "h1", -0.35), (1.5, "h2", 0.15)):
        left.plot([at - 1.5, 1.5], [1.5, at - 1.5], color=BLACK, linewidth=1.5)
        left.annotate(f"{name} = 1", (x, at - x), xytext=(3, 3), textcoords="offset points",
                      rotation=-45, rotation_mode="anchor", fontsize=9)  # fmt: skip
    _points(left, CORNERS, labels, names, 110)
    left.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="x1", ylabel="x2")
    left.set_title("Two units, two lines")
    h_side, H = grid(-0.5, 1.5, FINE)
    apart = H @ np.array([1.0, -1.0]) > 0.5
    middle.pcolormesh(h_side, h_side, apart.reshape(FINE, FINE), cmap=two, rasterized=True)
    middle.plot([0.0, 1.5], [-0.5, 1.0], color=BLACK, linewidth=1.5)
    _points(middle, steps(CORNERS), labels, names, 110)
    middle.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="h1", ylabel="h2")
    middle.set_title("In their plane, one line")
    run = of_task("xor")
    z = outputs(run.recipe.spec, run.params, X).reshape(FINE, FINE)
    mesh = right.pcolormesh(
        side,
        side,
        1 / (1 + np.exp(-z)),
        vmin=0,
        vmax=1,
        rasterized=True,
        cmap=LinearSegmentedColormap.from_list("xor", shades),
    )
    right.contour(side, side, z, levels=[0.0], colors=BLACK, linewidths=1.5)
    _points(right, CORNERS, labels, names, 110)
    right.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="x1", ylabel="x2")
    right.set_title("Learned: 2-4-1, tanh")
    for axes in (left, middle, right):
        axes.set_xticks([0, 1])
        axes.set_yticks([0, 1])
    handles = left.get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.07, 0.93, 1))
    box = right.get_position()
    bar = figure.add_axes((box.x1 + 0.015, box.y0, 0.016, box.height), label="<colorbar>")
    figure.colorbar(mesh, cax=bar, label="probability of 1")
    figure.legend(*handles, title="XOR of x1 and x2 is", ncols=2, loc="lower center",
                  frameon=False, bbox_to_anchor=(0.46, -0.06))  # fmt: skip
    caption = (
        "No line parts XOR's classes. Left: two unit steps, h1 (at least one input is 1) and h2 "
        "(both are). Middle: in their plane, where (0, 1) and (1, 0) fall on one point, the line "
        "h1 - h2 = 1/2 does. Right: what training finds; line: probability 1/2."
    )
    return Chart("xor", figure, caption)


def _moons(rng: np.random.Generator, count: int) -> Examples:
    """Two half circles that grip into each other, with noise."""
    angle, y = rng.uniform(0, np.pi, count), rng.integers(0, 2, count)
    x1 = np.where(y == 0, np.cos(angle) - 0.5, 0.5 - np.cos(angle))
    x2 = np.where(y == 0, np.sin(angle) - 0.25, 0.25 - np.sin(angle))
    return Examples(np.stack([x1, x2], axis=1) + rng.normal(0, 0.12, (count, 2)), y)


def _arms(rng: np.random.Generator, count: int, arms: int = 5) -> Examples:
    """Arms of a spiral."""
    radius, y = np.sqrt(rng.uniform(0.02, 1, count)), rng.integers(0, arms, count)
    angle = 2 * np.pi * y / arms + 2.2 * radius + rng.normal(0, 0.12, count)
    return Examples(1.4 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y)


def decision_regions() -> Chart:
    """Two classes and five, the stronger the colour the surer the network."""
    figure, panels = plt.subplots(1, 2, figsize=SIZE)
    side, X = grid(-EDGE, EDGE, FINE)
    said = []
    for axes, drawn, classes, title in zip(
        panels, (_moons, _arms), (2, 5), ("Two classes", "Five classes"), strict=True
    ):
        rng = np.random.default_rng(5)
        training, test = drawn(rng, 100 * classes), drawn(rng, 1000)
        spec = MLPSpec((2, 32, 32, classes), "tanh", optimizer="adam")
        run = trained(Recipe(spec, 300, 0, 0.01, initializer="glorot_uniform"), training, test)
        p = softmax(outputs(run.recipe.spec, run.params, X))
        sure = (p.max(axis=1) - 1 / classes) / (1 - 1 / classes)  # 0: all alike, 1: certain
        picture = np.array(
            [tint(COLOURS[c], 0.12 + 0.4 * s) for c, s in zip(p.argmax(axis=1), sure, strict=True)]
        ).reshape(FINE, FINE, 3)
        axes.imshow(
            picture, origin="lower", extent=(-EDGE, EDGE, -EDGE, EDGE), interpolation="bilinear"
        )
        for c in range(classes):  # where its probability is that of the best of the others
            lead = p[:, c] - np.delete(p, c, axis=1).max(axis=1)
            axes.contour(
                side, side, lead.reshape(FINE, FINE), levels=[0.0], colors="#444444", linewidths=0.8
            )
        _points(axes, training.X, training.y, [f"class {c + 1}" for c in range(classes)], 16)
        right = float(np.mean(outputs(run.recipe.spec, run.params, test.X).argmax(1) == test.y))
        axes.set_title(f"{title}: {100 * right:.1f} % of 1,000 others right")
        axes.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xlabel="x1", ylabel="x2")
        said.append(f"{len(training)} points of {classes} classes")
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.legend(*panels[1].get_legend_handles_labels(), ncols=5, loc="lower center",
                  frameon=False, bbox_to_anchor=(0.5, -0.03), markerscale=1.6)  # fmt: skip
    caption = (
        f"Networks 2-32-32-classes, tanh, softmax, trained by Adam on {' and on '.join(said)}: "
        "the region of a class has its colour, the stronger the surer the network is."
    )
    return Chart("decision_regions", figure, caption)
