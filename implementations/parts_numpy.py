"""Tables of the NumPy network: activations, losses and optimisers on arrays.

Each derivative is derived by hand, and takes both z and a = g(z), whichever is handier.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


# name: (g(z), g'(z) from z and a = g(z))
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "identity": (lambda z: z, lambda z, a: 1.0),
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: z > 0),
    "sigmoid": (sigmoid, lambda z, a: a * (1 - a)),
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
}


def log_softmax(logits: Array) -> Array:
    """log(exp(logits) / sum exp(logits)) per row, with the largest logit taken out first."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y]."""
    return -log_softmax(outputs)[np.arange(len(y)), y].mean()


def d_cross_entropy(outputs: Array, y: Array) -> Array:
    """(softmax(outputs) - onehot(y)) / batch."""
    delta = np.exp(log_softmax(outputs))
    delta[np.arange(len(y)), y] -= 1
    return delta / len(y)


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return np.square(outputs - y).sum() / (2 * len(y))


def d_mse(outputs: Array, y: Array) -> Array:
    """(outputs - y) / batch."""
    return (outputs - y) / len(y)


# name: (loss, dloss/doutputs)
LOSSES: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]] = {
    "cross_entropy": (cross_entropy, d_cross_entropy),
    "mse": (mse, d_mse),
}


def sgd_init(params: Any) -> tuple[()]:
    """Plain gradient descent has no state."""
    return ()


def sgd_update(params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """p - learning_rate * dp in place: params, state."""
    for (W, b), (dW, db) in zip(params, grads, strict=True):
        W -= learning_rate * dW  # U1
        if b is not None:
            b -= learning_rate * db  # U1
    return params, state


# name: (state before the first step, one update)
OPTIMIZERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sgd": (sgd_init, sgd_update)
}
