"""The standard losses, of a network's outputs and targets of their shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
OF_OUTPUTS = "squared error of its outputs"  # for what a file needs no loss for


def squared(outputs: Array, targets: Array) -> float:
    """1/2 the sum of squares."""
    return float(np.sum((outputs - targets) ** 2) / 2)


def cross_entropy(outputs: Array, targets: Array) -> float:
    """Of probabilities."""
    return float(-np.sum(targets * np.log(outputs)))


def binary(outputs: Array, targets: Array) -> float:
    """Binary cross entropy of probabilities."""
    return float(-np.sum(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs)))


def softmax(outputs: Array, targets: Array) -> float:
    """Of logits: cross entropy, classes along the axis on which targets sum to 1."""
    axis = 0 if targets.ndim < 2 or np.allclose(targets.sum(axis=0), 1) else 1
    top = outputs.max(axis=axis, keepdims=True)
    logs = outputs - top - np.log(np.sum(np.exp(outputs - top), axis=axis, keepdims=True))
    return float(-np.sum(targets * logs))


def sigmoid(outputs: Array, targets: Array) -> float:
    """Of logits: binary cross entropy."""
    return float(np.sum(np.logaddexp(0, outputs) - targets * outputs))


STANDARD: dict[str, Callable[[Array, Array], float]] = {
    "squared error": squared,
    "cross entropy": cross_entropy,
    "binary cross entropy": binary,
    "cross entropy of softmax": softmax,
    "binary cross entropy of sigmoid": sigmoid,
}


def value(name: str, outputs: Any, targets: Array) -> float:
    """A standard loss, summed; NaN where it has no value.

    Raises:
        ValueError: outputs and targets differ in size.
    """
    out, given = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    if out.shape != given.shape:
        if out.size != given.size:
            raise ValueError(f"outputs {out.shape}, targets {given.shape}")
        out = out.reshape(given.shape)
    with np.errstate(all="ignore"):
        return STANDARD[name](out, given)


def named(loss: str, factor: float, examples: int, outputs: int) -> str:
    """A loss with a constant factor in words; "" if the factor is none that is usual."""
    half = "1/2 " if loss == "squared error" else ""
    usual = [
        (1.0, f"{half}{loss}, summed"),
        (1 / examples, f"{half}{loss}, averaged over examples"),
        (1 / outputs, f"{half}{loss}, averaged over outputs"),
        (1 / (examples * outputs), f"{half}{loss}, averaged over examples and outputs"),
    ]
    if half:
        usual += [(2 * c, text.removeprefix(half)) for c, text in usual]
    return next((text for c, text in usual if abs(factor / c - 1) < 1e-5), "")
