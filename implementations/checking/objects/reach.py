"""What can be reached from an object or a function: leaves with numbers, and how to restore all.

Attributes (of slots too), items of dicts, lists and tuples, cells of closures and the globals that
a user's own functions name are followed; modules, types and libraries' objects are not.
"""

import builtins
import contextlib
import dis
import functools
import random
import sys
import types
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.leaves import (
    CupyLeaf,
    Leaf,
    Missing,
    Place,
    attribute,
    cell_of,
    item,
    item_of_tuple,
    leaf_of,
    variable_of,
)
from samegrad.implementations.contract.sources import is_users

MOST_ITEMS = 2000  # of one container; more are examples of data, not layers
MOST_OBJECTS = 50_000
# Objects of these are no part of a network, except where a class of the user's derives from them.
FOREIGN = sys.stdlib_module_names | {"numpy", "torch", "jax", "jaxlib", "cupy", "matplotlib"}
ZEROING = frozenset(
    "zero_grad zero_grads zero_gradient zero_gradients reset_grad reset_grads reset_gradients "
    "clear_grad clear_grads clear_gradients cleargrads zerograds".split()
)


class Reached:
    """Everything below some roots.

    Attributes:
        leaves: in the order of their paths' lengths, each once.
        arrays: every NumPy array, of any dtype.
        generators: of random numbers.
        zeroing: methods that set gradients to zero.
        owners: objects of the user's classes.
    """

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.arrays: list[Any] = []
        self.generators: list[Any] = []
        self.zeroing: list[Any] = []
        self.owners: list[Any] = []
        self.functions: list[Any] = []
        self._containers: list[tuple[Any, Any]] = []
        self._seen: dict[int, Any] = {}
        self._leaf_of: dict[Any, Leaf] = {}
        self._named: Counter[str] = Counter()  # of leaves: `W` of several closures are several
        self._waiting: deque[tuple[Any, str, Place]] = deque()

    def add(self, value: Any, name: str, place: Place) -> "Reached":
        """Everything below one more root."""
        self._waiting.append((value, name, place))
        while self._waiting and len(self._seen) < MOST_OBJECTS:
            self._visit(*self._waiting.popleft())
        return self

    def _visit(self, value: Any, name: str, place: Place) -> None:
        if value is None or isinstance(value, bool | int | str | bytes | complex | type):
            return
        leaf = self._leaf(value, name, place)
        if leaf is not None:
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, np.ndarray):
            self.arrays.append(value)
            if value.dtype == object:
                for index in np.ndindex(value.shape):
                    path = "".join(f"[{i}]" for i in index)
                    self._waiting.append((value[index], name + path, item(value, index)))
            return
        for below in self._children(value, name, place):
            self._waiting.append(below)

    def _leaf(self, value: Any, name: str, place: Place) -> Leaf | None:
        key = _key(value)
        known = None if key is None else self._leaf_of.get(key)
        if known is not None:
            known.names.append(name)
            if known.value is value:
                known.places.append(place)
            return known
        count = self._named[name] + 1
        made = leaf_of(value, f"{name}#{count}" if count > 1 else name, place)
        if made is None:
            return None
        self._named[name] = count
        self.leaves.append(made)
        if isinstance(value, np.ndarray):
            self.arrays.append(value)
        if isinstance(value, list):
            self._containers.append((value, list(value)))
        if key is not None:
            self._leaf_of[key] = made
            self._seen[id(value)] = value  # alive, so that its id stays its own
        return made

    def _children(self, value: Any, name: str, place: Place) -> Iterator[tuple[Any, str, Place]]:
        if isinstance(value, dict):
            self._containers.append((value, dict(value)))
            for key in list(value)[:MOST_ITEMS]:
                yield value[key], f"{name}[{key!r}]", item(value, key)
        elif isinstance(value, list | deque):
            self._containers.append((value, list(value)))
            for index, held in enumerate(list(value)[:MOST_ITEMS]):
                yield held, f"{name}[{index}]", item(value, index)
        elif isinstance(value, tuple):
            names = getattr(value, "_fields", None)
            for index, held in enumerate(value[:MOST_ITEMS]):
                path = f".{names[index]}" if names else f"[{index}]"
                yield held, name + path, item_of_tuple(place, index)
        elif callable(value) and not _is_instance(value):
            yield from self.of_function(value, name)
        elif _is_generator(value):
            self.generators.append(value)
        elif _is_instance(value):
            yield from self._of_instance(value, name)
        elif isinstance(value, types.ModuleType) and name == "net":
            for key, held in list(vars(value).items()):
                if not key.startswith("__"):
                    yield held, f"{name}.{key}", item(vars(value), key)

    def _of_instance(self, value: Any, name: str) -> Iterator[tuple[Any, str, Place]]:
        self.owners.append(value)
        for method in ZEROING & set(dir(type(value))):
            self.zeroing.append(getattr(value, method))
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict):
            self._containers.append((held, dict(held)))
            for key in list(held):
                if key in ("_parameters", "_buffers", "_modules") and isinstance(held[key], dict):
                    self._containers.append((held[key], dict(held[key])))
                    for part in list(held[key]):  # of torch, by the names that its users write
                        yield held[key][part], f"{name}.{part}", item(held[key], part)
                elif not (key.startswith("_") and key.endswith("_hooks")):
                    yield held[key], f"{name}.{key}", attribute(value, key)
        for slot in _slots(type(value)):
            with contextlib.suppress(AttributeError):
                place = attribute(value, slot)
                now = place.get()
                self._containers.append((place, now))
                yield now, f"{name}.{slot}", place
        for kind in type(value).__mro__:
            if kind.__module__.split(".")[0] not in FOREIGN:
                for function in vars(kind).values():
                    if isinstance(function, types.FunctionType):
                        yield from self.of_function(function, "")

    def of_function(self, function: Any, name: str) -> Iterator[tuple[Any, str, Place]]:
        """What a function of the user's closes over, is bound to, and names among its globals."""
        if isinstance(function, functools.partial):
            for index, held in enumerate(function.args):
                yield held, f"{name}.args[{index}]", _fixed(held)
            for key, held in function.keywords.items():
                yield held, key, item(function.keywords, key)
            function = function.func
        if isinstance(function, types.MethodType):
            yield function.__self__, _name_of(function.__self__), _fixed(function.__self__)
            function = function.__func__
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, types.FunctionType) or not is_users(
            function.__code__.co_filename
        ):
            return
        if function in self.functions:
            return
        self.functions.append(function)
        for variable, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            with contextlib.suppress(ValueError):  # an empty cell
                held, place = cell.cell_contents, cell_of(cell)
                self._containers.append((place, held))
                yield held, f"{name}.{variable}" if name else variable, place
        for key, held in list(vars(function).items()):
            if key != "__wrapped__":
                yield held, f"{name or function.__name__}.{key}", item(vars(function), key)
        for held in function.__defaults__ or ():
            yield held, f"{function.__name__}.default", _fixed(held)
        for variable in sorted(globals_of(function.__code__)):
            place = variable_of(function.__globals__, variable)
            held = place.get()
            if held is Missing and hasattr(builtins, variable):
                continue
            self._containers.append((place, held))
            yield held, variable, place

    def beside(self, function: Any) -> "Reached":
        """Everything below what a function names."""
        for value, name, place in list(self.of_function(function, "")):
            self._waiting.append((value, name, place))
        return self.add(None, "", _fixed(None))

    def snapshot(self) -> "Snapshot":
        """What is held by now."""
        return Snapshot(self._containers, self.arrays, self.leaves)


