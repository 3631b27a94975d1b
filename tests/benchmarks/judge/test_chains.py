"""Steps in float64 are those of the reference."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from samegrad.benchmarks.judge import chains
from samegrad.benchmarks.judge.chains import chain, flattened, float64
from samegrad.implementations.checking.reference import expected, updated
from samegrad.implementations.contract.equations import FORWARD_ONLY
from samegrad.implementations.contract.spec import Activation, Optimizer
from tests.helpers.batches import RATE, SMALL, drawn


@pytest.mark.parametrize("activation", [a for a in get_args(Activation) if a not in FORWARD_ONLY])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mse"])
def test_gradient_and_loss_are_those_of_the_reference(activation, loss):
    """To the rounding of float64."""
    spec = replace(SMALL, activation=activation, loss=loss, dtype="float64", weight_decay=0.1)
    params, [(X, y), *_] = drawn(spec)
    right = expected(spec, params, X, y)

    grads, _, outputs = chains.gradient(spec, float64(params), X, y)

    np.testing.assert_allclose(flattened(grads), flattened(right.grads), rtol=1e-11, atol=1e-14)
    assert right.loss == pytest.approx(chains.loss(spec, params, outputs, y), rel=1e-13)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("bias", [True, False])
def test_chain_is_that_of_the_reference(optimizer, bias):
    """Every rule, with decay, over several steps."""
    spec = replace(SMALL, optimizer=optimizer, dtype="float64", weight_decay=0.1, bias=bias)
    start, batches = drawn(spec)
    params, history = start, []
    for X, y in batches:
        history.append(expected(spec, params, X, y).grads)
        params = updated(spec, params, history, RATE)

    done = chain(spec, start, batches, RATE)

    np.testing.assert_allclose(flattened(done.params), flattened(params), rtol=1e-11, atol=1e-13)
