"""Identities of gradients: kept by every right one, broken by the faults that they are for."""

from pathlib import Path

import pytest

from samegrad.implementations.contract import registry
from samegrad.implementations.proof.identities import IDENTITIES, kept, line
from tests.helpers.planted import RIGHT

# (what is replaced, by what): the identities that it breaks
BREAKS: dict[tuple[str, str], set[str]] = {
    ("db = None if b is None else delta.sum(axis=0)", "db = None if b is None else delta[0] * n"): {
        "examples permuted",
        "batch split",
        "layers balanced",
    },
    ("delta.sum(axis=0)", "0 * b + delta.sum()"): {"hidden units permuted", "layers balanced"},
    (" * dg(spec.activations[l - 1], zs[l - 1])", ""): {"layers balanced"},
    ("delta = (a - y) / n", "delta = (a - y) / (n + a.max())"): {
        "batch split",
        "targets scaled",
    },
    ("delta = (delta @ W.T)", "delta = (delta @ (W - 0.1 * dW).T)"): {
        "batch split",
        "targets scaled",
        "layers balanced",
    },
}


def broken(tmp_path: Path, old: str = "", new: str = "") -> set[str]:
    """Names of the identities that the right file does not keep with something replaced."""
    path = tmp_path / "mine.py"
    path.write_text(RIGHT.replace(old, new) if old else RIGHT)
    found = kept(registry.load(path))
    assert {k.name for k in found} == set(IDENTITIES)
    return {k.name for k in found if not k.holds}


@pytest.mark.quick
def test_right_file_keeps_all(tmp_path: Path) -> None:
    """To the digits of float64, with every kind of network."""
    assert set() == broken(tmp_path)


@pytest.mark.parametrize("name", ["numpy", "scalar", "graph", "micrograd"])
def test_networks_of_ours_keep_all(name: str) -> None:
    """Whatever they compute with."""
    found = kept(registry.load(name))

    assert len(IDENTITIES) < len(found)
    assert all(k.holds for k in found)
    assert "kept to" in line(found)


@pytest.mark.parametrize(("fault", "names"), BREAKS.items())
def test_faults_break_identities(tmp_path: Path, fault: tuple[str, str], names: set[str]) -> None:
    """Each by what it does to order, halves, scale or balance."""
    assert names <= broken(tmp_path, *fault)


def test_constant_factor_keeps_all(tmp_path: Path) -> None:
    """They are a witness, and no proof."""
    assert set() == broken(
        tmp_path,
        "grads.insert(0, (dW, db))",
        "grads.insert(0, (2 * dW, None if db is None else 2 * db))",
    )


def test_file_that_supports_nothing_is_no_witness(tmp_path: Path) -> None:
    """Then nothing is said."""
    path = tmp_path / "mine.py"
    path.write_text("def loss_and_grad(spec, params, X, y):\n    raise NotImplementedError")

    assert "" == line(kept(registry.load(path)))
