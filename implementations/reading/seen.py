"""Calls of a reading as functions of the user's, which `check` looks into."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samegrad.implementations.reading.gradients import Backward
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.usage import returned_names

HERE = Path(__file__).parent  # functions of these files are not the user's


@dataclass
class Traced:
    """A call, and what of the user's its lines are sought in.

    Attributes:
        held: functions and objects, into which nothing else looks.
        wanted: whether lines are sought.
    """

    call: Callable[[], Any]
    held: tuple[Any, ...]
    wanted: bool = False

    def __call__(self) -> Any:
        """What the call gives."""
        return self.call()


def _file(function: Callable[..., Any]) -> str:
    inner = getattr(function, "__wrapped__", function)
    return getattr(getattr(inner, "__code__", None), "co_filename", "")


def _result(function: Callable[[], Any]) -> Any:
    return function()


def seen(function: Callable[[], Any], reading: Reading, more: Any = None) -> Callable[[], Any]:
    """The function as one of the user's, which closes over those of the user's that it calls.

    `check` then knows their constants, caches and generators, and names their lines.

    Args:
        more: what it closes over besides.
    """
    users = tuple(f for f in reading.users if _file(f) and Path(_file(f)).parent != HERE)
    # What of it is ours is not looked into: a method of an iterator closes over nothing.
    hidden: Callable[[], Any] = map(_result, itertools.repeat(function)).__next__
    if isinstance(reading.backward, Traced) and reading.backward.wanted:
        return replaying(hidden, reading.backward.held)
    if not users:
        return hidden
    source = "lambda call, functions, more: lambda: call() if functions else more"
    make = eval(compile(source, str(Path(_file(users[0])).parent / "<reading>"), "eval"), {})
    made: Callable[[], Any] = make(hidden, users, more)
    return made


def replaying(call: Callable[[], Any], held: tuple[Any, ...]) -> Callable[[], Any]:
    """A call with what of the user's its lines are sought in, for `lines_of`."""

    def again() -> Any:
        return call()

    again.looked_into = held  # type: ignore[attr-defined] # an attribute of ours
    return again


def by_name(backward: Callable[[], Any]) -> Callable[[], Any]:
    """A backward pass whose several results have the names that its `return` has for them.

    Of a db2 whose shape is not that of b2 only the name says what it is meant for.
    """
    called = returned_names(backward.function) if isinstance(backward, Backward) else []
    if len(called) < 2 or len(set(called)) < len(called) or not all(called):
        return backward

    def named() -> Any:
        returned = backward()
        several = isinstance(returned, tuple) and len(returned) == len(called)
        return dict(zip(called, returned, strict=True)) if several else returned

    return named
