"""The reference is right: mpmath for small networks, central differences at every shape."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import PRODUCTS
from samegrad.benchmarks.cases.presets import PRESETS
from samegrad.implementations.checking import exact, problems, reference
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import problem

SMALL = [
    *(p for p in problems.standard("float64") if not p.name),
    *(
        problems.draw(MLPSpec(sizes, activation, output, loss, bias, decay, dtype="float64"), 3)
        for sizes, activation, output, loss, (bias, decay) in product(
            ((3, 2), (3, 4, 2)),
            ("relu", "sigmoid", "tanh"),
            ("identity", "sigmoid"),
            ("cross_entropy", "mse"),
            ((True, 0.1), (False, 0.0)),
        )
    ),
]


def true_error(problem: Any) -> float:
    """Largest error of the reference's loss and gradient, relative to the largest entry."""
    batch = problem.spec, problem.params, problem.X, problem.y, problem.masks
    right, near = exact.expected(*batch), reference.expected(*batch)
    worst = abs(float(near.loss - right.loss) / float(right.loss))
    for layer, exact_layer in zip(near.grads, right.grads, strict=True):
        for g, r in zip(layer, exact_layer, strict=True):
            if g is not None:
                off = np.max(np.abs((g - r).astype(np.float64)))
                worst = max(worst, off / np.max(np.abs(r.astype(np.float64))))
    return float(worst)


def directional_error(spec: MLPSpec, batch_size: int, directions: int = 8) -> float:
    """Largest relative difference between grads . v and central differences of the loss."""
    params, X, y = problem(spec, batch_size)
    grads = reference.expected(spec, params, X, y).grads
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(directions):
        # Along the gradient plus noise of the same length, so that the slope is never tiny.
        v = [
            tuple(None if g is None else g + np.std(g) * rng.normal(size=g.shape) for g in layer)
            for layer in grads
        ]
        length = np.sqrt(sum(np.sum(part**2) for layer in v for part in layer if part is not None))
        # A tenth of eps^(1/3), the best for smooth functions: crossed kinks cost in proportion.
        h = 1e-6 / length

        def loss(step: float, v: Any = v) -> float:
            moved = [
                tuple(
                    None if p is None else p.astype(np.float64) + step * part
                    for p, part in zip(layer, parts, strict=True)
                )
                for layer, parts in zip(params, v, strict=True)
            ]
            return reference.loss(spec, moved, X, y)

        slope = sum(
            np.sum(g * part)
            for layer, parts in zip(grads, v, strict=True)
            for g, part in zip(layer, parts, strict=True)
            if g is not None
        )
        worst = max(worst, abs((loss(h) - loss(-h)) / (2 * h) / slope - 1))
    return float(worst)


@pytest.mark.parametrize("small", SMALL, ids=lambda p: p.label.replace(" ", "-"))
def test_reference_agrees_with_exact_results(small: Any) -> None:
    """Loss and every gradient entry are right to 14 digits."""
    assert true_error(small) < 1e-14


def every_shape() -> list[tuple[MLPSpec, int]]:
    """Each (spec, batch size) of a gradient in a preset, as float64: the reference's duty."""
    shapes = {
        (replace(line.network.spec, dtype="float64"), batch_size)
        for preset in PRESETS.values()
        for line in preset.lines
        if line.operations != (PRODUCTS,)
        for batch_size in line.batch_sizes
    }
    return sorted(shapes, key=lambda shape: (shape[0].layer_sizes, shape[1]))


# Parameters times examples: above the first, 8 directions take seconds; above the other, minutes.
LARGE, HUGE = 30_000_000, 1_000_000_000
SHAPES = [
    pytest.param(
        spec,
        batch_size,
        directions,
        marks=[pytest.mark.full] if full else [],
        id=f"{name}-{directions}",
    )
    for spec, batch_size in every_shape()
    for size in [spec.parameters * batch_size]
    for name in [f"{'-'.join(map(str, spec.layer_sizes))}-batch{batch_size}"]
    for directions, full in ([(2, size > HUGE), (8, True)] if size > LARGE else [(8, False)])
]


@pytest.mark.parametrize(("spec", "batch_size", "directions"), SHAPES)
def test_reference_agrees_with_central_differences(
    spec: MLPSpec, batch_size: int, directions: int
) -> None:
    """At every benchmarked shape the gradient gives the loss's slope along random directions.

    1e-6: rounding alone leaves about eps/h = 1e-10 to 1e-9; each relu that crosses its kink
    between the two points adds to that: 6.2e-7 measured on the wide network, whose 4 million
    preactivations make it the worst shape by far (all others stay below 1e-8).
    """
    assert directional_error(spec, batch_size, directions) < 1e-6


@pytest.mark.parametrize("fault", ["derivative", "loss slope"])
def test_both_checks_fail_when_the_reference_has_a_fault(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A derivative wrong by 0.1 % in the reference is seen by mpmath and by differences."""
    spec = MLPSpec((3, 4, 2), "tanh", dtype="float64")
    assert true_error(problems.draw(spec, 3)) < 1e-14 and directional_error(spec, 3) < 1e-6

    if fault == "derivative":
        right = reference.activation_derivative
        monkeypatch.setattr(reference, "activation_derivative", lambda n, z: right(n, z) * 1.001)
    else:
        slope = reference.loss_slope
        monkeypatch.setattr(reference, "loss_slope", lambda *a: tuple(s * 1.001 for s in slope(*a)))

    assert true_error(problems.draw(spec, 3)) > 1e-5
    assert directional_error(spec, 3) > 1e-5


def test_rate_of_the_gate_makes_every_update_larger_than_its_tensor() -> None:
    """So that a wrong gradient cannot hide behind a large weight."""
    spec = MLPSpec((20, 30, 10), dtype="float64")
    params, X, y = problem(spec, 8)

    results = reference.expected(spec, params, X, y)

    for layer, dlayer in zip(params, results.grads, strict=True):
        for p, dp in zip(layer, dlayer, strict=True):
            assert results.learning_rate * np.max(np.abs(dp)) >= 3.99 * np.max(np.abs(p))


def test_examples_near_a_kink_are_left_out() -> None:
    """A preactivation within rounding of zero disqualifies its example, in that dtype only."""
    X = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-8], [1.0, 2.0]])
    params = [(np.array([[1.0], [-1.0]]), np.array([0.0])), (np.ones((1, 2)), np.zeros(2))]

    clear = {
        dtype: reference.clear_of_kinks(MLPSpec((2, 1, 2), dtype=dtype), params, X).tolist()
        for dtype in ("float32", "float64")
    }

    assert {"float32": [False, False, True], "float64": [False, True, True]} == clear
