"""What the user's code can reach: its functions and its arrays, each with its path."""

import functools
import linecache
import sys
from collections.abc import Iterator
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from samegrad.implementations.contract.sources import is_users

DEEPEST = 12  # objects in objects
MOST = 20_000  # objects that are looked at
PLAIN = (str, bytes, int, float, bool, complex, type(None), np.ndarray, np.generic)
Parts = list[tuple[str, Any]]


def functions_of(*objects: Any) -> list[FunctionType]:
    """The user's functions that the objects can call, each once; none of an installed package.

    Args:
        objects: functions, methods, classes, instances, modules, and nestings of them.
    """
    roots = [
        part
        for item in objects
        for part in (vars(item).values() if isinstance(item, ModuleType) else [item])
    ]
    found = {
        id(item): item
        for _, item in reached(*roots)
        if isinstance(item, FunctionType) and _theirs(item)
    }
    return list(found.values())


def reached(*objects: Any) -> Iterator[tuple[str, Any]]:
    """(path, object) of the objects and of all that they hold: attributes, entries, closures.

    Functions are followed into the names that they read, instances into their classes, modules
    only into what a function reads of them.
    """
    seen: set[int] = set()
    stack = [("", item, 0) for item in reversed(objects)]
    while stack and len(seen) < MOST:
        path, item, depth = stack.pop()
        if id(item) in seen or depth > DEEPEST:
            continue
        if not isinstance(item, int | float | str | type(None)):
            seen.add(id(item))
        yield path, item
        stack += [
            (label[1:] if label.startswith("=") else path + label, part, depth + 1)
            for label, part in reversed(_parts(item))
        ]


def _parts(item: Any) -> Parts:
    """(label, what an object holds); a label that begins with = starts a path of its own."""
    kind = type(item)
    if isinstance(item, (*PLAIN, ModuleType)):
        return []
    if kind in (list, tuple) or (isinstance(item, tuple) and hasattr(item, "_fields")):
        return [(f"[{i}]", part) for i, part in enumerate(item)]
    if isinstance(item, dict):
        return [(f"[{key!r}]", part) for key, part in list(item.items())]
    if isinstance(item, set | frozenset):
        return [("", part) for part in item]
    if isinstance(item, FunctionType):
        return _of_function(item)
    if isinstance(item, MethodType):
        return [("", item.__self__), ("", item.__func__)]
    if isinstance(item, functools.partial):
        return [("", part) for part in (item.func, item.args, item.keywords)]
    if isinstance(item, staticmethod | classmethod):
        return [("", item.__func__)]
    if isinstance(item, property):
        return [("", part) for part in (item.fget, item.fset) if part is not None]
    cls = item if isinstance(item, type) else kind
    if _installed(cls):
        wrapped = getattr(item, "__wrapped__", None)  # functools.lru_cache and the like
        return [] if wrapped is None else [("", wrapped)]
    if isinstance(item, type):
        return [*((f".{k}", v) for k, v in vars(item).items()), *(("", b) for b in item.__bases__)]
    slots = [
        (f".{name}", getattr(item, name))
        for base in kind.__mro__
        for name in np.atleast_1d(getattr(base, "__slots__", ())).tolist()
        if hasattr(item, name)
    ]
    held = getattr(item, "__dict__", {})
    return [*((f".{k}", v) for k, v in list(held.items())), *slots, ("", kind)]


def _theirs(function: FunctionType) -> bool:
    file = function.__code__.co_filename
    if file.startswith("<"):  # run from a string: has lines if somebody kept them
        return bool(linecache.getlines(file))
    return is_users(file)


def _installed(thing: type | ModuleType) -> bool:
    """Whether a class or module is of the standard library or a package that is installed."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    module = sys.modules.get(name)
    if name == "__main__":
        return False
    file = getattr(module, "__file__", None) or ""
    return name.split(".")[0] in sys.stdlib_module_names or not is_users(file)


def contents(cell: CellType) -> list[Any]:
    """What a cell of a closure holds, if anything."""
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def _of_function(function: FunctionType) -> Parts:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    parts = [(f"={name}", part) for name, cell in cells for part in contents(cell)]
    parts += [("", part) for part in function.__defaults__ or ()]
    parts += [(f"={name}", part) for name, part in (function.__kwdefaults__ or {}).items()]
    if hasattr(function, "__wrapped__"):
        parts.append(("", function.__wrapped__))
    if not _theirs(function) and not function.__code__.co_filename.startswith("<string"):
        return parts  # a string that was run has no lines, but names of what has
    names = names_read(function.__code__)
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        parts.append((f"={name}", value))
        if isinstance(value, ModuleType) and not _installed(value):
            parts += [(f"={name}.{n}", vars(value)[n]) for n in names if n in vars(value)]
    return parts


def names_read(code: Any) -> list[str]:
    """The global names and attributes that a code object and those within it read."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            names += names_read(constant)
    return names
