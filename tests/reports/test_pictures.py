"""`samegrad pictures`: figures for slides, as PNG and SVG, with their points."""

from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from samegrad.cli import main
from samegrad.implementations.contract import spiking
from samegrad.reports.charts import chart
from samegrad.reports.charts.chart import Chart
from samegrad.reports.pictures import functions, learning, plane, registry
from samegrad.reports.pictures import spiking as spiking_pictures
from samegrad.reports.pictures.networks import of_task, outputs

# Simulations and trainings of many steps; `full` draws each, and looks for texts that overlap.
LONG = (
    "membrane_voltage", "tuning_curve", "spike_raster", "network_graph", "decision_regions",
    "initialisers", "overfitting", "weight_decay",
)  # fmt: skip
BELOW = ("synaptic_filters", "hidden_activations", "cross_entropy")  # drawn in another test
NAMES = [
    pytest.param(name, marks=[pytest.mark.full] if name in (*LONG, *BELOW) else [])
    for name in registry.PICTURES
]


def overlapping(figure: Any) -> set[tuple[str, str]]:
    """Pairs of texts that cover each other, by a point or more, of those that are drawn."""
    drawn, renderer, draw = list[Text](), figure.canvas.get_renderer(), Text.draw

    def seen(text: Text, to: Any) -> None:
        drawn.append(text)
        draw(text, to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", seen)
        figure.draw(renderer)
    texts = [text for text in drawn if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-1)) for text in texts]
    return {(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)}


