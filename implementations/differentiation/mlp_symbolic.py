"""The network as a formula, differentiated on paper: a formula for each parameter.

SymPy writes the formulas (`engine_symbolic`) when a network is first met, which takes seconds for
dozens of parameters, and NumPy evaluates them. Exact, and the formulas grow: each derivative
repeats the network. What would take minutes is refused. Arrays and update rules are those of the
NumPy network.
"""

from typing import Any

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.layers import refuse_forward_only, step_of
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.differentiation.engine_symbolic import (
    ACTIVATIONS,
    constants,
    formulas,
)
from samegrad.implementations.functions_numpy import Array, Params, update
from samegrad.implementations.functions_numpy import init_state as init_state

MOST = 60  # parameters: twice as many take four times as long to differentiate, then minutes


def refuse(spec: MLPSpec, masks: Tree = None) -> None:
    """Raise NotImplementedError for formulas that are too long, or have cases."""
    strangers = sorted({*spec.activations} - {*ACTIVATIONS})
    for lacking, what in (
        (spec.dropout or masks is not None, "dropout"),
        (len(spec.layer_sizes) > 3, "more than one hidden layer: its formulas would be too long"),
        (
            spec.parameters > MOST,
            f"more than {MOST} parameters ({spec.parameters:,} here): its formulas take minutes",
        ),
        (strangers, f"activation {', '.join(strangers)}; it has {', '.join(ACTIVATIONS)}"),
    ):
        if lacking:
            raise NotImplementedError(f"symbolic has no {what}")


BACKEND = NUMPY
CAPABILITIES = Capabilities(dtypes=("float64",), refuse=refuse)


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    refuse(spec, masks)
    return _outputs(spec, params, X).T


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a scalar."""
    refuse(spec, masks)
    value = formulas(spec).loss(*_arguments(spec, params, X, y)).mean()  # L1
    return value + spec.l2 / 2 * sum((W * W).sum() for W, _ in params)  # L2


# B1-B4: SymPy differentiates the formula of the loss by each parameter


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    refuse(spec, masks)
    arguments = _arguments(spec, params, X, y)
    slopes = iter([derivative(*arguments).mean() for derivative in formulas(spec).derivatives])
    grads = map_tree(lambda p: np.array([next(slopes) for _ in range(p.size)]), params)
    grads = [
        (dW.reshape(W.shape) + spec.l2 * W, db)
        for (dW, db), (W, _) in zip(grads, params, strict=True)
    ]
    value = formulas(spec).loss(*arguments).mean()  # L1
    return value + spec.l2 / 2 * sum((W * W).sum() for W, _ in params), grads  # L2


train_step = step_of(loss_and_grad, update)  # U1-U7


def _flat(params: Params) -> list[Any]:
    return [number for pair in params for p in pair if p is not None for number in p.ravel()]


def _outputs(spec: MLPSpec, params: Params, X: Array) -> Array:
    """(outputs, batch)."""
    return np.array(formulas(spec).outputs(*X.T, *_flat(params)))


def _arguments(spec: MLPSpec, params: Params, X: Array, y: Array) -> list[Any]:
    """What the formulas of the loss take, in their order."""
    t, m = constants(spec, _outputs(spec, params, X), y)
    return [*X.T, *t, *m, *_flat(params)]
