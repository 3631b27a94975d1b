"""The network on numbers that remember: scalar automatic differentiation, micrograd's way.

Plain Python, one object for each sum and each product of every example. Nothing is derived by
hand: `Value.backward` follows the objects back. Lists and update rules are those of the looped
network.
"""

from typing import Any

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.layers import (
    layers_of,
    refuse_forward_only,
    refuse_mask,
    step_of,
)
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_scalar import Matrix, Params, update
from samegrad.implementations.functions_scalar import init_state as init_state
from samegrad.implementations.peers.engine_micrograd import ACTIVATIONS, LOSSES, Value, total

BACKEND = LISTS
# A step's objects are freed by Python's collector and by nothing else.
CAPABILITIES = Capabilities(leaves_cycles=True)
layers = layers_of(ACTIVATIONS)


def forward(spec: MLPSpec, params: Params, X: Matrix, masks: Tree = None) -> Matrix:
    """Outputs (batch, outputs)."""
    return [[a_nj.data for a_nj in a_n] for a_n in outputs(spec, remembering(params), X, masks)]


def loss(spec: MLPSpec, params: Params, X: Matrix, y: list[Any], masks: Tree = None) -> float:
    """The loss as a float."""
    return objective(spec, remembering(params), X, y, masks).data


# B1-B4: Value.backward derives these from the objects


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Matrix, y: list[Any], masks: Tree = None
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


train_step = step_of(loss_and_grad, update)  # U1-U7


def remembering(params: Params) -> Any:
    """The params as Values."""
    return [
        ([[Value(w) for w in W_i] for W_i in W], b if b is None else [Value(b_j) for b_j in b])
        for W, b in params
    ]


def outputs(spec: MLPSpec, values: Any, X: Matrix, masks: Tree) -> list[list[Value]]:
    """a_L of each example, as Values."""
    a = [[Value(x_ni) for x_ni in x_n] for x_n in X]
    for (W, b), g, m in layers(spec, values, masks):
        columns = list(zip(*W, strict=True))
        biases = [0.0] * len(columns) if b is None else b
        z = [
            [dot(a_n, W_j) + b_j for W_j, b_j in zip(columns, biases, strict=True)] for a_n in a
        ]  # F1
        a = [[g(z_nj) for z_nj in z_n] for z_n in z]  # F2
        if m is not None:
            refuse_mask(m, a)
            a = [
                [a_nj * m_nj for a_nj, m_nj in zip(a_n, m_n, strict=True)]
                for a_n, m_n in zip(a, m, strict=True)
            ]  # F3
    return a


def objective(spec: MLPSpec, values: Any, X: Matrix, y: list[Any], masks: Tree) -> Value:
    """The loss with its L2 term, as a Value."""
    value = LOSSES[spec.loss](outputs(spec, values, X, masks), y)  # L1
    if spec.l2:
        value = value + total(w * w for W, _ in values for W_i in W for w in W_i) * (spec.l2 / 2)
    return value  # L2


def dot(u: Any, v: Any) -> Value:
    """Sum of products: two objects for each."""
    return total(u_i * v_i for u_i, v_i in zip(u, v, strict=True))
