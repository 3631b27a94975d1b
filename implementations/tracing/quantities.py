"""The forward pass: what was computed there, and the slope of the loss with respect to it.

A slope is measured: the value of an expression is changed on its way, and the loss looked at. So
it is the slope of the file's own loss, whatever its conventions.
"""

import re
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import Leaf
from samegrad.implementations.state.snapshot import Snapshot
from samegrad.implementations.tracing.probe import Change, Event, Tracer
from samegrad.implementations.tracing.sites import Site

Array = Any
# Of a central difference in float64: truncation STEP^2 f''' / 6 and rounding eps / STEP stay below
# 1e-8, three digits under what is compared; in float32 (eps 6e-8) below 1e-3.
STEP, STEP32 = 1e-4, 1e-2
SAME, SAME32 = 1e-5, 1e-2  # relative: what counts as equal
# Right and left slope of a smooth loss differ by STEP f''; at a kink by the slope itself.
BENT, BENT32 = 1e-3, 1e-2
MOST_EVENTS = 400  # of a run: of more only what is assigned, returned or appended is measured
# Entries of a quantity whose slope is measured one by one, by half of the runs left at most.
LARGEST = 2000
LARGE = 200  # entries: after what has fewer
OFTEN_MEANT = ("Add", "Sub", "MatMult")  # of an expression without a name: X @ W + b
LEAST = 4  # in the order of what tells most
SPARED = 0.25  # of the runs, which are not spent on those
READ = re.compile(r"[\w.]+(\[[^()]*\])*")  # a variable, an attribute, an entry


@dataclass(eq=False)
class Quantity:
    """All values of one expression in the forward pass, in order of execution.

    Attributes:
        site: the expression.
        events: its values.
        slopes: dloss/d(value) of each; NaN where it cannot be measured, None where it is too large.
    """

    site: Site
    events: list[Event] = field(default_factory=list)
    slopes: list[Array | None] = field(default_factory=list)


class Measured:
    """Runs of the loss with something changed.

    Args:
        loss: gives a number.
        snapshot: of the state from which every run starts.
        budget: the most runs.

    Raises:
        ArithmeticError: the loss is no finite number, or changes by itself.
    """

    def __init__(
        self, loss: Callable[[], Any], tracer: Tracer, snapshot: Snapshot, budget: int
    ) -> None:
        self.loss, self.tracer, self.snapshot, self.left = loss, tracer, snapshot, budget
        self.quickest = np.inf  # seconds of a run; of one that nothing else disturbs
        self.here = self.value({})
        if not np.isfinite(self.here) or self.value({}) != self.here:
            raise ArithmeticError
        self.step, self.same = STEP, SAME

    def value(self, changes: dict[int, dict[int, Change]]) -> float:
        """The loss with some values changed."""
        self.left -= 1
        start = time.process_time()
        self.snapshot.restore()
        array = np.asarray(self.tracer.change(self.loss, changes), np.float64)
        self.quickest = min(self.quickest, time.process_time() - start)
        if array.size != 1:
            raise ArithmeticError
        return float(array.reshape(()))

    def slope(self, event: Event, move: Array) -> float:
        """The slope along a move of a value."""
        h = self.step * self._scale(event.array)

        def at(step: float) -> float:
            change: Change = lambda value: value + step * move  # noqa: E731 # two lines for one
            return self.value({event.site: {event.occurrence: change}})

        return (at(h) - at(-h)) / (2 * h)

    def slopes(self, event: Event) -> Array:
        """The slopes of all entries of a value, NaN at a kink."""

        def at(entry: int, step: float) -> float:
            def change(value: Array) -> Array:
                moved = np.array(value, np.float64)
                moved.flat[entry] += step
                return moved

            return self.value({event.site: {event.occurrence: change}})

        return self._entries(event.array, at)

    def of_leaf(self, leaf: Leaf, most: int | None = None) -> Array:
        """The slopes of the entries of a parameter, changed where it is held.

        Args:
            most: that are measured, drawn at random; the others are NaN.
        """
        self.snapshot.restore()
        values = leaf.read()

        def at(entry: int, step: float) -> float:
            self.left -= 1
            self.snapshot.restore()
            leaf.put(entry, float(values.flat[entry]) + step)
            try:
                return float(np.asarray(self.loss(), np.float64).reshape(()))
            finally:
                leaf.put(entry, float(values.flat[entry]))

        if most is None or most >= values.size:
            return self._entries(values, at)
        drawn = np.random.default_rng(values.size).choice(values.size, most, replace=False)
        return self._entries(values, at, drawn.tolist())

    def _entries(
        self, values: Array, at: Callable[[int, float], float], drawn: Sequence[int] | None = None
    ) -> Array:
        h = self.step * self._scale(values)
        found, bends = np.full(values.shape, np.nan), np.zeros(values.shape)
        for entry in range(values.size) if drawn is None else drawn:
            above, below = at(entry, h), at(entry, -h)
            found.flat[entry] = (above - below) / (2 * h)
            bends.flat[entry] = abs(above - 2 * self.here + below) / h
        largest = max(float(np.nanmax(np.abs(found), initial=0.0)), 1e-30)
        bent = max((BENT32 if self.step == STEP32 else BENT) * largest, 2 * self._rounding(h))
        for entry in np.flatnonzero(bends > bent).tolist():
            above, below = at(entry, h / 8), at(entry, -h / 8)
            bend = abs(above - 2 * self.here + below) / (h / 8)
            found.flat[entry] = (above - below) / (h / 4)
            if bend > bends.flat[entry] / 4:  # a curve straightens out
                found.flat[entry] = np.nan
        return found

    def noise(self, values: Array) -> float:
        """By how much slopes of the entries of a value may be off by rounding of the loss alone."""
        return self._rounding(self.step * self._scale(values))

    def _rounding(self, h: float) -> float:
        # Sums inside of a loss are rounded as well: some times its last digit.
        times, kind = (2, np.float32) if self.step == STEP32 else (8, np.float64)
        return times * float(np.finfo(kind).eps) * max(abs(self.here), 1e-3) / h

    def _scale(self, values: Array) -> float:
        # A probability of 1e-3 in a log curves 1,000 times as much as one of 1.
        sizes = np.abs(np.asarray(values, np.float64))
        smallest = float(np.median(sizes)) if sizes.size else 1.0
        return float(np.clip(smallest, 1e-2, 1.0))


