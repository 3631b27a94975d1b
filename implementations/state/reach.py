"""What can be reached from an object or a function: leaves with numbers, functions, all that holds.

Attributes (of slots and classes too), items of containers, cells of closures and the globals that
a user's own functions name are followed; libraries' modules, types and objects are not.
"""

import builtins
import contextlib
import dis
import functools
import random
import sys
import types
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from operator import setitem
from typing import Any

import numpy as np

from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.state.leaves import (
    Leaf,
    ListLeaf,
    Missing,
    Place,
    ScalarsLeaf,
    attribute,
    cell_of,
    fixed,
    item,
    item_of_tuple,
    leaf_of,
    of_class,
    variable_of,
)
from samegrad.implementations.state.snapshot import Snapshot

MOST_ITEMS = 2000  # of one container; more are examples of data, not layers
MOST_OBJECTS = 50_000
# Objects of these are no part of a network, except where a class of the user's derives from them.
FOREIGN = sys.stdlib_module_names | {"numpy", "torch", "jax", "jaxlib", "cupy", "matplotlib"}
ZEROING = frozenset(
    "zero_grad zero_grads zero_gradient zero_gradients reset_grad reset_grads reset_gradients "
    "clear_grad clear_grads clear_gradients cleargrads zerograds".split()
)
Below = Iterator[tuple[Any, str, Place]]  # (an object, its path, where it is held)


def around(net: Any, functions: Sequence[Any]) -> "Reached":
    """What is below a network, named "net...", and beside it what the functions name."""
    reached = Reached()
    if net is not None:
        places = (p for f in functions for v, _, p in Reached().of_function(f, "") if v is net)
        reached.add(net, "net", next(places, None))
    for function in functions:
        reached.beside(function)
    return reached


