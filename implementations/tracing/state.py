"""The state of all that callables can reach, kept and put back, so that every run is the first."""

import random
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from samegrad.implementations.tracing.reach import contents, names_read, reached


class Snapshot:
    """Arrays and containers by their contents, names by what they stand for, random numbers.

    Args:
        objects: callables and whatever else holds state.
    """

    def __init__(self, *objects: Any) -> None:
        self.arrays: list[tuple[Any, Any]] = []
        self.lists: list[tuple[Any, list[Any]]] = []
        self.dicts: list[tuple[Any, dict[Any, Any]]] = []  # whole
        self.names: list[tuple[Any, dict[str, Any]]] = []  # some of a module's
        self.attributes: list[tuple[Any, str, Any]] = []  # of classes and of instances with slots
        self.cells: list[tuple[CellType, Any]] = []
        self.generators: list[tuple[Any, Any]] = []
        for _, item in reached(*objects):
            self._keep(item)
        self.random: Any = random.getstate()
        self.legacy: Any = np.random.get_state(legacy=False)

    def _keep(self, item: Any) -> None:
        if isinstance(item, np.ndarray):
            if item.dtype != object and item.flags.writeable:
                self.arrays.append((item, item.copy()))
        elif isinstance(item, list):
            self.lists.append((item, list(item)))
        elif isinstance(item, dict):
            self.dicts.append((item, dict(item)))
        elif isinstance(item, np.random.Generator):
            self.generators.append((item, item.bit_generator.state))
        elif isinstance(item, np.random.RandomState):
            self.generators.append((item, item.get_state()))
        elif isinstance(item, random.Random):
            self.generators.append((item, item.getstate()))
        elif isinstance(item, FunctionType):
            for cell in item.__closure__ or ():
                self.cells += [(cell, part) for part in contents(cell)]
            read = {n for n in names_read(item.__code__) if n in item.__globals__}
            self.names.append((item.__globals__, {n: item.__globals__[n] for n in read}))
        elif isinstance(item, type):
            for name, value in vars(item).items():
                if isinstance(value, np.ndarray | float | list | dict):
                    self.attributes.append((item, name, value))
        elif not isinstance(item, ModuleType):
            if isinstance(getattr(item, "__dict__", None), dict):
                self.dicts.append((vars(item), dict(vars(item))))
            for base in type(item).__mro__:
                for name in np.atleast_1d(getattr(base, "__slots__", ())).tolist():
                    if hasattr(item, name):
                        self.attributes.append((item, name, getattr(item, name)))

    def restore(self) -> None:
        """Put everything back."""
        for array, copy in self.arrays:
            array[...] = copy
        for held, items in self.lists:
            held[:] = items
        for mapping, copied in self.dicts:
            if list(mapping) != list(copied):
                mapping.clear()
            mapping.update(copied)
        for names, copied in self.names:
            names.update(copied)
        for thing, name, value in self.attributes:
            if getattr(thing, name, None) is not value:
                setattr(thing, name, value)
        for cell, value in self.cells:
            cell.cell_contents = value
        for generator, state in self.generators:
            _set_state(generator, state)
        if self.random is not None:
            random.setstate(self.random)
        if self.legacy is not None:
            np.random.set_state(self.legacy)

    def narrowed(self) -> "Snapshot":
        """Of what has changed since, for runs that change the same again."""
        new = object.__new__(Snapshot)
        new.arrays = [(a, c) for a, c in self.arrays if not np.array_equal(a, c, equal_nan=True)]
        new.lists = [(held, items) for held, items in self.lists if not _same(held, items)]
        new.dicts = [
            (m, c)
            for m, c in self.dicts
            if list(m) != list(c) or any(m[key] is not value for key, value in c.items())
        ]
        new.names = [
            (m, changed)
            for m, c in self.names
            if (changed := {k: v for k, v in c.items() if m.get(k) is not v})
        ]
        new.attributes = [(t, n, v) for t, n, v in self.attributes if getattr(t, n, None) is not v]
        new.cells = [(c, v) for c, v in self.cells if not any(x is v for x in contents(c))]
        new.generators = self.generators
        new.random = None if random.getstate() == self.random else self.random
        now = np.random.get_state(legacy=False)
        kept = {**now, "state": dict(now["state"])}
        same = repr(kept) == repr(self.legacy) and np.array_equal(
            now["state"]["key"], self.legacy["state"]["key"]
        )
        new.legacy = None if same else self.legacy
        return new


def _same(held: list[Any], items: list[Any]) -> bool:
    return len(held) == len(items) and all(a is b for a, b in zip(held, items, strict=True))


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)
