"""The numbers that an object holds: where they are, and on which of them a loss depends."""

import itertools
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Array = Any
DEEPEST = 8  # of nesting below an object
MOST = 4000  # places of an object
NUDGE = 1e-3  # by which a number is moved to see whether the loss depends on it
SKIPPED = (
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    type,
    str,
    bytes,
    np.random.Generator,
)


@dataclass(frozen=True, eq=False)
class Place:
    """Numbers at one place of an object.

    Attributes:
        name: as one writes it: net.W[0], params["b1"].
        read: a copy of the numbers, float64.
        write: puts others of that shape there.
        key: that tells places of the same array.
    """

    name: str
    read: Callable[[], Array]
    write: Callable[[Array], None]
    key: int


def places(root: Any, name: str, integers: bool = False) -> Iterator[Place]:
    """Every float array, float and list of floats that can be reached from an object.

    Args:
        integers: whether arrays of integers are wanted as well (gradients may be some).
    """
    seen: set[int] = set()
    yield from itertools.islice(_walk(root, name, None, 0, seen, integers), MOST)


def _walk(
    value: Any,
    name: str,
    put: Callable[[Any], None] | None,
    depth: int,
    seen: set[int],
    integers: bool,
) -> Iterator[Place]:
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            if id(value) not in seen:
                seen.add(id(value))
                for i in range(value.size):
                    yield from _walk(value.flat[i], f"{name}[{i}]", _item(value.flat, i), depth + 1,
                                     seen, integers)  # fmt: skip
            return
        wanted = value.dtype.kind == "f" or (integers and value.dtype.kind in "iub")
        if wanted and value.size and id(value) not in seen:
            seen.add(id(value))
            yield _of_array(value, name, put)
        return
    if isinstance(value, float | np.floating) or (integers and type(value) is int):
        if put is not None:
            yield Place(name, lambda: np.float64(_current(put)), lambda v: put(float(v)), id(put))
        else:  # of a tuple: it cannot be moved, but may be a gradient
            yield Place(name, lambda: np.float64(value), lambda v: None, id(value))
        return
    if depth > DEEPEST or id(value) in seen or isinstance(value, SKIPPED):
        return
    seen.add(id(value))
    if isinstance(value, list) and value and all(_is_number(v) for v in value):
        if any(isinstance(v, float | np.floating) for v in value):
            yield Place(
                name,
                lambda: np.array(value, np.float64),
                lambda v: value.__setitem__(slice(None), [float(x) for x in v]),
                id(value),
            )
        return
    for label, child, setter in children(value, name):
        yield from _walk(child, label, setter, depth + 1, seen, integers)


def children(value: Any, name: str) -> Iterator[tuple[str, Any, "Setter | None"]]:
    """Names, values and setters of what an object holds directly."""
    if isinstance(value, dict):
        for key in list(value):
            if not (isinstance(key, str) and key.startswith("__")):
                yield (
                    f"{name}[{key!r}]",
                    value[key],
                    Setter(value.__getitem__, value.__setitem__, key),
                )
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield f"{name}[{i}]", child, Setter(value.__getitem__, value.__setitem__, i)
    elif isinstance(value, tuple):
        for i, child in enumerate(value):
            yield f"{name}[{i}]", child, None
    else:
        held = dict(getattr(value, "__dict__", {}))
        for klass in type(value).__mro__:
            slots = klass.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot):
                    held.setdefault(slot, getattr(value, slot))
        for attribute, child in held.items():
            setter = Setter(partial(getattr, value), partial(setattr, value), attribute)
            yield f"{name}.{attribute}", child, setter


class Snapshot:
    """What an object holds by now, containers and numbers, and back to it."""

    def __init__(self, root: Any) -> None:
        self._held: list[tuple[Any, Any]] = []
        seen: set[int] = set()
        waiting = [(root, 0)]
        while waiting and len(seen) < MOST:
            value, depth = waiting.pop()
            if id(value) in seen or isinstance(value, SKIPPED) or depth > DEEPEST:
                continue
            seen.add(id(value))
            if isinstance(value, np.ndarray):
                self._held.append((value, value.copy()))
                continue
            if isinstance(value, dict | list):
                self._held.append((value, value.copy()))
            elif hasattr(value, "__dict__"):
                self._held.append((vars(value), dict(vars(value))))
            if isinstance(value, dict | list | tuple) or hasattr(value, "__dict__"):
                waiting += [(child, depth + 1) for _, child, _ in children(value, "")]

    def restore(self) -> None:
        """Put everything back, in the objects that held it."""
        for value, old in self._held:
            if isinstance(value, np.ndarray):
                if value.flags.writeable:
                    value[...] = old
            elif isinstance(value, list):
                value[:] = old
            else:
                value.clear()
                value.update(old)


class Setter:
    """Reads and writes one place of a container."""

    def __init__(
        self, get: Callable[[Any], Any], put: Callable[[Any, Any], None], key: Any
    ) -> None:
        self.get, self.put, self.key = get, put, key

    def __call__(self, value: Any) -> None:
        """Put another value there."""
        self.put(self.key, value)

    def current(self) -> Any:
        """What is there."""
        return self.get(self.key)


def _item(flat: Any, i: int) -> Setter:
    return Setter(flat.__getitem__, flat.__setitem__, i)


def _current(put: Any) -> Any:
    return put.current()


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int | np.floating) and not isinstance(value, bool)


def _of_array(value: Array, name: str, put: Any) -> Place:
    """The array that is there when it is read: methods may put another one into its place."""

    def now() -> Array:
        there = put.current() if put is not None else value
        return there if isinstance(there, np.ndarray) and there.shape == value.shape else value

    def write(numbers: Array) -> None:
        array = now()
        if array.flags.writeable:
            array[...] = numbers
        elif put is not None:
            put(np.array(numbers, array.dtype))

    def read() -> Array:
        there = put.current() if put is not None else value
        return np.array(there, np.float64)

    return Place(name, read, write, id(value))


def number(value: Any) -> float:
    """The one number that a loss gives, alone or first in what it returns.

    Raises:
        ValueError: there is none.
    """
    if isinstance(value, tuple | list) and value:
        for part in value:
            if np.ndim(part) == 0 or np.size(part) == 1:
                return number(part)
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"the loss is no number: {type(value).__name__} of shape {array.shape}")
    return float(array.reshape(()))


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