class Snapshot:
    """The state of everything that was reached, to go back to, bit for bit."""

    def __init__(
        self, containers: list[tuple[Any, Any]], arrays: list[Any], leaves: list[Leaf]
    ) -> None:
        self._containers = list(containers)
        self._arrays = [(a, a.copy()) for a in arrays if a.dtype != object]
        torch = sys.modules.get("torch")
        tensors = [leaf for leaf in leaves if hasattr(leaf.value, "requires_grad")]
        self._tensors = [
            (t.value, t.value.data, t.value.data.clone(), t.value.grad if t.value.is_leaf else None)
            for t in tensors
            if torch is not None
        ]
        self._device = [(x.value, x.value.copy()) for x in leaves if isinstance(x, CupyLeaf)]
        self._grads = [(grad, grad.clone()) for *_, grad in self._tensors if grad is not None]

    def restore(self) -> None:
        """Put everything back."""
        for holder, held in reversed(self._containers):
            if isinstance(holder, Place):
                if holder.get() is not held:
                    holder.set(held)
            elif isinstance(holder, dict):
                if holder.keys() != held.keys() or any(holder[k] is not held[k] for k in held):
                    holder.clear()
                    holder.update(held)
            elif isinstance(holder, deque):
                holder.clear()
                holder.extend(held)
            else:
                holder[:] = held
        for array, values in self._arrays:
            if array.flags.writeable:
                array[...] = values
        for array, values in self._device:
            array[...] = values
        for tensor, data, values, grad in self._tensors:
            tensor.data = data
            tensor.data.copy_(values)
            if tensor.is_leaf:
                tensor.grad = grad
        for grad, values in self._grads:
            grad.copy_(values)


@functools.cache
def globals_of(code: Any) -> set[str]:
    """The globals that a code object names, inner functions included."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")
    names = {str(i.argval) for i in dis.get_instructions(code) if i.opname in loads}
    return names.union(*(globals_of(c) for c in code.co_consts if isinstance(c, types.CodeType)))


def _key(value: Any) -> Any:
    """The same for the same numbers in memory; None of plain floats, which nothing shares."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        at = value.__array_interface__
        return (at["data"][0], value.shape, value.strides, value.dtype.str)
    if isinstance(value, float | np.floating):
        return None
    return id(value)


def _fixed(value: Any) -> Place:
    return Place(lambda: value, None)


def _name_of(owner: Any) -> str:
    return type(owner).__name__


def _is_instance(value: Any) -> bool:
    """Whether an object is of a class that may be the user's."""
    if isinstance(value, types.ModuleType | types.FunctionType | types.MethodType | type):
        return False
    if isinstance(value, types.BuiltinFunctionType | functools.partial | random.Random):
        return False
    if isinstance(value, types.SimpleNamespace):
        return True
    return any(kind.__module__.split(".")[0] not in FOREIGN for kind in type(value).__mro__) or (
        hasattr(value, "_parameters") and hasattr(value, "_modules")
    )


def _is_generator(value: Any) -> bool:
    return isinstance(value, np.random.Generator | np.random.RandomState | random.Random) or (
        type(value).__name__ == "Generator" and type(value).__module__.startswith("torch")
    )


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                mangled = name.startswith("__") and not name.endswith("__")
                yield f"_{base.__name__.lstrip('_')}{name}" if mangled else name
