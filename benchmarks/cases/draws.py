"""What a repetition computes: weights, learning rate, number and order of its calls, from a seed.

The parent draws the seed when it asks for the repetition, so a process does not know beforehand
what it will be asked. Worker and judge make the same of it, bit for bit.

Nothing comes twice within a block: independent calls take pairs of weights and batch, each pair
once, so a result that is remembered serves no other call; steps change the weights themselves. From
one repetition to the next the weights differ.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from samegrad.implementations.contract.spec import Params

# Large enough that steps differ, small enough that no deviation grows (judge/blocks.py).
RATES = (0.01, 0.03)
FACTORS = (0.8, 1.25)  # of each weight matrix and bias vector
WEIGHTS_BYTES = 2**25  # of all weights of a block of independent calls: they stay in the cache
MOST_WEIGHTS = 64
VARIED = 8  # so many calls or more: up to an eighth more are made


@dataclass(frozen=True)
class Draw:
    """A repetition.

    Attributes:
        seed: all that is random comes from it.
    """

    seed: int

    @cached_property
    def learning_rate(self) -> float:
        """Of its steps; the same number in float32 and float64."""
        return float(np.float32(self._random(0).uniform(*RATES)))

    def calls(self, least: int) -> int:
        """How many calls a block has that must not have fewer than `least`."""
        return least + int(self._random(1).integers(0, least // VARIED + 1))

    def params(self, params: Params, number: int = 0) -> Params:
        """Weights: those of the workload, each array times a factor of its own."""
        random = self._random(2 + number)

        def times(p: np.ndarray) -> np.ndarray:
            return p * p.dtype.type(random.uniform(*FACTORS))

        return [(times(W), None if b is None else times(b)) for W, b in params]

    def pairs(self, calls: int, batches: int, weights: int) -> list[tuple[int, int]]:
        """(number of the weights, number of the batch) of each independent call.

        All pairs come once before one comes again.
        """
        order = self._random(-1).permutation(weights * batches)
        return [divmod(int(order[i % len(order)]), batches) for i in range(calls)]

    def batches(self, steps: int, batches: int) -> list[int]:
        """Number of the batch of each step: all, in an order, again and again."""
        order = self._random(-1).permutation(batches)
        return [int(order[i % batches]) for i in range(steps)]

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose + 1])


def weights(params: Params, calls: int, batches: int) -> int:
    """How many sets of weights a block of independent calls takes, so that no pair comes twice."""
    size = sum(p.nbytes for pair in params for p in pair if p is not None)
    most = max(1, min(MOST_WEIGHTS, WEIGHTS_BYTES // max(1, size)))
    return min(most, -(-calls // batches))
