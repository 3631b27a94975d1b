"""Identities that a gradient must keep, whoever computes it: a witness that needs no right answer.

Each compares gradients with each other, on a network and on one that is equal to it but for an
order, a half or a scale. They hold for every loss that is a mean over examples, and say nothing of
what all examples share: a wrong constant keeps them all.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.calls import call
from samegrad.implementations.checking.comparison import bound
from samegrad.implementations.checking.problems import Problem, draw
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any
# A network with its batch -> the file's loss and gradient there.
Gradient = Callable[[Problem], tuple[float, Params]]
HOMOGENEOUS = ("identity", "relu", "leaky_relu")  # g(c z) = c g(z) for c > 0
SCALE = 2.0  # a power of two: the two sides round alike


@dataclass(frozen=True)
class Kept:
    """An identity on a network.

    Attributes:
        name: of it.
        network: on which it was tried, in a line.
        error: the largest difference, of the largest entry of its array.
        bound: what rounding of both sides may make of it.
    """

    name: str
    network: str
    error: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether it does; nan is no agreement."""
        return self.error <= self.bound


def hidden_units_permuted(gradient: Gradient, problem: Problem) -> float:
    """The order of hidden units changes the order of their gradients, and nothing else."""
    loss, grads = gradient(problem)
    last = len(problem.params) - 1

    def turned(pairs: Params) -> Params:
        """Rows of W back to front behind a hidden layer, columns and b in front of one."""
        return [
            (
                W[:: 1 if layer == 0 else -1, :: 1 if layer == last else -1],
                b if b is None or layer == last else b[::-1],
            )
            for layer, (W, b) in enumerate(pairs)
        ]

    other, theirs = gradient(replace(problem, params=turned(problem.params)))
    return max(_off(loss, other), _apart(turned(grads), theirs))


def examples_permuted(gradient: Gradient, problem: Problem) -> float:
    """The order of examples changes nothing."""
    loss, grads = gradient(problem)
    other, theirs = gradient(replace(problem, X=problem.X[::-1], y=problem.y[::-1]))
    return max(_off(loss, other), _apart(grads, theirs))


def batch_split(gradient: Gradient, problem: Problem) -> float:
    """A mean over a batch is the mean of those over its halves."""
    loss, grads = gradient(problem)
    half = len(problem.X) // 2
    halves = [
        gradient(replace(problem, X=problem.X[part], y=problem.y[part]))
        for part in (slice(None, half), slice(half, 2 * half))
    ]
    mean = [
        (
            (first[0] + second[0]) / 2,
            None if first[1] is None else (first[1] + second[1]) / 2,
        )
        for first, second in zip(halves[0][1], halves[1][1], strict=True)
    ]
    return max(_off(loss, (halves[0][0] + halves[1][0]) / 2), _apart(grads, mean))


def targets_scaled(gradient: Gradient, problem: Problem) -> float:
    """With outputs and targets c times as large squared errors are c^2 times as large.

    So are the gradients of all layers, but for the last: c times.
    """
    loss, grads = gradient(problem)
    *others, (W, b) = problem.params
    last = (SCALE * W, None if b is None else SCALE * b)
    other, theirs = gradient(replace(problem, params=[*others, last], y=SCALE * problem.y))
    scales = [SCALE**2] * len(others) + [SCALE]
    expected = [
        (scale * dW, None if db is None else scale * db)
        for scale, (dW, db) in zip(scales, grads, strict=True)
    ]
    return max(_off(SCALE**2 * loss, other), _apart(expected, theirs))


def layers_balanced(gradient: Gradient, problem: Problem) -> float:
    """What goes into a unit is c times, what leaves it 1/c: the loss stays, so its slope is 0.

    For each hidden unit sum W dW + b db in front of it is sum W dW behind it (Du, Hu and Lee 2018,
    "Algorithmic regularization in learning deep homogeneous models", theorem 2.1).
    """
    _, grads = gradient(problem)
    worst = 0.0
    pairs = list(zip(problem.params, grads, strict=True))
    for ((W, b), (dW, db)), ((V, _), (dV, _)) in itertools.pairwise(pairs):
        into = (W * dW).sum(axis=0) + (0 if b is None else b * db)
        size = (abs(W * dW)).sum(axis=0) + abs(V * dV).sum(axis=1)
        off = np.abs(into - (V * dV).sum(axis=1))
        worst = max(worst, float(np.max(off) / max(np.max(size), np.finfo(float).tiny)))
    return worst


# name: (the identity, for which networks it must hold)
IDENTITIES: dict[str, tuple[Callable[[Gradient, Problem], float], Callable[[MLPSpec], bool]]] = {
    "hidden units permuted": (hidden_units_permuted, lambda spec: len(spec.layer_sizes) > 2),
    "examples permuted": (examples_permuted, lambda _: True),
    "batch split": (batch_split, lambda spec: not spec.l2),
    "targets scaled": (
        targets_scaled,
        lambda spec: spec.loss == "mse" and spec.output_activation == "identity" and not spec.l2,
    ),
    "layers balanced": (
        layers_balanced,
        lambda spec: spec.activation in HOMOGENEOUS and not spec.l2 and len(spec.layer_sizes) > 2,
    ),
}


def networks() -> list[MLPSpec]:
    """Of different kinds, all without dropout: masks belong to units and examples."""
    base = MLPSpec((3, 4, 4, 2), loss="mse", dtype="float64")
    return [
        base,
        replace(base, activation="tanh"),
        replace(base, loss="cross_entropy"),
        replace(base, activation="sigmoid", output_activation="sigmoid"),
    ]


def kept(implementation: Implementation, seed: int = 0) -> list[Kept]:
    """Every identity on every network that the file supports."""

    def gradient(problem: Problem) -> tuple[float, Params]:
        result = call("loss_and_grad", implementation, problem, implementation.devices()[0], 0.0)
        if result.failure or result.not_supported:
            raise NotImplementedError(result.failure or result.not_supported)
        return float(result.results["loss with the gradient"]), result.results["grads"]

    found: list[Kept] = []
    if "float64" not in implementation.dtypes:
        return found
    for spec in networks():
        problem = draw(spec, 6, seed)
        limit = 2 * bound(spec.dtype, implementation.capabilities.accuracy(spec))
        for name, (identity, must_hold) in IDENTITIES.items():
            if not must_hold(spec):
                continue
            try:
                error = identity(gradient, problem)
            except Exception:
                break  # it does not support the network, or what it gives is no gradient
            found.append(Kept(name, problem.label, error, limit))
    return found


def line(found: Sequence[Kept]) -> str:
    """What they show, in a line; "" of none."""
    if not found:
        return ""
    broken = [k for k in found if not k.holds]
    if broken:
        worst = max(broken, key=lambda k: k.error)
        names = ", ".join(dict.fromkeys(k.name for k in broken))
        return (
            f"identities that need no right answer: {names}: not kept (error {worst.error:.1e} "
            f"with {worst.name} [{worst.network}])"
        )
    names = ", ".join(dict.fromkeys(k.name for k in found))
    largest = max(k.error for k in found)
    return f"identities that need no right answer: {names}: kept to {largest:.1e}"


def _off(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), np.finfo(float).tiny)


def _apart(these: Params, those: Params) -> float:
    """The largest difference of two gradients, of the largest entry of its array."""
    worst = 0.0
    for mine, theirs in zip(these, those, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            if a is None or b is None:
                continue
            if np.shape(a) != np.shape(b):
                return np.inf
            largest = max(np.max(np.abs(a)), np.finfo(float).tiny)
            worst = max(worst, float(np.max(np.abs(np.asarray(a) - b)) / largest))
    return worst
