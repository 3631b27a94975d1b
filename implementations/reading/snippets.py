"""A fault of a file in nobody's dialect as lines of Python: both gradients, side by side.

They make the network by the file's own class or function, give it the weights and the data of the
reading, and call what the file has. What they print is looked at before they are given: of a
reading that they do not say in full there are none.
"""

import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading.board import RATE, Plan
from samegrad.implementations.reading.compare import candidates
from samegrad.implementations.reading.found import Found
from samegrad.implementations.reading.gradients import Backward, Change
from samegrad.implementations.reading.objectives import OwnLoss
from samegrad.implementations.reading.usage import returned_names

Array = Any
FEW_NUMBERS = 60  # of an array that is written out
MOST_NUMBERS = 400  # of targets
DIGITS = 3  # of weights and data: a fault shows at any
STEP = 1e-5
OFF = 1e-3  # relative: by what two gradients must differ
MADE = re.compile(r"(?:class |functions, )(\w+\(.*\))")
NUMBERS = {"n", "k", "lr"}
SHAPES = re.compile(r"gradient of shape (.*), the parameter's (.*)")
PRINTED = re.compile(r"gradient (\S+), slope of the loss (\S+)")


class UnsaidError(Exception):
    """Something that has no text."""


def snippet(found: Found, report: CheckReport) -> str:
    """Lines that show the first gradient of a reading that is wrong; "" where there are none.

    Args:
        report: what `check` says of the reading.
    """
    wrong = [m for m in report.matches if m.verdict == DISAGREES and m.gradient]
    try:
        for match in wrong:
            text = _Text(found, match.name, match.gradient, " has shape " in match.reason)
            lines = text.lines()
            if lines and _shows(lines, text.space):
                return lines
    except (UnsaidError, Exception, SystemExit):
        return ""
    return ""


def _shows(lines: str, space: dict[str, Any]) -> bool:
    """Whether lines print two numbers that are not the same."""
    body = "\n".join(line for line in lines.splitlines() if not line.startswith("from "))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(body, "<snippet>", "exec"), {**space, "np": np})
    if shapes := SHAPES.search(printed.getvalue()):
        return shapes[1] != shapes[2]
    found = PRINTED.search(printed.getvalue())
    if found is None:
        return False
    given, slope = map(float, found.groups())
    return not abs(given - slope) <= OFF * max(abs(given), abs(slope), 1e-9)