class Reached:
    """Everything below some roots.

    Args:
        closures: whether what functions and classes hold and name counts, too.
        integers: whether whole numbers are leaves.

    Attributes:
        leaves: in the order of their paths' lengths, each once.
        arrays: every NumPy array, of any dtype.
        tensors: likewise of torch.
        generators: of random numbers.
        zeroing: methods that set gradients to zero.
        owners: objects of the user's classes.
        functions: the user's, each once.
        rules: objects of jax.custom_vjp.
        containers: (what holds something, what it held).
    """

    def __init__(self, closures: bool = True, integers: bool = False) -> None:
        self.closures, self.integers = closures, integers
        self.leaves: list[Leaf] = []
        self.arrays: list[Any] = []
        self.tensors: list[Any] = []
        self.generators: list[Any] = []
        self.zeroing: list[Any] = []
        self.owners: list[Any] = []
        self.functions: list[types.FunctionType] = []
        self.rules: list[Any] = []
        self.containers: list[tuple[Any, Any]] = []
        self._seen: dict[int, Any] = {}
        self._classes: set[int] = set()
        self._leaf_of: dict[Any, Leaf] = {}
        self._named: Counter[str] = Counter()  # of leaves: `W` of several closures are several
        self._waiting: deque[tuple[Any, str, Place]] = deque()

    def add(self, value: Any, name: str, place: Place | None = None) -> "Reached":
        """Everything below one more root; of a module all that it defines.

        Args:
            place: where it is held, for a tuple that has to be made anew.
        """
        if isinstance(value, types.ModuleType):
            for key in [key for key in vars(value) if not key.startswith("__")]:
                held = variable_of(vars(value), key)
                self._waiting.append((self._held(held), f"{name}.{key}", held))
        else:
            self._waiting.append((value, name, place or fixed(value)))
        while self._waiting and len(self._seen) < MOST_OBJECTS:
            self._visit(*self._waiting.popleft())
        return self

    def beside(self, function: Any) -> "Reached":
        """Everything below what a function names."""
        self._waiting.extend(self.of_function(function, ""))
        return self.add(None, "")

    def holds(self, value: Any) -> bool:
        """Whether this very object was reached."""
        return id(value) in self._seen

    def snapshot(self, random: bool = False) -> Snapshot:
        """What is held by now.

        Args:
            random: whether states of generators of random numbers belong to it.
        """
        generators = self.generators if random else None
        return Snapshot.of(self.containers, self.arrays, self.tensors, self.leaves, generators)

    def _visit(self, value: Any, name: str, place: Place) -> None:
        if value is None or isinstance(value, bool | str | bytes | complex):
            return
        if isinstance(value, int) and not self.integers:
            return
        if self._leaf(value, name, place) is not None or id(value) in self._seen:
            return
        self._seen[id(value)] = value  # alive, so that its id stays its own
        if isinstance(value, np.ndarray):
            self.arrays.append(value)
            if value.dtype == object:
                self.containers.append((value, value.copy()))
                for index in np.ndindex(value.shape):
                    path = "".join(f"[{i}]" for i in index)
                    self._waiting.append((value[index], name + path, item(value, index)))
            for key in value.dtype.names or ():
                self._waiting.append((value[key], f"{name}[{key!r}]", _field(value, key)))
            return
        self._waiting.extend(self._children(value, name, place))

    def _leaf(self, value: Any, name: str, place: Place) -> Leaf | None:
        key = _key(value)
        known = None if key is None else self._leaf_of.get(key)
        if known is not None:
            known.names.append(name)
            self._seen[id(value)] = value
            if known.value is value:
                known.places.append(place)
            return known
        count = self._named[name] + 1
        unique = f"{name}#{count}" if count > 1 else name
        made = leaf_of(value, unique, place, self.integers)
        if made is None:
            return None
        self._named[name] = count
        self.leaves.append(made)
        if key is not None:
            self._leaf_of[key] = made
            self._seen[id(value)] = value
        if isinstance(value, np.ndarray):
            self.arrays.append(value)
        if isinstance(made, ListLeaf | ScalarsLeaf):
            self._rows(value)
        if _is_tensor(value):
            self.tensors.append(value)
        return made

    def _rows(self, value: Any) -> None:
        """The lists of a leaf, and what its objects hold."""
        if isinstance(value, list):
            self._seen[id(value)] = value
            self.containers.append((value, list(value)))
            for row in value if not isinstance(value[0], float | int) else ():
                self._rows(row)
        elif not isinstance(value, float | int | np.number):
            for _ in self._attributes(value, ""):
                pass
            self._waiting.extend(self._of_class(type(value)) if self.closures else ())

    def _children(self, value: Any, name: str, place: Place) -> Below:
        if isinstance(value, dict):
            self.containers.append((value, dict(value)))
            keys = [k for k in value if not (isinstance(k, str) and k.startswith("__"))]
            for key in keys[:MOST_ITEMS]:
                yield value[key], f"{name}[{key!r}]", item(value, key)
        elif isinstance(value, list | deque):
            self.containers.append((value, list(value)))
            for index, held in enumerate(list(value)[:MOST_ITEMS]):
                yield held, f"{name}[{index}]", item(value, index)
        elif isinstance(value, tuple):
            names = getattr(value, "_fields", None)
            for index, held in enumerate(value[:MOST_ITEMS]):
                path = f".{names[index]}" if names else f"[{index}]"
                yield held, name + path, item_of_tuple(place, index)
        elif isinstance(value, set):
            self.containers.append((value, set(value)))
        elif isinstance(value, type):
            if self.closures:
                yield from self._of_class(value)
        elif callable(value) and not _is_instance(value):
            if self.closures:
                yield from self.of_function(value, name)
        elif _is_generator(value):
            self.generators.append(value)
        elif _is_tensor(value):
            self.tensors.append(value)
        if _is_instance(value):
            self.owners.append(value)
            self.zeroing += [getattr(value, m) for m in sorted(ZEROING & set(dir(type(value))))]
            yield from self._attributes(value, name)
            if self.closures:
                yield from self._of_class(type(value))

    def _attributes(self, value: Any, name: str) -> Below:
        held = getattr(value, "__dict__", None)
        if isinstance(held, dict):
            self.containers.append((held, dict(held)))
            for key in list(held):
                if key in ("_parameters", "_buffers", "_modules") and isinstance(held[key], dict):
                    self.containers.append((held[key], dict(held[key])))
                    for part in list(held[key]):  # of torch, by the names that its users write
                        yield held[key][part], f"{name}.{part}", item(held[key], part)
                elif not (key.startswith("__") or (key.startswith("_") and key.endswith("_hooks"))):
                    yield held[key], f"{name}.{key}", attribute(value, key)
        for slot in _slots(type(value)):
            with contextlib.suppress(AttributeError):
                place = attribute(value, slot)
                yield self._held(place), f"{name}.{slot}", place

    def _of_class(self, kind: type) -> Below:
        """What a user's class holds itself, and what its functions name."""
        for base in kind.__mro__:
            module = base.__module__
            if id(base) in self._classes or not _is_theirs(module, sys.modules.get(module)):
                continue
            self._classes.add(id(base))
            for key, held in list(vars(base).items()):
                functions = _functions_in(held)
                for function in functions:
                    yield from self.of_function(function, "")
                if not functions and not (key.startswith("_") and key.endswith("_")):
                    place = of_class(base, key)
                    yield self._held(place), f"{base.__name__}.{key}", place

    def of_function(self, function: Any, name: str) -> Below:
        """What a function of the user's closes over, is bound to, and names among its globals."""
        if isinstance(function, functools.partial):
            for index, held in enumerate(function.args):
                yield held, f"{name}.args[{index}]", fixed(held)
            for key, held in function.keywords.items():
                yield held, key, item(function.keywords, key)
            function = function.func
        if isinstance(function, types.MethodType):
            owner = function.__self__
            yield owner, type(owner).__name__, fixed(owner)
            function = function.__func__
        if (wrapped := getattr(function, "__wrapped__", None)) is not None:
            yield wrapped, name, fixed(wrapped)
            if hasattr(function, "defvjp") and hasattr(function, "bwd"):
                self.rules.append(function)
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
                place = cell_of(cell)
                yield self._held(place), f"{name}.{variable}" if name else variable, place
        for key, held in list(vars(function).items()):
            if key != "__wrapped__":
                yield held, f"{name or function.__name__}.{key}", item(vars(function), key)
        for held in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            yield held, f"{function.__name__}.default", fixed(held)
        variables, attributes = names_read(function.__code__)
        for variable in sorted(variables):
            place = variable_of(function.__globals__, variable)
            held = place.get()
            if held is Missing and hasattr(builtins, variable):
                continue
            yield self._held(place), variable, place
            if isinstance(held, types.ModuleType) and _is_theirs(held.__name__, held):
                for key in sorted(attributes & vars(held).keys()):
                    place = variable_of(vars(held), key)
                    yield self._held(place), f"{variable}.{key}", place

    def _held(self, place: Place) -> Any:
        held = place.get()
        self.containers.append((place, held))
        return held


