"""The inputs of a network's workload, and what must come out of its first batch."""

from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.draws import RATES
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge.chains import chain
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.checking.reference import Expected, clear_of_kinks, expected, loss
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Params

# Distinct batches that steps rotate through, where inputs are random: as many as stay in a cache.
LEAST_BATCHES, MOST_BATCHES, BATCHES_BYTES = 4, 16, 2**20
# Steps that are tried to see which learning rates a network takes: one at which the loss grows to
# so many times what it was is too large.
TRIED_STEPS, TRIED_FLOPS, GROWN, LEAST_SCALE = 30, 10**10, 1.5, 1e-6
Array = Any


def draw(workload: MLPWorkload, seed: int) -> inputs.Inputs:
    """The inputs of a workload; see `draw_and_expect`."""
    return draw_and_expect(workload, seed)[0]


def draw_and_expect(workload: MLPWorkload, seed: int) -> tuple[inputs.Inputs, Expected]:
    """Draw or load a workload's inputs, and compute what must come out of the first batch.

    Raises:
        ValueError: too few examples are clear of kinks.
    """
    spec, size = workload.spec, workload.batch_size
    rng = np.random.default_rng([seed, *spec.layer_sizes, size])
    params = init_params(spec, seed)
    if workload.name in inputs.EXAMPLES:
        X, y = inputs.EXAMPLES[workload.name](rng)
    else:
        bytes_each = size * spec.layer_sizes[0] * np.dtype(spec.dtype).itemsize
        batches = min(MOST_BATCHES, max(LEAST_BATCHES, BATCHES_BYTES // bytes_each))
        X, y = _random(workload, rng, batches * size)
    X, y = _clear_batch_first(workload, params, X.astype(spec.dtype), y, rng)
    right = expected(spec, params, X[:size], y[:size])
    drawn = inputs.Inputs(params, X, y, right.learning_rate)
    return replace(drawn, scale=_scale(workload, drawn)), right


def _scale(workload: MLPWorkload, drawn: inputs.Inputs) -> float:
    """What the rates of the timed steps are divided by ten for, until no loss grows."""
    spec, scale = workload.spec, 1.0
    batches = drawn.batches(workload.batch_size)
    steps = min(TRIED_STEPS, 1 + TRIED_FLOPS // workload.flops("train_step"))
    order = [batches[i % len(batches)] for i in range(steps)]
    X, y = (np.concatenate([batch[i] for batch in batches[:2]]) for i in (0, 1))
    with np.errstate(all="ignore"):
        before = loss(spec, drawn.params, X, y)
        while scale > LEAST_SCALE:
            after = chain(spec, drawn.params, order, scale * RATES[1]).params
            if loss(spec, after, X, y) <= GROWN * before:
                break
            scale /= 10
    return scale


def _random(workload: MLPWorkload, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Standard normal inputs and random targets: the time of a step does not depend on values."""
    X = rng.standard_normal((count, workload.spec.layer_sizes[0]))
    return X, targets(workload.spec, count, rng)


def _clear_batch_first(
    workload: MLPWorkload, params: Params, X: Array, y: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The examples, those that are clear of kinks first: as many as a batch takes."""
    spec, size = workload.spec, workload.batch_size
    clear = clear_of_kinks(spec, params, X)
    real = workload.name in inputs.EXAMPLES  # there are no others of them
    for _ in range(0 if real else 50):
        if np.count_nonzero(clear) >= size:
            break
        more, labels = _random(workload, rng, size)
        more = more.astype(spec.dtype)
        X, y = np.vstack([X, more]), np.concatenate([y, labels])
        clear = np.concatenate([clear, clear_of_kinks(spec, params, more)])
    first = np.flatnonzero(clear)[:size]
    if len(first) < size:
        raise ValueError(
            f"only {len(first)} of {len(X)} examples are clear of relu's kink in "
            f"{spec.dtype}, {size} needed: this network is too wide to be "
            "checked in this dtype; try --dtype float64"
        )
    order = np.concatenate([first, np.setdiff1d(np.arange(len(X)), first)])
    return X[order], y[order]
