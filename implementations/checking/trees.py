"""Nested arrays of any library: their leaves by path, their numbers, and where nesting differs."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import items

Array = Any
Tree = Any


def array_of(value: Any) -> Array:
    """An array of NumPy, of whatever library's."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif type(value).__module__.startswith("cupy"):
        value = value.get()
    return np.asarray(value)


def alike(given: Any, work: Array, tensors: bool) -> Any:
    """Float64 numbers as the library has them whose array was given."""
    if tensors or hasattr(given, "detach"):
        return sys.modules["torch"].tensor(work)
    kind = type(given).__module__.split(".")[0]
    if kind in ("jax", "jaxlib"):
        return sys.modules["jax"].numpy.asarray(work)
    if kind == "cupy":
        return sys.modules["cupy"].asarray(work)
    return work


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of each leaf that is not None."""
    held = items(tree)
    if held is not None:
        for key, branch in held:
            yield from leaves(branch, f"{path}[{key!r}]")
    elif tree is not None:
        yield path or "params", tree


def wrong_form(g: Array, p: Array) -> str:
    """What a gradient's array has that its parameter's has not; "" if nothing."""
    if g.dtype.kind not in "fiu":
        return f"dtype {g.dtype}, expected real numbers"
    if g.shape != p.shape:
        return f"shape {g.shape}, expected {p.shape}"
    if not np.isfinite(g).all():
        return f"{np.count_nonzero(~np.isfinite(g))} of {g.size} values not finite"
    return ""


def wrong_nesting(params: Tree, grads: Tree, path: str = "params") -> str:
    """Where the gradient's nesting differs from that of the params; "" if it does not."""
    held, given = items(params), items(grads)
    if held is None:
        if given is not None or (params is None) != (grads is None):
            return f"{path}: expected an array, got {type(grads).__name__}"
        return ""
    keys = [key for key, _ in held]
    found = None if given is None else dict(given)
    if found is None or set(found) != set(keys):
        if isinstance(params, list | tuple):
            got = type(grads).__name__ if found is None else len(found)
            return f"{path}: expected {len(keys)} entries, got {got}"
        names = type(grads).__name__ if found is None else sorted(map(str, found))
        kind = "dict" if isinstance(params, dict) else type(params).__name__
        return f"{path}: expected a {kind} of {sorted(map(str, keys))}, got {names}"
    pairs = ((branch, found[key], f"{path}[{key!r}]") for key, branch in held)
    return next((wrong for pair in pairs if (wrong := wrong_nesting(*pair))), "")
