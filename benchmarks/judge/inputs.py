"""What every implementation is given alike: weights, batches, and what must come out.

Made once per run in a process of its own and handed over as files, so that no worker needs the
reference (whose BLAS threads would disturb it), and all get the same bits.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from samegrad.benchmarks.cases.case import Problem
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.checking.reference import (
    Expected,
    clear_of_kinks,
    expected,
    loss,
    outputs,
)
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.trees import Params, map_tree

BATCHES = 4  # distinct batches that steps rotate through, where inputs are synthetic
Array = Any


@dataclass(frozen=True)
class Inputs:
    """One problem's inputs.

    Attributes:
        params: initial weights, NumPy, in the spec's dtype.
        X, y: examples; the first batch is the gate's, and clear of kinks.
        expected: the reference's results on the first batch; None where they are not needed.
        other: loss and outputs of the reference on the second batch with the params negated, by
            which constants are found that were folded into what is timed; None where there is
            one batch only.
    """

    params: Params
    X: Array
    y: Array
    expected: Expected | None
    other: tuple[float, Array] | None = None


def make(problem: Problem, seed: int) -> Inputs:
    """Draw or load a problem's inputs and compute the reference's results."""
    rng = np.random.default_rng([seed, *problem.spec.layer_sizes, problem.batch_size])
    params = init_params(problem.spec, seed)
    if problem.workload == "digits":
        X, y = digits()
    elif problem.workload == "line_length":
        X, y = line_length(rng)
    else:
        X, y = synthetic(problem, rng, BATCHES * problem.batch_size)
    X = X.astype(problem.spec.dtype)
    X, y = _clear_batch_first(problem, params, X, y, rng)
    size, spec = problem.batch_size, problem.spec
    results = expected(spec, params, X[:size], y[:size])
    if len(X) < 2 * size:
        return Inputs(params, X, y, results)
    X2, y2, negated = X[size : 2 * size], y[size : 2 * size], map_tree(np.negative, params)
    other = loss(spec, negated, X2, y2), outputs(spec, negated, X2)
    return Inputs(params, X, y, results, other)


def digits() -> tuple[Array, Array]:
    """The first 1,437 of scikit-learn's 1,797 digits, 8 x 8 pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:1437] / 16.0, y[:1437].astype(np.int64)


def line_length(rng: np.random.Generator, each: int = 2000) -> tuple[Array, Array]:
    """Images of 10 x 1 pixels with a line of length 1 to 5 anywhere; class = length - 1."""
    y = rng.permutation(np.repeat(np.arange(5), each))
    start = rng.integers(0, 10 - y)  # a line of length y + 1 fits at 0 ... 10 - (y + 1)
    pixel = np.arange(10)
    X = (pixel >= start[:, None]) & (pixel <= (start + y)[:, None])
    return X.astype(np.float64), y.astype(np.int64)


def synthetic(problem: Problem, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Standard normal inputs and random targets: the time of a step does not depend on values."""
    X = rng.standard_normal((count, problem.spec.layer_sizes[0]))
    return X, targets(problem.spec, count, rng)


def save(directory: Path, problem: Problem, inputs: Inputs) -> str:
    """Write a problem's inputs; returns the hash of weights and examples."""
    assert inputs.expected is not None
    arrays = {"X": inputs.X, "y": inputs.y, "outputs": inputs.expected.outputs}
    arrays["scalars"] = np.array([inputs.expected.loss, inputs.expected.learning_rate])
    if inputs.other is not None:
        arrays["other_loss"], arrays["other_outputs"] = np.array(inputs.other[0]), inputs.other[1]
    trees: dict[str, Params | None] = {
        "params": inputs.params,
        "grads": inputs.expected.grads,
        "magnitudes": inputs.expected.magnitudes,
        "updated": inputs.expected.updated,
    }
    for name, tree in trees.items():
        for layer, (W, b) in enumerate(tree or []):
            arrays[f"{name}.W{layer}"] = W
            if b is not None:
                arrays[f"{name}.b{layer}"] = b
    directory.mkdir(parents=True, exist_ok=True)
    np.savez(directory / f"{problem.id}.npz", **arrays)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if name in ("X", "y") or name.startswith("params."):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:12]


def load(directory: Path, problem: Problem) -> Inputs:
    """Read what `save` wrote."""
    layers = len(problem.spec.layer_sizes) - 1
    with np.load(directory / f"{problem.id}.npz", allow_pickle=False) as stored:
        arrays = dict(stored)

    def tree(name: str) -> Params:
        return [
            (arrays[f"{name}.W{layer}"], arrays.get(f"{name}.b{layer}")) for layer in range(layers)
        ]

    loss, rate = arrays["scalars"].tolist()
    magnitudes = tree("magnitudes") if "magnitudes.W0" in arrays else None
    results = Expected(arrays["outputs"], loss, tree("grads"), magnitudes, rate, tree("updated"))
    other = None
    if "other_loss" in arrays:
        other = float(arrays["other_loss"]), arrays["other_outputs"]
    return Inputs(tree("params"), arrays["X"], arrays["y"], results, other)


def _clear_batch_first(
    problem: Problem, params: Params, X: Array, y: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    clear = clear_of_kinks(problem.spec, params, X)
    for _ in range(50):
        if np.count_nonzero(clear) >= problem.batch_size:
            break
        if problem.workload in ("digits", "line_length"):  # real records: there are no others
            break
        more, labels = synthetic(problem, rng, problem.batch_size)
        more = more.astype(problem.spec.dtype)
        X, y = np.vstack([X, more]), np.concatenate([y, labels])
        clear = np.concatenate([clear, clear_of_kinks(problem.spec, params, more)])
    found = np.flatnonzero(clear)[: problem.batch_size]
    if len(found) < problem.batch_size:
        raise ValueError(
            f"only {len(found)} of {len(X)} examples are clear of relu's kink in "
            f"{problem.spec.dtype}, {problem.batch_size} needed: this network is too wide to be "
            "checked in this dtype; try --dtype float64"
        )
    order = np.concatenate([found, np.setdiff1d(np.arange(len(X)), found)])
    return X[order], y[order]
