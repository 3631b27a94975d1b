"""The factors of a call's matrix products, where these are timed on their own."""

from typing import Any

import numpy as np

from samegrad.benchmarks.cases.workload import Shape

Array = Any
Pairs = list[tuple[Array, Array]]
ROLES = {"nn": "aW", "tn": "ad", "nt": "dW"}  # of A and B: activation, W, delta


def factors(shapes: list[tuple[str, Shape, Shape]]) -> tuple[tuple[str, ...], Pairs]:
    """(kinds, pairs of random factors) of `MLPWorkload.products`.

    An activation, a delta or a W is one array in all its products, as in a step; those of layers
    that are alike are one: no step reads less.
    """
    rng = np.random.default_rng(0)
    drawn: dict[tuple[str, Shape], Array] = {}

    def factor(role: str, shape: Shape) -> Array:
        if (role, shape) not in drawn:
            drawn[role, shape] = rng.standard_normal(shape)
        return drawn[role, shape]

    pairs = [(factor(ROLES[kind][0], a), factor(ROLES[kind][1], b)) for kind, a, b in shapes]
    return tuple(kind for kind, _, _ in shapes), pairs
