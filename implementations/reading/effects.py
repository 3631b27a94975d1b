"""The numbers that an object holds: where they are, and on which of them a loss depends."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import Leaf, NumberLeaf, ScalarsLeaf, TorchLeaf
from samegrad.implementations.state.reach import Reached
from samegrad.implementations.state.snapshot import Snapshot

Array = Any
NUDGE = 1e-3  # by which a number is moved to see whether the loss depends on it


class Place:
    """Numbers at one place of an object, whatever methods put there.

    Attributes:
        name: as one writes it: net.W[0], params["b1"].
        key: that tells places of the same array.
    """

    def __init__(self, leaf: Leaf) -> None:
        self.leaf, self.name = leaf, leaf.name
        own = isinstance(leaf, NumberLeaf | ScalarsLeaf)
        self.key = id(self) if own else id(leaf.value)

    def read(self) -> Array:
        """A copy of the numbers, float64."""
        held = self.leaf.held()
        return self.leaf.read() if held is None else held

    def write(self, values: Array) -> None:
        """Put others of that shape there."""
        self.leaf.replace_where_held()
        self.leaf.write(values)


def places(root: Any, name: str, integers: bool = False) -> list[Place]:
    """Every float array, float and list of floats that an object holds.

    Args:
        integers: whether whole numbers are wanted as well (gradients may be some).
    """
    leaves = Reached(_of_functions(root), integers).add(root, name).leaves
    return [Place(part) for leaf in leaves for part in (
        (leaf, leaf.gradients()) if isinstance(leaf, ScalarsLeaf) else (leaf,)
    )]  # fmt: skip


def snapshot(root: Any) -> Snapshot:
    """What an object holds by now."""
    return Reached(_of_functions(root)).add(root, "").snapshot()


def _of_functions(root: Any) -> bool:
    """Whether a network is functions, which close over what it holds."""
    return isinstance(root, tuple) and any(isinstance(v, FunctionType) for v in root)


def number(value: Any) -> float:
    """The one number that a loss gives, alone or first in what it returns.

    Raises:
        ValueError: there is none.
    """
    if isinstance(value, tuple | list) and value:
        for part in value:
            if np.ndim(part) == 0 or np.size(part) == 1:
                return number(part)
    if (exact := exact_number(value)) is not None:
        return exact
    detached = getattr(value, "detach", None)  # a tensor of torch with a graph
    array = np.asarray(detached().cpu() if callable(detached) else value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"the loss is no number: {type(value).__name__} of shape {array.shape}")
    return float(array.reshape(()))


def exact_number(value: Any) -> Any:
    """The number in what a loss gives while its code runs over exact numbers (`proof`), or None."""
    known = sys.modules.get("samegrad.implementations.proof.number")
    if known is None:
        return None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = np.ndarray.view(value, np.ndarray).reshape(()).item()
    return value if isinstance(value, known.Number) else None


def with_effect(found: Sequence[Place], loss: Callable[[], float]) -> list[Place]:
    """The places on which the loss depends."""
    here = loss()
    kept = []
    for place in found:
        old = place.read()
        rng = np.random.default_rng(old.size)
        try:
            place.write(old + NUDGE * (1 + rng.random(np.shape(old))))
            moved = loss()
        except Exception:
            moved = here
        finally:
            with contextlib.suppress(Exception):  # what cannot be written was not changed either
                place.write(old)
        if moved != here and np.isfinite(moved):
            kept.append(place)
    return kept


def redraw(found: Sequence[Place], seed: int) -> None:
    """New numbers of ordinary size for parameters: zeros and tiny ones show no fault."""
    rng = np.random.default_rng(seed)
    for place in found:
        shape = np.shape(place.read())
        fan = max(1, min(shape)) if len(shape) > 1 else 4
        place.write(rng.normal(0, 1, shape) * min(0.7, 1.2 / np.sqrt(fan)) if shape else
                    np.float64(rng.normal(0, 0.5)))  # fmt: skip


def converter(net: Any, values: dict[str, Any]) -> Callable[[Any], Any]:
    """What makes of data what a network computes with: tensors, if its weights are some.

    Weights are float64 from then on: slopes have too few digits otherwise.

    Args:
        values: of which some may be its weights.
    """
    leaves = [place.leaf for place in places(net, "net")]
    for leaf in leaves:
        before = leaf.value
        if leaf.promotable and leaf.shape:
            with contextlib.suppress(Exception):  # it is held where nothing can be put
                leaf.promote()
        values |= {name: leaf.value for name, value in values.items() if value is before}
    return _tensor if any(isinstance(leaf, TorchLeaf) for leaf in leaves) else lambda value: value


def _tensor(value: Any) -> Any:
    return sys.modules["torch"].as_tensor(value) if isinstance(value, np.ndarray) else value
