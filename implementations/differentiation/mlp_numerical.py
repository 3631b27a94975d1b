"""The network in NumPy, differentiated by evaluating its loss near the parameters.

No derivative is known here. Where the loss is analytic, a complex step of 1e-20 gives each slope
to the last digits, because nothing is subtracted (Squire and Trapp 1998); elsewhere a central
difference does, with an error. Either way a gradient takes passes in proportion to the number of
parameters. Arrays and update rules are those of the NumPy network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import drop, refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.differentiation.functions_numerical import ANALYTIC, LOSSES, layers
from samegrad.implementations.functions_numpy import Array, Params, update
from samegrad.implementations.functions_numpy import init_state as init_state

# A central difference is off by h^2/6 times the third derivative, and by eps |loss| / h from
# rounding; h = eps^(1/3) = 6e-6 balances the two at about 4e-11 of the loss and its derivatives.
# Relative to a gradient that is 1e-3 of these, as it is in a wide layer, that makes 4e-8; below
# 1e-4 of the loss the declared accuracy is no longer kept.
STEP = float(np.finfo(np.float64).eps ** (1 / 3))
DECLARED = {"float64": 1e-6}
COMPLEX_STEP = 1e-20  # its square vanishes beside 1


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
        found = loss(spec, near, X, y, masks)
        p[index] = kept
        return found

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


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value
