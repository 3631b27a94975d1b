"""Tables of the Numba network: the looped network's own functions, compiled as they stand.

`compiled` gives a function of `functions_scalar` to Numba with the functions that it calls; nothing
of it is written again. The loops around them are spelled with indices, since Numba knows neither
lists of lists nor `zip(..., strict=True)`.
"""

import math
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType
from typing import Any

import numba
import numpy as np

from samegrad.implementations import functions_scalar
from samegrad.implementations.contract.layers import layer_masks
from samegrad.implementations.contract.protocol import products_of
from samegrad.implementations.contract.spec import MLPSpec, Tree

Array = np.ndarray
Params = list[tuple[Array, Array | None]]


def njit(function: Any) -> Any:
    """A function of numbers and arrays as machine code, made at its first call."""
    return numba.njit(function)


@cache
def compiled(function: Any) -> Callable[..., Any]:
    """A function of floats as machine code, with what it calls of its own module."""
    if not isinstance(function, FunctionType):  # math.tanh
        return njit(lambda z: function(z))
    used = {
        name: compiled(value)
        for name in function.__code__.co_names
        if isinstance(value := function.__globals__.get(name), FunctionType)
    }
    freed = FunctionType(function.__code__, {**function.__globals__, **used}, function.__name__)
    return njit(freed)


def activation(name: str) -> tuple[Callable[..., float], Callable[..., float]]:
    """(g(z), g'(z) from z and a)."""
    g, dg = functions_scalar.ACTIVATIONS[name]
    return compiled(g), compiled(dg)


def layers(spec: MLPSpec, params: Params, masks: Tree = None) -> Iterable[Any]:
    """(W, b), the compiled activation and the dropout mask or None, from the first layer on."""
    functions = [activation(name) for name in spec.activations]
    return zip(params, functions, layer_masks(spec, masks), strict=True)


@njit
def cross_entropy(a: Array, y: Array, delta: Array) -> float:
    """Mean of -log softmax(a)[y]; delta becomes its derivative."""
    loss = 0.0
    for n in range(len(a)):
        largest = a[n, 0]
        for j in range(a.shape[1]):
            largest = max(largest, a[n, j])
        total = 0.0
        for j in range(a.shape[1]):
            total += math.exp(a[n, j] - largest)
        log_sum = math.log(total)
        loss -= a[n, y[n]] - largest - log_sum  # L1
        for j in range(a.shape[1]):
            right = 1.0 if j == y[n] else 0.0
            delta[n, j] = (math.exp(a[n, j] - largest - log_sum) - right) / len(a)  # B1
    return loss / len(a)


sigmoid, softplus = compiled(functions_scalar.sigmoid), compiled(functions_scalar.softplus)


@njit
def binary_cross_entropy(a: Array, y: Array, delta: Array) -> float:
    """1/batch of the sum of log(1 + exp(a)) - y a; delta becomes its derivative."""
    loss = 0.0
    for n in range(len(a)):
        for j in range(a.shape[1]):
            loss += softplus(a[n, j]) - y[n, j] * a[n, j]  # L1
            delta[n, j] = (sigmoid(a[n, j]) - y[n, j]) / len(a)  # B1
    return loss / len(a)


@njit
def mse(a: Array, y: Array, delta: Array) -> float:
    """1/(2 batch) of the sum of (a - y)^2; delta becomes its derivative."""
    loss = 0.0
    for n in range(len(a)):
        for j in range(a.shape[1]):
            loss += (a[n, j] - y[n, j]) ** 2  # L1
            delta[n, j] = (a[n, j] - y[n, j]) / len(a)  # B1
    return loss / (2 * len(a))


# name: the loss, which writes dloss/doutputs
LOSSES: dict[str, Any] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


def rule(optimizer: str) -> tuple[Callable[..., None], int]:
    """(the looped network's rule, compiled; how many arrays of state it keeps)."""
    function, kept = functions_scalar.OPTIMIZERS[optimizer]
    return compiled(function), kept


@njit
def product(A: Array, B: Array) -> Array:
    """A B, by three loops."""
    C = np.empty((A.shape[0], B.shape[1]))
    for n in range(A.shape[0]):
        for j in range(B.shape[1]):
            total = 0.0
            for i in range(A.shape[1]):
                total += A[n, i] * B[i, j]
            C[n, j] = total
    return C


products = products_of(lambda A, B, out: product(A, B))
