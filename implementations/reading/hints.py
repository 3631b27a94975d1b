"""Hints: lines of a file that say how it is meant.

    # samegrad: net = Network([4, 5, 3])
    # samegrad: loss = net.cost(X, y)
    # samegrad: backward = net.backprop(X, y)
    # samegrad: X = columns
    # samegrad: y = one-hot

The same on the command line, where it takes precedence: --hint "loss = net.cost(X, y)". `net`,
`loss`, `backward`, `data` and `rate` are expressions over the file's names, X, y, data and net;
loss and backward also over `out`, what the forward pass gave. X and y are one of the words below or
expressions. `data` is (X, y), or is given as a tuple that begins with these. With loss and
backward, and whatever these name, nothing is guessed (`hinted`).
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from samegrad.implementations.contract.texts import UNPARSABLE

NAMES = ("net", "loss", "backward", "X", "y", "data", "rate")
NO_HINT = (
    "write hints over the file's own names, net, X, y and data, such as: loss = net.cost(X, y)"
)
X_WORDS = {
    "rows": "rows", "columns": "columns", "one": "one", "row": "one row", "column": "one column",
    "lists": "lists", "list": "one list",
}  # fmt: skip
Y_WORDS = {
    "one-hot": "same", "labels": "labels", "signs": "signs", "flat": "flat", "values": "same",
    "row": "label row", "column": "label column",
}  # fmt: skip
# Of `verify --help`, and of docs, which a test holds to it.
HELP = (
    f"NAME is {', '.join(n for n in NAMES if n not in 'Xy')} (expressions of X, y, data, net, out "
    f"and the file's names), X ({', '.join(X_WORDS)}, or an expression) or y "
    f"({', '.join(Y_WORDS)}, or an expression)"
)
MOST_SHOWN = 8  # names of what an object has
LINE = re.compile(r"#\s*samegrad:\s*(.+)")


@dataclass(frozen=True)
class Hints:
    """What hints pin: expressions, or words for X and y; "" where nothing is said."""

    net: str = ""
    loss: str = ""
    backward: str = ""
    X: str = ""
    y: str = ""
    data: str = ""
    rate: str = ""

    @property
    def x_form(self) -> str:
        """The form of X, or ""."""
        return X_WORDS.get(self.X, "")

    @property
    def y_form(self) -> str:
        """The form of y, or ""."""
        return Y_WORDS.get(self.y, "")


def in_source(source: str) -> list[str]:
    """The hints in the comments of a file."""
    return LINE.findall(source)


def parse(lines: Sequence[str]) -> Hints:
    """Hints from lines `NAME = VALUE`; of one name the last counts.

    Raises:
        ValueError: a line is no hint.
    """
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if name not in NAMES or not equals or not value:
            raise ValueError(
                f"hint {line!r} is not accepted{meant(name, NAMES)}; write NAME = VALUE with NAME "
                f"one of {', '.join(NAMES)}, such as: loss = net.cost(X, y)"
            )
        words = {"X": X_WORDS, "y": Y_WORDS}.get(name)
        if words is None or value not in words:
            try:
                compile(value, "hint", "eval")
            except UNPARSABLE:
                accepted = f", nor one of: {', '.join(words)}" if words else ""
                near = meant(value, words or ())
                said = f"hint {line!r}: {value!r} is no expression{accepted}{near}"
                raise ValueError(said) from None
        found[name] = value
    return Hints(**found)


def meant(name: str, known: Iterable[str]) -> str:
    """The question whether one of some names was meant, or ""."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


class FailedError(Exception):
    """A hint that cannot be evaluated."""


def failed(name: str, text: str, error: BaseException, known: Iterable[str] = ()) -> FailedError:
    """An error that names a hint, what came of it, and what may have been meant.

    Args:
        name: of the hint, with its expression as `text`.
        known: names that expressions may have.
    """
    missing, near = getattr(error, "name", None) or "", ""
    if isinstance(error, NameError):
        words = {"X": X_WORDS, "y": Y_WORDS}.get(name, {})
        near = meant(missing, [*words, *known])
        near += f"; {name} is an expression, or one of: {', '.join(words)}" if words else ""
    elif isinstance(error, AttributeError) and missing:
        called = f"{missing}(" in text
        there = [n for n in dir(error.obj) if not n.startswith("__")
                 and (not called or callable(getattr(error.obj, n, None)))]  # fmt: skip
        shown = f"; it has {', '.join(there[:MOST_SHOWN])}" if there else ""
        near = meant(missing, there) or shown
    said = " ".join(str(error).split())
    return FailedError(f"hint {name} = {text}: {type(error).__name__}: {said}{near}")
