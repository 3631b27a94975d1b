"""The exact results of a small network: outputs, loss and gradient in mpmath at 50 digits.

Against these an implementation's true error shows, and that of the float64 reference. Only the
definitions of the interface stand here: the derivatives of the activations are taken numerically,
at a precision at which that costs no digit. The tests check it against sympy's symbolic
derivatives and against finite differences of its own loss.
"""

from typing import Any

import mpmath
import numpy as np

from samegrad.implementations.checking import reference
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU
from samegrad.implementations.contract.layers import layer_masks, refuse_forward_only
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree, map_tree

Array = Any  # of mpf, unless a docstring says otherwise
DIGITS = 50
MOST_PARAMETERS = 2000  # above it a gradient takes seconds


def expected(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Expected:
    """What an implementation has to give, with outputs, loss and grads as exact numbers (mpf).

    The updated params, to which no more digits are needed, are the reference's.

    Raises:
        ValueError: the network is too large, or has no gradient.
    """
    if spec.parameters > MOST_PARAMETERS:
        raise ValueError(
            f"{spec.parameters} parameters are too many for exact arithmetic "
            f"(at most {MOST_PARAMETERS})"
        )
    refuse_forward_only(spec)
    near = reference.expected(spec, params, X, y, masks)
    with mpmath.workdps(DIGITS):
        outputs, loss, grads = results(spec, map_tree(exactly, params), exactly(X), y, masks)
    return Expected(outputs, loss, grads, near.magnitudes, near.learning_rate, near.updated)


def results(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Any, Params]:
    """Outputs, loss and grads of exact params and inputs, at mpmath's present precision."""
    drops = layer_masks(spec, masks, len(X))
    inputs, zs, a = [], [], X
    for (W, b), name, mask in zip(params, spec.activations, drops, strict=True):
        inputs.append(a)
        zs.append(a.dot(W) if b is None else a.dot(W) + b)
        a = _each(ACTIVATIONS[name], zs[-1])
        if mask is not None:
            a = a * exactly(mask)
    loss, delta = LOSSES[spec.loss](a, y)
    grads: Params = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        name, mask = spec.activations[layer], drops[layer]
        if mask is not None:
            delta = delta * exactly(mask)
        delta = delta * _each(lambda z, name=name: derivative(name, z), zs[layer])
        l2 = mpmath.mpf(spec.l2)
        grads.insert(
            0, (inputs[layer].T.dot(delta) + l2 * W, b if b is None else delta.sum(axis=0))
        )
        loss = loss + l2 / 2 * (W * W).sum()
        delta = delta.dot(W.T)
    return a, loss, grads


def derivative(name: str, z: Any) -> Any:
    """g'(z); at a kink that of the left side."""
    if name == "identity":
        return mpmath.mpf(1)
    if name == "relu":
        return mpmath.mpf(1 if z > 0 else 0)
    if name == "leaky_relu":
        return mpmath.mpf(1 if z > 0 else LEAKY_SLOPE)
    return mpmath.diff(ACTIVATIONS[name], z)


def exactly(values: Any) -> Array:
    """Numbers of any array as an array of mpf; none of them is rounded."""
    if isinstance(values, mpmath.mpf):
        return values
    return _each(lambda v: mpmath.mpf(v if isinstance(v, mpmath.mpf) else float(v)), values)


def _each(function: Any, values: Any) -> Array:
    values = np.asarray(values, dtype=object)
    results = np.empty(values.shape, dtype=object)
    for index in np.ndindex(values.shape):
        results[index] = function(values[index])
    return results


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


def _softplus(z: Any) -> Any:
    return (z if z > 0 else 0) + mpmath.log1p(mpmath.exp(-abs(z)))


def _gelu(z: Any) -> Any:
    u = mpmath.sqrt(2 / mpmath.pi) * (z + mpmath.mpf(0.044715) * z**3)
    return z * _sigmoid(2 * u)  # z/2 (1 + tanh(u)), whose sum would cancel at any precision


def _lif_rate(v: Any) -> Any:
    j = LIF_WIDTH * _softplus((v - 1) / LIF_WIDTH)
    return 1 / (mpmath.mpf(T_REF) + mpmath.mpf(TAU) * mpmath.log1p(1 / j))


ACTIVATIONS: dict[str, Any] = {
    "identity": lambda z: z,
    "relu": lambda z: z if z > 0 else mpmath.mpf(0),
    "leaky_relu": lambda z: z if z > 0 else LEAKY_SLOPE * z,
    "sigmoid": _sigmoid,
    "tanh": mpmath.tanh,
    "gelu": _gelu,
    "silu": lambda z: z * _sigmoid(z),
    "softplus": _softplus,
    "lif_rate": _lif_rate,
    "unit_step": lambda z: mpmath.mpf(1 if z > 0 else 0),
}


def _cross_entropy(a: Array, y: Array) -> tuple[Any, Array]:
    rows = np.arange(len(y))
    powers = _each(mpmath.exp, a - a[rows, y][:, None])  # of a single class exactly 1, its log 0
    sums = powers.sum(axis=1)
    slope = powers / sums[:, None]
    slope[rows, y] -= 1
    return _each(mpmath.log, sums).sum() / len(y), slope / len(y)


def _binary_cross_entropy(a: Array, y: Array) -> tuple[Any, Array]:
    y = exactly(y)
    value = (_each(_softplus, a) - y * a).sum() / len(y)
    return value, (_each(_sigmoid, a) - y) / len(y)


def _mse(a: Array, y: Array) -> tuple[Any, Array]:
    difference = a - exactly(y)
    return (difference * difference).sum() / (2 * len(y)), difference / len(y)


# name: (loss, dloss/doutputs)
LOSSES: dict[str, Any] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "mse": _mse,
}
