"""The steps that a loop makes of its gradient: down it, of every weight, by one rate.

A script's gradient may be right in its variables, and what is made of it is not.
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import constants
from samegrad.implementations.checking.objects.names import pairs
from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport, Match
from samegrad.implementations.reading.compare import slopes_of
from samegrad.implementations.reading.effects import Place

Array = Any
Slopes = Mapping[str, tuple[Array, Array]]  # by the names of weights: entries, what was measured
SAME = 1e-5  # relative: of a step and a slope that are proportional, and of two rates that are one
FLAT = 1e-11  # the largest slope of what the loss does not depend on here
# Words of updates that are more than a rate times the gradient, entry by entry.
MORE = re.compile(
    r"momentum|velocit|nesterov|adam|rms_?prop|ada_?grad|ada_?delta|beta_?[12]\b|sqrt\(|clip"
    r"|clamp|minimum|maximum|norm\(|sign\(|mask|prun|where\("
)
BUILT_IN = {"zip", "range", "enumerate", "len", "list", "tuple", "float", "int", "sum", "reversed"}
FEW = 4  # entries, of which too few show what is besides a multiple
LONGEST = 60  # of a statement that is shown
BATCH = "batch size"


@dataclass(frozen=True)
class Applied:
    """What one turn of a loop does to its weights.

    Attributes:
        changes: gives what weights were and before - after, by their names.
        variables: gives what the turn computes with the weights as they were, by name.
        still: weights that no line changes, and on which the loss depends.
        grown: (shape, the one that a turn gives it) of weights, by the names of their variables.
        updates: the statements that change something by what it was, by its name.
        assigned: the last statement that gives a variable its value, by its name.
        filename: of these.
        sizes: what constants may be made of.
        numbers: that may be rates.
        rises: whether what is called the loss is one that is made larger.
        sometimes: whether there is an update that not every turn makes.
        summed: gives, for slopes, variables that add up gradients over turns, with whose.
        changed: whether gradients are made others before updates take them.
        diverges: says how the loss grows over turns, or "".
    """

    changes: Callable[[], Mapping[str, tuple[Array, Array]]]
    variables: Callable[[], Mapping[str, Any]]
    still: Sequence[Place]
    grown: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    updates: Mapping[str, Sequence[ast.stmt]]
    assigned: Mapping[str, ast.stmt]
    filename: str
    sizes: Mapping[str, int]
    numbers: Sequence[float]
    rises: bool
    sometimes: bool
    summed: Callable[[Slopes], Mapping[str, str]] = lambda _: {}
    changed: bool = False
    diverges: Callable[[], str] = str

    def turned(self, slopes: Slopes) -> bool:
        """Whether variables hold minus the gradients: the sign is lost before the update."""
        variables = self.variables()
        return any(_gradient_in(variables, n, *measured, -1) for n, measured in slopes.items())

    def decays(self, slopes: Slopes) -> bool:
        """Whether updates take off a share of weights beside the gradient."""
        return any(step.decays and step.off > SAME for step in steps_of(self, slopes)[0])

    @property
    def takes_off(self) -> bool:
        """Whether all updates are differences, as those of a gradient are."""
        weights = {root(name) for name in self.changes()}
        found = [s for name in weights for s in self.updates.get(name, ())]
        return bool(found) and all(_is_difference(s) for s in found)

    @property
    def free(self) -> bool:
        """Whether updates may well be more than a rate times the gradient."""
        statements = [s for found in self.updates.values() for s in found]
        calls = (n.func for s in statements for n in ast.walk(s) if isinstance(n, ast.Call))
        own = any(isinstance(f, ast.Name) and f.id not in BUILT_IN for f in calls)
        return self.changed or own or any(MORE.search(ast.unparse(s).lower()) for s in statements)

    @property
    def divides(self) -> bool:
        """Whether an update takes a square root, as those by averages of squares do."""
        statements = (s for found in self.updates.values() for s in found)
        return any("sqrt(" in ast.unparse(s) for s in statements)

    def line(self, name: str, said: str) -> str:
        """The one line that updates a weight, with what is said of it, or ""."""
        found = self.updates.get(root(name), ())
        if len(found) > 1:  # params['b1'] of net['params']['b1']
            own = re.sub(r"^net\['(\w+)'\]", r"\1", name)
            found = [s for s in found if own in map(ast.unparse, _targets(s))]
        return self.shown(found[0], said) if len(found) == 1 else ""

    def where(self, variable: str, said: str) -> str:
        """The line that gives a variable its value, with what is said of it, or ""."""
        found = self.assigned.get(variable)
        return "" if found is None else self.shown(found, said)

    def shown(self, statement: ast.stmt, said: str) -> str:
        """A statement by its line, with what is said of it."""
        text = " ".join(ast.unparse(statement).split())
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
        return f"{Path(self.filename).name}:{statement.lineno}: `{text}` {said}"


@dataclass(frozen=True)
class Fault:
    """What is wrong with the steps of one weight."""

    name: str
    said: str
    line: str = ""
    shape: tuple[int, ...] = ()
    gradient: str = ""


@dataclass(frozen=True)
class Step:
    """A change of a weight, as a multiple of the slopes: by `rate`, and by what is `off` that."""

    name: str
    rate: float
    off: float
    decays: bool
    entries: int


@dataclass
class Said:
    """What is to be said of steps."""

    faults: list[Fault]
    notes: list[Note]
    remarks: list[str]


def root(name: str) -> str:
    """The variable, or the attribute of self, at the root of a place: W of net['W'][0]."""
    found = re.match(r"net(?:\['self'\]\.(\w+)|\['(\w+)'\])", name)
    return (found[1] or found[2]) if found else ""


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AugAssign) else []


def _is_difference(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AugAssign):
        return isinstance(statement.op, ast.Sub)
    value = statement.value if isinstance(statement, ast.Assign) else None
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub)


def with_steps(
    report: CheckReport, applied: Applied, slopes: Slopes, loss: Callable[[], float]
) -> CheckReport:
    """A report on a gradient that is right, with what is to be said of the steps made of it."""
    said = _of_steps(applied, slopes, report.notes)
    for place in applied.still:
        _of_still(applied, place, loss, said)
    for variable, name in applied.summed(slopes).items():
        text = "adds up over turns: expected to start from zero in each"
        line = next((applied.shown(s, text) for s in applied.updates.get(root(variable), ())), "")
        said.faults.append(Fault(name, f"its gradient, {variable}, adds up over turns", line))
    for variable, (shape, other) in applied.grown.items():
        name, now = f"net['{variable}']", f"the shape {other}; it was {shape}"
        line = applied.line(name, f"gives {variable} {now}: expected a sum over the examples")
        said.faults.append(Fault(name, f"the update of {name} gives it {now}", line, shape))
    notes, remarks = (*report.notes, *said.notes), (*report.remarks, *said.remarks)
    if not said.faults:
        more = [applied.diverges()]
        return replace(report, notes=notes, remarks=(*remarks, *filter(None, more)))
    of = {fault.name: fault for fault in said.faults}
    matches = [
        replace(m, verdict=DISAGREES, reason=of[m.name].said) if m.name in of else m
        for m in report.matches
    ]
    there = {m.name for m in matches}
    matches += [
        Match(f.name, f.shape, f.gradient, verdict=DISAGREES, reason=f.said)
        for f in said.faults
        if f.name not in there
    ]
    lines = tuple(dict.fromkeys(f.line for f in sorted(said.faults, key=_number) if f.line))
    notes = tuple(n for n in notes if n.code != "factor")
    return replace(
        report, verdict=DISAGREES, matches=tuple(matches), lines=lines, notes=notes, remarks=remarks
    )


def _number(fault: Fault) -> int:
    return int((re.findall(r":(\d+): ", fault.line) or [0])[0])


def steps_of(applied: Applied, slopes: Slopes) -> tuple[list[Step], list[str]]:
    """The changes of weights, and the names of those that stay though the loss has slopes."""
    steps, waits = [], []
    changes = applied.changes()
    for name, (entries, measured) in slopes.items():
        held, change = changes.get(name, (None, None))
        if change is None or np.max(np.abs(measured), initial=0) < FLAT:
            continue
        if not np.any(change):
            waits.append(name)
        else:
            steps.append(_step(name, np.ravel(change)[entries], measured, np.ravel(held)[entries]))
    return steps, waits


def _of_steps(applied: Applied, slopes: Slopes, given: Sequence[Note]) -> Said:
    said = Said([], [], [])
    steps, waits = steps_of(applied, slopes)
    known = [s for s in steps if s.off <= SAME]
    usual = _usual(known)
    if usual is None:
        if any(not s.decays for s in steps):
            said.remarks.append("its steps are more than a rate times the gradient: not judged")
        return said
    if not applied.sometimes:
        said.notes += map(_unchanged, waits)
    for step in steps:
        _of_step(step, usual, applied, said, given)
    return said


def _of_step(step: Step, usual: float, applied: Applied, said: Said, given: Sequence[Note]) -> None:
    who = f"the update of {step.name}"
    if step.off > SAME and step.decays and any(n.code == "decay-in-update" for n in given):
        return
    if step.off > SAME and step.decays:
        said.notes.append(Note("decay-in-update", f"{who} takes off a share of it, too"))
    elif step.off > SAME and (applied.free or step.entries < FEW):
        said.remarks.append(f"{who} is more than a rate times its gradient: not judged")
    elif step.off > SAME:
        line = applied.line(step.name, "takes off something else than a rate times the gradient")
        said.faults.append(Fault(step.name, f"{who} is no rate times its gradient", line))
    elif step.rate * (usual if applied.rises else 1.0) < 0:
        way, other = ("up", "down") if step.rate < 0 else ("down", "up")
        line = applied.line(step.name, f"goes {way} the gradient; expected {other} it")
        said.faults.append(Fault(step.name, f"{who} goes {way} its gradient", line))
    elif not _same(abs(step.rate), abs(usual)):
        times = constants.named(abs(step.rate / usual), applied.sizes)
        if _is_rate(step, applied) and not (times == BATCH and _undivided(step, usual, applied)):
            return
        text = f"is {times or f'{abs(step.rate / usual):.4g}'} times that of others"
        if BATCH in times and not applied.free:
            said.faults.append(Fault(step.name, f"{who} {text}", applied.line(step.name, text)))
        else:
            said.notes.append(Note("rate", f"{who} {text}"))


def _is_rate(step: Step, applied: Applied) -> bool:
    return any(_same(abs(step.rate), n) for n in applied.numbers)


def _undivided(step: Step, usual: float, applied: Applied) -> bool:
    """Whether the rate of others is divided by the batch size, and that of a weight is not."""
    rates = (abs(usual), abs(step.rate) * applied.sizes[BATCH])  # of one each, in a file with two
    return not any(_same(rate, n) for rate in rates for n in applied.numbers)


def multiple(claimed: Array, measured: Array) -> tuple[float, float]:
    """How many times the slopes something is, and how far off that, relative to the largest."""
    rate = float(claimed @ measured / (measured @ measured))
    return rate, _off(claimed - rate * measured, rate, measured)


def _off(rest: Array, rate: float, measured: Array) -> float:
    return float(np.max(np.abs(rest))) / (abs(rate) * float(np.max(np.abs(measured))) or 1.0)


def _step(name: str, claimed: Array, measured: Array, held: Array | None = None) -> Step:
    """A change beside the slopes, and beside these and the weight: with decay, L2 or L1."""
    rate, off = multiple(claimed, measured)

    decays = False
    if held is not None and len(measured) >= FEW:
        columns = np.stack([measured, held, np.sign(held)][: len(measured) // 2], axis=1)
        found, *_ = np.linalg.lstsq(columns, claimed, rcond=None)
        decays = bool(found[0] > 0 and _off(claimed - columns @ found, rate, measured) <= SAME)
    return Step(name, rate, off, decays, len(measured))


def _usual(steps: Sequence[Step]) -> float | None:
    """The rate of most; of as many one way as another, the smaller: that of an average.

    Of one number any change is a rate times the slope: its rate is that of others, or none.
    """
    rates = [s.rate for s in steps if s.entries > 1] or [s.rate for s in steps]
    times = [(sum(_same(r, s.rate) for s in steps), -abs(r), r) for r in rates]
    return max(times)[-1] if times else None


def _same(a: float, b: float) -> bool:
    return constants.same(a, b, SAME)


def _unchanged(name: str) -> Note:
    return Note("not-updated", f"{name} changes the loss, and the loop never changes it")


def _of_still(applied: Applied, place: Place, loss: Callable[[], float], said: Said) -> None:
    """Of a weight that no line changes: forgotten, where a variable holds its gradient."""
    entries, measured = slopes_of(place, loss)
    if np.max(np.abs(measured), initial=0) < FLAT:
        return
    variable = _gradient_in(applied.variables(), place.name, entries, measured, 1)
    if not variable:
        said.notes.append(_unchanged(place.name))
        return
    text = f"{variable} is the gradient of {place.name}, and no line takes it off that"
    line = applied.where(variable, f"is used by no update: {root(place.name)} stays as it is")
    shape = np.shape(place.read())
    said.faults.append(Fault(place.name, text, line, shape, variable))


def _gradient_in(
    variables: Mapping[str, Any], name: str, entries: Array, measured: Array, sign: int
) -> str:
    """The variable, by name and value, that holds so much times the gradient of a weight, or ""."""
    if len(measured) < 2 or np.max(np.abs(measured), initial=0) < FLAT:
        return ""
    for variable, value in variables.items():
        if not pairs([root(name)], variable) or not isinstance(value, np.ndarray | list):
            continue
        try:
            value = np.asarray(value)
        except ValueError:  # lists of several lengths
            continue
        if value.dtype.kind != "f" or np.size(value) <= int(np.max(entries)):
            continue
        step = _step(name, np.ravel(value)[entries], measured)
        if step.off <= SAME and step.rate * sign > 0:
            return variable
    return ""
