"""Parameters by effect: what changes the loss when it is changed, and is neither data nor cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects import names
from samegrad.implementations.checking.objects.calls import Calls, Stopped
from samegrad.implementations.checking.objects.other_data import OtherData
from samegrad.implementations.contract.texts import described
from samegrad.implementations.state.leaves import Leaf, NumberLeaf
from samegrad.implementations.state.reach import Reached

Array = Any
MOST_LEAVES = 400  # tried one after the other, those with the shortest paths first
# By how much an array is changed to see whether the loss follows: a little, and where a unit is
# dead or a number is compared with, a lot. Relative to its largest entry, or to 1.
CHANGES = (1e-3, 0.5)
# A loss over several examples follows it where a step is made after each.
RATES = {"lr", "learning_rate", "learningrate", "learn_rate", "step_size"}


@dataclass
class Found:
    """The leaves that the loss depends on.

    Attributes:
        parameters: float arrays and numbers.
        data: names of what was taken for data.
    """

    parameters: list[Leaf]
    data: list[str]


def find(calls: Calls, leaves: Sequence[Leaf], data: OtherData, here: float, seed: int) -> Found:
    """The leaves among these that change the loss."""
    rng = np.random.default_rng(seed)
    found = Found([], [])
    near = sorted(leaves, key=lambda leaf: leaf.name.count(".") + leaf.name.count("["))
    near = [leaf for leaf in near[:MOST_LEAVES] if leaf.size and not _is_rate(leaf)]
    known = [leaf for leaf in near if changes(calls, leaf, here, rng)]
    known += _asleep(calls, [leaf for leaf in near if leaf not in known], rng)
    for leaf in sorted(known, key=leaves.index):
        if data.shares(leaf):
            found.data.append(leaf.name)
        else:
            found.parameters.append(leaf)
    return found


def _asleep(calls: Calls, leaves: Sequence[Leaf], rng: Any) -> list[Leaf]:
    """Leaves that change the loss only where others are not 0: weights that are all 0."""
    zeros = [leaf for leaf in leaves if leaf.size > 1 and not leaf.read().any()]
    if not zeros:
        return []
    try:
        for leaf in zeros:
            leaf.write(0.1 * rng.normal(size=leaf.shape))
        here = calls.loss()
        return [leaf for leaf in leaves if changes(calls, leaf, here, rng)]
    except Exception:  # what cannot be changed is nothing to check
        return []
    finally:
        for leaf in zeros:
            _back(leaf, np.zeros(leaf.shape))


def changes(calls: Calls, leaf: Leaf, here: float, rng: Any) -> bool:
    """Whether the loss follows a leaf, and does not write it itself."""
    before = leaf.read()
    size = max(float(np.max(np.abs(before), initial=0.0)), 1e-2)
    if not np.isfinite(before).all():
        return False
    for change in CHANGES:
        moved = before + change * size * rng.choice([-1.0, 1.0], before.shape) * (
            0.5 + 0.5 * rng.random(before.shape)
        )
        try:
            leaf.write(moved)
            wrote = leaf.read()
            value = calls.loss()
            held = leaf.held()
        except Exception:  # what cannot be changed, or where the loss then fails, is a setting
            return False
        finally:
            _back(leaf, before)
        if held is None or not np.array_equal(held, wrote):
            return False
        if value != here and not abs(value - here) <= 16 * 2.0**-52 * abs(here):
            return True
    return False


def _back(leaf: Leaf, before: Array) -> None:
    try:
        leaf.write(before)
    except Exception:  # read-only: it was not changed either
        return


def pinned(pins: Any, reached: Reached, kind: str) -> dict[str, Any]:
    """What `params=` or `grads=` name, by name: leaves, arrays or functions.

    Raises:
        ValueError: a path leads nowhere.
        TypeError: pins are neither a dict nor a list.
    """
    if pins is None:
        return {}
    if isinstance(pins, list | tuple):
        pins = {p if isinstance(p, str) else f"{kind}[{i}]": p for i, p in enumerate(pins)}
    if not isinstance(pins, Mapping):
        raise TypeError(f"{kind} is {described(pins)}; give a dict or a list")
    return {str(name): _pin(name, pin, reached, kind) for name, pin in pins.items()}


def _pin(name: str, pin: Any, reached: Reached, kind: str) -> Any:
    if callable(pin) and kind == "grads":
        return pin
    value = pin() if callable(pin) else pin
    if isinstance(value, str):
        wanted = names.parts(value)
        for leaf in reached.leaves:
            if any(names.parts(n) in (wanted, ["net", *wanted]) for n in leaf.names):
                return leaf
        if kind == "grads":
            return value  # of what is returned, or made by backward()
        have = ", ".join(leaf.name for leaf in reached.leaves[:8]) or "nothing"
        raise ValueError(f"{kind}={value!r} leads to no float array; found: {have}")
    for leaf in reached.leaves:
        if leaf.value is value:
            return leaf
    if kind == "params":
        raise ValueError(f"{kind}[{name!r}] is not held by the net, so the loss cannot follow it")
    return value


def promoted(calls: Calls, leaves: Sequence[Leaf], try_out: Callable[[], Any], here: float) -> bool:
    """Whether all float32 arrays could be held as float64 ones, with which all works as before."""
    few = [leaf for leaf in leaves if leaf.promotable]
    if not few or any(len(leaf.names) > len(leaf.places) for leaf in few):
        return False
    try:
        for leaf in few:
            leaf.promote()
        value = calls.loss()
        try_out()
    except (Stopped, Exception):  # whatever it is: it was fine with float32
        return False
    return abs(value - here) <= 1e-2 * max(abs(here), 1e-3)


def is_setting(leaf: Leaf) -> bool:
    """Whether a leaf is a plain number: without a gradient it is a setting, such as a decay."""
    return isinstance(leaf, NumberLeaf)


def _is_rate(leaf: Leaf) -> bool:
    """Whether a number is called a learning rate, which no network learns."""
    return is_setting(leaf) and leaf.name.rpartition(".")[2].strip("_").lower() in RATES
