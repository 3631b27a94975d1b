"""`samegrad pictures`: figures for slides, as PNG and SVG, with their points."""

from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest

from samegrad.cli import main
from samegrad.implementations.contract import spiking
from samegrad.reports.pictures import registry

LONG = ("membrane_voltage", "tuning_curve", "spike_raster")  # simulations of many steps
BELOW = ("synaptic_filters",)  # drawn in another test
NAMES = [
    pytest.param(name, marks=[pytest.mark.full] if name in (*LONG, *BELOW) else [])
    for name in registry.PICTURES
]


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_drawn(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three files of its name and a caption; wide enough for a slide, and not empty."""
    assert 0 == main(["pictures", name, "--output", str(tmp_path / "new")])

    files = [tmp_path / "new" / f"{name}{suffix}" for suffix in (".csv", ".png", ".svg")]
    assert files == sorted((tmp_path / "new").iterdir())
    image = matplotlib.image.imread(files[1])
    assert image.shape[1] > 1000 and image.std() > 0.05
    assert f"{files[1]}, .svg, .csv: " in capsys.readouterr().out
    assert "<svg" in files[2].read_text()


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
