"""The looped network compiled by Numba: the same loops and functions, without the interpreter.

One thread, no BLAS, the inner products in the order in which looped Python takes them: what is
gained is what the interpreter costs. Derivatives are those of the looped network, B1 to B4 of the
equations. Arrays are NumPy's, so that there is something to compile for.
"""

from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import drop, refuse_forward_only, step_of
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.variants.functions_numba import (
    LOSSES,
    Array,
    Params,
    layers,
    njit,
    products,
    rule,
)

BACKEND = NUMPY
CAPABILITIES = Capabilities(dtypes=("float64",), products=products)
Trace = list[tuple[Array, Any, Array | None, Array, Array, Array]]


@njit
def affine(a: Array, W: Array, b: Any, z: Array) -> None:
    """z becomes a W + b."""
    for n in range(z.shape[0]):
        for j in range(z.shape[1]):
            total = 0.0
            for i in range(W.shape[0]):
                total += a[n, i] * W[i, j]
            z[n, j] = total + (0.0 if b is None else b[j])  # F1


@njit
def activated(g: Any, z: Array, a: Array) -> None:
    """a becomes g(z)."""
    for n in range(z.shape[0]):
        for j in range(z.shape[1]):
            a[n, j] = g(z[n, j])  # F2


@njit
def times_slope(dg: Any, z: Array, a: Array, delta: Array) -> None:
    """delta, which holds dloss/da, becomes dloss/dz."""
    for n in range(z.shape[0]):
        for j in range(z.shape[1]):
            delta[n, j] *= dg(z[n, j], a[n, j])  # B1, B4


@njit
def gradient(a_in: Array, delta: Array, W: Array, l2: float, dW: Array, db: Any) -> None:
    """dW and db from a_{l-1} and delta_l."""
    for i in range(dW.shape[0]):
        for j in range(dW.shape[1]):
            total = 0.0
            for n in range(delta.shape[0]):
                total += a_in[n, i] * delta[n, j]
            dW[i, j] = total + l2 * W[i, j]  # B2
    if db is not None:
        for j in range(delta.shape[1]):
            total = 0.0
            for n in range(delta.shape[0]):
                total += delta[n, j]
            db[j] = total  # B3


@njit
def propagated(delta: Array, W: Array, slope: Array) -> None:
    """slope becomes dloss/da_{l-1} = delta_l W_l^T."""
    for n in range(delta.shape[0]):
        for i in range(W.shape[0]):
            total = 0.0
            for j in range(W.shape[1]):
                total += delta[n, j] * W[i, j]
            slope[n, i] = total  # B4


def propagate(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> tuple[Array, Trace]:
    """Outputs (batch, outputs), and W_l, g', m_l, a_{l-1}, z_l and g(z_l) of each layer."""
    a, trace = X, []
    for (W, b), (g, dg), m in layers(spec, params, masks):
        z = np.empty((len(X), W.shape[1]))
        affine(a, W, b, z)
        a_in, a = a, np.empty_like(z)
        activated(g, z, a)
        trace.append((W, dg, m, a_in, z, a))
        a = drop(a, m)  # F3
    return a, trace


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return propagate(spec, params, X, masks)[0]


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> float:
    """The loss as a float."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss](outputs, y, np.empty_like(outputs)) + penalty(spec, params)  # L1, L2


def backward(spec: MLPSpec, trace: Trace, slope: Array) -> Params:
    """Grads nested like params; slope is dloss/da, delta is dloss/dz, from the last layer on."""
    grads: Params = []
    for W, dg, m, a_in, z, a in trace[::-1]:
        delta = drop(slope, m)  # B4
        times_slope(dg, z, a, delta)
        dW, db = np.empty_like(W), np.empty(W.shape[1]) if spec.bias else None
        gradient(a_in, delta, W, spec.l2, dW, db)
        grads.append((dW, db))
        if len(grads) < len(trace):  # nobody asks for dloss/dX
            slope = np.empty_like(a_in)
            propagated(delta, W, slope)
    return grads[::-1]


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[float, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    outputs, trace = propagate(spec, params, X, masks)
    slope = np.empty_like(outputs)
    value = LOSSES[spec.loss](outputs, y, slope) + penalty(spec, params)  # L1, L2
    return value, backward(spec, trace, slope)


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(0 steps done, for each W and b as many arrays of zeros as the rule keeps)."""
    _, kept = rule(spec.optimizer)
    return 0, map_tree(lambda p: tuple(np.zeros(p.size) for _ in range(kept)), params)


def update(
    spec: MLPSpec, params: Params, grads: Params, state: Any, learning_rate: float
) -> tuple[Params, Any]:
    """Params after one update in place, and the state after it."""
    update_one, _ = rule(spec.optimizer)
    t, kept = state[0] + 1, state[1]
    for (W, b), (dW, db), (kept_W, kept_b) in zip(params, grads, kept, strict=True):
        if spec.decay:
            W -= learning_rate * spec.decay * W  # U7
        for p, dp, arrays in ((W, dW, kept_W), (b, db, kept_b)):
            if p is not None and dp is not None:
                update_one(p.reshape(-1), dp.reshape(-1), arrays, t, learning_rate)  # U1-U6
    return params, (t, kept)


train_step = step_of(loss_and_grad, update)  # U1-U7


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    return spec.l2 / 2 * sum(float(np.vdot(W, W)) for W, _ in params) if spec.l2 else 0.0
