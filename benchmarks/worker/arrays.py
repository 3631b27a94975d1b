"""What a timed call returned, looked at without its own help.

An array that is computed when somebody asks for it, or filled by a thread after the clock has
stopped, is none yet. So arrays of the frameworks' own types are waited for and read here directly,
and what is of another type (a lazy one's, for example) is converted inside the clock.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import Tree

Array = Any
SAMPLED = 32  # numbers of each array that are read at once


def leaves(tree: Tree) -> Iterator[Any]:
    """The arrays of a tree; a list of numbers is one."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list) and tree and type(tree[0]) is type(tree[-1]) is float:
        yield np.asarray(tree)
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    elif tree is not None:
        yield tree


def known(tree: Tree) -> bool:
    """Whether everything in a tree is an array of a framework's own type, or a number."""
    everything = list(leaves(tree))
    return len(everything) == len(_known(everything))


def _known(tree: Tree) -> list[Any]:
    types = _types()
    return [leaf for leaf in leaves(tree) if type(leaf) in types and not _objects(leaf)]


def _objects(leaf: Any) -> bool:
    """Whether it is an array of objects, which may be computed when they are asked."""
    return isinstance(leaf, np.ndarray) and leaf.dtype.hasobject


def _types() -> set[type]:
    """Exact types: one that is derived from these may do anything."""
    types: set[type] = {np.ndarray, float, int, bool, np.float32, np.float64}
    if torch := sys.modules.get("torch"):
        types |= {torch.Tensor, torch.nn.Parameter}
    if jax := sys.modules.get("jax"):
        types.add(type(jax.numpy.zeros(())))
    if cupy := sys.modules.get("cupy"):
        types.add(cupy.ndarray)
    return types


def seen(tree: Tree) -> list[Array]:
    """Some numbers of each array of a known type, as NumPy copies, once they are computed."""
    return [_read(leaf, SAMPLED) for leaf in _known(tree)]


def copies(tree: Tree) -> Tree:
    """A tree with new arrays in place of those of a known type."""
    if isinstance(tree, dict):
        return {key: copies(branch) for key, branch in tree.items()}
    if isinstance(tree, list) or type(tree) is tuple:
        return type(tree)(copies(branch) for branch in tree)
    if type(tree) not in _types() or isinstance(tree, float | int):
        return tree
    return tree.detach().clone() if type(tree).__module__.startswith("torch") else tree.copy()


def numbers(tree: Tree) -> list[Array]:
    """All numbers of each array of a known type, likewise."""
    return [_read(leaf, None) for leaf in _known(tree)]


def agree(early: list[Array], now: list[Array]) -> bool:
    """Whether arrays still hold what was seen of them (NaN is NaN)."""
    return unchanged(early, [_some(array, SAMPLED) for array in now])


def unchanged(before: list[Array], now: list[Array]) -> bool:
    """Whether arrays hold the same numbers as before, each in its place."""
    return len(before) == len(now) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(before, now, strict=True)
    )


def same_numbers(left: list[Array], right: list[Array]) -> bool:
    """Whether two lists of arrays hold the same numbers, in whatever order and layout."""
    return _digest(left) == _digest(right)


def _digest(arrays: list[Array]) -> tuple[int, int]:
    """Of numbers, whatever their order: how many, and the sum of their bits as float64."""
    count = total = 0
    for array in arrays:
        values = np.asarray(array, np.float64).ravel() + 0.0  # no negative zeros
        count += values.size
        # Bits are mixed: sums of those of numbers are alike where the numbers' are.
        mixed = values.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        total += int(np.sum(mixed ^ (mixed >> np.uint64(29)), dtype=np.uint64))
    return count, total % 2**64


def places(tree: Tree) -> Iterator[int]:
    """Where each array is; results that overwrite one another are in the same places."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple) or (isinstance(tree, list) and not (tree and _number(tree[0]))):
        for branch in tree:
            yield from places(branch)
    elif isinstance(tree, np.ndarray):
        yield tree.__array_interface__["data"][0]
    elif callable(getattr(tree, "data_ptr", None)):
        yield tree.data_ptr()
    elif tree is not None and not _number(tree):
        yield id(tree)


def _number(value: Any) -> bool:
    return isinstance(value, float | int | np.generic)


def _read(leaf: Any, most: int | None) -> Array:
    module = type(leaf).__module__
    if module.startswith("torch"):
        leaf = leaf.detach()
        if leaf.device.type != "cpu":
            return _some(leaf.reshape(-1), most).cpu().numpy()
        return np.array(_some(leaf.numpy().ravel(order="K"), most))
    if module.startswith("cupy"):
        return _some(leaf.ravel(), most).get()
    if module.startswith("jax") and next(iter(leaf.devices())).platform != "cpu":
        return np.array(_some(leaf.reshape(-1), most))
    return np.array(_some(np.asarray(leaf).ravel(order="K"), most))


def _some(values: Any, most: int | None) -> Any:
    """Some of a vector: its last number, and others at equal distances."""
    if most is None:
        return values
    step = max(1, len(values) // most)
    return values[(len(values) - 1) % step :: step]  # torch has no negative steps
