"""Gradients that add up over the turns of a loop: nothing sets their sums to zero in between.

The first turn is right. What shows the fault is that a turn adds the gradient to whatever a
variable holds, and takes all of that off the weights, as far as it takes off the gradient.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.reading.applied import FLAT, SAME, Slopes, multiple, root
from samegrad.implementations.reading.effects import Place, places
from samegrad.implementations.reading.loops import updates
from samegrad.implementations.reading.turns import Script

Array = Any
Values = dict[str, Array]
EXACT = 1e-9  # relative to the largest: of what is added again


def summed(script: Script, found: Sequence[Place], slopes: Slopes) -> dict[str, str]:
    """Variables to which each turn adds the gradient of a weight, with this, by their names.

    A sum of squares, a table of the last gradients and an average are none: what a turn adds to
    these, or takes off for them, is another number.
    """
    weights = script.weights
    script.weights = {**weights, **_numbers(script)}
    try:
        return _summed(script, {p.name for p in found}, slopes)
    finally:
        script.weights = weights


def _numbers(script: Script) -> Mapping[str, Array]:
    """Plain numbers that a turn changes, or to which it adds arrays."""
    after = script.turn()
    numbers = {}
    for name, value in script.base.items():
        new = after.get(name)
        if type(value) not in (int, float) or name in script.weights:
            continue
        if isinstance(new, np.ndarray) and new.dtype.kind == "f" and value == 0:
            numbers[name] = np.zeros(new.shape)
        elif type(value) is float and isinstance(new, float) and new != value:
            numbers[name] = np.array(value)
    return numbers


def _summed(script: Script, weights: set[str], slopes: Slopes) -> dict[str, str]:
    kept = [p for p in places(script.weights, "net") if p.name not in weights]
    before = {p.name: p.read() for p in places(script.weights, "net")}
    rng = np.random.default_rng(0)
    more = {p.name: rng.normal(0, 1, np.shape(before[p.name])) for p in kept}
    after = _after(script)
    try:
        moved = []
        for times in (1, 2):  # what is taken off for twice as much is so, too
            for p in kept:
                p.write(before[p.name] + times * more[p.name])
            moved.append(_after(script))
    finally:
        for p in kept:
            p.write(before[p.name])
    changed = updates(script.loop)
    sums = {}
    for name, added in more.items():
        change = after.get(name, before[name]) - before[name]
        if not all(
            name in m
            and np.shape(m[name]) == np.shape(added)
            and _alike(m[name] - before[name] - times * added, change)
            for times, m in enumerate(moved, 1)
        ):
            continue
        for weight, (entries, measured) in slopes.items():
            if weight not in after or root(weight) not in changed:
                continue
            if np.shape(before[weight]) != np.shape(added):
                continue
            if np.max(np.abs(measured), initial=0) < FLAT:
                continue
            taken = before[weight] - after[weight]
            sum_of, step = (multiple(np.ravel(v)[entries], measured) for v in (change, taken))
            if sum_of[0] == 0 or max(sum_of[1], step[1]) > SAME:
                continue
            shifts = [after[weight] - m[weight] for m in moved]
            rate = step[0] / sum_of[0]
            if all(_alike(s, rate * n * added, SAME) for n, s in enumerate(shifts, 1)):
                sums[name] = weight
    return sums


def _after(script: Script) -> Values:
    space = script.turn()
    return {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}


def _alike(one: Array, other: Array, bound: float = EXACT) -> bool:
    largest = np.max(np.abs(other), initial=0)
    return bool(largest > 0 and np.max(np.abs(one - other)) <= bound * largest)
