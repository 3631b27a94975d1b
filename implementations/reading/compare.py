"""Whether a gradient follows from a loss, as far as is needed to choose between readings.

The verdict itself is `checking.objects`'; this finds, among many losses and forms of data that a
file may mean, those from which its gradient follows, and how far it follows from the others.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading.effects import Place, places
from samegrad.implementations.state.leaves import NumberLeaf, TorchLeaf

Array = Any
STEP = 1e-4  # of a five-point difference: truncation about STEP^4, rounding about eps/STEP = 1e-12
LEAST_ENTRIES, MOST_ENTRIES = 8, 40  # of one array that are measured
SECONDS = 0.5  # for the slopes of one array, if a loss takes long
TOLERANCE = 1e-6  # relative to the largest slope of the array; far above both errors of STEP
SINGLE = 5e-3  # the same where float32 computes: its eps/STEP


@dataclass(frozen=True)
class Match:
    """A parameter and what was taken for its gradient.

    Attributes:
        name: of the parameter.
        shape: of the parameter.
        source: the name of what was taken; "" if nothing fits.
        factor: the constant that fits best between them.
        error: largest difference, as a share of the largest slope.
        off: the same after the factor.
        flat: whether the loss has no slope here.
        number: whether the parameter is a plain number, which may be a setting.
        right_entries: how many of the measured slopes, if not 0, are those of what was taken.
    """

    name: str
    shape: tuple[int, ...]
    source: str
    factor: float = 0.0
    error: float = np.inf
    off: float = np.inf
    flat: bool = False
    number: bool = False
    right_entries: int = 0

    def right(self, tolerance: float) -> bool:
        """Whether it is the gradient."""
        return self.error <= tolerance

    def proportional(self, tolerance: float) -> bool:
        """Whether it is a constant times the gradient."""
        return self.off <= tolerance and abs(self.factor) > 1e-9


@dataclass(frozen=True)
class Compared:
    """All parameters of a reading."""

    matches: Sequence[Match]
    tolerance: float = TOLERANCE

    @property
    def judged(self) -> list[Match]:
        """Those with a slope; of numbers beside arrays only those that have a gradient.

        Others are settings, such as a decay or what is added in a logarithm.
        """
        arrays = any(match.shape for match in self.matches)
        return [
            m
            for m in self.matches
            if not m.flat and (not (m.number and arrays) or m.right(self.tolerance))
        ]

    @property
    def exact(self) -> bool:
        """Whether every gradient is right."""
        return bool(self.judged) and all(m.right(self.tolerance) for m in self.judged)

    @property
    def factor(self) -> float | None:
        """The one constant between all gradients and their slopes, or None."""
        found = self.judged
        if not found or not all(m.proportional(self.tolerance) for m in found):
            return None
        first = found[0].factor
        return first if all(abs(m.factor / first - 1) < 1e-5 for m in found) else None

    @property
    def partly(self) -> list[Match]:
        """Weight matrices whose gradient is right, or a constant times right, where others' is not.

        Of vectors it may be chance; of two matrices with different constants none is evidence.
        """
        several = [
            m for m in self.judged if np.prod(m.shape) > 2 and m.proportional(self.tolerance)
        ]
        large = [m for m in several if len(m.shape) > 1]
        if large:
            return large
        # Of one example a vector's gradient is its inputs times a number, whatever the loss; that
        # two have the same constant is none of its doing.
        alike = [
            m for m in several if sum(abs(m.factor / o.factor - 1) < 1e-5 for o in several) > 1
        ]
        return alike if len(alike) < len(self.judged) else []


def compare(
    parameters: Sequence[Place],
    loss: Callable[[], float],
    backward: Callable[[], Any],
    net: Any,
    data: Sequence[Any] = (),
    measured: dict[str, tuple[Array, Array]] | None = None,
    tolerance: float = TOLERANCE,
) -> Compared:
    """Compare what a backward pass gives with slopes of a loss.

    Args:
        measured: slopes that are known, by the names of parameters; others are added.
    """
    known_slopes = {} if measured is None else measured
    loss()
    pool = candidates(parameters, backward(), net, data)
    used: set[str] = set()
    matches = []
    for place in parameters:
        if place.name not in known_slopes:
            known_slopes[place.name] = slopes_of(place, loss)
        entries, slopes = known_slopes[place.name]
        match = best(place, entries, slopes, pool, used)
        match = replace(match, number=isinstance(place.leaf, NumberLeaf))
        used.add(match.source)
        matches.append(match)
    return Compared(tuple(matches), tolerance)


def candidates(
    parameters: Sequence[Place], returned: Any, net: Any, data: Sequence[Any] = ()
) -> list[tuple[str, Array]]:
    """What may be a gradient by its name: all that a backward pass returned or left in the net."""
    known = {place.key for place in parameters} | {id(array) for array in data}
    pool = [
        (place.name, place.read())
        for root, name in ((returned, "returned"), (net, "net"))
        for place in places(root, name, integers=True)
        if place.key not in known
    ]
    pool += [
        (f"{place.name}.grad", np.array(left, np.float64)) for place in parameters
        if isinstance(place.leaf, TorchLeaf) and (left := place.leaf.gradient()) is not None
    ]  # fmt: skip
    return pool


def is_multiple(slopes: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
    """Whether the slopes of one loss, as `compare` adds them, are a number times another's."""
    if slopes.keys() != of.keys() or not slopes:
        return False
    a, b = (np.concatenate([np.ravel(found[n][1]) for n in slopes]) for found in (slopes, of))
    if a.shape != b.shape or not np.any(b):
        return False
    off = float(np.max(np.abs(a - (a @ b) / (b @ b) * b)))
    return off <= TOLERANCE * float(np.max(np.abs(a))) > 0


