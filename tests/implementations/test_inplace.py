"""The NumPy network in place: it keeps to its memory, and to the arrays that it was given."""

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.comparison import judge
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.contract.registry import load, why_not_installed
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import step_error

SPEC = MLPSpec((64, 256, 128, 10))
BATCH = 1024


def placed(name: str, spec: MLPSpec = SPEC, batch_size: int = BATCH) -> Any:
    """(implementation, params, batch) with weights and examples drawn quickly."""
    implementation = load(name)
    rng = np.random.default_rng(0)
    sizes = spec.layer_sizes
    params = [
        (rng.normal(0, 0.1, (a, b)).astype(spec.dtype), np.zeros(b, spec.dtype))
        for a, b in pairwise(sizes)
    ]
    X = rng.normal(size=(batch_size, sizes[0])).astype(spec.dtype)
    y = rng.integers(0, sizes[-1], batch_size)
    given = implementation.params_from_numpy(spec, params, "cpu")
    return implementation, given, implementation.batch_from_numpy(spec, X, y, "cpu")


def peak_of_steps(name: str, steps: int, spec: MLPSpec = SPEC) -> tuple[int, int]:
    """Bytes: the most that NumPy held in some steps, params included; and in the last one."""
    implementation, params, (X, y) = placed(name, spec)
    own = sum(p.nbytes for layer in params for p in layer)
    tracemalloc.start()
    try:
        state = implementation.init_state(spec, params)
        for _ in range(steps):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            params, state, _ = implementation.train_step(spec, params, state, X, y, 0.1)
            _, last = tracemalloc.get_traced_memory()
        return own + last, last - before
    finally:
        tracemalloc.stop()


def allowed(spec: MLPSpec = SPEC) -> float:
    """3 times the params and 2.2 times the activations, in bytes."""
    activations = BATCH * sum(spec.layer_sizes[1:])
    return np.dtype(spec.dtype).itemsize * (3 * spec.parameters + 2.2 * activations)


@pytest.mark.parametrize("steps", [1, 3])
def test_step_stays_within_three_params_and_two_activations(steps: int) -> None:
    """The most that is held at any moment, weights included and inputs not."""
    assert peak_of_steps("numpy_inplace", steps)[0] <= allowed()


def test_second_step_allocates_next_to_nothing() -> None:
    """Less than a tenth of the hidden activations: a few rows, and what the loss needs."""
    _, grown = peak_of_steps("numpy_inplace", 2)

    assert grown < BATCH * sum(SPEC.layer_sizes[1:-1]) * 4 / 10


def test_step_that_allocates_is_seen() -> None:
    """The plain NumPy network makes a new array for every result: both checks find it."""
    peak, grown = peak_of_steps("numpy", 2)

    assert peak > allowed()
    assert grown > BATCH * sum(SPEC.layer_sizes[1:-1]) * 4 / 10


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_other_rules_hold_their_state_and_one_gradient(optimizer: Any) -> None:
    """Beyond them no more than an array of the size of the largest W or two."""
    spec = MLPSpec(SPEC.layer_sizes, optimizer=optimizer)
    kept = {"momentum": 1, "adam": 2}[optimizer]

    peak, _ = peak_of_steps("numpy_inplace", 2, spec)

    assert peak <= allowed() + 4 * (kept * spec.parameters + spec.weights[0])


def test_weights_in_another_order_are_placed_row_after_row() -> None:
    """BLAS would overwrite a copy of a W that is stored column after column."""
    spec = MLPSpec((6, 5, 3), dtype="float64")
    p = problems.draw(spec, 4)
    turned = [(np.asfortranarray(W), b) for W, b in p.params]
    reference = expected(spec, p.params, p.X, p.y)
    implementation = load("numpy_inplace")

    params = implementation.params_from_numpy(spec, turned, "cpu")
    batch = implementation.batch_from_numpy(spec, np.asfortranarray(p.X), p.y, "cpu")
    state = implementation.init_state(spec, params)
    new, _, loss = implementation.train_step(spec, params, state, *batch, reference.learning_rate)

    assert all(W.flags.c_contiguous for W, _ in params)
    assert judge(spec, reference, {"updated": new, "loss of the step": loss}).agrees


def test_results_of_a_call_are_not_overwritten_by_the_next() -> None:
    """Outputs and gradients have places of their own; only a step writes where it wrote before."""
    implementation, params, (X, y) = placed("numpy_inplace")
    first = implementation.forward(SPEC, params, X)
    kept = first.copy()
    _, grads = implementation.loss_and_grad(SPEC, params, X, y)
    dW = grads[0][0].copy()

    implementation.forward(SPEC, params, X[::-1].copy())
    implementation.loss_and_grad(SPEC, params, X[::-1].copy(), y)

    np.testing.assert_array_equal(kept, first)
    np.testing.assert_array_equal(dW, grads[0][0])


def test_batches_of_many_sizes_do_not_fill_the_memory() -> None:
    """An epoch has two sizes; a search over batch sizes does not keep them all."""
    implementation, params, (X, y) = placed("numpy_inplace")
    state = implementation.init_state(SPEC, params)
    for size in range(1, 12):
        batch = X[:size].copy(), y[:size].copy()
        params, state, loss = implementation.train_step(SPEC, params, state, *batch, 0.01)

    assert np.isfinite(loss)
    assert len(state[2]) <= 4


@pytest.mark.parametrize("name", ["numpy_inplace", "c"])
def test_step_on_many_examples_is_as_exact_as_a_gradient_taken_off(name: str) -> None:
    """BLAS that adds to W rounds it once per some hundred examples."""
    if reason := why_not_installed(name):
        pytest.skip(reason)

    assert step_error(load(name)) < 1.5 * step_error(load("numpy"))
