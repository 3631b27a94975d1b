"""The network as an expression graph over NumPy matrices, differentiated in reverse mode.

NumPy does the work, one operation of the graph at a time; the graph (`engine_graph`) knows how a
gradient gets back through each. What torch.autograd does, in a file that can be read in one go.
Its arrays and update rules are those of the NumPy network.
"""

from typing import Any

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import (
    layers_of,
    refuse_forward_only,
    refuse_mask,
    step_of,
)
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.differentiation.engine_graph import (
    ACTIVATIONS,
    LOSSES,
    Constant,
    Expression,
    Sum,
    Variable,
)
from samegrad.implementations.functions_numpy import Array, Params, update
from samegrad.implementations.functions_numpy import init_state as init_state

BACKEND = NUMPY
layers = layers_of(ACTIVATIONS)


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return outputs(spec, map_tree(Variable, params), X, masks).evaluate()


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar of the spec's dtype."""
    return total(spec, map_tree(Variable, params), X, y, masks).evaluate()


# B1-B4: Expression.backward derives these from the graph


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    variables = map_tree(Variable, params)
    value = total(spec, variables, X, y, masks)
    value.evaluate()
    value.backward()
    return value.value, map_tree(lambda variable: variable.grad, variables)


train_step = step_of(loss_and_grad, update)  # U1-U7


def outputs(spec: MLPSpec, variables: Any, X: Array, masks: Tree) -> Expression:
    """The graph of a_L."""
    a: Expression = Constant(X)
    for (W, b), g, m in layers(spec, variables, masks):
        z = a @ W + b if spec.bias else a @ W  # F1
        a = g(z)  # F2
        if m is not None:
            refuse_mask(m, X)
            a = a * m  # F3
    return a


def total(spec: MLPSpec, variables: Any, X: Array, y: Array, masks: Tree) -> Expression:
    """The graph of the loss with its L2 term."""
    value = LOSSES[spec.loss](outputs(spec, variables, X, masks), y)  # L1
    if spec.l2:
        for W, _ in variables:
            value = value + Sum(W * W) * (spec.l2 / 2)  # L2
    return value
