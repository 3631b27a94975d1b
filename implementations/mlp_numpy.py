"""The network in vectorised NumPy, with backpropagation derived by hand.

BLAS does the matrix products, NumPy's loops the rest, one array operation at a time. No automatic
differentiation: `backward` is the derivation B1 to B4 of `contract/equations.py`.
"""

from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import drop, refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_numpy import LOSSES, Array, Params, layers, penalty
from samegrad.implementations.functions_numpy import init_state as init_state
from samegrad.implementations.functions_numpy import perceptron as perceptron
from samegrad.implementations.functions_numpy import update as update

BACKEND = NUMPY
CAPABILITIES = Capabilities(perceptron=perceptron)
Trace = list[tuple[Array, Any, Array | None, Array, Array, Array]]


def propagate(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> tuple[Array, Trace]:
    """Outputs (batch, outputs), and W_l, g', m_l, a_{l-1}, z_l and g(z_l) of each layer."""
    a, trace = X, []
    for (W, b), (g, dg), m in layers(spec, params, masks):
        z = a @ W + b if spec.bias else a @ W  # F1
        a_in, a = a, g(z)  # F2
        trace.append((W, dg, m, a_in, z, a))
        a = drop(a, m)  # F3
    return a, trace


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return propagate(spec, params, X, masks)[0]


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar of the spec's dtype."""
    value, _ = LOSSES[spec.loss]
    return value(forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


def backward(spec: MLPSpec, trace: Trace, slope: Array) -> Params:
    """Grads nested like params; slope is dloss/da, delta is dloss/dz, from the last layer on.

    Of one example B2 is a column times a row, which `@` does without BLAS, and `dot` with it.
    """
    grads: Params = []
    ones = np.ones_like(slope[:, 0])  # BLAS adds in blocks, sum(axis=0) one row after another
    for W, dg, m, a_in, z, a in trace[::-1]:
        delta = drop(slope, m) * dg(z, a)  # B1, B4
        dW = a_in.T @ delta if len(delta) > 1 else np.dot(a_in.T, delta)  # B2
        if spec.l2:
            dW += spec.l2 * W  # B2
        grads.append((dW, ones @ delta if spec.bias else None))  # B3
        if len(grads) < len(trace):  # nobody asks for dloss/dX
            slope = delta @ W.T  # B4
    return grads[::-1]


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    value, slope = LOSSES[spec.loss]
    outputs, trace = propagate(spec, params, X, masks)
    grads = backward(spec, trace, slope(outputs, y))
    return value(outputs, y) + penalty(spec, params), grads  # L1, L2


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
