"""The network on numbers that remember: scalar automatic differentiation, micrograd's way.

Plain Python, one object for each sum and each product of every example. Nothing is derived by
hand: `Value.backward` follows the objects back. Lists and update rules are those of the looped
network.
"""

from typing import Any

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree
from samegrad.implementations.contract.validation import (
    layer_masks,
    refuse_forward_only,
    require_masks,
)
from samegrad.implementations.functions_scalar import init_state as init_state
from samegrad.implementations.functions_scalar import products as products
from samegrad.implementations.functions_scalar import update
from samegrad.implementations.mlp_scalar import DTYPES as DTYPES
from samegrad.implementations.mlp_scalar import batch_from_numpy as batch_from_numpy
from samegrad.implementations.mlp_scalar import devices as devices
from samegrad.implementations.mlp_scalar import masks_from_numpy as masks_from_numpy
from samegrad.implementations.mlp_scalar import params_from_numpy as params_from_numpy
from samegrad.implementations.mlp_scalar import synchronize as synchronize
from samegrad.implementations.mlp_scalar import to_numpy as to_numpy
from samegrad.implementations.peers.engine_micrograd import ACTIVATIONS, LOSSES, Value, total

LEAVES_CYCLES = True  # a step's objects are freed by Python's collector and by nothing else


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return [[a_nj.data for a_nj in a_n] for a_n in outputs(spec, remembering(params), X, masks)]


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> float:
    """The loss as a float."""
    return objective(spec, remembering(params), X, y, masks).data


# B1-B4: Value.backward derives these from the objects


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[float, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    values = remembering(params)
    value = objective(spec, values, X, y, masks)
    value.backward()
    grads: Params = [
        ([[w.grad for w in W_i] for W_i in W], b if b is None else [b_j.grad for b_j in b])
        for W, b in values
    ]
    return value.data, grads


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


def remembering(params: Params) -> Any:
    """The params as Values."""
    return [
        ([[Value(w) for w in W_i] for W_i in W], b if b is None else [Value(b_j) for b_j in b])
        for W, b in params
    ]


def outputs(spec: MLPSpec, values: Any, X: Array, masks: Tree) -> list[list[Value]]:
    """a_L of each example, as Values."""
    a = [[Value(x_ni) for x_ni in x_n] for x_n in X]
    layers = zip(values, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g = ACTIVATIONS[name]
        columns = list(zip(*W, strict=True))
        biases = [0.0] * len(columns) if b is None else b
        z = [
            [dot(a_n, W_j) + b_j for W_j, b_j in zip(columns, biases, strict=True)] for a_n in a
        ]  # F1
        a = [[g(z_nj) for z_nj in z_n] for z_n in z]  # F2
        if m is not None:
            a = [
                [a_nj * m_nj for a_nj, m_nj in zip(a_n, m_n, strict=True)]
                for a_n, m_n in zip(a, m, strict=True)
            ]  # F3
    return a


def objective(spec: MLPSpec, values: Any, X: Array, y: Array, masks: Tree) -> Value:
    """The loss with its L2 term, as a Value."""
    value = LOSSES[spec.loss](outputs(spec, values, X, masks), y)  # L1
    if spec.l2:
        value = value + total(w * w for W, _ in values for W_i in W for w in W_i) * (spec.l2 / 2)
    return value  # L2


def dot(u: Any, v: Any) -> Value:
    """Sum of products: two objects for each."""
    return total(u_i * v_i for u_i, v_i in zip(u, v, strict=True))
