"""Leaves: the places of a user's objects that hold numbers, each read and written as float64.

An array of NumPy, CuPy or torch is written in place; one of JAX, a number, and an array that is
replaced by one of more digits are written into the objects that hold them.
"""

import sys
from collections.abc import Callable
from functools import partial, reduce
from operator import getitem, setitem
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import rebuilt

Array = Any


class Place:
    """Where an object is held: an attribute, an item, a cell."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], None] | None) -> None:
        self.get = get
        self.settable = put is not None
        self.set = put or self._refuse

    def _refuse(self, _: Any) -> None:
        raise ValueError("what a function is bound to cannot be replaced")


class Missing:
    """What a variable holds that does not exist."""


def fixed(value: Any) -> Place:
    """Where something is held that cannot be replaced there."""
    return Place(lambda: value, None)


def attribute(owner: Any, name: str) -> Place:
    """An attribute, of frozen dataclasses too."""
    return Place(
        lambda: object.__getattribute__(owner, name),
        lambda value: object.__setattr__(owner, name, value),
    )


def of_class(kind: type, name: str) -> Place:
    """An attribute of a class itself."""
    return Place(lambda: vars(kind)[name], lambda value: setattr(kind, name, value))


def item(owner: Any, key: Any) -> Place:
    """An item of a list, a dict or an array of objects."""
    return Place(lambda: owner[key], partial(setitem, owner, key))


def variable_of(variables: dict[str, Any], name: str) -> Place:
    """A global variable, which may not exist yet."""

    def put(value: Any) -> None:
        if value is Missing:
            variables.pop(name, None)
        else:
            variables[name] = value

    return Place(lambda: variables.get(name, Missing), put)


def cell_of(cell: Any) -> Place:
    """A variable of a closure."""
    return Place(lambda: cell.cell_contents, partial(setattr, cell, "cell_contents"))


def item_of_tuple(parent: Place, index: int) -> Place:
    """An item of a tuple, which is made anew where it is held."""

    def put(value: Any) -> None:
        held = list(parent.get())
        held[index] = value
        parent.set(rebuilt(parent.get(), held))

    return Place(lambda: parent.get()[index], put)


class Leaf:
    """An array, a list of numbers or a number, and every place that holds it.

    Attributes:
        names: its paths, the shortest first.
        places: of the same; of a list its own.
        shape: of its array.
        eps: of its numbers.
    """

    eps = float(np.finfo(np.float64).eps)
    promotable = False

    def __init__(self, value: Any, name: str, place: Place) -> None:
        self.value = value
        self.names = [name]
        self.places = [place]
        self.shape: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its shortest path."""
        return self.names[0]

    @property
    def size(self) -> int:
        """Entries."""
        return int(np.prod(self.shape))

    def array_of(self, value: Any) -> Array:
        """What a value of this kind holds, as a float64 copy."""
        return np.array(value, np.float64)

    def read(self) -> Array:
        """A copy of its numbers."""
        return self.array_of(self.value)

    def held(self) -> Array | None:
        """A copy of what its place holds by now, or None if that is something else."""
        try:
            now = self.array_of(self.places[0].get())
        except Exception:
            return None
        return now if now.shape == self.shape else None

    def write(self, values: Array) -> None:
        """Put other numbers in."""
        raise NotImplementedError

    def put(self, entry: int, value: float) -> None:
        """Put one other number in."""
        values = self.read()
        values.flat[entry] = value
        self.write(values)

    def gradient(self) -> Any:
        """What the object that holds it keeps as its gradient, or None."""
        return None

    def clear_gradient(self) -> None:
        """Set that to nothing."""

    def replace(self, value: Any) -> None:
        """Hold something else at every place."""
        self.value = value
        for place in self.places:
            place.set(value)

    def promote(self) -> None:
        """Hold a float64 copy instead."""

    def hold(self, value: Any) -> None:
        """Go back to what was held before."""
        self.value = value

    def replace_where_held(self) -> None:
        """Hold the same object again where the user's code put another."""
        for place in self.places:
            if place.get() is not self.value:
                place.set(self.value)


