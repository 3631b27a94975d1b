"""The looped network in the fastest form of plain Python: its innermost loops run in C.

Lists of floats as in the looped network, and its functions, but each inner product is
`sum(map(mul, ...))`, or `math.sumprod` from Python 3.12 on: no other form was faster.
"""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.layers import refuse_forward_only, refuse_mask, step_of
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_scalar import (
    LOSSES,
    Matrix,
    Params,
    layers,
    penalty,
    update,
)
from samegrad.implementations.functions_scalar import init_state as init_state
from samegrad.implementations.mlp_scalar import Targets, Trace


def _dot(u: Sequence[float], v: Sequence[float]) -> float:
    """Sum of products."""
    return sum(map(mul, u, v))


dot: Callable[[Sequence[float], Sequence[float]], float] = getattr(math, "sumprod", _dot)


def products(kinds: tuple[str, ...], pairs: list[tuple[Any, Any]], out: Any = None) -> list[Any]:
    """Matrix products and nothing else: "nn" A B, "tn" A^T B, "nt" A B^T."""
    results = []
    for kind, (A, B) in zip(kinds, pairs, strict=True):
        rows = list(zip(*A, strict=True)) if kind == "tn" else A
        columns = B if kind == "nt" else list(zip(*B, strict=True))
        results.append([[dot(row, column) for column in columns] for row in rows])
    return results


BACKEND = LISTS
CAPABILITIES = Capabilities(products=products)


def propagate(spec: MLPSpec, params: Params, X: Matrix, masks: Tree = None) -> tuple[Matrix, Trace]:
    """Outputs (batch, outputs), and W_l, g', m_l, a_{l-1}, z_l and g(z_l) of each layer."""
    a, trace = X, []
    for (W, b), (g, dg), m in layers(spec, params, masks):
        columns = list(zip(*W, strict=True))
        z = []
        for a_n in a:
            z_n = [dot(a_n, W_j) for W_j in columns]  # F1
            if spec.bias:
                z_n = [z_nj + b_j for z_nj, b_j in zip(z_n, b, strict=True)]  # F1
            z.append(z_n)
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
        derivatives = [list(map(dg, *rows)) for rows in zip(z, a, strict=True)]
        delta = times(drop(slope, m), derivatives)  # B1, B4
        rows, columns = list(zip(*a_in, strict=True)), list(zip(*delta, strict=True))
        dW = [[dot(a_i, delta_j) for delta_j in columns] for a_i in rows]  # B2
        if spec.l2:
            for dW_i, W_i in zip(dW, W, strict=True):
                for j, W_ij in enumerate(W_i):
                    dW_i[j] += spec.l2 * W_ij  # B2
        grads.append((dW, [sum(delta_j) for delta_j in columns] if spec.bias else None))  # B3
        if len(grads) < len(trace):  # nobody asks for dloss/dX
            slope = [[dot(delta_n, W_i) for W_i in W] for delta_n in delta]  # B4
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


train_step = step_of(loss_and_grad, update)  # U1-U7


def drop(a: Matrix, m: Matrix | None) -> Matrix:
    """m * a, or a itself where there is no mask."""
    if m is None:
        return a
    refuse_mask(m, a)
    return times(m, a)


def times(A: Matrix, B: Matrix) -> Matrix:
    """Elementwise product of two lists of rows."""
    return [list(map(mul, A_n, B_n)) for A_n, B_n in zip(A, B, strict=True)]
