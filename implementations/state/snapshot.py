"""The state of everything that was reached, to go back to, bit for bit."""

import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import CupyLeaf, Leaf, Missing, Place

Kept = tuple[Callable[[], bool], Callable[[], None]]  # (whether it is as it was, puts it back)


class Snapshot:
    """What was held: containers and names by what they hold, arrays by their numbers."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self._kept = kept

    @classmethod
    def of(
        cls,
        containers: Sequence[tuple[Any, Any]],
        arrays: Sequence[Any],
        tensors: Sequence[Any],
        leaves: Sequence[Leaf],
        generators: Sequence[Any] | None,
    ) -> "Snapshot":
        """A snapshot of what was reached.

        Args:
            generators: of random numbers; None: neither these nor the global ones are kept.
        """
        device = [leaf.value for leaf in leaves if isinstance(leaf, CupyLeaf)]
        return cls([
            *(_container(holder, held) for holder, held in reversed(containers)),
            *(_array(a) for a in (*arrays, *device) if a.dtype != object),
            *(_tensor(t) for t in tensors),
            *([] if generators is None else map(_state, states_of(generators))),
        ])  # fmt: skip

    def restore(self) -> None:
        """Put everything back."""
        for _, back in self._kept:
            back()

    def narrowed(self) -> "Snapshot":
        """Of what has changed since, for runs that change the same again."""
        return Snapshot([(same, back) for same, back in self._kept if not same()])


def _container(holder: Any, held: Any) -> Kept:
    def same() -> bool:
        if isinstance(holder, Place):
            return _now(holder) is held
        if isinstance(holder, np.ndarray):
            return all(a is b for a, b in zip(holder.flat, held.flat, strict=True))
        if isinstance(holder, dict):
            return list(holder) == list(held) and all(holder[k] is held[k] for k in held)
        if isinstance(holder, set):
            return bool(holder == held)
        return len(holder) == len(held) and all(a is b for a, b in zip(holder, held, strict=True))

    def back() -> None:
        if same():
            return
        if isinstance(holder, Place):
            holder.set(held)
        elif isinstance(holder, dict | set):
            holder.clear()
            holder.update(held)
        elif isinstance(holder, deque):
            holder.clear()
            holder.extend(held)
        else:
            holder[... if isinstance(holder, np.ndarray) else slice(None)] = held

    return same, back


def _now(place: Place) -> Any:
    try:
        return place.get()
    except (AttributeError, LookupError, ValueError):  # deleted
        return Missing


def _array(array: Any) -> Kept:
    held = array.copy()

    def back() -> None:
        if getattr(array.flags, "writeable", True):  # CuPy's always are
            array[...] = held

    return lambda: bool(array.tobytes() == held.tobytes()), back


def _tensor(tensor: Any) -> Kept:
    data, values = tensor.data, tensor.data.clone()
    grad = tensor.grad if tensor.is_leaf else None
    slope = None if grad is None else grad.clone()

    def back() -> None:
        tensor.data = data
        tensor.data.copy_(values)
        if tensor.is_leaf:
            tensor.grad = grad
        if grad is not None:
            grad.copy_(slope)

    return lambda: False, back


def states_of(
    generators: Sequence[Any],
) -> list[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """(what gives the state, what sets it) of these generators and of the global ones."""
    found: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (random.getstate, random.setstate),
        (np.random.get_state, np.random.set_state),
    ]
    if (torch := sys.modules.get("torch")) is not None:
        found.append((torch.get_rng_state, torch.set_rng_state))
    return found + [state_of(g) for g in generators]


def state_of(generator: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """(what gives the state, what sets it) of a generator of random numbers."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return lambda: bits.state, lambda state: setattr(bits, "state", state)
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate
    return generator.get_state, generator.set_state  # RandomState and torch's


def _state(of: tuple[Callable[[], Any], Callable[[Any], Any]]) -> Kept:
    get, put = of
    held = get()
    bits = pickle.dumps(held)
    return lambda: pickle.dumps(get()) == bits, lambda: put(held) and None
