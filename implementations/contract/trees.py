"""Nested lists and tuples of arrays: params, grads, optimiser state, results."""

from collections.abc import Callable
from typing import Any

Array = Any  # list of floats, numpy.ndarray, torch.Tensor or jax.Array: each module knows its own
Tree = Any  # an array, a float, None, or a list or tuple of trees
Layer = tuple[Array, Array | None]
Params = list[Layer]


def map_tree(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """The same lists and tuples with `function` applied to what they hold; None stays."""
    if tree is None:
        return None
    if isinstance(tree, list | tuple):
        return type(tree)(map_tree(function, branch) for branch in tree)
    return function(tree)