def forward(
    measured: Measured, events: Sequence[Event], sites: Sequence[Site], until: float
) -> dict[int, Quantity]:
    """The quantities on which the loss depends, by the number of their site.

    Args:
        until: of time.process_time(), after which no other is measured.

    Raises:
        ArithmeticError: a run with a change gave no number.
    """
    floats = [e for e in events if e.array.dtype.kind == "f" and np.isfinite(e.array).all()]
    if any(e.array.dtype == np.float32 for e in floats):
        measured.step, measured.same = STEP32, SAME32
    floats = thinned(floats, sites)
    order = _order(floats, sites)
    spared = SPARED * measured.left
    floats.sort(key=lambda e: (order[e.index], e.array.size > LARGE, e.index))
    found: dict[int, Quantity] = {}
    # Expressions through which the loss depends on the same numbers in the same way have the same
    # slopes: z, its later uses, a @ W in a @ W + b. Two random directions tell them apart.
    known: dict[tuple[int, ...], list[tuple[float, float, Array | None]]] = {}
    rng = np.random.default_rng(0)
    moves: dict[tuple[int, ...], tuple[Array, Array]] = {}
    for event in floats:
        shape = event.array.shape
        least = order[event.index] >= LEAST and measured.left < spared
        if least or time.process_time() > until:
            break
        if measured.left < 2 * event.array.size + 4:
            continue
        if shape not in moves:
            moves[shape] = (rng.uniform(0.5, 1.0, shape), rng.uniform(-1.0, 1.0, shape))
        try:
            first = measured.slope(event, moves[shape][0])
            one = event.array.size == 1
            second = measured.slope(event, moves[shape][1]) if first and not one else first
        except Exception:  # values that the code does not bear: of no use
            continue
        if first == 0.0:
            continue
        near = measured.same * max(abs(first), abs(second))
        alike = [
            slopes
            for a, b, slopes in known.get(shape, [])
            if abs(a - first) <= near and abs(b - second) <= near
        ]
        slopes: Array | None
        if one:
            slopes = np.full(shape, first / float(moves[shape][0].reshape(())))
        elif alike:
            slopes = alike[0]
        elif event.array.size > min(LARGEST, measured.left / 4):
            slopes = None
        else:
            slopes = measured.slopes(event)
        known.setdefault(shape, []).append((first, second, slopes))
        quantity = found.setdefault(event.site, Quantity(sites[event.site]))
        quantity.events.append(event)
        quantity.slopes.append(slopes)
    for quantity in found.values():
        pairs = zip(quantity.events, quantity.slopes, strict=True)
        ordered = sorted(pairs, key=lambda pair: pair[0].index)
        quantity.events, quantity.slopes = [e for e, _ in ordered], [s for _, s in ordered]
    return found


def _order(events: Sequence[Event], sites: Sequence[Site]) -> dict[int, int]:
    """How little events tell, by their index: runs may not last for all.

    What is assigned tells most, then other expressions; then what is read, or inside of a return.
    """
    last = {(e.site, id(e.value)): e.index for e in events if sites[e.site].kind == "stored"}
    found = {}
    for event in events:
        site = sites[event.site]
        if site.kind == "stored":  # piece by piece: the whole is there in the end
            found[event.index] = 1 if last[event.site, id(event.value)] == event.index else LEAST
        elif site.whole and site.target != "return":
            found[event.index] = 0
        elif site.kind == "name" or READ.fullmatch(site.text):
            found[event.index] = LEAST if site.kind == "name" or site.text.endswith("]") else 2
        elif site.whole:
            found[event.index] = 0
        else:
            meant = site.operator in OFTEN_MEANT or site.text.endswith(")")
            found[event.index] = 3 if site.target == "return" else 1 if meant else 2
    return found


def thinned(
    events: Sequence[Event], sites: Sequence[Site], functions: Container[str] = ()
) -> list[Event]:
    """The events of what is assigned, returned or appended, where there are very many.

    Args:
        functions: whose arguments are kept as well.
    """
    if len(events) <= MOST_EVENTS:
        return list(events)
    return [
        e for e in events if (s := sites[e.site]).whole
        or (called := s.argument.rpartition(".")[2]) == "append" or called in functions
    ]  # fmt: skip
