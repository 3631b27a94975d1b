"""Formulas of a network's loss and of each of its derivatives, by SymPy.

One example's loss is written down as a single expression of the parameters, and differentiated by
each of them: a formula for every derivative, as on paper. What the formulas share they all repeat
(each holds the whole network again), and that is the lesson; within one of them, what comes several
times is computed once. They are turned into functions of NumPy arrays, a batch at a time.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import sympy
from sympy import Expr, Symbol, exp, log, tanh

from samegrad.implementations.contract.spec import MLPSpec

Array = Any
Function = Callable[..., Array]

# name: g(z)
ACTIVATIONS: dict[str, Callable[[Expr], Expr]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: (1 + tanh(z / 2)) / 2,  # exp would overflow
    "tanh": tanh,
}


def cross_entropy(a: list[Expr], t: list[Symbol], m: list[Symbol]) -> Expr:
    """-log softmax(a)[y] of one example, t = onehot(y); m is the largest of a, as a constant."""
    total = sympy.Add(*(exp(a_j - m[0]) for a_j in a))
    return log(total) + m[0] - sympy.Add(*(t_j * a_j for t_j, a_j in zip(t, a, strict=True)))


def binary_cross_entropy(a: list[Expr], t: list[Symbol], m: list[Symbol]) -> Expr:
    """The sum of log(1 + exp(a)) - y a; m is max(a, 0), as a constant."""
    terms = zip(a, t, m, strict=True)
    return sympy.Add(
        *(log(exp(-m_j) + exp(a_j - m_j)) + m_j - t_j * a_j for a_j, t_j, m_j in terms)
    )


def mse(a: list[Expr], t: list[Symbol], m: list[Symbol]) -> Expr:
    """Half of the sum of (a - y)^2."""
    return sympy.Add(*((a_j - t_j) ** 2 / 2 for a_j, t_j in zip(a, t, strict=True)))


# name: loss of one example
LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


class Formulas(NamedTuple):
    """A network as formulas of one example.

    Attributes:
        outputs: x, params -> a_L, a list of (batch,).
        loss: x, t, m, params -> (batch,).
        derivatives: the same of the derivative of the loss by each parameter, in their order.
        operations: of the loss, and of all derivatives, as they are written.
    """

    outputs: Function
    loss: Function
    derivatives: list[Function]
    operations: tuple[int, int]


@lru_cache(maxsize=64)
def formulas(spec: MLPSpec) -> Formulas:
    """Differentiate a network: seconds, for dozens of parameters."""
    sizes = spec.layer_sizes
    x, t = symbols("x", sizes[0]), symbols("t", sizes[-1])
    m, params, a = symbols("m", sizes[-1]), list[Symbol](), list[Expr](x)
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        W = [symbols(f"W{layer}_{i}_", fan_out) for i in range(fan_in)]
        b = symbols(f"b{layer}_", fan_out) if spec.bias else []
        z = [  # F1
            sympy.Add(*(a[i] * W[i][j] for i in range(fan_in)), *b[j : j + 1])
            for j in range(fan_out)
        ]
        a = [ACTIVATIONS[spec.activations[layer - 1]](z_j) for z_j in z]  # F2
        params += [W_ij for W_i in W for W_ij in W_i] + b
    loss = LOSSES[spec.loss](a, t, m)  # L1
    slopes = [sympy.diff(loss, p) for p in params]

    def function(*arguments: list[Symbol], of: Any) -> Function:
        named = [symbol for group in arguments for symbol in group]
        return sympy.lambdify(named, of, "numpy", cse=True)

    return Formulas(
        function(x, params, of=a),
        function(x, t, m, params, of=loss),
        [function(x, t, m, params, of=slope) for slope in slopes],
        (int(loss.count_ops()), sum(int(slope.count_ops()) for slope in slopes)),
    )


def symbols(name: str, count: int) -> list[Symbol]:
    """NAME0, NAME1, ... for real numbers."""
    return [Symbol(f"{name}{number}", real=True) for number in range(count)]


def constants(spec: MLPSpec, outputs: Array, y: Array) -> tuple[Array, Array]:
    """(t, m) as the losses take them, (outputs, batch) each."""
    if spec.loss == "cross_entropy":
        largest = np.broadcast_to(outputs.max(axis=0), outputs.shape)
        return np.eye(len(outputs))[y].T, largest
    return y.T, np.maximum(outputs, 0)
