"""Random points: the numbers at which a file's code is run, exact or as floats."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import Tree, map_tree
from samegrad.implementations.proof.arrays import ExactArray
from samegrad.implementations.proof.number import Number
from samegrad.implementations.proof.result import SET_BITS

Array = Any
MOST = 5000  # parameters: two seconds a point at half of them, with a batch of 8


class NotProvedError(Exception):
    """Why nothing can be said: the reason of NOT PROVED."""


class Point:
    """A random point: the same numbers, exact or as floats, in the order in which they are asked.

    Attributes:
        variables: with respect to which the loss is differentiated, so far.
    """

    def __init__(self, seed: Sequence[int], floats: bool = False) -> None:
        self._rng, self.floats = np.random.default_rng(seed), floats
        self.variables: list[Number] = []

    def numbers(self, shape: tuple[int, ...], variable: bool = True) -> Array:
        """An array of random numbers from S.

        Args:
            variable: whether the loss is differentiated with respect to them; else it is data.
        """
        if variable and len(self.variables) + math.prod(shape) > MOST:
            raise NotProvedError(
                f"more than {MOST} parameters are too many; give the same code a smaller network"
            )
        half = 1 << (SET_BITS - 1)
        drawn = self._rng.integers(-half, half, shape)
        if self.floats:
            return drawn / (half / 2)
        made: Any = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            value = Fraction(int(drawn[index]), half // 2)
            made[index] = Number.variable(value) if variable else Number(value, None, (1, 0))
            if variable:
                self.variables += [made[index]]
        return made.view(ExactArray)

    def like(self, tree: Tree) -> Tree:
        """Variables in place of all floats of a tree."""

        def drawn(leaf: Any) -> Any:
            if isinstance(leaf, float | np.floating):
                return self.numbers((1,))[0]
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
                return self.numbers(leaf.shape)
            return leaf

        return map_tree(drawn, tree)
