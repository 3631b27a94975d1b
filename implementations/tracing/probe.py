"""The probe of a traced run: values are recorded, or some of them changed on their way."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.tracing.sites import Site

Array = Any
MOST_EVENTS = 30_000  # of a run; a longer one is not explained
MOST_VALUES = 5_000_000  # numbers kept of a run (40 MB)
OFF, RECORDS, CHANGES = range(3)
Change = Callable[[Array], Array | None]  # a value -> what takes its place, or None


@dataclass(frozen=True, eq=False)
class Event:
    """A value that an expression had.

    Attributes:
        index: its place in the order of execution.
        site: the number of the expression.
        occurrence: how many values the expression had before.
        array: a copy of the value.
        value: the object itself.
    """

    index: int
    site: int
    occurrence: int
    array: Array
    value: Any


class Probe:
    """What the code of a traced function calls: probe(site, value) -> value."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sites = sites
        self.mode = OFF
        self.counts: dict[int, int] = {}
        self.changes: Mapping[int, Mapping[int, Change]] = {}
        self.events: list[Event] = []
        self.room = MOST_VALUES
        self.full = False

    def __call__(self, site: int, value: Any) -> Any:
        """The value, or what takes its place."""
        if self.mode == OFF:
            return value
        if self.mode == CHANGES:
            changes = self.changes.get(site)
            if changes is None:
                return value
            occurrence = self.counts.get(site, 0)
            self.counts[site] = occurrence + 1
            change = changes.get(occurrence)
            return value if change is None else self._changed(site, value, change)
        occurrence = self.counts.get(site, 0)
        self.counts[site] = occurrence + 1
        known = self.changes.get(site, {}).get(occurrence)
        value = value if known is None else self._changed(site, value, known)
        array = as_array(value)
        if array is not None and not self.full:
            self.room -= array.size
            if len(self.events) >= MOST_EVENTS or self.room < 0:
                self.full = True
            else:
                event = Event(len(self.events), site, occurrence, np.array(array), value)
                self.events.append(event)
        return value

    def _changed(self, site: int, value: Any, change: Change) -> Any:
        array = as_array(value)
        new = None if array is None else change(array)
        if new is None:
            return value
        if self.sites[site].kind == "stored":  # others may hold the same object
            if isinstance(value, np.ndarray) and value.shape == np.shape(new):
                value[...] = new
                return value
            if type(value).__name__ == "Tensor" and tuple(value.shape) == np.shape(new):
                value.copy_(like(value, new))
                return value
            if isinstance(value, list) and np.ndim(new):
                value[:] = np.asarray(new).tolist()
                return value
        return like(value, new)


def as_array(value: Any) -> Array | None:
    """A number, array, or nested list of numbers as an array; None for anything else."""
    kind = type(value)
    if kind is np.ndarray or (isinstance(value, np.ndarray) and kind.__name__ == "matrix"):
        return value if value.dtype.kind in "fiub" and value.size else None
    if kind is float or isinstance(value, np.floating):
        return np.asarray(value)
    if kind.__name__ == "Tensor" and kind.__module__ == "torch" and value.device.type == "cpu":
        return as_array(value.detach().numpy())
    if kind.__name__ == "ArrayImpl" and kind.__module__.startswith("jax"):
        return as_array(np.asarray(value))
    if kind in (list, tuple) and value and _floats(value):
        try:
            return np.array(value, np.float64)
        except (TypeError, ValueError):
            return None
    return None


def _floats(value: Any) -> bool:
    first = value[0]
    if type(first) is list:
        width = len(first)
        return bool(first) and all(
            type(row) is list and len(row) == width and _floats(row) for row in value
        )
    return all(type(x) in (float, int, np.float64, np.float32) for x in value) and any(
        type(x) is not int for x in value
    )


def like(value: Any, array: Array) -> Any:
    """An array in the form of a value: a list for a list, a float for a float."""
    if isinstance(value, np.ndarray):
        kind = value.dtype if value.dtype.kind == "f" else None
        return np.array(array, kind)
    if type(value).__name__ == "Tensor":
        return value.new_tensor(np.asarray(array).tolist())
    if type(value).__name__ == "ArrayImpl":
        return sys.modules["jax"].numpy.asarray(array, value.dtype)
    if isinstance(value, float) and np.ndim(array) == 0:
        return type(value)(array)
    if isinstance(value, list | tuple):
        return type(value)(np.asarray(array).tolist())
    return np.array(array)


def _eager() -> AbstractContextManager[Any]:
    """What JAX compiles is run line by line, with values."""
    jax: Any = sys.modules.get("jax")
    return jax.disable_jit() if getattr(jax, "__file__", None) else nullcontext()


class Tracer:
    """The user's functions, run with and without probes.

    Args:
        probe: what their code calls.
        codes: the code of each with probes.
    """

    def __init__(self, probe: Probe, codes: Mapping[FunctionType, CodeType]) -> None:
        self.probe, self.codes = probe, codes

    @contextmanager
    def _traced(self, mode: int) -> Any:
        probe = self.probe
        plain = {function: function.__code__ for function in self.codes}
        probe.counts = {}
        try:
            for function, code in self.codes.items():
                function.__code__ = code
            probe.mode = mode
            with _eager():
                yield
        finally:
            probe.mode = OFF
            for function, code in plain.items():
                function.__code__ = code

    def record(
        self, run: Callable[[], Any], changes: Mapping[int, Mapping[int, Change]] | None = None
    ) -> tuple[Any, list[Event]]:
        """What a run gives, and its events, with some values changed.

        Raises:
            OverflowError: it has too many.
        """
        self.probe.events, self.probe.room, self.probe.full = [], MOST_VALUES, False
        self.probe.changes = changes or {}
        with self._traced(RECORDS):
            result = run()
        if self.probe.full:
            raise OverflowError
        return result, self.probe.events

    def change(self, run: Callable[[], Any], changes: Mapping[int, Mapping[int, Change]]) -> Any:
        """What a run gives with some values changed: {site: {occurrence: change}}."""
        self.probe.changes = changes
        with self._traced(CHANGES):
            return run()
