"""The network in looped scalar Python: one product and one sum at a time, on lists of floats."""

from typing import Any

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_scalar import LOSSES, Matrix, Params, drop, layers, penalty
from samegrad.implementations.functions_scalar import init_state as init_state
from samegrad.implementations.functions_scalar import perceptron as perceptron
from samegrad.implementations.functions_scalar import update as update

BACKEND = LISTS
CAPABILITIES = Capabilities(perceptron=perceptron)
Targets = Matrix | list[int]
Trace = list[tuple[Matrix, Any, Matrix | None, Matrix, Matrix, Matrix]]


def propagate(spec: MLPSpec, params: Params, X: Matrix, masks: Tree = None) -> tuple[Matrix, Trace]:
    """Outputs (batch, outputs), and W_l, g', m_l, a_{l-1}, z_l and g(z_l) of each layer."""
    a, trace = X, []
    for (W, b), (g, dg), m in layers(spec, params, masks):
        z = [list(b) if spec.bias else [0.0] * len(W[0]) for _ in a]  # F1
        for a_n, z_n in zip(a, z, strict=True):
            for a_ni, W_i in zip(a_n, W, strict=True):
                for j, W_ij in enumerate(W_i):
                    z_n[j] += a_ni * W_ij  # F1
        a_in, a = a, [[g(z_nj) for z_nj in z_n] for z_n in z]  # F2
        trace.append((W, dg, m, a_in, z, a))
        a = drop(a, m)  # F3
    return a, trace


def forward(spec: MLPSpec, params: Params, X: Matrix, masks: Tree = None) -> Matrix:
    """Outputs (batch, outputs)."""
    return propagate(spec, params, X, masks)[0]


def loss(spec: MLPSpec, params: Params, X: Matrix, y: Targets, masks: Tree = None) -> float:
    """The loss as a float."""
    value, _ = LOSSES[spec.loss]
    return value(forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


def backward(spec: MLPSpec, trace: Trace, slope: Matrix) -> Params:
    """Grads nested like params; slope is dloss/da, delta is dloss/dz, from the last layer on."""
    grads: Params = []
    for W, dg, m, a_in, z, a in trace[::-1]:
        # a_nj = m_nj * g(z_nj)
        delta = drop(slope, m)  # B4
        for delta_n, z_n, a_n in zip(delta, z, a, strict=True):
            for j, (z_nj, a_nj) in enumerate(zip(z_n, a_n, strict=True)):
                delta_n[j] *= dg(z_nj, a_nj)  # B1, B4
        # z_nj = b_j + sum over i of a_ni * W_ij
        dW, db = [[spec.l2 * W_ij for W_ij in W_i] for W_i in W], [0.0] * len(W[0])
        for a_n, delta_n in zip(a_in, delta, strict=True):
            for a_ni, dW_i in zip(a_n, dW, strict=True):
                for j, delta_nj in enumerate(delta_n):
                    dW_i[j] += a_ni * delta_nj  # B2
            for j, delta_nj in enumerate(delta_n):
                db[j] += delta_nj  # B3
        grads.append((dW, db if spec.bias else None))
        if len(grads) < len(trace):  # nobody asks for dloss/dX
            slope = [[0.0] * len(W) for _ in delta]
            for delta_n, slope_n in zip(delta, slope, strict=True):
                for i, W_i in enumerate(W):
                    for delta_nj, W_ij in zip(delta_n, W_i, strict=True):
                        slope_n[i] += delta_nj * W_ij  # B4
    return grads[::-1]


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Matrix, y: Targets, masks: Tree = None
) -> tuple[float, Params]:
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
    X: Matrix,
    y: Targets,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, float]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value
