"""Tables of the scalar network: activations, losses and optimisers on floats and lists.

Each derivative is derived by hand, and takes both z and a = g(z), whichever is handier.
"""

import math
from collections.abc import Callable
from typing import Any


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    return math.exp(z) / (1.0 + math.exp(z))


# name: (g(z), g'(z) from z and a = g(z))
ACTIVATIONS: dict[str, tuple[Callable[[float], float], Callable[[float, float], float]]] = {
    "identity": (lambda z: z, lambda z, a: 1.0),
    "relu": (lambda z: z if z > 0 else 0.0, lambda z, a: 1.0 if z > 0 else 0.0),
    "sigmoid": (sigmoid, lambda z, a: a * (1.0 - a)),
    "tanh": (math.tanh, lambda z, a: 1.0 - a * a),
}


def log_softmax(logits: list[float]) -> list[float]:
    """log(exp(logits_j) / sum_k exp(logits_k)), with the largest logit taken out first."""
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(logit - largest) for logit in logits))
    return [logit - log_sum for logit in logits]


def cross_entropy(outputs: list[list[float]], y: list[int]) -> float:
    """Mean of -log softmax(outputs)[y]."""
    return -sum(log_softmax(a)[label] for a, label in zip(outputs, y, strict=True)) / len(y)


def d_cross_entropy(outputs: list[list[float]], y: list[int]) -> list[list[float]]:
    """(softmax(outputs) - onehot(y)) / batch."""
    return [
        [
            (math.exp(log_p) - (1.0 if j == label else 0.0)) / len(y)
            for j, log_p in enumerate(log_softmax(a))
        ]
        for a, label in zip(outputs, y, strict=True)
    ]


def mse(outputs: list[list[float]], y: list[list[float]]) -> float:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return sum(
        (a_j - y_j) ** 2
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ) / (2 * len(y))


def d_mse(outputs: list[list[float]], y: list[list[float]]) -> list[list[float]]:
    """(outputs - y) / batch."""
    return [
        [(a_j - y_j) / len(y) for a_j, y_j in zip(a, y_n, strict=True)]
        for a, y_n in zip(outputs, y, strict=True)
    ]


# name: (loss, dloss/doutputs)
LOSSES: dict[str, tuple[Callable[..., float], Callable[..., list[list[float]]]]] = {
    "cross_entropy": (cross_entropy, d_cross_entropy),
    "mse": (mse, d_mse),
}


def sgd_init(params: Any) -> tuple[()]:
    """Plain gradient descent has no state."""
    return ()


def sgd_update(params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """p - learning_rate * dp in place: params, state."""
    for (W, b), (dW, db) in zip(params, grads, strict=True):
        for W_i, dW_i in zip(W, dW, strict=True):
            for j, dW_ij in enumerate(dW_i):
                W_i[j] -= learning_rate * dW_ij  # U1
        if b is not None:
            for j, db_j in enumerate(db):
                b[j] -= learning_rate * db_j  # U1
    return params, state


# name: (state before the first step, one update)
OPTIMIZERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sgd": (sgd_init, sgd_update)
}