class NumpyLeaf(Leaf):
    """A float array, written in place."""

    def __init__(self, value: Any, name: str, place: Place) -> None:
        super().__init__(value, name, place)
        self._of(value)

    def _of(self, value: Any) -> None:
        self.shape = value.shape
        floats = value.dtype.kind == "f"
        self.eps = float(np.finfo(value.dtype).eps) if floats else 0.0
        field = value.base is not None and getattr(value.base, "dtype", value.dtype).names
        self.promotable = floats and value.dtype.itemsize < 8 and not field

    def write(self, values: Array) -> None:
        """In place; read-only arrays raise ValueError."""
        self.value[...] = values

    def put(self, entry: int, value: float) -> None:
        """In place."""
        self.value.flat[entry] = value

    def promote(self) -> None:
        """Hold a float64 copy instead."""
        self.replace(self.value.astype(np.float64))
        self._of(self.value)

    def hold(self, value: Any) -> None:
        """Go back to what was held before."""
        self._of(value)
        self.value = value


class CupyLeaf(NumpyLeaf):
    """An array on a device."""

    def array_of(self, value: Any) -> Array:
        """Fetched."""
        return np.asarray(value.get(), np.float64)

    def write(self, values: Array) -> None:
        """Copied to the device."""
        self.value[...] = sys.modules["cupy"].asarray(values, dtype=self.value.dtype)

    def put(self, entry: int, value: float) -> None:
        """One number to the device."""
        self.value[np.unravel_index(entry, self.shape)] = value


class JaxLeaf(Leaf):
    """An array that cannot be written: it is replaced where it is held."""

    def __init__(self, value: Any, name: str, place: Place) -> None:
        super().__init__(value, name, place)
        self.shape = tuple(value.shape)
        self.eps = float(sys.modules["jax"].numpy.finfo(value.dtype).eps)

    def write(self, values: Array) -> None:
        """At every place."""
        self.replace(sys.modules["jax"].numpy.asarray(values, dtype=self.value.dtype))


class TorchLeaf(Leaf):
    """A tensor; its numbers are written past autograd, so that graphs stay as they are."""

    def __init__(self, value: Any, name: str, place: Place) -> None:
        super().__init__(value, name, place)
        self.shape = tuple(value.shape)
        self._of(value)

    def _of(self, value: Any) -> None:
        self.eps = float(sys.modules["torch"].finfo(value.dtype).eps)
        self.promotable = value.dtype.itemsize < 8

    def array_of(self, value: Any) -> Array:
        """Detached, on the CPU."""
        return np.array(value.detach().double().cpu().numpy())

    def write(self, values: Array) -> None:
        """In place."""
        torch = sys.modules["torch"]
        with torch.no_grad():
            self.value.data.copy_(torch.from_numpy(np.array(values, np.float64)))

    def gradient(self) -> Any:
        """What backward() left."""
        return self.value.grad if self.value.is_leaf else None

    def clear_gradient(self) -> None:
        """As optimisers do."""
        if self.value.is_leaf:
            self.value.grad = None

    def promote(self) -> None:
        """The same tensor, of float64."""
        self.value.grad = None
        self.value.data = self.value.data.double()
        self._of(self.value)

    def hold(self, value: Any) -> None:
        """Its dtype is by now what it was."""
        self._of(value)


class NumberLeaf(Leaf):
    """A float that an object, a list or a dict holds."""

    def write(self, values: Array) -> None:
        """At its place."""
        self.replace(float(values))


class ListLeaf(Leaf):
    """A list of numbers, or a list of such lists of one length."""

    def __init__(self, value: Any, name: str, place: Place) -> None:
        super().__init__(value, name, place)
        self.shape = np.shape(value)

    def write(self, values: Array) -> None:
        """Row by row, in the same lists."""
        values = np.asarray(values, np.float64).reshape(self.shape)
        for row in np.ndindex(self.shape[:-1]):
            reduce(getitem, row, self.value)[:] = values[row].tolist()

    def put(self, entry: int, value: float) -> None:
        """One number."""
        *row, last = np.unravel_index(entry, self.shape)
        reduce(getitem, row, self.value)[last] = float(value)


