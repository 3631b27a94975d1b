"""Lines of gradients that are functions, where what a line reads is wrong, or used wrongly."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.checking.function_check import check_function

NETWORK = """
import numpy as np

rng = np.random.default_rng(0)
X, t = rng.normal(size=(5, 2)), 2 * rng.normal(size=5)


def huber(r):
    return np.where(np.abs(r) <= 1, r**2 / 2, np.abs(r) - 1 / 2)


def huber_slope(r):
    return np.clip(r, -1, 1)


def loss(p):
    h = np.maximum(0.2 * (X @ p["W"] + p["b"]), X @ p["W"] + p["b"])
    pairs = h.reshape(5, 2, 2)
    best = pairs.max(axis=2)
    return huber(best @ p["v"] - t).mean()


def grad(p):
    zs = []
    z = X @ p["W"] + p["b"]
    zs.append(z)
    h = np.where(z > 0, z, 0.2 * z)
    pairs = h.reshape(5, 2, 2)
    best = pairs.max(axis=2)
    r = best @ p["v"] - t
    mean = huber_slope(r) / 5
    d = mean
    dbest = np.outer(d, p["v"])
    m = pairs == best[:, :, None]
    dpairs = m * dbest[:, :, None]
    dh = dpairs.reshape(5, 4)
    z = zs[-1]
    slope = np.where(z > 0, 1, 0.2)
    dz = dh * slope
    return {"W": X.T @ dz, "b": dz.sum(0), "v": best.T @ d}


params = {"W": rng.normal(size=(2, 4)), "b": rng.normal(size=4), "v": rng.normal(size=2)}
"""

FULL = pytest.mark.full


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return np.clip(r, -1, 1)", "return r"),
        pytest.param("m = pairs == best[:, :, None]", "m = np.ones_like(pairs) / 2", marks=FULL),
        pytest.param("dz = dh * slope", "dz = dh * z", marks=FULL),
        pytest.param("dz = dh * slope", "dz = dh * np.where(z > 0, 1, 0.02)", marks=FULL),
        ("best.T @ d}", "2 * best.T @ d}"),
    ],
    ids=[
        "returns its input",
        "a factor",
        "z for a slope",
        "computed twice",
        "scaled",
    ],
)
def test_line_is_named_where_what_it_reads_is_right(right: str, wrong: str, tmp_path: Path) -> None:
    """Not the line that uses it."""
    file = tmp_path / "net.py"
    file.write_text(NETWORK.replace(right, wrong))
    net = runpy.run_path(str(file))

    report = check_function(net["loss"], net["grad"], net["params"])

    line = NETWORK[: NETWORK.index(right)].count("\n") + 1 + right.count("\n")
    assert [f"net.py:{line}"] == [said.split(": ")[0] for said in report.lines], report


def test_right_gradient_names_no_line(tmp_path: Path) -> None:
    """And agrees."""
    file = tmp_path / "net.py"
    file.write_text(NETWORK)
    net = runpy.run_path(str(file))
    before = np.copy(net["params"]["W"])

    report = check_function(net["loss"], net["grad"], net["params"])

    assert report.agrees, report
    assert () == report.lines
    assert np.array_equal(before, net["params"]["W"])
