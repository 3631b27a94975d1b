"""Fits between measured networks: the least squares with no coefficient below 0."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls

from samegrad.reports.data.interpolation import Networks, paired, predicted


def networks(seconds: Any, parts: Any) -> Networks:
    """Of one run."""
    count = len(seconds)
    return Networks([("run", f"{i}", 1) for i in range(count)], parts, seconds, [()] * count)


def by_library(known: Networks, asked: Any) -> float:
    """What scipy's solver predicts."""
    relative = known.parts / known.seconds[:, None]
    scale = relative.max(axis=0)
    return float(asked @ (nnls(relative / scale, np.ones(len(known)))[0] / scale))


@pytest.mark.parametrize("proportional", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_fits_are_those_of_a_solver_of_the_library(seed: int, proportional: bool) -> None:
    """Over seven orders of magnitude; of all, and with each network left out in turn."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(6, 20))
    flops, bytes_ = 10 ** draw.uniform(3, 10, count), 10 ** draw.uniform(3, 8, count)
    parts = np.stack([np.ones(count), draw.integers(1, 4, count), flops, bytes_], axis=1)
    if proportional:
        parts[:, 3] = parts[:, 2] / 8
    law = draw.choice([0, 1], 4) * [1e-5, 1e-6, 1e-11, 1e-10] + [0, 0, 1e-12, 0]
    known = networks(parts @ law * draw.uniform(0.6, 1.6, count), parts)
    asked = parts[0] * [1, 1, 2, 2]

    seconds, errors = predicted(known, asked)

    assert seconds == pytest.approx(by_library(known, asked), rel=1e-5)
    for place in range(count):
        others = known.at([i for i in range(count) if i != place])
        times = by_library(others, parts[place]) / known.seconds[place]
        assert np.exp(errors[place]) == pytest.approx(times, rel=1e-5)


def test_pairs_are_of_the_run_that_has_most_of_both() -> None:
    """In one order, each network once: of the first of its rows."""
    runs = {"a": ["8-4", "8-5", "8-6"], "b": ["8-6", "8-5", "8-4", "8-5"]}
    own, other = (
        Networks.by_implementation(
            [
                SimpleNamespace(
                    source=run, started=run, implementation="jax", layers=layers, batch_size=1,
                    flops=1.0, bytes=1.0, seconds=start + place, process_medians=(start + place,),
                )
                for run, its in runs.items()
                for place, layers in enumerate(its[: most[run]])
            ]
        )["jax"]
        for start, most in ((10, {"a": 3, "b": 4}), (20, {"a": 2, "b": 4}))
    )  # fmt: skip

    first, second = paired(own, other)

    assert list(first.keys) == list(second.keys)
    assert {("b", "8-6", 1), ("b", "8-5", 1), ("b", "8-4", 1)} == set(first.keys)
    assert (first.seconds + 10 == second.seconds).all()
    assert 11 == first.seconds[list(first.keys).index(("b", "8-5", 1))]
    assert ("a", "8-4", 1) in own.keys and len(own.newest()) == 3
    empty = own.at([])
    assert [] == list(paired(empty, own)[0].keys)
