"""Activations and losses that take real and complex arrays, for differences of the loss.

A complex step needs functions that are analytic along the imaginary direction: no abs, no max
of complex numbers. Where a function has cases, the real part decides.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU
from samegrad.implementations.contract.layers import layers_of

Array = Any

# relu and leaky_relu have a kink, so a loss with them is not analytic
ANALYTIC = ("identity", "sigmoid", "tanh", "gelu", "silu", "softplus", "lif_rate")


def log1p(x: Array) -> Array:
    """log(1 + x) to the last digits for small x; NumPy's is not where x is complex."""
    if not np.iscomplexobj(x):
        return np.log1p(x)
    return np.log1p(x.real) + 1j * np.arctan2(x.imag, 1 + x.real)  # x.imag^2 vanishes beside 1


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    e = np.exp(np.where(z.real >= 0, -z, z))
    return np.where(z.real >= 0, 1, e) / (1 + e)


def softplus(z: Array) -> Array:
    """log(1 + exp(z)), its larger part taken out first."""
    positive = z.real > 0
    return np.where(positive, z, 0) + log1p(np.exp(np.where(positive, -z, z)))


def gelu(z: Array) -> Array:
    """z sigmoid(2u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))


def lif_rate(v: Array) -> Array:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) / LIF_WIDTH
    low = u.real < -40
    log_softplus = np.where(low, u, np.log(softplus(np.where(low, -40, u))))
    return 1 / (
        T_REF + TAU * (np.log1p(LIF_WIDTH * softplus(u)) - math.log(LIF_WIDTH) - log_softplus)
    )


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z: np.where(z.real > 0, z, LEAKY_SLOPE * z),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "gelu": gelu,
    "silu": lambda z: z * sigmoid(z),
    "softplus": softplus,
    "lif_rate": lif_rate,
    "unit_step": lambda z: (z.real > 0).astype(z.dtype),
}
layers = layers_of(ACTIVATIONS)


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y], with the largest output taken out first."""
    shifted = outputs - outputs.real.max(axis=1, keepdims=True)
    return (np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]).mean()


def binary_cross_entropy(outputs: Array, y: Array) -> Array:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return (softplus(outputs) - y * outputs).sum() / len(y)


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return ((outputs - y) ** 2).sum() / (2 * len(y))


# name: loss
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}
