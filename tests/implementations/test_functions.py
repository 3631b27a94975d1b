"""Initialisers, masks, activations and losses, one by one."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from samegrad.implementations.checking import exact, problems
from samegrad.implementations.checking.reference import activation_derivative, activation_value
from samegrad.implementations.contract.adapter import check_masks
from samegrad.implementations.contract.equations import LIF_WIDTH, T_REF, TAU
from samegrad.implementations.contract.initializers import INITIALIZERS, draw_masks, init_params
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import every_implementation, loaded

WIDE = MLPSpec((400, 300, 10), dtype="float64")
NEGATIVE = (-1e4, -800.0, -104.0, -40.5, -39.5, -20.5, -3.0, -0.75, -1e-9)
POSITIVE = (1e-9, 0.3, 0.99, 1.0, 1.01, 2.5, 19.5, 20.5, 39.5, 40.5, 1e3, 1e4)
GRID = np.array([*NEGATIVE, *POSITIVE])


@pytest.mark.parametrize(
    ("initializer", "largest", "deviation", "biases"),
    [
        ("torch", 400**-0.5, (3 * 400) ** -0.5, True),
        ("uniform", 0.5, 1 / math.sqrt(12), True),
        ("normal", math.inf, 0.01, False),
        ("fan_in", math.inf, 400**-0.5, False),
        ("glorot_uniform", math.sqrt(6 / 700), math.sqrt(2 / 700), False),
        ("glorot_normal", math.inf, math.sqrt(2 / 700), False),
        ("he_uniform", math.sqrt(6 / 400), math.sqrt(2 / 400), False),
        ("he_normal", math.inf, math.sqrt(2 / 400), False),
    ],
)
def test_initializer_has_its_bounds_and_deviation(
    initializer: str, largest: float, deviation: float, biases: bool
) -> None:
    """Of 120,000 weights: mean 0, the deviation within 1 %, nothing beyond the bound."""
    W, b = init_params(WIDE, 3, initializer)[0]

    assert np.abs(W).max() <= largest
    assert abs(W.mean()) < 0.01 * deviation
    assert abs(W.std() / deviation - 1) < 0.01
    assert biases is bool(np.asarray(b).any())


def test_initializer_is_reproducible_and_the_same_in_both_dtypes() -> None:
    """The same seed gives the same weights, another one others; float32 is the rounded float64."""
    narrow = MLPSpec((400, 300, 10))
    for name in INITIALIZERS:
        (W, _), *_ = init_params(WIDE, 1, name)

        np.testing.assert_array_equal(W, init_params(WIDE, 1, name)[0][0])
        assert not np.array_equal(W, init_params(WIDE, 2, name)[0][0])
        np.testing.assert_array_equal(W.astype(np.float32), init_params(narrow, 1, name)[0][0])
    with pytest.raises(ValueError, match="initializer 'xavier' is not known; accepted: torch"):
        init_params(WIDE, 0, "xavier")


def test_masks_drop_and_scale_as_often_as_they_should() -> None:
    """0 with probability 0.3, else 1/0.7, so that the mean stays; the same seed, the same mask."""
    spec = MLPSpec((5, 400, 300, 3), dropout=0.3)

    masks = draw_masks(spec, 50, 7)

    assert [(50, 400), (50, 300)] == [mask.shape for mask in masks]
    for mask in masks:
        assert {0.0, float(np.float32(1 / 0.7))} == set(np.unique(mask).tolist())
        assert abs(float((mask == 0).mean()) - 0.3) < 0.02
        assert abs(float(mask.mean()) - 1) < 0.02
    np.testing.assert_array_equal(masks[0], draw_masks(spec, 50, 7)[0])
    assert check_masks(spec, None) is None


@pytest.mark.parametrize("activation", problems.ACTIVATIONS)
@pytest.mark.parametrize("name", ["scalar", "numpy"])
def test_activation_and_its_derivative_by_hand_are_right_from_minus_to_plus_ten_thousand(
    name: str, activation: str
) -> None:
    """Against 50 digits, and within a few roundings of the terms that each sums."""
    parts: Any = __import__(f"samegrad.implementations.functions_{name}", fromlist=["ACTIVATIONS"])
    g, dg = parts.ACTIVATIONS[activation]
    for z in GRID:
        with mpmath.workdps(60):
            value = exact.ACTIVATIONS[activation](mpmath.mpf(z))
            slope = exact.derivative(activation, mpmath.mpf(z))
        values = float(z) if name == "scalar" else np.array([z])
        a = g(values)
        actual = [float(np.ravel(x)[0]) for x in (a, np.ones(1) * dg(values, a))]
        # 1 - a^2 and the like subtract: rounding is relative to 1 there, to the value elsewhere.
        # lif_rate's slopes reach thousands, and u = (v - 1) / 0.02 carries 50 times v's rounding.
        scale = max(1.0, abs(float(slope)))
        # exp(u) is as far off as u is, times u: only gelu's u = z^3 grows beyond z.
        u = max(1.0, 0.08 * abs(z) ** 3) if activation == "gelu" else 1.0
        assert abs(actual[0] - float(value)) <= 1e-14 * u * max(abs(float(value)), 1e-300), z
        assert abs(actual[1] - float(slope)) <= 1e-14 * scale, z


@pytest.mark.parametrize("activation", [*problems.ACTIVATIONS, "unit_step"])
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_activation_is_the_same_in_every_idiom(name: str, device: str, activation: Any) -> None:
    """Through a network of one layer of ones, from -1e4 to 1e4."""
    spec = MLPSpec((1, 1, 1), activation, bias=False, loss="mse", dtype="float64")
    implementation = loaded(name, device)
    params = implementation.params_from_numpy(
        spec, [(np.ones((1, 1)), None), (np.ones((1, 1)), None)], device
    )
    X, _ = implementation.batch_from_numpy(spec, GRID[:, None], np.zeros((len(GRID), 1)), device)

    actual = implementation.to_numpy(implementation.forward(spec, params, X))[:, 0]

    expected = activation_value(activation, GRID)
    # gelu by tanh: 1 + tanh(u) subtracts for negative z, so rounding is relative to z there.
    terms = np.abs(expected) + (np.abs(GRID) if activation == "gelu" else 0)
    assert (np.abs(actual - expected) <= 1e-14 * terms).all()


def test_soft_rate_tends_to_the_hard_one_away_from_the_threshold() -> None:
    """Hard: 1 / (t_ref - tau ln(1 - 1/v)) above 1, else 0."""
    v = np.array([1.2, 1.5, 2.0, 5.0, 50.0])
    hard = 1 / (T_REF - TAU * np.log(1 - 1 / v))

    np.testing.assert_allclose(activation_value("lif_rate", v), hard, rtol=1e-4)
    below = activation_value("lif_rate", np.array([-3.0, 0.0, 0.5]))
    assert (below > 0).all() and (below < 2).all()  # Hz; the hard rate is 0, its peak 500
    at_threshold = activation_derivative("lif_rate", np.array([1.0]))
    assert np.isfinite(at_threshold).all()  # the hard rate's slope is infinite here
    assert 0.02 == LIF_WIDTH


@pytest.mark.parametrize("name", ["scalar", "numpy", "torch", "jax"])
def test_one_hot_marks_the_first_of_the_largest(name: str) -> None:
    """Forward only, in each idiom."""
    loaded(name, "cpu")
    parts: Any = __import__(f"samegrad.implementations.functions_{name}", fromlist=["one_hot"])
    rows = [[0.1, 3.0, -2.0], [5.0, 5.0, 1.0]]
    values: Any = rows
    if name == "numpy":
        values = np.array(rows)
    elif name == "torch":
        values = __import__("torch").tensor(rows)
    elif name == "jax":
        values = __import__("jax.numpy", fromlist=["asarray"]).asarray(rows)

    assert [[0, 1, 0], [1, 0, 0]] == np.asarray(parts.one_hot(values)).tolist()


@pytest.mark.parametrize("name", ["scalar", "numpy", "torch", "jax"])
def test_cross_entropy_is_softmax_and_cross_entropy_on_one_hot_targets(name: str) -> None:
    """-sum of onehot(y) log softmax(a) over the classes, mean over the batch."""
    spec = MLPSpec((4, 3), dtype="float64")
    implementation = loaded(name, "cpu")
    p = problems.draw(spec, 6)
    params = implementation.params_from_numpy(spec, p.params, "cpu")
    batch = implementation.batch_from_numpy(spec, p.X, p.y, "cpu")
    logits = p.X @ p.params[0][0] + p.params[0][1]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    one_hot = np.eye(3)[p.y]

    loss, grads = implementation.loss_and_grad(spec, params, *batch)

    assert float(loss) == pytest.approx(-(one_hot * np.log(softmax)).sum() / 6, rel=1e-14)
    dW = p.X.T @ (softmax - one_hot) / 6
    np.testing.assert_allclose(implementation.to_numpy(grads)[0][0], dW, rtol=1e-12, atol=1e-16)


def test_binary_targets_must_be_probabilities() -> None:
    """Others have no logarithm that means anything."""
    spec = MLPSpec((2, 1), loss="binary_cross_entropy", dtype="float64")

    with pytest.raises(ValueError, match="values from 0 to 2; binary_cross_entropy takes prob"):
        load("numpy").batch_from_numpy(spec, np.zeros((2, 2)), np.array([[0.0], [2.0]]), "cpu")


def test_libraries_differ_where_their_own_function_is_not_used() -> None:
    """torch's softplus gives up its tail at 20, JAX's leaky_relu takes the right side at 0."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    jax = pytest.importorskip("jax", reason="jax is not installed")
    load("jax")  # float64
    z = torch.tensor(21.0, dtype=torch.float64)
    exact = float(activation_value("softplus", np.array([21.0]))[0])

    theirs = float(torch.nn.functional.softplus(z))
    from samegrad.implementations import functions_jax, functions_torch

    assert abs(theirs / exact - 1) > 1e-11
    assert abs(float(functions_torch.softplus(z)) / exact - 1) < 1e-15
    assert 1.0 == float(jax.grad(jax.nn.leaky_relu)(0.0))
    assert 0.01 == float(jax.grad(functions_jax.ACTIVATIONS["leaky_relu"])(0.0))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_no_product_of_numpys_is_a_column_times_a_row(batch_size: int) -> None:
    """`@` leaves it to a loop without BLAS: B2 of one example took as long as all else together."""
    factors: list[Any] = []

    class Watched(np.ndarray):
        """It notes what `@` multiplies."""

        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            plain = [a.view(np.ndarray) if isinstance(a, Watched) else a for a in inputs]
            if ufunc is np.matmul:
                factors.append([a.shape for a in plain])
            if out := options.get("out"):
                options["out"] = tuple(a.view(np.ndarray) for a in out)
            given = getattr(ufunc, method)(*plain, **options)
            return given.view(Watched) if isinstance(given, np.ndarray) else given

    spec = MLPSpec((6, 5, 4), "tanh")
    p = problems.draw(spec, batch_size)

    load("numpy").model.loss_and_grad(spec, p.params, p.X.view(Watched), p.y)

    assert len(factors) > 3
    assert not [both for both in factors if both[0][1:] == (1,)]