def slopes_of(place: Place, loss: Callable[[], float]) -> tuple[Array, Array]:
    """The entries that are measured, and the slopes of the loss along them."""
    old = place.read()
    size = max(1, np.size(old))
    began = time.monotonic()
    loss()
    taken = max(time.monotonic() - began, 1e-9)
    most = int(min(MOST_ENTRIES, max(LEAST_ENTRIES, SECONDS / (4 * taken))))
    entries = np.arange(size)
    if size > most:
        entries = np.sort(np.random.default_rng(size).choice(size, most, replace=False))

    def moved(entry: int, by: float) -> float:
        values = np.array(old, np.float64)
        values.reshape(-1)[entry] += by
        place.write(values)
        return loss()

    try:
        return entries, np.array([slope_of(partial(moved, int(entry))) for entry in entries])
    finally:
        place.write(old)


def slope_of(value: Callable[[float], float]) -> float:
    """The slope at 0 of a function of one number, by four of its values."""
    ahead, behind, far_ahead, far_behind = (value(steps * STEP) for steps in (1, -1, 2, -2))
    return (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * STEP)


def best(
    place: Place, entries: Array, slopes: Array, pool: Sequence[tuple[str, Array]], used: set[str]
) -> Match:
    """What in a pool is most like the gradient of a parameter."""
    value = place.read()
    shape, size = np.shape(value), max(1, np.size(value))
    largest = float(np.max(np.abs(slopes), initial=0))
    flat = largest < 1e-11
    found = []
    for name, array in pool:
        if np.size(array) != size:
            continue
        forms = [(name, array)] if np.shape(array) == shape or np.ndim(array) < 2 else []
        if np.ndim(array) == 2 and np.shape(array.T) == shape:
            forms.append((f"{name}.T", array.T))
        if not forms:
            forms = [(name, array)]
        for label, form in forms:
            claimed = np.reshape(form, -1)[entries]
            if not np.isfinite(claimed).all():
                continue
            if flat:
                off = error = float(np.max(np.abs(claimed), initial=0))
                factor, hits = 1.0, 0
            else:
                factor = float(claimed @ slopes / (slopes @ slopes))
                near = np.abs(claimed - slopes) <= TOLERANCE * largest
                hits = int(np.sum(near & (np.abs(slopes) > SINGLE * largest)))
                error = float(np.max(np.abs(claimed - slopes))) / largest
                scale = largest * max(abs(factor), 1e-12)
                off = float(np.max(np.abs(claimed - factor * slopes))) / scale
            found.append((
                error > TOLERANCE, off > TOLERANCE or size < 2, name in used,
                -alike(place.name, name), off,
                Match(place.name, shape, label, factor, error, off, flat, right_entries=hits),
            ))  # fmt: skip
    if not found:
        return Match(place.name, shape, "", flat=flat)
    return min(found, key=lambda entry: entry[:5])[5]


def alike(parameter: str, source: str) -> int:
    """How much the name of a gradient speaks of a parameter."""
    word = re.findall(r"[A-Za-z]+_?\d*", parameter)[-1].lower()
    numbers = re.findall(r"\d+", parameter)
    name = source.lower()
    gradient = bool(re.search(r"d_?|grad|nabla|delta", name))
    return 2 * (word in name) + gradient + (numbers == re.findall(r"\d+", source)[-len(numbers) :])
