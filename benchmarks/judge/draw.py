"""What every implementation is given alike: weights, batches, and what must come out."""

from typing import Any

import numpy as np

from samegrad.benchmarks.cases.case import MLPWorkload
from samegrad.benchmarks.cases.data import EXAMPLES
from samegrad.benchmarks.cases.inputs import Inputs
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.checking.reference import clear_of_kinks, expected, loss, outputs
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Params, map_tree

BATCHES = 4  # distinct batches that steps rotate through, where inputs are random
Array = Any


def draw(workload: MLPWorkload, seed: int) -> Inputs:
    """Draw or load a workload's inputs and compute the reference's results.

    Raises:
        ValueError: too few examples are clear of kinks.
    """
    spec, size = workload.spec, workload.batch_size
    rng = np.random.default_rng([seed, *spec.layer_sizes, size])
    params = init_params(spec, seed)
    if workload.name in EXAMPLES:
        X, y = EXAMPLES[workload.name](rng)
    else:
        X, y = _random(workload, rng, BATCHES * size)
    X, y = _clear_batch_first(workload, params, X.astype(spec.dtype), y, rng)
    results = vars(expected(spec, params, X[:size], y[:size]))
    if len(X) < 2 * size:
        return Inputs(params, X, y, results)
    X2, y2, negated = X[size : 2 * size], y[size : 2 * size], map_tree(np.negative, params)
    other = loss(spec, negated, X2, y2), outputs(spec, negated, X2)
    return Inputs(params, X, y, results, other)


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
    for _ in range(50):
        if np.count_nonzero(clear) >= size:
            break
        if workload.name in EXAMPLES:  # real records: there are no others
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