class ScalarsLeaf(ListLeaf):
    """Objects with `.data` and `.grad`, one or a list of them (or of such lists)."""

    kept = "data"  # the attribute that holds the numbers

    def __init__(self, value: Any, name: str, place: Place) -> None:
        super().__init__(value, name, place)
        self.objects = np.array(_objects(value), dtype=object)
        self.shape = self.objects.shape

    def array_of(self, value: Any) -> Array:
        """The numbers of such objects."""
        objects = np.array(_objects(value), object)
        return np.array([float(getattr(s, self.kept)) for s in objects.flat]).reshape(self.shape)

    def write(self, values: Array) -> None:
        """One by one."""
        for entry, number in enumerate(np.ravel(values)):
            self.put(entry, number)

    def put(self, entry: int, value: float) -> None:
        """In one."""
        setattr(self.objects.flat[entry], self.kept, float(value))

    def gradients(self) -> "ScalarsLeaf":
        """The numbers that they keep as their gradients."""
        found = ScalarsLeaf(self.value, f"{self.name}.grad", self.places[0])
        found.kept = "grad"
        return found

    def gradient(self) -> Any:
        """Their grad."""
        return self.gradients().read()

    def clear_gradient(self) -> None:
        """To 0."""
        self.gradients().write(np.zeros(self.shape))


def _objects(value: Any) -> Any:
    return [_objects(part) for part in value] if isinstance(value, list | tuple) else value


def is_scalar_object(value: Any) -> bool:
    """Whether an object has a number `.data` and a number `.grad`, as micrograd's Value."""
    held = getattr(value, "__dict__", None)
    if held is None and not hasattr(type(value), "__slots__"):
        return False
    data, grad = getattr(value, "data", None), getattr(value, "grad", None)
    return isinstance(data, int | float) and isinstance(grad, int | float)


def leaf_of(value: Any, name: str, place: Place, integers: bool = False) -> Leaf | None:
    """A leaf if the value is one of floats, else None.

    Args:
        integers: whether arrays of integers, and integers, are leaves as well.
    """
    if isinstance(value, np.ndarray):
        wanted = value.dtype.kind in ("fiub" if integers else "f")
        return NumpyLeaf(value, name, place) if wanted else None
    if isinstance(value, float | np.floating) or (integers and type(value) is int):
        return NumberLeaf(value, name, place)
    if isinstance(value, list):
        return _of_list(value, name, place)
    if isinstance(value, type):
        return None
    return _of_framework(value, name, place) or (
        ScalarsLeaf(value, name, place) if is_scalar_object(value) else None
    )


def _of_framework(value: Any, name: str, place: Place) -> Leaf | None:
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(value, torch.Tensor):
        return TorchLeaf(value, name, place) if value.is_floating_point() else None
    if type(value).__module__.startswith("cupy") and hasattr(value, "get"):
        return CupyLeaf(value, name, place) if value.dtype.kind == "f" else None
    if jax is not None and hasattr(jax, "Array") and isinstance(value, jax.Array):
        floats = jax.numpy.issubdtype(value.dtype, jax.numpy.floating)
        return JaxLeaf(value, name, place) if floats else None
    return None


def _of_list(value: Any, name: str, place: Place) -> Leaf | None:
    """Of numbers (one of them a float) or scalar objects, in rows of one length."""
    rows = list(value)
    while rows and all(isinstance(row, list) for row in rows):
        if len({len(row) for row in rows}) > 1:
            return None
        rows = [entry for row in rows for entry in row]
    if not rows or len(rows) > 10**6:
        return None
    types = set(map(type, rows))
    if all(kind in (float, int) or issubclass(kind, np.floating) for kind in types):
        return ListLeaf(value, name, place) if types - {int} else None
    return ScalarsLeaf(value, name, place) if all(map(is_scalar_object, rows)) else None
