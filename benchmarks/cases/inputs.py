"""The inputs of a workload: examples that are not random, and the file that holds all of it.

The judge writes that file once per run and worker processes read it, so that none of them needs the
reference (whose BLAS threads would disturb it), and all get the same bits.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from samegrad.benchmarks.cases.workload import Workload
from samegrad.implementations.contract.files import ordinary, replaced
from samegrad.implementations.contract.spec import Params, Tree

Array = Any
Batch = tuple[Array, Array]


def all_digits() -> tuple[Array, Array]:
    """scikit-learn's 1,797 digits, 0 to 16: from the file beside it, since it takes 2 s to load."""
    package = find_spec("sklearn")
    path = Path((package and package.origin) or "").parent / "datasets/data/digits.csv.gz"
    if path.is_file():
        table = np.loadtxt(path, delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits  # its files may lie elsewhere, some day

    X, y = load_digits(return_X_y=True)
    return X, y.astype(np.int64)


def digits() -> tuple[Array, Array]:
    """The first 1,437 of scikit-learn's digits, 8 x 8 pixels from 0 to 1."""
    X, y = all_digits()
    return X[:1437] / 16.0, y[:1437]


def line_length(rng: np.random.Generator, each: int = 2000) -> tuple[Array, Array]:
    """Images of 10 x 1 pixels with a line of length 1 to 5 anywhere; class = length - 1."""
    y = rng.permutation(np.repeat(np.arange(5), each))
    start = rng.integers(0, 10 - y)  # a line of length y + 1 fits at 0 ... 10 - (y + 1)
    pixel = np.arange(10)
    X = (pixel >= start[:, None]) & (pixel <= (start + y)[:, None])
    return X.astype(np.float64), y.astype(np.int64)


# Workload -> its examples.
EXAMPLES: dict[str, Callable[[np.random.Generator], tuple[Array, Array]]] = {
    "digits": lambda _: digits(),
    "line_length": line_length,
}


@dataclass(frozen=True)
class Inputs:
    """One workload's inputs, and what must come out.

    Attributes:
        params: initial weights, NumPy, in the spec's dtype.
        X, y: examples; the first batch is the gate's, and clear of kinks.
        rate: learning rate of the gate's step.
        scale: of the learning rates at which steps are timed (`draws.Draw`).
    """

    params: Params
    X: Array
    y: Array
    rate: float = 1.0
    scale: float = 1.0

    def hashed(self) -> dict[str, Array]:
        """What its SHA-256 is of."""
        arrays = {"X": self.X, "y": self.y}
        for layer, (W, b) in enumerate(self.params):
            arrays |= {f"params.W{layer}": W} | ({} if b is None else {f"params.b{layer}": b})
        return arrays

    def batches(self, size: int) -> list[Batch]:
        """All whole batches, in their order."""
        starts = range(0, len(self.X) - size + 1, size)
        return [(self.X[i : i + size], self.y[i : i + size]) for i in starts]

    def epoch(self, workload: Workload) -> list[Batch]:
        """The batches of an epoch: a smaller one is the last."""
        size, whole = workload.batch_size, workload.examples // workload.batch_size
        batches, rest = self.batches(size), workload.examples % size
        start = whole * size if len(self.X) == workload.examples else 0
        last = [(self.X[start : start + rest], self.y[start : start + rest])] if rest else []
        return [batches[i % len(batches)] for i in range(whole)] + last


class Drawn(Protocol):
    """What a workload of some kind is given; a dataclass, whose fields a file can hold."""

    def hashed(self) -> dict[str, Array]:
        """The arrays that its SHA-256 is of."""


def save(directory: Path, workload: Workload, drawn: Drawn) -> str:
    """Write a workload's inputs; returns their hash."""
    directory.mkdir(parents=True, exist_ok=True)
    save_tree(path(directory, workload), vars(drawn))
    hashed, digest = drawn.hashed(), hashlib.sha256()
    for name in sorted(hashed):
        digest.update(np.ascontiguousarray(hashed[name]).tobytes())
    return digest.hexdigest()[:12]


def load(directory: Path, workload: Workload) -> Inputs:
    """Read what `save` wrote of a network."""
    return Inputs(**load_fields(directory, workload))


def load_fields(directory: Path, workload: Workload) -> dict[str, Any]:
    """Read what `save` wrote, of whatever kind."""
    fields: dict[str, Any] = load_tree(path(directory, workload))
    return fields


def save_expected(directory: Path, workload: Workload, expected: Mapping[str, Tree]) -> None:
    """Write what must come out of the first batch, for the judge.

    A worker could read it as well: it is what a first call gives, and no timed block.
    """
    save_tree(path(directory, workload, "expected"), expected)


def load_expected(directory: Path, workload: Workload) -> Any:
    """Read what `save_expected` wrote."""
    return load_tree(path(directory, workload, "expected"))


def save_tree(path: Path, tree: Tree) -> None:
    """Write mappings, lists and tuples of arrays and floats."""
    arrays: dict[str, Array] = {}
    structure = json.dumps(_flattened(tree, arrays))
    with replaced(path) as beside:
        np.savez(beside, structure=np.array(structure), **arrays)


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote; nothing is unpickled.

    Raises:
        Exception: it is another file; which one depends on how.
    """
    with ordinary(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    return _rebuilt(json.loads(str(arrays["structure"])), arrays)


def path(directory: Path, workload: Workload, what: str = "inputs") -> Path:
    """The file of a workload's inputs, or of what must come out."""
    # A name may come from somebody's journal, so it is no part of a path.
    name = hashlib.sha256(workload.id.encode(errors="surrogatepass")).hexdigest()[:16]
    return directory / f"{name}-{what}.npz"


def _flattened(tree: Any, arrays: dict[str, Array]) -> Any:
    """The nesting of a tree as plain data; its arrays go to `arrays`, by the name that it has."""
    if tree is None or isinstance(tree, float):
        return tree
    if isinstance(tree, Mapping):
        return {name: _flattened(branch, arrays) for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [type(tree).__name__, *(_flattened(branch, arrays) for branch in tree)]
    name = f"array{len(arrays)}"
    arrays[name] = np.asarray(tree)
    return name


def _rebuilt(structure: Any, arrays: Mapping[str, Array]) -> Any:
    """What `_flattened` took apart."""
    if isinstance(structure, str):
        return arrays[structure]
    if isinstance(structure, dict):
        return {name: _rebuilt(branch, arrays) for name, branch in structure.items()}
    if isinstance(structure, list):
        kind = tuple if structure[0] == "tuple" else list
        return kind(_rebuilt(branch, arrays) for branch in structure[1:])
    return structure
