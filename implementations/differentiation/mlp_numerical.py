"""The network in NumPy, differentiated by evaluating its loss near the parameters.

No derivative is known here. Where the loss is analytic, a complex step of 1e-20 gives each slope
to the last digits, because nothing is subtracted (Squire and Trapp 1998); elsewhere a central
difference does, with an error. Either way a gradient takes passes in proportion to the number of
parameters. Arrays and update rules are those of the NumPy network.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU
from samegrad.implementations.contract.layers import (
    drop,
    layers_of,
    refuse_forward_only,
    step_of,
)
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_numpy import Params, update
from samegrad.implementations.functions_numpy import init_state as init_state

Array = Any  # NumPy, real or complex

# A central difference is off by h^2/6 times the third derivative, and by eps |loss| / h from
# rounding; h = eps^(1/3) = 6e-6 balances the two at about 4e-11 of the loss and its derivatives.
# Relative to a gradient that is 1e-3 of these, as it is in a wide layer, that makes 4e-8; below
# 1e-4 of the loss the declared accuracy is no longer kept.
STEP = float(np.finfo(np.float64).eps ** (1 / 3))
DECLARED = {"float64": 1e-6}
COMPLEX_STEP = 1e-20  # its square vanishes beside 1
# relu and leaky_relu have a kink, so a loss with them is not analytic.
ANALYTIC = ("identity", "sigmoid", "tanh", "gelu", "silu", "softplus", "lif_rate")


def accuracy(spec: MLPSpec) -> Mapping[str, float] | None:
    """The declared bound: of central differences only; a complex step is exact."""
    return None if analytic(spec) else DECLARED


def analytic(spec: MLPSpec) -> bool:
    """Whether the loss has a derivative everywhere, so that a complex step is right."""
    return set(spec.activations) <= set(ANALYTIC)


BACKEND = NUMPY
CAPABILITIES = Capabilities(
    dtypes=("float64",),  # in float32 a central difference has 2 digits left
    accuracy=accuracy,
    passes_per_parameter=2,
)


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs), complex where a parameter is."""
    a = X
    for (W, b), g, m in layers(spec, params, masks):
        z = a @ W + b if spec.bias else a @ W  # F1
        a = drop(g(z), m)  # F2, F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar, complex where a parameter is."""
    value = LOSSES[spec.loss](forward(spec, params, X, masks), y)  # L1
    if spec.l2:
        value = value + spec.l2 / 2 * sum((W * W).sum() for W, _ in params)  # L2
    return value


# B1-B4: differences of the loss, one parameter at a time


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    dtype = np.complex128 if analytic(spec) else np.float64
    near = map_tree(lambda p: p.astype(dtype), params)

    def at(p: Array, index: tuple[int, ...], value: Any) -> Array:
        kept, p[index] = p[index], value
        moved = loss(spec, near, X, y, masks)
        p[index] = kept
        return moved

    def slope(p: Array, index: tuple[int, ...]) -> float:
        if analytic(spec):
            return float(at(p, index, p[index] + 1j * COMPLEX_STEP).imag / COMPLEX_STEP)
        h = STEP * max(1.0, abs(p[index]))
        above, below = p[index] + h, p[index] - h
        return float((at(p, index, above) - at(p, index, below)) / (above - below))

    def slopes(p: Array) -> Array:
        grad = np.empty(p.shape)
        for index in np.ndindex(p.shape):
            grad[index] = slope(p, index)
        return grad

    return loss(spec, params, X, y, masks), map_tree(slopes, near)


train_step = step_of(loss_and_grad, update)  # U1-U7


# ---- functions of real and complex arrays ----
# A complex step needs functions that are analytic along the imaginary direction: no abs, no max of
# complex numbers. Where a function has cases, the real part decides.


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
