"""NumPy's arrays, which live in the CPU's memory."""

from typing import Any

import numpy as np

from samegrad.implementations.contract.protocol import Backend, Capabilities
from samegrad.implementations.contract.spec import Tree, map_tree


def products(
    kinds: tuple[str, ...],
    pairs: list[tuple[np.ndarray, np.ndarray]],
    out: Any = None,
) -> list[np.ndarray]:
    """Matrix products and nothing else: "nn" A B, "tn" A^T B, "nt" A B^T."""
    places = out or [None] * len(pairs)
    return [
        np.matmul(A.T if kind == "tn" else A, B.T if kind == "nt" else B, out=C)
        for kind, (A, B), C in zip(kinds, pairs, places, strict=True)
    ]


def take(X: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples of a placed batch by their indices."""
    return np.take(X, chosen, axis=0), np.take(y, chosen, axis=0)


class NumpyBackend(Backend):
    """Copies, row after row: what is placed is overwritten in place, and compiled for."""

    capabilities = Capabilities(products=products, take=take)

    def devices(self) -> tuple[str, ...]:
        """The CPU."""
        return ("cpu",)

    def place(self, array: np.ndarray, device: str) -> np.ndarray:
        """A copy."""
        return np.array(array, order="C")

    def fetch(self, tree: Tree) -> Tree:
        """Independent copies."""
        return map_tree(np.array, tree)

    def synchronize(self, tree: Tree) -> None:
        """Nothing to wait for: a NumPy call returns when its result is there."""


NUMPY = NumpyBackend()
