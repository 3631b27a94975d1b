"""Steps that one call makes for each example of a batch: their sum is no gradient at one point."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import Form, Plan
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.loops import Loop
from samegrad.implementations.reading.trials import Trial
from samegrad.implementations.reading.turns import Script

Array = Any
SMALLER = 16.0  # rate, at which one step changes as much less
SAME = 1e-6  # of changes over their rates, by which steps in a row differ more


def one_by_one(
    step: Callable[[], Mapping[str, Array]], kind: str, plan: Plan, trial: Trial
) -> bool:
    """Whether what a step changes is no multiple of its rate, but is one with one example alone.

    A fault such as weights that are used after their update shows with one example as well.

    Args:
        step: gives what one call changes, of all weights.
        kind: "step", or another one, which makes none.
        plan: of the arguments of the call.
        trial: has the data and the rate; it remembers what was found.
    """
    values, form = trial.board.values, trial.form
    batch = not form.x.startswith("one") and values["n"] > 1
    if kind != "step" or not batch or all(key != "lr" for _, key in plan):
        return False
    held = dict(values)

    def straight() -> bool:
        values["lr"] = held["lr"]
        first = step()
        values["lr"] = held["lr"] / SMALLER
        return all(
            np.allclose(SMALLER * other, first[name], SAME, SAME * np.max(np.abs(first[name])))
            for name, other in step().items()
        )

    try:
        if straight():
            return False
        for key in ("X", "y", "#Y"):
            values[key] = _first(held[key], form)
        values["n"] = 1
        trial.singly.append(straight())
        return trial.singly[-1]
    except (Exception, SystemExit):  # it does not run with one example
        return False
    finally:
        values.clear()
        values.update(held)


def _first(data: Any, form: Form) -> Any:
    """The first example of some data."""
    return data[:, :1] if form.x == "columns" and np.ndim(data) == 2 else data[:1]


def first_alone(script: Script) -> Loop | None:
    """The loop of a method with one example, where steps that it calls follow each other; or None.

    What a turn says of several is then no loss at one point, and its change no gradient of it.
    """
    given, net = script.loop.given, script.weights.get("self")
    data = {k: v for k, v in given.items() if names.role(k) in ("X", "y") and np.ndim(v)}
    if net is None or not data or any(len(v) < 2 for v in data.values()):
        return None
    if not _chained(script, net):
        return None
    return replace(script.loop, given={**given, **{k: v[:1] for k, v in data.items()}})


def _chained(script: Script, net: Any) -> bool:
    """Whether what a turn changes is no multiple of its rate."""
    held = {"net": vars(net), "given": script.base}
    rates = [(space, name) for space in held.values() for name, value in space.items()
             if names.role(name) == "lr" and type(value) is float]  # fmt: skip
    changes = []
    for factor in (1.0, 1 / SMALLER) if rates else ():
        before = [(space, name, space[name]) for space, name in rates]
        for space, name, rate in before:
            space[name] = rate * factor
        try:
            after = {p.name: p.read() for p in places(script.turn(False)["self"], "")}
        finally:
            for space, name, rate in before:
                space[name] = rate
        old = {p.name: p.read() for p in places(net, "")}
        changes.append({n: (v - old[n]) / factor for n, v in after.items()
                        if n in old and np.shape(old[n]) == np.shape(v)})  # fmt: skip
    if len(changes) < 2:
        return False
    first, second = changes
    return not all(
        np.allclose(second[n], first[n], SAME, SAME * np.max(np.abs(first[n]), initial=0))
        for n in first
        if n in second and names.role(n.rpartition(".")[2]) != "lr"
    )
