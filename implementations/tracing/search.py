"""Which expression, if it had been right, would have made the gradient right.

The evidence is an experiment: in a run of the backward pass the values of one expression are
replaced by something that is known to be right. If the gradient is right then, the values were
wrong; of all such expressions the first in the order of execution is the cause.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from samegrad.implementations.tracing.probe import Change, Event
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.sites import Site

Array = Any
MOST_ALIGNMENTS = 12
MOST_ORDERS = 3
MOST_LAYERS = 5  # whose numbers are computed one by one
ORDER = ("label", "value", "derivative", "slope", "gradient")
Judge = Callable[[dict[int, dict[int, Change]]], Sequence[bool | None]]


@dataclass(frozen=True, eq=False)
class Spot:
    """An expression of the backward pass, with the values that are not those of the forward one.

    Attributes:
        assigned: the last assignment of the same values to the same effect, if any.
        returned: where the same function returns the same values to the same effect, if it does.
    """

    site: Site
    events: tuple[Event, ...]
    assigned: Site | None = None
    returned: Site | None = None


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """The values of an expression ought to be others.

    Attributes:
        spot, right: which, and what they ought to be.
        constant: by which `right` is multiplied.
        position: of the array of `right` that belongs to the first event.
        events: those that change, the first one first.
        arrays: what they ought to be.
        late: whether they may have come so with their inputs: others are tried before.
    """

    spot: Spot
    right: Right
    constant: float
    position: int
    events: tuple[Event, ...]
    arrays: tuple[Array, ...]
    late: bool = False

    @property
    def rank(self) -> tuple[Any, ...]:
        """The earliest first; then what is said by the least."""
        return (self.events[0].index, self.constant != 1.0, ORDER.index(self.right.kind))

    def changes(self) -> dict[int, dict[int, Change]]:
        """For a run in which it is so."""
        return {
            self.spot.site.number: {
                event.occurrence: _replacing(array)
                for event, array in zip(self.events, self.arrays, strict=True)
            }
        }


def _replacing(array: Array) -> Change:
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)

    def change(value: Array) -> Array | None:
        if not missing.any():
            return array
        return np.where(missing, value, array) if value.shape == array.shape else None

    return change


def disturbing(spot: Spot) -> dict[int, dict[int, Change]]:
    """Changes of all values of an expression, to see on what they have an effect."""

    def change(value: Array) -> Array:
        if value.dtype.kind == "f":
            return value * 1.37 + 0.011 * (1 + np.arange(value.size).reshape(value.shape))
        return np.roll(value.ravel(), 1).reshape(value.shape)

    return {spot.site.number: {event.occurrence: change for event in spot.events}}


def hypotheses(
    spot: Spot, found: Sequence[Right], constants: "Constants", same: float
) -> Iterator[Hypothesis]:
    """What the values of an expression might have to be, of what fits them."""
    # In a network of arrays a single number in an expression is a constant.
    number = spot.events[0].array.size == 1 and not spot.site.whole
    constant_only = constants.arrays and number
    for events in _selections(spot):
        shapes = {event.array.shape for event in events}
        for right in found:
            if not _fits_kind(spot.site, events[0].array, right):
                continue
            if constant_only and right.kind in ("slope", "gradient"):
                continue
            if right.layers and 2 * len(events) * right.layers < len(right.arrays):
                continue  # of some examples only
            if not all(any(_way(shape, other) for other in right.shapes) for shape in shapes):
                continue
            if not spot.site.whole and not shapes <= {s for o in right.shapes for s in _forms(o)}:
                continue  # a shape that is lost is that of what is assigned
            for positions in _alignments(events, right.arrays, constants.orders):
                fitted = [
                    _fitted(e.array.shape, right.arrays[i])
                    for e, i in zip(events, positions, strict=True)
                ]
                scaled: tuple[float, ...] = (1.0,)
                late = False
                if right.kind == "slope":
                    factors = {
                        proportional(e.array, a, same) for e, a in zip(events, fitted, strict=True)
                    }
                    scaled, late = constants.of(factors, events[0].index)
                    if not any(np.any(e.array) for e in events):
                        scaled = (1.0,)  # a start from zero could make up for anything
                for constant in scaled:
                    new = [constant * a if constant != 1 else a for a in fitted]
                    changed = [
                        (i, e, a)
                        for i, e, a in zip(positions, events, new, strict=True)
                        if not equal(e.array, a, same)
                    ]
                    if changed:
                        first, new_events, arrays = zip(*changed, strict=True)
                        yield Hypothesis(spot, right, constant, first[0], new_events, arrays, late)


@dataclass(frozen=True)
class Constants:
    """Factors between what a backward pass holds and slopes, by its own conventions.

    Attributes:
        seen: 1, and others that were met in it, with the number of the event that has it first.
        usual: others, for what is not met because all of it is wrong.
        arrays: whether it computes with arrays, not with numbers one by one.
        orders: in which it takes up what the forward pass computed number by number.
    """

    seen: dict[float, int]
    usual: tuple[float, ...]
    arrays: bool = True
    orders: tuple[tuple[int, ...], ...] = ()

    def of(self, factors: set[float | None], index: int) -> tuple[tuple[float, ...], bool]:
        """Those to try for an array that is so many times the slope (None: no multiple of it).

        The second result: whether it may have the factor from its inputs, and be right so.
        """
        if None in factors:
            return (*self.seen, *(c for c in self.usual if c not in self.seen)), False
        before = [c for c, first in self.seen.items() if first < index]
        inherited = any(
            abs(f - c) <= 1e-3 * abs(c) for f in factors if f is not None for c in before if c != 1
        )
        return tuple(before), inherited


def proportional(a: Array, b: Array, same: float) -> float | None:
    """c where a = c b, or None; NaN of b is not compared."""
    if a.shape != b.shape or a.dtype.kind != "f":
        return None
    if a.size == 1:
        x, y = float(a.reshape(())), float(b.reshape(()))
        return x / y if x and y and math.isfinite(x / y) else None
    known = ~np.isnan(b)
    square = float(np.sum(np.square(b, dtype=np.float64), where=known))
    if not square:
        return None
    c = float(np.sum(a * b, where=known)) / square
    return c if c and math.isfinite(c) and equal(a, c * b, same) else None


def equal(a: Array, b: Array, same: float) -> bool:
    """Whether two arrays are the same but for rounding; what is NaN in b is not compared."""
    if a.shape != b.shape:
        return False
    if a.size == 1:
        x, y = float(a.reshape(())), float(b.reshape(()))
        return math.isnan(y) or abs(x - y) <= same * max(abs(y), 1e-30)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    known = ~np.isnan(b)
    largest = max(float(np.max(np.abs(b), initial=0, where=known)), 1e-30)
    return bool(np.max(np.abs(a - b), initial=0, where=known) <= same * largest)


def identical(a: Any, b: Any) -> bool:
    """To the last bit; None is None."""
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(a, b, equal_nan=True))


def digest(array: Array) -> bytes:
    """Equal for arrays that are equal but for rounding, nearly always."""
    if array.size == 1:
        return b"%.5g" % float(array.reshape(()))
    if array.dtype.kind != "f":
        return array.tobytes()
    largest = float(np.nanmax(np.abs(array), initial=0)) or 1.0
    return f"{array.shape} {largest:.5g}".encode() + np.round(array / largest, 5).tobytes()


def clean(c: float) -> float:
    """A constant without the rounding of its measurement."""
    for whole in (c, 1 / c):
        near = round(whole * 60) / 60 if math.isfinite(whole) else 0.0  # 1e-310 has no inverse
        if near and abs(whole - near) < 2e-4 * abs(near):
            return near if whole == c else 1 / near
    return c


def _selections(spot: Spot) -> Iterator[tuple[Event, ...]]:
    """All values; of what is stored piece by piece also the last ones alone."""
    yield spot.events
    if spot.site.kind == "stored":
        N = len(spot.events)
        for n in range(2, N + 1):
            if N % n == 0:
                yield spot.events[n - 1 :: n]
        # Of each list that it fills; an array is made by fewer stores, of which the above are some.
        last = {id(e.value): e for e in spot.events if isinstance(e.value, list)}
        ends = tuple(sorted(last.values(), key=lambda e: e.index))
        if 1 < len(ends) < N:
            yield from (ends, ends[:-1])  # what goes to the inputs may be of no use


def _fits_kind(site: Site, array: Array, right: Right) -> bool:
    if right.kind == "label" or array.dtype.kind in "iu":
        return right.kind == "label" and array.dtype.kind in "iu"
    if array.dtype.kind == "b":
        return right.kind in ("derivative", "value")
    return not (right.kind in ("value", "derivative") and site.kind in ("kept", "stored"))


def orders(events: Sequence[Event], found: Sequence[Right]) -> tuple[tuple[int, ...], ...]:
    """The orders in which expressions have the values of a quantity, if these are numbers."""
    groups: dict[int, list[Event]] = {}
    for event in events:
        groups.setdefault(event.site, []).append(event)
    values = [
        [float(a.reshape(())) for a in r.arrays]
        for r in found
        if r.kind == "value" and len(r.arrays) > 2 and all(a.size == 1 for a in r.arrays)
    ]
    known: dict[tuple[int, ...], None] = {}
    lengths = {len(group) for group in groups.values() if group[0].array.size == 1}
    for sizes in {tuple(a.size for a in r.arrays) for r in found if r.kind == "value"}:
        # Lists of layers, where the backward pass has as many numbers.
        if 1 < len(sizes) <= min(sum(sizes) // 2, MOST_LAYERS) and sum(sizes) in lengths:
            ends = np.cumsum(sizes).tolist()
            blocks = [range(e - n, e) for e, n in zip(ends, sizes, strict=True)]
            known[tuple(i for block in blocks[::-1] for i in block)] = None
    for group in groups.values():
        if len(group) < 3 or any(e.array.size > 1 for e in group):
            continue
        now = [float(e.array.reshape(())) for e in group]
        for then in values:
            place = {v: i for i, v in enumerate(then)}
            if len(place) == len(then) == len(now) and all(v in place for v in now):
                known[tuple(place[v] for v in now)] = None
    return tuple(o for o in known if len(set(o)) == len(o))[:MOST_ORDERS]


def _alignments(
    events: Sequence[Event], arrays: Sequence[Array], known: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, ...]]:
    """Ways in which the values of the forward pass can belong to those of the backward pass.

    A loop over layers runs the other way round, may leave out layers at either end, and may itself
    run once for each example.
    """
    seen: set[tuple[int, ...]] = set()
    N, M = len(events), len(arrays)
    if M == 1 and N > 1:
        if all(_way(e.array.shape, arrays[0].shape) for e in events):
            yield (0,) * N
        return
    for order in known:
        if len(order) == N == M and order not in (tuple(range(N)), tuple(range(N))[::-1]):
            seen.add(order)
            yield order
    for blocks in range(1, N + 1):
        if N % blocks or M % blocks:
            continue
        n, m = N // blocks, M // blocks
        for start in range(m - n + 1):
            for step in (-1, 1):
                inner = list(range(start, start + n))[::step]
                order = tuple(b * m + i for b in range(blocks) for i in inner)
                if order in seen or len(seen) >= MOST_ALIGNMENTS:
                    continue
                if all(
                    _way(e.array.shape, arrays[i].shape) for e, i in zip(events, order, strict=True)
                ):
                    seen.add(order)
                    yield order


def _forms(shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    long = tuple(s for s in shape if s > 1)
    column = {(*long, 1), (1, *long)} if len(long) == 1 else set()
    return {shape, shape[::-1], long, *column}


@lru_cache(maxsize=10_000)
def _way(shape: tuple[int, ...], other: tuple[int, ...]) -> str:
    """How an array of another shape comes into a shape, "" if it does not.

    A single number, or what was broadcast to a square, has lost its shape: anything may be right.
    """
    if other == shape:
        return "same"
    if other[::-1] == shape:
        return "transposed"
    if [s for s in other if s > 1] == [s for s in shape if s > 1]:
        return "reshaped"
    size = prod(other)
    lost = shape == () or (len(shape) == 2 and shape[0] == shape[1] == size)
    return "replaced" if lost and size > 1 else ""


def _fitted(shape: tuple[int, ...], array: Array) -> Array:
    way = _way(shape, array.shape)
    if way == "transposed":
        return array.T
    return array.reshape(shape) if way == "reshaped" else array
