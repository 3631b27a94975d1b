"""The network on dual numbers: differentiation in forward mode, one pass per parameter.

Python does all the work, as in the scalar network, whose lists and update rules these are; the
numbers (`engine_dual`) carry a slope along. Exact, and hopeless for many parameters: the lesson
why networks are differentiated in reverse.
"""

from operator import mul
from typing import Any

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.layers import layers_of, refuse_forward_only, step_of
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.differentiation.engine_dual import ACTIVATIONS, LOSSES, Dual, slope
from samegrad.implementations.functions_scalar import Matrix, Params, drop, update
from samegrad.implementations.functions_scalar import init_state as init_state

BACKEND = LISTS
CAPABILITIES = Capabilities(passes_per_parameter=1)
layers = layers_of(ACTIVATIONS)


def forward(spec: MLPSpec, params: Params, X: Matrix, masks: Tree = None) -> Any:
    """Outputs (batch, outputs), of dual numbers where a parameter is one."""
    a = X
    for (W, b), g, m in layers(spec, params, masks):
        columns = list(zip(*W, strict=True))
        z = [[sum(map(mul, a_n, W_j)) for W_j in columns] for a_n in a]  # F1
        if spec.bias:
            z = [[z_nj + b_j for z_nj, b_j in zip(z_n, b, strict=True)] for z_n in z]  # F1
        a = [[g(z_nj) for z_nj in z_n] for z_n in z]  # F2
        a = drop(a, m)  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Matrix, y: list[Any], masks: Tree = None) -> Any:
    """The loss as a float, or as a dual number where a parameter is one."""
    value = LOSSES[spec.loss](forward(spec, params, X, masks), y)  # L1
    if spec.l2:
        value += (
            spec.l2 / 2 * sum(W_ij * W_ij for W, _ in params for W_i in W for W_ij in W_i)
        )  # L2
    return value


# B1-B4: Dual carries the slope through forward, for one parameter at a time


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Matrix, y: list[Any], masks: Tree = None
) -> tuple[float, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    params = map_tree(lambda p: p, params)  # copies of all lists: numbers are exchanged in them

    def slopes(numbers: list[float]) -> list[float]:
        row = []
        for j, number in enumerate(numbers):
            numbers[j] = Dual(number, 1.0)  # type: ignore[call-overload] # a float elsewhere
            row.append(slope(loss(spec, params, X, y, masks)))
            numbers[j] = number
        return row

    grads = [([slopes(W_i) for W_i in W], b if b is None else slopes(b)) for W, b in params]
    return loss(spec, params, X, y, masks), grads


train_step = step_of(loss_and_grad, update)  # U1-U7
