"""What a repetition computes: weights, learning rate, number and order of its calls, from a seed.

The parent draws the seed when it asks for the repetition, so a process does not know beforehand
what it will be asked. Worker and judge make the same of it, bit for bit.

Nothing comes twice within a block: independent calls take pairs of weights and batch, each pair
once, so a result that is remembered serves no other call; steps change the weights themselves. From
one repetition to the next the weights differ. The learning rate is one of a process: somebody's
step may be compiled for it.
"""

from dataclasses import dataclass

import numpy as np

from samegrad.implementations.contract.spec import MLPSpec, Params

# Large enough that steps differ, small enough that no deviation grows (judge/blocks.py).
RATES = (0.01, 0.03)
# Of each row of a weight matrix and each bias. By one factor of a whole matrix, its product with a
# batch could be remembered and scaled: with rows of their own it must be made anew.
FACTORS = (0.8, 1.25)
WEIGHTS_BYTES = 2**25  # of all weights of a block of independent calls: they stay in the cache
MOST_WEIGHTS = 512
# Steps of sgd after which a chain's params are handed in: what rounding and kinks make of one part
# is no part of the next (judge/blocks.py). Flips of kinks come with the number of preactivations,
# each may cause others, and of too many together nobody can tell which came first: right parts of
# 256 steps of 784-128-64-10 were called wrong. A copy of the params costs less than 0.5 % of so
# many steps.
PARTS, PREACTIVATIONS = (16, 256), 2**18
PASSED = "passed"  # name of these among the results
ANSWERS = "answers"  # name of what requests gave among the results
VARIED = 8  # so many calls or more: up to an eighth more are made


@dataclass(frozen=True)
class Draw:
    """A repetition.

    Attributes:
        seed: all that is random in it comes from it.
        of_process: the seed of what is the same in all repetitions of a process.
        scale: of the learning rate, where a network takes none as large as others.
        block: number of the block: those that warm up are on other weights, too.
    """

    seed: int = 0
    of_process: int = 0
    scale: float = 1.0
    block: int = 0

    @property
    def learning_rate(self) -> float:
        """Of its steps; the same number in float32 and float64."""
        random = np.random.default_rng(self.of_process)
        return float(np.float32(self.scale * random.uniform(*RATES)))

    def calls(self, least: int) -> int:
        """How many calls a block has that must not have fewer than `least`."""
        return least + int(self.random(0).integers(0, least // VARIED + 1))

    def params(self, params: Params, number: int = 0) -> Params:
        """Weights: those of the workload, each row and each bias times a factor of its own."""
        random = self.random(1 + number)

        def times(p: np.ndarray) -> np.ndarray:
            factors = random.uniform(*FACTORS, (len(p), *[1] * (p.ndim - 1)))
            return p * factors.astype(p.dtype)

        return [(times(W), None if b is None else times(b)) for W, b in params]

    def request(self, X: np.ndarray, number: int) -> np.ndarray:
        """What is asked after the block: examples, each entry times a factor of its own."""
        factors = self.random(-2, number).uniform(*FACTORS, X.shape)
        return X * factors.astype(X.dtype)

    def pairs(self, calls: int, batches: int, weights: int) -> list[tuple[int, int]]:
        """(number of the weights, number of the batch) of each independent call.

        All pairs come once before one comes again (`most_calls`), those of the same weights one
        after the other: they stay in the cache, as in training. The order depends on the number of
        calls: nobody can say that there were more.
        """
        random = self.random(-1, calls)
        order = [
            (int(number), int(batch))
            for number in random.permutation(weights)
            for batch in random.permutation(batches)
        ]
        return [order[i % len(order)] for i in range(calls)]

    def batches(self, steps: int, batches: int) -> list[int]:
        """Number of the batch of each step: all, in an order, again and again."""
        order = self.random(-1).permutation(batches)
        return [int(order[i % batches]) for i in range(steps)]

    def epoch(self, whole: int, rest: bool) -> list[int]:
        """Number of the batch of each step of every epoch: a smaller one comes last."""
        return [*self.batches(whole, whole), *[whole] * rest]

    def random(self, purpose: int, calls: int = 0) -> np.random.Generator:
        """What draws for a purpose of this block."""
        return np.random.default_rng([self.seed, self.block, purpose + 2, calls])


def parts(spec: MLPSpec, batch_size: int, each: int, calls: int) -> list[int]:
    """How many steps the parts of a chain have; whole calls where these have less.

    That of a rule that keeps a state has one: its state is not handed in.

    Args:
        each: steps of a call.
    """
    if spec.optimizer != "sgd":
        return [each * calls]
    hidden = max(1, batch_size * sum(spec.layer_sizes[1:-1]))
    most = min(max(PREACTIVATIONS // hidden, PARTS[0]), PARTS[1])
    several = max(1, most // each)
    if each > most:
        # A rest of few steps needs no program of its own, where steps are compiled together.
        length = min(range(most, most * 3 // 4, -1), key=lambda length: each % length)
        return ([length] * (each // length) + [each % length] * (each % length > 0)) * calls
    rest = calls % several
    return [each * several] * (calls // several) + [each * rest] * (rest > 0)


def weights(params: Params, calls: int, batches: int) -> int:
    """How many sets of weights a block of independent calls takes, so that no pair comes twice."""
    return min(most_weights(params), -(-calls // batches))


def most_weights(params: Params) -> int:
    """How many sets of weights a block of independent calls may take."""
    size = sum(p.nbytes for pair in params for p in pair if p is not None)
    return max(1, min(MOST_WEIGHTS, WEIGHTS_BYTES // max(1, size)))


def most_calls(params: Params, batches: int) -> int:
    """How many independent calls a block may have.

    With more of them some pair would come again, and who remembers its result would not pay for
    it: all the more, the longer a block seems to need to be.
    """
    return batches * most_weights(params)
