"""The reference is right: mpmath for small networks, central differences at every shape."""

import math
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest

from samegrad.benchmarks.cases.presets import PRESETS
from samegrad.benchmarks.cases.workload import PRODUCTS
from samegrad.implementations.checking import exact, problems, reference
from samegrad.implementations.checking.comparison import ELEMENTWISE_BOUND, Comparison, judge
from samegrad.implementations.contract.spec import MLPSpec, Optimizer
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
        if isinstance(line.network.spec, MLPSpec) and line.operations != (PRODUCTS,)
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


def test_distance_from_a_kink_is_four_roundings_of_every_unit() -> None:
    """Of relu and of leaky relu: 4 eps (|a| |W|), here 8 eps."""
    eps = float(np.finfo(np.float64).eps)
    X = np.array([[1.0, 1 - n * eps] for n in (0, 6, 10, 1000)])
    W = np.array([[1.0, 1.0], [-1.0, 1.0]])  # the other unit is clear
    params = [(W, None), (np.ones((2, 2)), None)]
    for activation, clear in (
        ("relu", [False, False, True, True]),
        ("leaky_relu", [False, False, True, True]),
        ("tanh", [True] * 4),
    ):
        spec = MLPSpec((2, 2, 2), activation, bias=False, dtype="float64")
        assert clear == reference.clear_of_kinks(spec, params, X).tolist()


def test_slack_is_how_far_the_accepted_errors_of_a_gradient_move_a_step() -> None:
    """To either side: adagrad's first step is the sign of an entry that is not tiny."""
    spec = MLPSpec((2, 2), optimizer="adagrad", bias=False, dtype="float64")
    grads = [(np.array([[1.0, 1e-3], [4e-4, -4e-4]]), None)]

    ((slack, none),) = reference.slack(spec, grads, 0.5, 1e-3)

    assert none is None
    turns, stays = 0.5 * 2.0, 0.5 * 1.0  # from 1 to -1; from 1 to 0
    assert [turns, turns] == pytest.approx(slack[1].tolist(), rel=1e-3)
    assert stays == pytest.approx(slack[0, 1], rel=1e-3) and slack[0, 0] < 1e-6


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_rules_that_divide_by_nothing_are_those_that_are_linear(optimizer: Any) -> None:
    """Twice the gradients are twice the step."""
    spec = MLPSpec((1, 1), optimizer=optimizer, bias=False, dtype="float64")
    history = [[(np.array([[g]]), None)] for g in (0.3, -0.2, 0.5)]
    double = [[(2 * layer[0][0], None)] for layer in history]
    (one, _), (two, _) = (reference.directions(spec, h)[0] for h in (history, double))

    assert (optimizer in reference.LINEAR) == (abs(two / one - 2) < 1e-9).item()


def test_rules_are_those_of_the_literature_written_as_recursions() -> None:
    """Adam's corrected averages and Nesterov's momentum, over three steps."""
    gradients = [0.3, -0.2, 0.5]
    m = v = velocity = 0.0
    for step, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        velocity = 0.9 * velocity + g
        adam = (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)) ** 0.5 + 1e-8)
    history = [[(np.array([[g]]), None)] for g in gradients]
    found = {
        name: reference.directions(
            MLPSpec((1, 1), optimizer=name, bias=False, dtype="float64"), history
        )[0][0].item()
        for name in (*get_args(Optimizer)[:3], "adam")
    }

    nesterov = gradients[-1] + 0.9 * velocity
    assert found == pytest.approx(
        {"sgd": 0.5, "momentum": velocity, "nesterov": nesterov, "adam": adam}, rel=1e-6
    )


def test_decoupled_decay_leaves_biases_alone() -> None:
    """U7 is of W."""
    spec = MLPSpec((1, 1), weight_decay=0.5, optimizer="adamw", dtype="float64")
    params: Any = [(np.ones((1, 1)), np.ones(1))]
    zeros: Any = [(np.zeros((1, 1)), np.zeros(1))]

    ((W, b),) = reference.updated(spec, params, [zeros], 0.1)

    assert (0.95, 1.0) == (W.item(), b.item())


