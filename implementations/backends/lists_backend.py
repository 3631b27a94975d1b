"""Plain Python's lists of floats."""

import numpy as np

from samegrad.implementations.contract.protocol import Backend, Capabilities
from samegrad.implementations.contract.spec import Tree

Matrix = list[list[float]]


def products(
    kinds: tuple[str, ...], pairs: list[tuple[Matrix, Matrix]], out: list[Matrix] | None = None
) -> list[Matrix]:
    """Matrix products and nothing else, by three loops: "nn" A B, "tn" A^T B, "nt" A B^T."""
    results = []
    for kind, (A, B) in zip(kinds, pairs, strict=True):
        rows = list(zip(*A, strict=True)) if kind == "tn" else A
        columns = B if kind == "nt" else list(zip(*B, strict=True))
        C = []
        for row in rows:
            C_n = []
            for column in columns:
                c_nj = 0.0
                for a_ni, b_ij in zip(row, column, strict=True):
                    c_nj += a_ni * b_ij
                C_n.append(c_nj)
            C.append(C_n)
        results.append(C)
    return results


class ListsBackend(Backend):
    """A matrix is a list of its rows; NumPy appears only where arrays come in and go out."""

    capabilities = Capabilities(dtypes=("float64",), products=products)  # a float is a double

    def devices(self) -> tuple[str, ...]:
        """The Python interpreter runs on the CPU."""
        return ("cpu",)

    def place(self, array: np.ndarray, device: str) -> Matrix | list[int]:
        """Lists of floats, and of whole numbers for class indices."""
        return array.tolist()

    def fetch(self, tree: Tree) -> Tree:
        """Arrays for rows of floats; tuples and lists of tuples keep their nesting."""
        if isinstance(tree, tuple) or (isinstance(tree, list) and isinstance(tree[0], tuple)):
            return type(tree)(self.fetch(branch) for branch in tree)
        return None if tree is None else np.array(tree)

    def synchronize(self, tree: Tree) -> None:
        """Nothing to wait for: a statement that has run has its result."""


LISTS = ListsBackend()
