"""Matrix products alone, with random factors: what the least that a step could take is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from samegrad.benchmarks.cases import costs
from samegrad.benchmarks.cases.costs import Shape
from samegrad.benchmarks.clock import timer
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import Comparison, TensorCheck
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Array, DType, MLPSpec, Tree

Pairs = list[tuple[Array, Array]]
ROLES = {"nn": "aW", "tn": "ad", "nt": "dW"}  # of A and B: activation, W, delta


@dataclass(frozen=True)
class Products:
    """Some matrix products of an implementation, placed on a device.

    Attributes:
        implementation: whose library computes them.
        kinds: "nn", "tn" or "nt" of each.
        drawn: their factors, in float64.
        placed: the factors on the device.
        out: an array there for each result.
    """

    implementation: Implementation
    kinds: tuple[str, ...]
    drawn: Pairs
    placed: Pairs
    out: list[Array]

    @classmethod
    def place(
        cls,
        implementation: Implementation,
        shapes: list[tuple[str, Shape, Shape]],
        device: str,
        dtype: DType,
    ) -> "Products":
        """Draw and place the products of `costs.products`.

        Raises:
            NotImplementedError: the implementation does not show its products.
        """
        if implementation.capabilities.products is None:
            raise NotImplementedError("it defines no products(kinds, pairs, out)")
        kinds, drawn = factors(shapes)
        once: dict[int, Array] = {}
        for array in (factor for pair in drawn for factor in pair):
            if id(array) not in once:
                once[id(array)] = place(implementation, array, device, dtype)
        sizes = [
            (A.shape[kind == "tn"], B.shape[kind != "nt"])
            for kind, (A, B) in zip(kinds, drawn, strict=True)
        ]
        out = [place(implementation, np.zeros(size), device, dtype) for size in sizes]
        return cls(
            implementation, kinds, drawn, [(once[id(A)], once[id(B)]) for A, B in drawn], out
        )

    @classmethod
    def of_step(
        cls, implementation: Implementation, spec: MLPSpec, batch_size: int, device: str
    ) -> "Products":
        """Those of a training step.

        Raises:
            NotImplementedError: the implementation does not show its products.
        """
        shapes = costs.products(spec, "train_step", batch_size)
        return cls.place(implementation, shapes, device, spec.dtype)

    def call(self) -> Tree:
        """All of them, once."""
        return multiply(self.implementation, self.kinds, self.placed, self.out)

    def work(self) -> timer.Work:
        """A loop over them, to be timed; results of one shape overwrite one another."""
        shapes = [(len(C), len(C[0])) for C in self.out]
        one = dict(zip(shapes, self.out, strict=True))
        shared = [one[shape] for shape in shapes]
        entries = max((rows * columns for rows, columns in shapes), default=1)
        result_bytes = 8 * entries * len(shared)
        return work(self.implementation, self.kinds, self.placed, shared, result_bytes)

    def judge(self, results: Tree, dtype: str, bounds: Mapping[str, float] | None) -> Comparison:
        """Results as NumPy arrays, against NumPy's products of the rounded factors in float64."""
        checks: tuple[TensorCheck, ...] = ()
        for kind, (A, B), C in zip(self.kinds, self.drawn, results, strict=True):
            A, B = (M.astype(dtype).astype(np.float64) for M in (A, B))
            expected = (A.T if kind == "tn" else A) @ (B.T if kind == "nt" else B)
            name = f"product {kind} of {A.shape} and {B.shape}"
            checks += comparison.compare(
                expected, np.asarray(C), dtype, name=name, accuracy=bounds
            ).tensors
        return Comparison(checks)


def factors(shapes: list[tuple[str, Shape, Shape]]) -> tuple[tuple[str, ...], Pairs]:
    """(kinds, pairs of random factors) of the products of `costs.products`.

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


def place(implementation: Implementation, array: Array, device: str, dtype: DType) -> Array:
    """A matrix on the device, by way of a batch: the contract knows no other arrays."""
    spec = MLPSpec((array.shape[1], 1), dtype=dtype)
    y = np.zeros(len(array), np.int64)
    return implementation.batch_from_numpy(spec, array.astype(dtype), y, device)[0]


def multiply(
    implementation: Implementation, kinds: tuple[str, ...], pairs: Pairs, out: list[Array]
) -> list[Array]:
    """Products of placed matrices, by the implementation's own library."""
    assert implementation.capabilities.products is not None
    return implementation.capabilities.products(kinds, pairs, out)


def work(
    implementation: Implementation,
    kinds: tuple[str, ...],
    pairs: Pairs,
    out: list[Array],
    result_bytes: int,
) -> timer.Work:
    """A loop over products of placed matrices, to be timed."""
    multiply_all = implementation.capabilities.products
    assert multiply_all is not None
    run = timer.repeated(
        lambda _: multiply_all(kinds, pairs, out), implementation.synchronize, result_bytes
    )
    return timer.Work(lambda: None, run, implementation.synchronize)
