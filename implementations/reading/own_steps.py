"""Steps that a class or functions make of a gradient that is right: each is called once.

It changes weights, or returns new ones as functions of JAX do. One whose changes are a rate times
the gradient is judged as those of loops are; of another, and of what trains for long, it is said
that it was not.
"""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.checking.objects.report import CheckReport
from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.implementations.reading import names
from samegrad.implementations.reading.applied import SAME, Applied, Step, steps_of, with_steps
from samegrad.implementations.reading.board import RATE, plans
from samegrad.implementations.reading.gradients import (
    Backward,
    Change,
    NewParameters,
    is_new,
    is_step,
)
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.seen import seen
from samegrad.implementations.reading.trials import Trial

MOST_WAYS = 3  # to call one
ONCE = "one call takes a rate times the gradient off the weights"
NOT_RUN = "its steps were not checked, only its gradient"
Changed = Change | NewParameters  # a step, as what it changes
BY_JAX = "jax.grad"  # in the key of a reading
# Parameters of what makes many steps, or draws batches of its own.
LONG = ("epoch", "iter", "batch_size", "num_steps", "n_steps", "tol")


def with_own_steps(report: CheckReport, reading: Reading) -> CheckReport:
    """A report on a gradient that is right, with what is to be said of steps that are there."""
    trial = reading.trial
    first = reading.backward if isinstance(reading.backward, Backward) else None
    if trial is None or reading.step or not (first or BY_JAX in reading.key):
        return report
    unknown, right, waits = [], [], list[set[str]]()
    for name, function in trial.network.functions.items():
        if not names.STEP.fullmatch(name) or names.BACKWARD.match(name):
            continue
        made = None
        if _is_short(function):
            made = next(_changes(reading, name, function, first), None)
        applied = None if made is None else _applied(reading, function, made[0])
        steps, left = ([], []) if applied is None else steps_of(applied, reading.slopes)
        if applied is None or not steps or any(s.off > SAME and not s.decays for s in steps):
            unknown.append(name)
        else:
            report = with_steps(report, applied, reading.slopes, reading.loss)
            if report.disagrees and made is not None:
                lines = report.lines or _lines(reading, steps, made[1])
                said = f"{name} was called once: {report.reason}"
                return replace(report, lines=lines, said=said)
            right.append(name)
            waits.append(set(left))
    left = sorted(set.intersection(*waits)) if waits and not unknown else []
    report = replace(report, notes=(*report.notes, *_unchanged(left, right, report, trial)))
    remarks = [*report.remarks]
    remarks += [f"{ONCE}: {', '.join(right)}"] if right else []
    remarks += [f"{NOT_RUN}: {', '.join(unknown)}"] if unknown else []
    return replace(report, remarks=tuple(remarks))


def _lines(reading: Reading, steps: Sequence[Step], change: Changed) -> tuple[str, ...]:
    """The lines of a step that is wrong, as `check` names them."""
    rate = float(np.median([abs(step.rate) for step in steps]))
    backward = seen(replace(change, rate=rate), reading)
    loss = seen(reading.loss, reading)
    return check(reading.net, loss, backward, reading.changeable).lines


def _unchanged(
    left: Sequence[str], steps: Sequence[str], report: CheckReport, trial: Trial
) -> Iterator[Note]:
    """Notes on weights that no step changes, nor another function by the name that they have."""
    others = [f for n, f in trial.network.functions.items() if n not in steps]
    texts = [_source(f) for f in others if not names.INIT.match(f.__name__)]
    for name in left:
        variable = re.findall(r"[A-Za-z_]\w*", name)[-1]
        set_to = re.compile(rf"\b{variable}\b['\"\\]]*(?:\[.*\])? *[-+*]?=(?!=)")
        noted = any(name in note.text for note in report.notes)
        if not noted and not any(map(set_to.search, texts)):
            said = f"{name} changes the loss, and {' and '.join(steps)} leaves it as it is"
            yield Note("not-updated", said)


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def _is_short(function: Callable[..., Any]) -> bool:
    """Whether a function makes one step, by its parameters and its text."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        given = inspect.signature(function).parameters
    except (OSError, TypeError, ValueError, *UNPARSABLE):
        return False
    long = any(word in name.lower() for name in given for word in LONG)
    return not long and not any(isinstance(node, ast.While) for node in ast.walk(tree))


def _changes(
    reading: Reading, name: str, function: Callable[..., Any], first: Backward | None
) -> Iterator[tuple[dict[str, tuple[Any, Any]], Changed]]:
    """What weights were and before - after, by name, of ways to call a step that run; and these."""
    trial, net = reading.trial, reading.net
    assert trial is not None
    outs = ["out"] if trial.outs else []
    for plan in itertools.islice(plans(function, trial.board, outs, "step"), MOST_WAYS):
        step = Backward(trial, function, name, plan, first)
        change: Changed = Change(step, reading.parameters, net, 1.0)
        if not is_step(step, reading.parameters, net):
            change = NewParameters(step, trial, 1.0)
            if not _gives_new(step):
                continue
        yield _by_name(reading, change()), change


def _by_name(reading: Reading, changed: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    held = {p.name: p.read() for p in reading.parameters}
    return {n: (held[n], changed[f"d {n}"]) for n in held if f"d {n}" in changed}


def _gives_new(step: Backward) -> bool:
    """Whether a step runs and returns new weights, and changes none."""
    try:
        return is_new(step, step.trial)
    except (Exception, SystemExit):
        return False


def _applied(
    reading: Reading, function: Callable[..., Any], changes: dict[str, tuple[Any, Any]]
) -> Applied:
    held = getattr(reading.net, "__dict__", {}).values()
    defaults = [p.default for p in inspect.signature(function).parameters.values()]
    numbers = [v for v in (RATE, *held, *defaults) if type(v) is float and v > 0]
    return Applied(
        changes=lambda: changes,
        variables=dict,
        still=(),
        grown={},
        updates={},
        assigned={},
        filename="",
        sizes={"batch size": reading.examples} if reading.examples > 1 else {},
        numbers=numbers,
        rises=bool(names.RISING.fullmatch(names.plain(reading.loss_name))),
        sometimes=True,  # another function may well update what this one leaves
    )