def test_terms_are_summed_without_their_signs_and_with_those_of_the_decay() -> None:
    """By hand for one layer; of the logistic function both of its terms; none in float32."""
    spec = MLPSpec((2, 1), loss="mse", weight_decay=0.3, bias=False, dtype="float64")
    W, X, y = np.array([[2.0], [-3.0]]), np.array([[1.0, -2.0], [-3.0, 4.0]]), np.ones((2, 1))
    terms = np.abs(X).T @ ((np.abs(X @ W) + 1) / 2) + 0.3 * np.abs(W)

    right = reference.expected(spec, [(W, None)], X, y)
    single = reference.expected(replace(spec, dtype="float32"), [(W, None)], X, y)

    assert right.magnitudes is not None and terms == pytest.approx(right.magnitudes[0][0])
    assert single.magnitudes is None
    assert X.T @ ((X @ W - 1) / 2) + 0.3 * W == pytest.approx(right.grads[0][0])
    hidden = MLPSpec((1, 1, 1), "sigmoid", loss="mse", bias=False, dtype="float64")
    one = np.ones((1, 1))
    s = 1 / (1 + np.exp(-1.0))
    magnitudes = reference.expected(hidden, [(one, None), (one, None)], one, one).magnitudes
    assert magnitudes is not None and (s + 1) * (s + s * s) == pytest.approx(
        magnitudes[0][0].item()
    )


def test_rounding_of_what_is_left_of_a_sum_next_to_a_kink_is_no_error() -> None:
    """Summed in another order, relu's 1e-7 differs by more than 1e-11 of itself; 2e-5 is wrong."""
    spec, rng = MLPSpec((300, 2, 1), "relu", loss="mse", dtype="float64"), np.random.default_rng(3)
    X, W, y = rng.standard_normal((1, 300)), rng.standard_normal((300, 2)), np.ones((1, 1))
    b = np.array([1e-7, 5.0]) - X[0] @ W
    params = [(W, b), (np.ones((2, 1)), np.zeros(1))]
    right = reference.expected(spec, params, X, y)
    a = np.array([[math.fsum([*(X[0] * W[:, j]), b[j]]) for j in (0, 1)]])
    delta = a.sum(axis=1, keepdims=True) - y

    def compared(factor: float) -> Comparison:
        dW2 = a.T @ delta * [[factor], [1]]
        grads = [(X.T @ delta * np.ones(2), delta[0] * np.ones(2)), (dW2, delta[0])]
        return judge(spec, right, {"grads": grads})

    assert abs(right.grads[1][0][0] / (a[0, 0] * delta[0]) - 1) > ELEMENTWISE_BOUND
    assert compared(1.0).agrees and "dW2: entry (0, 0)" in compared(1.00002).reason


def test_rate_is_bounded_where_the_gradient_vanishes() -> None:
    """And is of the tensor that needs the largest one."""
    spec = MLPSpec((1, 1), loss="mse", dtype="float64")
    params = [(np.array([[1e-9]]), np.array([1.0]))]
    X, y = np.array([[1e-9]]), np.array([[0.5]])

    assert 1e6 == reference.expected(spec, [(np.ones((1, 1)), params[0][1])], X, y).learning_rate
    assert 8.0 == pytest.approx(reference.expected(spec, params, X, y).learning_rate)


def test_dropped_units_are_dropped() -> None:
    """Loss and gradient with masks, against exact results."""
    masked = [p for p in problems.standard("float64") if p.masks is not None]

    assert masked and all(true_error(p) < 1e-14 for p in masked)


def test_derivative_at_a_kink_is_that_of_the_left_side() -> None:
    """relu'(0) = 0, and the slope of leaky relu below 0."""
    zero = np.zeros(1)

    assert 0.0 == reference.activation_derivative("relu", zero).item()
    below = reference.activation_derivative("leaky_relu", -np.ones(1)).item()
    assert 0.0 < below == reference.activation_derivative("leaky_relu", zero).item()