def illegible(figure: Any) -> set[str]:
    """Labels of axes with exponents, and series of points that reach over the edge of their axes.

    A circle on an axis may (`clip_on=False`): it is then drawn as a whole.
    """
    texts = {
        t.get_text()
        for axes in figure.axes
        for t in axes.get_xticklabels() + axes.get_yticklabels()
    }
    found = {text for text in texts if "^" in text}
    for axes in figure.axes:
        for points in axes.collections:
            if isinstance(points, PathCollection) and points.get_clip_on():
                x, y = (
                    axes.transAxes.inverted()
                    .transform(points.get_offset_transform().transform(points.get_offsets()))
                    .T
                )
                if min(x.min(), y.min()) < 0.01 or max(x.max(), y.max()) > 0.99:
                    found.add(str(points.get_label()))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_drawn(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three files of its name and a caption; wide enough for a slide, not empty, and legible."""

    def save(charts: list[Chart], directory: Path) -> None:
        assert [set()] == [overlapping(one.figure) for one in charts]
        assert [set()] == [illegible(one.figure) for one in charts]
        chart.save(charts, directory)

    monkeypatch.setattr(registry, "save", save)

    assert 0 == main(["pictures", name, "--output", str(tmp_path / "new")])

    files = [tmp_path / "new" / f"{name}{suffix}" for suffix in (".csv", ".png", ".svg")]
    assert files == sorted((tmp_path / "new").iterdir())
    image = matplotlib.image.imread(files[1])
    assert image.shape[1] > 1000 and image.std() > 0.05
    said = capsys.readouterr()
    assert f"{files[1]}, .svg, .csv: " in said.out
    assert f"{name}: {registry.PICTURES[name].shows} ...\n" == said.err
    assert "<svg" in files[2].read_text()


def test_what_cannot_be_read_is_found() -> None:
    """Two words at one place, powers of ten on an axis, a point that is cut by its edge."""
    figure, axes = plt.subplots()
    axes.annotate("one", (0.5, 0.5))
    assert set() == overlapping(figure)

    axes.annotate("two", (0.52, 0.51))

    assert {("one", "two")} == overlapping(figure)
    assert set() == illegible(figure)
    axes.scatter([0.5], [0.0], label="cut")
    axes.set(xlim=(0.01, 1), ylim=(0, 1), xscale="log")
    figure.canvas.draw()
    assert {"cut"} < illegible(figure)
    plt.close(figure)


@pytest.mark.full  # 28,000 steps of a neuron
def test_colour_stands_for_one_thing_in_panels_of_a_neuron() -> None:
    """Voltage, gates and current are five lines of five colours."""
    with chart.style():
        figure = spiking_pictures.membrane_voltage().figure
    colours = [to_hex(line.get_color()) for axes in figure.axes for line in axes.lines]
    plt.close(figure)

    assert 5 == len(colours) == len(set(colours))


def test_classes_of_xor_have_their_colour_in_each_panel() -> None:
    """Around each point the region is nearer to its class's colour than to the other's."""
    with chart.style():
        figure = plane.xor().figure
    orange, blue = (np.array(to_rgb(colour)) for colour in (plane.ORANGE, plane.BLUE))
    for axes in (figure.axes[0], figure.axes[2]):
        mesh = next(c for c in axes.collections if isinstance(c, QuadMesh))
        mesh.update_scalarmappable()
        colours = mesh.get_facecolor().reshape(plane.FINE, plane.FINE, 4)[..., :3]
        for (x1, x2), label in zip(plane.CORNERS, (0, 1, 1, 0), strict=True):
            row, column = (round((x + 0.5) / 2 * (plane.FINE - 1)) for x in (x2, x1))
            found = colours[row, column]
            assert label == int(np.abs(found - blue).sum() < np.abs(found - orange).sum())
    plt.close(figure)


def test_activations_are_those_of_a_network_that_has_learned(tmp_path: Path) -> None:
    """At first no output is sure of a class; in the end each is of its own."""
    registry.draw("hidden_activations", tmp_path)

    points = pd.read_csv(tmp_path / "hidden_activations.csv")
    means = points[points.panel.str.endswith("means of 400 images")]
    before, _, after = (
        part.pivot(index="y", columns="x", values="value").to_numpy()
        for _, part in means.groupby("panel", sort=False)
    )
    assert (5, 16 + 16 + 5) == before.shape == after.shape
    assert before[:, 32:].max() < 0.5 and np.diag(after[:, 32:]).min() > 0.95


def test_cross_entropy_is_that_of_the_shown_probabilities(tmp_path: Path) -> None:
    """Each marked example lies on -ln p of its bar."""
    registry.draw("cross_entropy", tmp_path)

    points = pd.read_csv(tmp_path / "cross_entropy.csv")
    for name in ("sure and right", "unsure", "sure and wrong"):
        one = points[points.series == name]
        (marked,) = one[one.panel.str.startswith("Cross entropy")].itertuples()
        (dog,) = one[one.x == "dog"].y
        assert marked.y == pytest.approx(-np.log(dog), rel=1e-4)


def test_cost_needs_a_published_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is none it is said how to measure one's own."""
    monkeypatch.setattr(functions, "COSTS", tmp_path / "journal.jsonl")

    assert 2 == main(["pictures", "cost_of_ways", "--output", str(tmp_path)])
    assert "samegrad benchmark --preset differentiation" in capsys.readouterr().err


@pytest.mark.full  # three trainings of 1,000 epochs
def test_decay_and_dropout_hold_the_loss_and_leave_a_function() -> None:
    """Both end below the plain network; with twice the decay a constant would, too."""
    runs = {task: of_task(task) for task in learning.VARIANTS}
    x = np.linspace(-1, 1, 50)[:, None]

    ends = {task: run.curve(held_out=True)[1] for task, run in runs.items()}
    fits = {task: outputs(run.recipe.spec, run.params, x) for task, run in runs.items()}

    plain = ends.pop("overfit")
    assert plain[-1] > 1.5 * plain.min()
    assert all(losses[-1] < 0.8 * plain[-1] for losses in ends.values())
    assert all(fitted.std() > 0.1 for fitted in fits.values())
    constant = of_task("overfit", weight_decay=0.01)
    assert outputs(constant.recipe.spec, constant.params, x).std() < 0.01


def test_filters_are_drawn_as_they_are(tmp_path: Path) -> None:
    """The points of a picture are those of the formula: area 1, the peak of n = 1 at tau_s."""
    registry.draw("synaptic_filters", tmp_path)

    points = pd.read_csv(tmp_path / "synaptic_filters.csv")
    (panel,) = {name for name in points.panel if name.startswith("h(t)")}
    one = points[(points.panel == panel) & (points.series == "n = 1")]
    assert 5 == pytest.approx(one.x[one.y.idxmax()])
    assert 1 == pytest.approx(one.y.sum() * 0.0005, abs=1e-2)


def test_names_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With a suggestion; nothing is written."""
    assert 0 == main(["pictures"])
    assert [*registry.PICTURES] == [
        line.split()[0] for line in capsys.readouterr().out.splitlines()
    ]
    assert 2 == main(["pictures", "tuning_curv"])
    assert "did you mean 'tuning_curve'?" in capsys.readouterr().err
    assert set(registry.PICTURES) == set(registry.chosen(["gates", "all"]))


def test_gates_are_at_rest_where_they_start() -> None:
    """x_inf and tau_x of the picture are those of the neurons: nothing moves."""
    scalar, y = spiking.load("hh", "scalar"), spiking.rest(1)[0].tolist()

    _, *gates = scalar.slopes(spiking.HHSpec(), spiking.CONDUCTANCES, y, 0.0)

    assert max(map(abs, gates)) < 1e-15
