"""What is drawn of a trained network: small arrays, computed where its weights are."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from samegrad.benchmarks.training.data.datasets import Fold
from samegrad.benchmarks.training.data.simulated import curve
from samegrad.benchmarks.training.loop import Evaluation, Examples, Trained
from samegrad.benchmarks.training.recipe import Recipe, predicted
from samegrad.benchmarks.training.tasks import Task
from samegrad.implementations.checking import reference
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any
GRID = 60  # points per side of a decision region
WORST = 12  # digits that are shown


def of(
    implementation: Implementation,
    task: Task,
    recipe: Recipe,
    fold: Fold,
    made: Trained,
    after_first: Params,
    device: str,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, arrays) of what a task has to show; outputs come from the implementation itself.

    Args:
        made: the training from seed 0.
        after_first: weights after its first epoch.
        device: where the outputs are computed.
    """

    def outputs(X: Array, params: Params = made.params, spec: MLPSpec = recipe.spec) -> Array:
        y: Array = np.zeros(len(X), np.int64)
        if spec.loss != "cross_entropy":
            y = np.zeros((len(X), spec.layer_sizes[-1]))
        placed = implementation.params_from_numpy(spec, params, device)
        return Evaluation(implementation, spec, Examples(X, y), device).outputs(placed)

    test = fold.examples(fold.test, recipe.spec.dtype)
    family = task.family or task.name
    if task.name == "line_length":
        start = recipe.params(0)
        moments = {"before": start, "during": after_first, "after": made.params}
        yield (
            "activations",
            {
                moment: _rounded(_by_class(recipe.spec, params, test))
                for moment, params in moments.items()
            },
        )
    elif task.name == "xor":
        side = np.linspace(-0.5, 1.5, GRID)
        X = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        z = outputs(X).reshape(GRID, GRID)
        yield (
            "regions",
            {
                "x": _rounded(side),
                "y": _rounded(side),
                "value": _rounded(1 / (1 + np.exp(-z))),
                "points": _rounded(test.X),
                "labels": test.y[:, 0].astype(int).tolist(),
            },
        )
    elif task.name == "discrete_mapping":
        yield (
            "regions",
            _projected(recipe.spec, outputs, fold.examples(fold.training, "float64"), test),
        )
    elif task.name == "sine":
        x = np.linspace(-np.pi, np.pi, 121)
        fitted = outputs(np.stack([x, x**2, x**3], axis=1))[:, 0]
        yield "curve", {"x": _rounded(x), "true": _rounded(np.sin(x)), "fitted": _rounded(fitted)}
    elif family == "approximation":
        width = recipe.spec.layer_sizes[1]
        x = np.linspace(-1, 1, 201)[:, None]
        spec, params = staircase_of(curve, -1.0, 1.0, width, recipe.spec.dtype)
        staircase = outputs(x, params, spec)
        yield (
            "curve",
            {
                "width": width,
                "x": _rounded(x[:, 0]),
                "true": _rounded(curve(x)[:, 0]),
                "fitted": _rounded(outputs(x)[:, 0]),
                "staircase": _rounded(staircase[:, 0]),
                "staircase_rmse": float(np.sqrt(np.mean((staircase - curve(x)) ** 2))),
            },
        )
    elif family == "overfit":
        x = np.linspace(-1, 1, 121)[:, None]
        part = fold.examples(fold.training, "float64")
        yield (
            "curve",
            {
                "x": _rounded(x[:, 0]),
                "fitted": _rounded(outputs(x)[:, 0]),
                "points": _rounded(np.hstack([part.X, part.y])),
            },
        )
    elif family == "mnist":
        yield "confusion", _confusion(recipe.spec, outputs(test.X), test.y, fold)


def staircase_of(
    function: Callable[[Array], Array], low: float, high: float, width: int, dtype: Any
) -> tuple[MLPSpec, Params]:
    """A staircase for a function of one variable: the constructive universal approximation.

    Each hidden unit steps up where one of `width` equal intervals begins, by as much as the
    function's value in the middle of that interval differs from that of the interval before. The
    error is at most what the function changes within half an interval: L (high - low) / (2 width)
    for a function of Lipschitz constant L.

    Args:
        function: (n, 1) -> (n, 1).
        low, high: the interval on which it is approximated.
        width: hidden units, one per interval.
    """
    spec = MLPSpec((1, width, 1), activation="unit_step", loss="mse", dtype=dtype)
    edges = np.linspace(low, high, width + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    values = function(middles[:, None])[:, 0]
    rises = np.diff(values, prepend=0.0)
    begins = edges[:-1].copy()
    begins[0] = low - 1.0  # up to the first value before the interval begins
    W1, b1 = np.ones((1, width)), -begins
    W2, b2 = rises[:, None], np.zeros(1)
    return spec, [(W1.astype(dtype), b1.astype(dtype)), (W2.astype(dtype), b2.astype(dtype))]


def hidden(spec: MLPSpec, params: Params, X: Array) -> list[Array]:
    """Activations of each hidden layer, (examples, units) in float64."""
    layers, a = list[Array](), X.astype(np.float64)
    for (W, b), name in zip(params[:-1], spec.activations[:-1], strict=True):
        a = reference.activation_value(name, a @ W if b is None else a @ W + b)
        layers.append(a)
    return layers


def by_class(values: Array, y: Array) -> Array:
    """Mean of the rows of each class, in the order of the classes."""
    return np.stack([values[y == label].mean(axis=0) for label in np.unique(y)])


def _by_class(spec: MLPSpec, params: Params, test: Examples) -> Array:
    """Mean activation of every hidden unit per class: (classes, units of all hidden layers)."""
    return by_class(np.hstack(hidden(spec, params, test.X)), test.y)


def _projected(spec: MLPSpec, outputs: Any, training: Examples, test: Examples) -> dict[str, Any]:
    """Classes on the plane of the first two principal components of the training data."""
    centre = training.X.mean(axis=0)
    plane = np.linalg.svd(training.X - centre, full_matrices=False)[2][:2]
    points = (test.X - centre) @ plane.T
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    x, y = np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2) @ plane + centre
    return {
        "x": _rounded(x),
        "y": _rounded(y),
        "value": predicted(spec, outputs(grid)).reshape(GRID, GRID).tolist(),
        "points": _rounded(points),
        "labels": test.y.tolist(),
    }


def _confusion(spec: MLPSpec, outputs: Array, y: Array, fold: Fold) -> dict[str, Any]:
    """Counts (true, predicted), and the images whose wrong class had the largest lead."""
    guess = predicted(spec, outputs)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, guess), 1)
    lead = outputs[np.arange(len(y)), guess] - outputs[np.arange(len(y)), y]
    worst = np.argsort(lead)[::-1][:WORST]
    worst = worst[lead[worst] > 0]
    return {
        "counts": counts.tolist(),
        "images": fold.X[fold.test[worst]].astype(int).tolist(),
        "true": y[worst].tolist(),
        "read": guess[worst].tolist(),
    }


def _rounded(array: Array) -> Any:
    return np.vectorize(lambda value: float(f"{value:.4g}"))(array).tolist()