@functools.cache
def names_read(code: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The globals and the attributes that a code object names, inner functions included."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")
    names = {str(i.argval) for i in dis.get_instructions(code) if i.opname in loads}
    inner = [names_read(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return (
        frozenset(names.union(*(variables for variables, _ in inner))),
        frozenset(code.co_names).union(*(attributes for _, attributes in inner)),
    )


def _functions_in(value: Any) -> list[Any]:
    """The functions that an attribute of a class is made of; [] if it is of another kind."""
    if isinstance(value, types.FunctionType):
        return [value]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    return [value.func] if isinstance(value, functools.cached_property) else []


def _key(value: Any) -> Any:
    """The same for the same numbers in memory; None of plain floats, which nothing shares."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        at = value.__array_interface__
        return (at["data"][0], value.shape, value.strides, value.dtype.str)
    if isinstance(value, float | int | np.floating):
        return None
    return id(value)


def _is_instance(value: Any) -> bool:
    """Whether an object is of a class that may be the user's."""
    if isinstance(value, types.ModuleType | types.FunctionType | types.MethodType | type):
        return False
    if isinstance(value, types.BuiltinFunctionType | functools.partial | random.Random):
        return False
    if isinstance(value, types.SimpleNamespace):
        return True
    return any(_is_users_class(kind) for kind in type(value).__mro__) or (
        hasattr(value, "_parameters") and hasattr(value, "_modules")
    )


def _is_users_class(kind: type) -> bool:
    """Whether a class may be the user's.

    One that exec() defines among names without a __name__ says that it is of "builtins", too, but
    can be changed (Py_TPFLAGS_HEAPTYPE), as those cannot.
    """
    module = kind.__module__.split(".")[0]
    return module not in FOREIGN or (module == "builtins" and bool(kind.__flags__ & 1 << 9))


def _is_theirs(name: str, module: types.ModuleType | None) -> bool:
    """Whether a module, or what is defined in it, is of the user's own."""
    file = getattr(module, "__file__", None) or ""
    return name == "__main__" or (name.split(".")[0] not in FOREIGN and is_users(file))


def _field(array: Any, name: str) -> Place:
    """A field of a structured array: a view of it, the same each time."""
    view = array[name]
    return Place(lambda: view, functools.partial(setitem, array, name))


def _is_generator(value: Any) -> bool:
    return isinstance(value, np.random.Generator | np.random.RandomState | random.Random) or (
        type(value).__name__ == "Generator" and type(value).__module__.startswith("torch")
    )


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__"):
                mangled = name.startswith("__") and not name.endswith("__")
                yield f"_{base.__name__.lstrip('_')}{name}" if mangled else name