@dataclass
class _Text:
    """The text of a reading.

    Attributes:
        parameter, gradient: the names of a match.
        shaped: whether its gradient is of another shape.
    """

    found: Found
    parameter: str
    gradient: str
    shaped: bool = False

    def __post_init__(self) -> None:
        reading = self.found.reading
        backward, loss = reading.backward, reading.loss
        if isinstance(backward, Change):
            backward = backward.step
        if not isinstance(backward, Backward) or not isinstance(loss, OwnLoss):
            raise UnsaidError
        if loss.value is not None or backward.first is not None or reading.trial is None:
            raise UnsaidError
        self.backward, self.loss, self.trial = backward, loss, reading.trial
        self.step = backward is not reading.backward
        self.space: dict[str, Any] = getattr(backward.function, "__globals__", {})

    def lines(self) -> str:
        """All of it."""
        made = MADE.match(self.trial.network.title)
        if made is None or self.trial.network.held:
            raise UnsaidError
        weights = [(p.name, np.round(p.read(), DIGITS)) for p in self.found.reading.parameters]
        X, y = (self.trial.board.values[key] for key in ("X", "y"))
        if np.size(y) > MOST_NUMBERS:
            raise UnsaidError
        X = np.round(X, DIGITS) if isinstance(X, np.ndarray) else X
        place = self.parameter
        file = Path(self.backward.function.__code__.co_filename)
        names = sorted({made[1].partition("(")[0], *self._functions()})
        text = [
            "import numpy as np",
            f"from {file.stem} import {', '.join(names)}",
            "",
            f"net = {made[1]}",
            *(f"{name}[...] = {_numbers(values)}" for name, values in weights),
            f"X = {_data(X)}",
            f"y = {_data(y)}",
            "",
            "",
            "def loss():",
            *self._forward(self.loss.out),
            f"    return {self._call(self.loss.function, self.loss.plan)}",
            "",
            "",
            "def gradient():",
            *self._forward(self.trial.outs[0] if self.trial.outs else ""),
            *self._gradient(place),
            "",
            "",
        ]
        return "\n".join([*text, *(self._shapes() if self.shaped else self._slopes(dict(weights)))])

    def _shapes(self) -> list[str]:
        """Of a gradient of another shape."""
        shapes = f"{{np.shape(gradient())}}, the parameter's {{np.shape({self.parameter})}}"
        return [f'print(f"gradient of shape {shapes}")']

    def _slopes(self, weights: dict[str, Array]) -> list[str]:
        place, index = self._entry(weights)
        entry = f"{place}[{', '.join(map(str, index))}]" if index else place
        at = f"[{', '.join(map(str, index))}]" if index else ""
        return [
            f"old, step = float({entry}), {STEP}",
            f"{entry} = old + step",
            "above = loss()",
            f"{entry} = old - step",
            "below = loss()",
            f"{entry} = old",
            "slope = (above - below) / (2 * step)",
            f"given = np.reshape(gradient(), np.shape({place})){at}",
            'print(f"gradient {float(given):.6g}, slope of the loss {float(slope):.6g}")',
        ]

    def _entry(self, weights: dict[str, Array]) -> tuple[str, tuple[int, ...]]:
        """The parameter, and the entry of it that is off most."""
        reading, name = self.found.reading, self.parameter
        entries, slopes = reading.slopes[name]
        source = next(m.source for m in self.found.compared.matches if m.name == name)
        reading.loss()
        pool = dict(candidates(reading.parameters, reading.backward(), reading.net, reading.data))
        values = pool[source] if source in pool else pool[source.removesuffix(".T")].T
        off = np.abs(np.ravel(values)[entries] - slopes) if np.size(values) > 1 else np.abs(slopes)
        best = int(entries[int(np.argmax(off))])
        return name, tuple(int(i) for i in np.unravel_index(best, weights[name].shape))

    def _gradient(self, place: str) -> list[str]:
        call = self._call(self.backward.function, self.backward.plan)
        if self.step:
            rate = self.found.reading.backward.rate  # type: ignore[attr-defined] # of a Change
            return [
                f"    before = np.copy({place})", f"    {call}",
                f"    return (before - {place}) / {rate:g}",
            ]  # fmt: skip
        source = self.gradient.removesuffix(".T")
        turned = ".T" if source != self.gradient else ""
        named = re.fullmatch(r"returned\['(\w+)'\](.*)", source)
        called = returned_names(self.backward.function)
        if named and named[1] in called and len(called) > 1:
            source = f"returned[{called.index(named[1])}]{named[2]}"
        if source.startswith("returned"):
            return [f"    returned = {call}", f"    return np.array({source}){turned}"]
        return [f"    {call}", f"    return np.array({source}){turned}"]

    def _forward(self, out: str) -> list[str]:
        """The forward pass, and the outputs by their key."""
        kept = [f"    net.{a} = {role}" for a, role in self.trial.network.kept.items()]
        if self.trial.function is None:
            return kept
        lines = [*kept, f"    passed = {self._call(self.trial.function, self.trial.plan)}"]
        return [*lines, f"    out = {self._out(out)}"] if out else lines

    def _functions(self) -> list[str]:
        """The file's functions that are called by their own names."""
        called = [self.loss.function, self.backward.function, self.trial.function]
        return [f.__name__ for f in called if f is not None and not hasattr(f, "__self__")]

    def _call(self, function: Callable[..., Any], plan: Plan) -> str:
        name = function.__name__
        name = f"net.{name}" if hasattr(function, "__self__") else name
        given = (
            self._value(key) if n.startswith("*") else f"{n}={self._value(key)}" for n, key in plan
        )
        return f"{name}({', '.join(given)})"

    def _value(self, key: str) -> str:
        board, net = self.trial.board, self.trial.network.net
        if key in ("X", "y", "out"):
            return key
        if key in ("params", "net"):
            return "net"
        if key in NUMBERS or (key.startswith(("=", "#")) and key != "#Y"):
            value = RATE if key == "lr" else board[key]
            if isinstance(value, int | float):
                return repr(value)
        if key.startswith(("returned", "@")):
            return self._out(key)
        if isinstance(net, dict) and key in net:
            return f"net[{key!r}]"
        raise UnsaidError

    def _out(self, key: str) -> str:
        if key.startswith("."):
            return f"net{key}"
        if key.startswith("returned"):
            return f"passed{key.removeprefix('returned')}"
        called, returned = self.trial.called, self.trial.board.returned
        parts = returned if isinstance(returned, tuple) else (returned,)
        for number, part in enumerate(parts):
            at = f"passed[{number}]" if isinstance(returned, tuple) else "passed"
            if number < len(called) and called[number] == key[1:]:
                return at
            if isinstance(part, dict) and key[1:] in part:
                return f"{at}[{key[1:]!r}]"
        raise UnsaidError


def _numbers(values: Array) -> str:
    """An array as lists, or as others of its shape: what they show is looked at."""
    if values.size <= FEW_NUMBERS or values.dtype.kind != "f" or not np.any(values % 1):
        return str(values.tolist())
    return f"np.random.default_rng({values.size}).normal(0, 0.5, {values.shape})"


def _data(value: Any) -> str:
    """Data as an expression."""
    if isinstance(value, np.ndarray):
        text = _numbers(value)
        return text if text.startswith("np.") else f"np.array({text})"
    if isinstance(value, int | float | list):
        return repr(value)
    raise UnsaidError
