"""The network in looped scalar Python: lists, floats and math.

Python does all the work, one multiplication at a time. NumPy appears only where arrays come
in and go out; the model does not use it, so that every loop of F1 to B4 can be read.
"""

from operator import mul
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
from samegrad.implementations.functions_scalar import ACTIVATIONS, LOSSES, dot, update
from samegrad.implementations.functions_scalar import (
    init_state as init_state,  # a part of the contract
)
from samegrad.implementations.functions_scalar import perceptron as perceptron
from samegrad.implementations.functions_scalar import products as products

DTYPES: tuple[str, ...] = ("float64",)  # a Python float is a double


def devices() -> tuple[str, ...]:
    """The Python interpreter runs on the CPU."""
    return ("cpu",)


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Lists of floats."""
    refuse_device("scalar", device, devices())
    refuse_dtype("scalar", spec.dtype, DTYPES)
    return [(W.tolist(), b if b is None else b.tolist()) for W, b in check_params(spec, params)]


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Lists of floats, and of whole numbers for class indices."""
    refuse_device("scalar", device, devices())
    refuse_dtype("scalar", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return X.tolist(), y.tolist()


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Lists of floats."""
    refuse_device("scalar", device, devices())
    return map_tree(lambda mask: mask.tolist(), check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """Arrays for rows of floats; tuples and lists of tuples keep their nesting."""
    if isinstance(tree, tuple) or (isinstance(tree, list) and isinstance(tree[0], tuple)):
        return type(tree)(to_numpy(branch) for branch in tree)
    return None if tree is None else np.array(tree)


def synchronize(tree: Tree) -> None:
    """Nothing to wait for: a statement that has run has its result."""


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None, trace: Any = None) -> Any:
    """Outputs (batch, outputs); `trace` collects (a_{l-1}, z_l, g(z_l), m_l) per layer."""
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g, _ = ACTIVATIONS[name]
        columns = list(zip(*W, strict=True))
        z = []
        for a_n in a:
            z_n = [dot(a_n, W_j) for W_j in columns]  # F1
            if b is not None:
                z_n = [z_nj + b_j for z_nj, b_j in zip(z_n, b, strict=True)]  # F1
            z.append(z_n)
        a_in, a = a, [[g(z_nj) for z_nj in z_n] for z_n in z]  # F2
        if trace is not None:
            trace.append((a_in, z, a, m))
        if m is not None:
            a = times(m, a)  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> float:
    """The loss as a float."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss][0](outputs, y) + penalty(spec, params)  # L1, L2


def backward(spec: MLPSpec, params: Params, trace: Any, y: Array) -> Params:
    """Grads nested like params, from the trace of a forward pass."""
    delta = LOSSES[spec.loss][1](trace[-1][2], y)
    grads: Params = []
    for layer in reversed(range(len(params))):
        W, b = params[layer]
        a_in, z, a, m = trace[layer]
        _, dg = ACTIVATIONS[spec.activations[layer]]
        # a_nj = m_nj * g(z_nj)
        if m is not None:
            delta = times(m, delta)  # B4
        delta = times(delta, [list(map(dg, *rows)) for rows in zip(z, a, strict=True)])  # B1, B4
        # z_nj = sum over i of a_ni * W_ij
        rows, columns = list(zip(*a_in, strict=True)), list(zip(*delta, strict=True))
        dW = [[dot(a_i, delta_j) for delta_j in columns] for a_i in rows]  # B2
        if spec.l2:
            for dW_i, W_i in zip(dW, W, strict=True):
                for j, W_ij in enumerate(W_i):
                    dW_i[j] += spec.l2 * W_ij  # B2
        # z_nj = ... + b_j
        grads.insert(0, (dW, b if b is None else [sum(delta_j) for delta_j in columns]))  # B3
        # z_nj = sum over i of a_ni * W_ij
        if layer > 0:
            delta = [[dot(delta_n, W_i) for W_i in W] for delta_n in delta]  # B4
    return grads


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[float, Params]:
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
) -> tuple[Params, Tree, float]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value


def penalty(spec: MLPSpec, params: Params) -> float:
    """l2/2 times the sum of W^2."""
    if spec.l2 == 0:
        return 0.0
    return spec.l2 / 2 * sum(W_ij**2 for W, _ in params for W_i in W for W_ij in W_i)


def times(A: Array, B: Array) -> Array:
    """Elementwise product of two lists of rows."""
    return [list(map(mul, A_n, B_n)) for A_n, B_n in zip(A, B, strict=True)]
