"""The network in vectorised NumPy, with backpropagation derived by hand.

BLAS does the matrix products, NumPy's loops the rest, one array operation at a time. No
automatic differentiation: `backward` is the derivation B1 to B4 of the interface.
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
from samegrad.implementations.functions_numpy import ACTIVATIONS, LOSSES, update
from samegrad.implementations.functions_numpy import (
    init_state as init_state,  # a part of the contract
)
from samegrad.implementations.functions_numpy import perceptron as perceptron
from samegrad.implementations.functions_numpy import products as products
from samegrad.implementations.functions_numpy import take as take

DTYPES: tuple[str, ...] = ("float32", "float64")


def devices() -> tuple[str, ...]:
    """NumPy's arrays live in the CPU's memory."""
    return ("cpu",)


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Copies of the arrays."""
    refuse_device("numpy", device, devices())
    refuse_dtype("numpy", spec.dtype, DTYPES)
    return map_tree(np.array, check_params(spec, params))


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Copies of the arrays."""
    refuse_device("numpy", device, devices())
    refuse_dtype("numpy", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return np.array(X), np.array(y)


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Copies of the arrays."""
    refuse_device("numpy", device, devices())
    return map_tree(np.array, check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """The arrays themselves, as independent copies."""
    return map_tree(np.array, tree)


def synchronize(tree: Tree) -> None:
    """Nothing to wait for: a NumPy call returns when its result is there."""


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None, trace: Any = None) -> Any:
    """Outputs (batch, outputs); `trace` collects (a_{l-1}, z_l, g(z_l), m_l) per layer."""
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g, _ = ACTIVATIONS[name]
        z = a @ W if b is None else a @ W + b  # F1
        a_in, a = a, g(z)  # F2
        if trace is not None:
            trace.append((a_in, z, a, m))
        if m is not None:
            a = m * a  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar of the spec's dtype."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss][0](outputs, y) + penalty(spec, params)  # L1, L2


def backward(spec: MLPSpec, params: Params, trace: Any, y: Array) -> Params:
    """Grads nested like params, from the trace of a forward pass."""
    delta = LOSSES[spec.loss][1](trace[-1][2], y)
    ones = np.ones_like(delta[:, 0])  # BLAS adds in blocks, sum(axis=0) one row after another
    grads: Params = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        a_in, z, a, m = trace[layer]
        _, dg = ACTIVATIONS[spec.activations[layer]]
        if m is not None:
            delta = m * delta  # B4
        delta = delta * dg(z, a)  # B1, B4
        dW = a_in.T @ delta  # B2
        if spec.l2:
            dW += spec.l2 * W  # B2
        grads.insert(0, (dW, b if b is None else ones @ delta))  # B3
        if layer > 0:
            delta = delta @ W.T  # B4
    return grads


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    trace: list[Any] = []
    outputs = forward(spec, params, X, masks, trace)
    value = LOSSES[spec.loss][0](outputs, y) + penalty(spec, params)  # L1, L2
    return value, backward(spec, params, trace, y)


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


def penalty(spec: MLPSpec, params: Params) -> Array:
    """l2/2 times the sum of W^2."""
    if spec.l2 == 0:
        return 0
    return spec.l2 / 2 * sum(np.square(W).sum() for W, _ in params)
