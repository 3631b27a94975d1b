"""`explain`: the line of a backward pass that makes its gradient wrong."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.tracing import quantities, words
from samegrad.implementations.tracing.outcome import Outcome, Param
from samegrad.implementations.tracing.probe import Change, Event, Probe, Tracer, as_array
from samegrad.implementations.tracing.quantities import Measured, Quantity
from samegrad.implementations.tracing.reach import functions_of, reached
from samegrad.implementations.tracing.rights import rights
from samegrad.implementations.tracing.search import (
    Constants,
    Hypothesis,
    Spot,
    disturbing,
    hypotheses,
    proportional,
)
from samegrad.implementations.tracing.sites import Site, probed
from samegrad.implementations.tracing.state import Snapshot

Array = Any
BUDGET = 6_000  # runs of the loss, and of the backward pass
MOST_CONSTANTS = 4  # conventions of one backward pass


@dataclass(frozen=True)
class Line:
    """A line of the user's that is at fault.

    Attributes:
        file, number: where.
        text: what it computes and what it should.
        certain: whether an experiment showed that the gradient is right with this line right.
    """

    file: str
    number: int
    text: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text}"


def explain(
    loss: Callable[[], Any],
    backward: Callable[[], Any],
    functions: Sequence[FunctionType] | None = None,
    *,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    grads: Callable[[Any], Sequence[Any]] | None = None,
    files: Sequence[str] | None = None,
    state: Sequence[Any] = (),
) -> list[Line]:
    """The lines that make a gradient wrong, the first cause first; [] where nothing shows it.

    The user's functions run many times; whatever they change is put back.

    Args:
        loss: gives the loss of the live state, a number.
        backward: computes the gradient.
        functions: the user's functions; by default `functions_of(loss, backward)`.
        params: the live arrays (or lists of floats, or slots with read() and put(entry, number))
            on which the loss depends, with their names if it is a mapping; by default they are
            looked for.
        grads: what `backward` returned -> the gradients as they were understood, in the order and
            the shapes of `params` (None for one that is not known); by default looked for.
        files: only functions of these files are traced.
        state: other objects whose state is put back after each run.

    Returns:
        [] too where there is no source, where a run does not repeat itself, or where the network
        is too large for the number of runs allowed.
    """
    if functions is None:
        functions = functions_of(loss, backward)
    if files is not None:
        functions = [f for f in functions if f.__code__.co_filename in set(files)]
    snapshot = Snapshot(loss, backward, *functions, *state)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of runs with values that are made up
            return _Case(loss, backward, functions, params, grads, snapshot, state).lines()
    except Exception:
        return []  # nothing of this may hide the verdict that it explains
    finally:
        snapshot.restore()


class _Case:
    """One gradient that is explained."""

    def __init__(
        self,
        loss: Callable[[], Any],
        backward: Callable[[], Any],
        functions: Sequence[FunctionType],
        params: Mapping[str, Any] | Sequence[Any] | None,
        grads: Callable[[Any], Sequence[Any]] | None,
        snapshot: Snapshot,
        state: Sequence[Any],
    ) -> None:
        self.backward, self.snapshot = backward, snapshot
        self.sites: list[Site] = []
        self.probe = Probe(self.sites)
        self.tracer = Tracer(self.probe, probed(functions, self.probe, self.sites))
        snapshot.restore()
        loss()
        self.measured = Measured(loss, self.tracer, snapshot.narrowed(), BUDGET)
        self.roots = [loss, backward, *state]
        self.given = params
        self.grads = grads
        self.left = BUDGET

    def lines(self) -> list[Line]:
        if not self.tracer.codes:
            return []
        self.snapshot.restore()
        _, seen = self.tracer.record(self.measured.loss)
        self._precision(seen)
        params = self._params()
        self.snapshot.restore()
        self.outcome = Outcome(params, self.grads, self.roots, self.measured.same)
        result, events = self.tracer.record(self.backward)
        self.narrow = self.snapshot.narrowed()
        self.outcome.look(result)
        judged = self.outcome.judge(result)
        if not any(right is False for right in judged):
            return []
        self.snapshot.restore()
        forward = quantities.forward(self.measured, seen, self.sites)
        self.rights = rights(
            list(forward.values()),
            self._others(seen, forward),
            [(p.name, p.slopes) for p in params],
        )
        self.sizes = words.sizes(list(forward.values()))
        spots = self._spots(events, forward)
        self.constants = self._constants([e for spot in spots for e in spot.events])
        best = self._search(spots, judged)
        if best is None:
            return []
        text = words.sentence(best, self.rights, self.sizes, self.measured.same)
        return [Line(best.spot.site.file, best.spot.site.line, text)]

    # ---- what is known ----

    def _precision(self, seen: Sequence[Event]) -> None:
        if any(e.array.dtype == np.float32 for e in seen):
            self.measured.step, self.measured.same = quantities.STEP32, quantities.SAME32

    def _params(self) -> list[Param]:
        given = self.given
        if given is None:
            return self._found_params()
        pairs = (
            list(given.items())
            if isinstance(given, Mapping)
            else [(f"params[{i}]", p) for i, p in enumerate(given)]
        )
        return [Param(name, p, self.measured.of_held(p)) for name, p in pairs]

    def _found_params(self) -> list[Param]:
        """Arrays that are reached and on which the loss depends."""
        found: list[Param] = []
        within: set[int] = set()  # rows of lists that are taken whole
        for path, item in list(reached(*self.roots)):
            array = as_array(item)
            if array is None or array.dtype.kind != "f" or id(item) in within:
                continue
            if array.size > quantities.LARGEST or not isinstance(item, np.ndarray | list):
                continue
            if isinstance(item, list):
                within |= {id(part) for _, part in reached(item) if isinstance(part, list)}
            slopes = self.measured.of_held(item)
            if np.any(slopes != 0):
                found.append(Param(path.lstrip("."), item, slopes))
        return found

    def _others(
        self, seen: Sequence[Event], forward: Mapping[int, Quantity]
    ) -> list[tuple[Site, list[Event]]]:
        """Labels and masks: whole numbers, and arrays that were there before the run."""
        there = {id(item) for _, item in reached(*self.roots)}
        by_site: dict[int, list[Event]] = {}
        for event in seen:
            if event.site in forward or event.array.size == 1:
                continue
            counted = event.array.dtype.kind in "iu" and not np.array_equal(
                event.array, np.arange(event.array.size)
            )
            if counted or id(event.value) in there:
                by_site.setdefault(event.site, []).append(event)
        return [(self.sites[number], events) for number, events in by_site.items()]

    def _spots(self, events: Sequence[Event], forward: Mapping[int, Quantity]) -> list[Spot]:
        """Expressions of the backward pass, without the values of its forward pass."""
        by_site: dict[int, list[Event]] = {}
        for event in quantities.thinned(events, self.sites):
            known = forward[event.site].events if event.site in forward else []
            if not any(np.array_equal(event.array, e.array) for e in known):
                by_site.setdefault(event.site, []).append(event)
        return [Spot(self.sites[number], tuple(group)) for number, group in by_site.items()]

    def _constants(self, events: Sequence[Event]) -> Constants:
        """1, and constants by which values of the backward pass differ from slopes."""
        counts: dict[float, list[int]] = {}
        slopes = [a for r in self.rights if r.kind == "slope" for a in r.arrays if a.size > 2]
        for event in events:
            for a in slopes if event.array.size > 2 else ():
                c = proportional(event.array, a, self.measured.same)
                if c and abs(c - 1) > 1e-4:
                    counts.setdefault(float(f"{c:.4g}"), []).append(event.index)
        ordered = sorted(counts, key=lambda c: -len(counts[c]))
        n = float(self.sizes.batch or 1)
        seen = {_clean(c): min(counts[c]) for c in ordered[:MOST_CONSTANTS]}
        return Constants({1.0: -1, **seen}, (-1.0, n, -n) if n > 1 else (-1.0,))

    # ---- the experiments ----

    def run(self, changes: dict[int, dict[int, Change]]) -> list[bool | None] | None:
        """Which gradients are right with some values changed; None if the run fails."""
        self.left -= 1
        self.narrow.restore()
        try:
            return self.outcome.judge(self.tracer.change(self.backward, changes))
        except Exception:
            return None

    def _effective(
        self, spots: Sequence[Spot], wrong: set[int]
    ) -> list[tuple[Spot, frozenset[int]]]:
        """The expressions on which wrong gradients depend, with these gradients.

        Of expressions that have the same values to the same effect only the first is kept.
        """
        found: list[tuple[Spot, frozenset[int]]] = []
        classes: dict[Any, int] = {}
        self.narrow.restore()
        plain = self.outcome.gradients(self.tracer.change(self.backward, {}))
        for spot in sorted(spots, key=lambda s: s.events[0].index):
            try:
                self.narrow.restore()
                result = self.tracer.change(self.backward, disturbing(spot))
                moved = self.outcome.gradients(result)
            except Exception:  # values that the code does not bear: it may be tried with others
                found.append((spot, frozenset(wrong)))
                continue
            effect = frozenset(i for i in wrong if not _identical(plain[i], moved[i]))
            key = (
                tuple((e.array.shape, e.array.tobytes()) for e in spot.events),
                tuple(None if m is None else m.tobytes() for m in moved),
            )
            if effect and key not in classes:
                classes[key] = len(found)
                found.append((spot, effect))
            site = spot.site
            if effect and site.whole:
                first, _ = found[classes[key]]
                if site.target != "return":
                    found[classes[key]] = (replace(first, assigned=site), effect)
                elif site.function == first.site.function:
                    found[classes[key]] = (replace(first, returned=site), effect)
        return found

    def _search(self, spots: Sequence[Spot], judged: Sequence[bool | None]) -> Hypothesis | None:
        wrong = {i for i, right in enumerate(judged) if right is False}
        possible: list[tuple[int, Hypothesis]] = []
        for spot, effect in self._effective(spots, wrong):
            tried: set[Any] = set()
            for h in hypotheses(spot, self.rights, self.constants, self.measured.same):
                key = tuple((e.index, _digest(a)) for e, a in zip(h.events, h.arrays, strict=True))
                if key not in tried:
                    tried.add(key)
                    possible.append((2 if effect != wrong else int(h.late), h))
        best, most = None, 0
        ordered = sorted(possible, key=lambda pair: (pair[0], pair[1].rank))
        for level, hypothesis in ordered:
            if self.left < 0 or (level == 2 and most > 1):
                break
            mended = self._mended(hypothesis, judged)
            if mended == len(wrong):
                return self._placed(hypothesis, [h for _, h in ordered], judged)
            if mended > most:
                best, most = hypothesis, mended
        return None if best is None else self._placed(best, [h for _, h in ordered], judged)

    def _mended(self, hypothesis: Hypothesis, judged: Sequence[bool | None]) -> int:
        """How many wrong gradients are right with it; -1 if a right one is wrong then."""
        result = self.run(hypothesis.changes())
        if result is None or any(result[i] is not True for i, right in enumerate(judged) if right):
            return -1
        return sum(result[i] is True for i, right in enumerate(judged) if right is False)

    def _placed(
        self, best: Hypothesis, ordered: Sequence[Hypothesis], judged: Sequence[bool | None]
    ) -> Hypothesis:
        """The same, where what is right in itself is put to the wrong use: there.

        A value that is dloss/d(something else) is rightly computed. The line that assigns it to a
        variable, or the one use that ought to read something else, is the cause.
        """
        spot, same = best.spot, self.measured.same
        factor = proportional(best.events[0].array, best.arrays[0], same)
        if factor and spot.site.kind == "stored" and spot.returned:
            return replace(best, spot=replace(spot, site=spot.returned))
        if best.right.kind not in ("slope", "gradient") or not self._is_slope(best):
            return best
        mended, value = self._mended(best, judged), best.events[0].array
        later = [h for h in ordered if h.rank > best.rank and h.right.kind in ("slope", "gradient")]
        for other in later:
            wrong = other.right.kind == "slope" and not self._is_slope(other)
            if wrong and other.spot.site.kind == "value" and self._mended(other, judged) == mended:
                return other
        for other in reversed(later):
            alike = proportional(other.events[0].array, value, same)
            if alike and other.spot is not best.spot and self._mended(other, judged) == mended:
                best = other
                break
        site = best.spot.assigned
        if site is None or best.spot.site.kind == "name":
            return best
        return replace(best, spot=replace(best.spot, site=site))

    def _is_slope(self, best: Hypothesis) -> bool:
        """Whether the first value is the slope of something else, up to a constant."""
        value, same = best.events[0].array, self.measured.same
        if value.size < 2 or proportional(value, best.arrays[0], same):
            return False
        return any(
            proportional(value, a, same)
            for r in self.rights
            if r.kind == "slope" and not r.partial
            for a in r.arrays
        )


def _identical(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(a, b, equal_nan=True))


def _digest(array: Array) -> bytes:
    """Equal for arrays that are equal but for rounding, nearly always."""
    if array.dtype.kind != "f":
        return array.tobytes()
    largest = float(np.nanmax(np.abs(array), initial=0)) or 1.0
    return f"{array.shape} {largest:.5g}".encode() + np.round(array / largest, 5).tobytes()


def _clean(c: float) -> float:
    """A constant without the rounding of its measurement."""
    for whole in (c, 1 / c):
        near = round(whole * 60) / 60
        if near and abs(whole - near) < 2e-4 * abs(near):
            return near if whole == c else 1 / near
    return c


__all__ = ["Line", "explain"]
