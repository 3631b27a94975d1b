"""NumPy's arrays, which live in the CPU's memory."""

import numpy as np

from samegrad.implementations.contract.protocol import Backend, Capabilities, products_of
from samegrad.implementations.contract.spec import Tree, map_tree


def take(X: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples of a placed batch by their indices."""
    return np.take(X, chosen, axis=0), np.take(y, chosen, axis=0)


class NumpyBackend(Backend):
    """Copies, row after row: what is placed is overwritten in place, and compiled for."""

    capabilities = Capabilities(products=products_of(np.matmul), take=take)

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
