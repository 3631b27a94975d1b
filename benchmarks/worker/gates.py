"""Gates of what is timed beside the network's own functions: products alone, and whole epochs.

They stand on gates that have been passed, or on NumPy's products in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from samegrad.benchmarks.cases.case import MLPWorkload
from samegrad.benchmarks.cases.costs import products
from samegrad.benchmarks.worker import ceilings
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import Comparison, TensorCheck
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Tree, map_tree

EPOCH_BATCHES = 4  # of the epoch that is compared with its steps: two, twice, in their order


@dataclass(frozen=True)
class Products:
    """The matrix products of a training step, with random factors, on a device.

    Attributes:
        kinds: "nn", "tn" or "nt" of each.
        drawn: their factors, in float64.
        placed: the factors on the device.
        out: an array there for each result.
    """

    kinds: tuple[str, ...]
    drawn: list[tuple[Any, Any]]
    placed: list[tuple[Any, Any]]
    out: list[Any]

    @classmethod
    def of(cls, implementation: Implementation, problem: MLPWorkload, device: str) -> "Products":
        """Those of a problem.

        Raises:
            NotImplementedError: the implementation does not show its products.
        """
        if implementation.capabilities.products is None:
            raise NotImplementedError("it defines no products(kinds, pairs, out)")
        spec = problem.spec
        kinds, drawn = ceilings.factors(products(spec, "train_step", problem.batch_size))
        placed, out = ceilings.on_device(implementation, kinds, drawn, device, spec.dtype)
        return cls(kinds, drawn, placed, out)

    @property
    def given(self) -> tuple[Any, Any, Any]:
        """The arguments of `products`."""
        return self.kinds, self.placed, self.out

    def call(self, implementation: Any) -> Tree:
        """All of them, once."""
        return implementation.capabilities.products(*self.given)

    def judged(self, found: Tree, dtype: str, accuracy: Mapping[str, float] | None) -> Comparison:
        """Results as NumPy arrays, against NumPy's products of the rounded factors in float64."""
        checks: tuple[TensorCheck, ...] = ()
        for kind, (A, B), C in zip(self.kinds, self.drawn, found, strict=True):
            A, B = (M.astype(dtype).astype(np.float64) for M in (A, B))
            wanted = (A.T if kind == "tn" else A) @ (B.T if kind == "nt" else B)
            name = f"product {kind} of {A.shape} and {B.shape}"
            checks += comparison.compare(
                wanted, np.asarray(C), dtype, name=name, accuracy=accuracy
            ).tensors
        return Comparison(checks)


def epoch(
    implementation: Any,
    spec: MLPSpec,
    fresh: Callable[[], tuple[Tree, Tree]],
    batches: Sequence[Any],
    learning_rate: float,
    accuracy: Mapping[str, float] | None,
) -> Comparison:
    """An implementation's own epoch against its own steps, which another gate has judged."""
    some = [batches[i % len(batches)] for i in range(EPOCH_BATCHES)]
    found, _, loss = implementation.capabilities.epoch(spec, *fresh(), some, learning_rate)
    params, state = fresh()
    for X, y in some:
        params, state, wanted = implementation.train_step(spec, params, state, X, y, learning_rate)

    def exact(tree: Tree) -> Tree:
        return map_tree(lambda a: np.asarray(a, np.float64), implementation.to_numpy(tree))

    checks: tuple[TensorCheck, ...] = ()
    for name, stepped, at_once in (("{} after an epoch", params, found), ("loss", wanted, loss)):
        checks += comparison.compare(
            exact(stepped),
            implementation.to_numpy(at_once),
            spec.dtype,
            name=name,
            accuracy=accuracy,
        ).tensors
    return Comparison(checks)
