"""How well a network does, from its outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import MLPSpec

Array = Any


@dataclass(frozen=True)
class Metric:
    """A number that says how good a network's outputs are.

    Attributes:
        of: (spec, outputs, y) -> the number.
        percent: whether it is shown as a percentage.
        larger: whether larger is better.
        name: as shown.
    """

    of: Callable[[MLPSpec, Array, Array], float]
    percent: bool
    larger: bool
    name: str

    def reached(self, value: float, target: float) -> bool:
        """Whether the value is as good as the target."""
        return value >= target if self.larger else value <= target


def predicted(spec: MLPSpec, outputs: Array) -> Array:
    """Class of each example: the largest output, or whether a single one is above its middle."""
    if spec.layer_sizes[-1] > 1:
        return np.argmax(outputs, axis=1)
    middle = 0.0 if spec.output_activation == "identity" and spec.loss != "mse" else 0.5
    return (outputs[:, 0] > middle).astype(np.int64)


def classes(spec: MLPSpec, y: Array) -> Array:
    """Class indices of targets in any of their forms."""
    if y.ndim == 1:
        return y
    return np.argmax(y, axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.int64)


def accuracy(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """Share of examples whose class is right."""
    return float(np.mean(predicted(spec, outputs) == classes(spec, y)))


def r2(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """1 - squared error / variance."""
    return 1 - float(np.sum((outputs - y) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))


def rmse(spec: MLPSpec, outputs: Array, y: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((outputs - y) ** 2)))


METRICS = {
    "accuracy": Metric(accuracy, True, True, "accuracy"),
    "r2": Metric(r2, False, True, "R²"),
    "rmse": Metric(rmse, False, False, "RMSE"),
}


def shown(metric: str, value: float, digits: int = 2) -> str:
    """The number as people read it."""
    if METRICS[metric].percent:
        return f"{100 * value:.{digits}f} %"
    return f"{value:.{digits + 2}g}"
