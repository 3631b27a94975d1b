"""The standard losses, of a network's outputs and targets of their shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
OF_OUTPUTS = "squared error of its outputs"  # for what a file needs no loss for


def squared(outputs: Array, targets: Array) -> Any:
    """1/2 the sum of squares."""
    return np.sum((outputs - targets) ** 2) / 2


def cross_entropy(outputs: Array, targets: Array) -> Any:
    """Of probabilities."""
    return -np.sum(targets * np.log(outputs))


def binary(outputs: Array, targets: Array) -> Any:
    """Binary cross entropy of probabilities."""
    return -np.sum(targets * np.log(outputs) + (1 - targets) * np.log(1 - outputs))


def softmax(outputs: Array, targets: Array) -> Any:
    """Of logits: cross entropy, classes along the axis on which targets sum to 1."""
    axis = 0 if targets.ndim < 2 or np.allclose(targets.sum(axis=0), 1) else 1
    top = outputs.max(axis=axis, keepdims=True)
    logs = outputs - top - np.log(np.sum(np.exp(outputs - top), axis=axis, keepdims=True))
    return -np.sum(targets * logs)


def sigmoid(outputs: Array, targets: Array) -> Any:
    """Of logits: binary cross entropy."""
    return np.sum(np.logaddexp(0, outputs) - targets * outputs)


STANDARD: dict[str, Callable[[Array, Array], Any]] = {
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
    exact = isinstance(outputs, np.ndarray) and np.ndarray.view(outputs, np.ndarray).dtype == object
    out, given = outputs, targets
    if not exact:
        out, given = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    if out.shape != given.shape:
        if out.size != given.size:
            raise ValueError(f"outputs {out.shape}, targets {given.shape}")
        out = out.reshape(given.shape)
    with np.errstate(all="ignore"):
        found = STANDARD[name](out, given)
    return found if exact else float(found)


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
