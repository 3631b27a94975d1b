"""The looped network compiled by Numba: the same loops and functions, without the interpreter.

One thread, no BLAS, the inner products in the order in which looped Python takes them: what is
gained is what the interpreter costs. Derivatives are those of the looped network, B1 to B4 of the
interface. Arrays are NumPy's, so that there is something to compile for.
"""

from typing import Any

import numpy as np
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    layer_masks,
    refuse_device,
    refuse_dtype,
    refuse_forward_only,
    require_masks,
)
from samegrad.implementations.mlp_scalar import DTYPES as DTYPES
from samegrad.implementations.mlp_scalar import devices as devices
from samegrad.implementations.variants.functions_numba import LOSSES, activation, njit, rule
from samegrad.implementations.variants.functions_numba import products as products


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Copies of the arrays, row after row."""
    refuse_device("numba", device, devices())
    refuse_dtype("numba", spec.dtype, DTYPES)
    return map_tree(lambda p: np.array(p, order="C"), check_params(spec, params))


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Copies of the arrays, row after row."""
    refuse_device("numba", device, devices())
    refuse_dtype("numba", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return np.array(X, order="C"), np.array(y, order="C")


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Copies of the arrays, row after row."""
    refuse_device("numba", device, devices())
    return map_tree(lambda m: np.array(m, order="C"), check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """The arrays themselves, as independent copies."""
    return map_tree(np.array, tree)


def synchronize(tree: Tree) -> None:
    """Nothing to wait for: a loop that has run has its result."""


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
    """delta is multiplied by g'(z)."""
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
def propagated(delta: Array, W: Array, before: Array) -> None:
    """delta_l W_l^T."""
    for n in range(delta.shape[0]):
        for i in range(W.shape[0]):
            total = 0.0
            for j in range(W.shape[1]):
                total += delta[n, j] * W[i, j]
            before[n, i] = total  # B4


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None, trace: Any = None) -> Any:
    """Outputs (batch, outputs); `trace` collects (a_{l-1}, z_l, g(z_l), m_l) per layer."""
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        z = np.empty((len(X), W.shape[1]))
        affine(a, W, b, z)
        a_in, a = a, np.empty_like(z)
        activated(activation(name)[0], z, a)
        if trace is not None:
            trace.append((a_in, z, a, m))
        if m is not None:
            a = m * a  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> float:
    """The loss as a float."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss](outputs, y, np.empty_like(outputs)) + penalty(spec, params)  # L1, L2


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[float, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    trace: list[Any] = []
    outputs = forward(spec, params, X, masks, trace)
    delta = np.empty_like(outputs)
    value = LOSSES[spec.loss](outputs, y, delta) + penalty(spec, params)  # L1, L2
    grads: Params = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        a_in, z, a, m = trace[layer]
        if m is not None:
            delta *= m  # B4
        times_slope(activation(spec.activations[layer])[1], z, a, delta)
        dW, db = np.empty_like(W), b if b is None else np.empty_like(b)
        gradient(a_in, delta, W, spec.l2, dW, db)
        grads.insert(0, (dW, db))
        if layer > 0:
            before = np.empty_like(a_in)
            propagated(delta, W, before)
            delta = before
    return value, grads


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(0 steps done, for each W and b as many arrays of zeros as the rule keeps)."""
    _, kept = rule(spec.optimizer)
    return 0, map_tree(lambda p: tuple(np.zeros(p.size) for _ in range(kept)), params)


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, float]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    update, _ = rule(spec.optimizer)
    t, kept = state[0] + 1, state[1]
    for layer, grad, kept_here in zip(params, grads, kept, strict=True):
        if spec.decay:
            layer[0][...] -= learning_rate * spec.decay * layer[0]  # U7
        for p, dp, arrays in zip(layer, grad, kept_here, strict=True):
            if p is not None:
                update(p.reshape(-1), dp.reshape(-1), arrays, t, learning_rate)  # U1-U6
    return params, (t, kept), value


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    return spec.l2 / 2 * sum(float(np.vdot(W, W)) for W, _ in params) if spec.l2 else 0.0
