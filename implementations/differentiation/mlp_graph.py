"""The network as an expression graph over NumPy matrices, differentiated in reverse mode.

NumPy does the work, one operation of the graph at a time; the graph (`parts_graph`) knows how a
gradient gets back through each. What torch.autograd does, in a file that can be read in one go.
Its arrays and update rules are those of the NumPy network.
"""

from typing import Any

from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    layer_masks,
    refuse_forward_only,
    require_masks,
)
from samegrad.implementations.differentiation.engine_graph import (
    ACTIVATIONS,
    LOSSES,
    Constant,
    Expression,
    Sum,
    Variable,
)
from samegrad.implementations.functions_numpy import init_state as init_state
from samegrad.implementations.functions_numpy import products as products
from samegrad.implementations.functions_numpy import update
from samegrad.implementations.mlp_numpy import DTYPES as DTYPES
from samegrad.implementations.mlp_numpy import batch_from_numpy as batch_from_numpy
from samegrad.implementations.mlp_numpy import devices as devices
from samegrad.implementations.mlp_numpy import masks_from_numpy as masks_from_numpy
from samegrad.implementations.mlp_numpy import params_from_numpy as params_from_numpy
from samegrad.implementations.mlp_numpy import synchronize as synchronize
from samegrad.implementations.mlp_numpy import to_numpy as to_numpy


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


def outputs(spec: MLPSpec, variables: Any, X: Array, masks: Tree) -> Expression:
    """The graph of a_L."""
    a: Expression = Constant(X)
    layers = zip(variables, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g = ACTIVATIONS[name]
        z = a @ W if b is None else a @ W + b  # F1
        a = g(z)  # F2
        if m is not None:
            a = a * m  # F3
    return a


def total(spec: MLPSpec, variables: Any, X: Array, y: Array, masks: Tree) -> Expression:
    """The graph of the loss with its L2 term."""
    value = LOSSES[spec.loss](outputs(spec, variables, X, masks), y)  # L1
    if spec.l2:
        for W, _ in variables:
            value = value + Sum(W * W) * (spec.l2 / 2)  # L2
    return value
