"""`explain`: the line of a backward pass that makes its gradient wrong."""

import contextlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import Leaf, fixed, leaf_of
from samegrad.implementations.state.reach import Reached
from samegrad.implementations.state.snapshot import Snapshot
from samegrad.implementations.tracing import quantities, words
from samegrad.implementations.tracing.outcome import Line, Outcome, Param
from samegrad.implementations.tracing.over_calls import adds_up, not_cleared
from samegrad.implementations.tracing.placing import Found, by_caller, makes_up, placed
from samegrad.implementations.tracing.probe import Change, Event, Probe, Tracer
from samegrad.implementations.tracing.quantities import Measured, Quantity
from samegrad.implementations.tracing.repairs import Repairs
from samegrad.implementations.tracing.rights import rights
from samegrad.implementations.tracing.rules import wrong_rule
from samegrad.implementations.tracing.search import (
    Constants,
    Hypothesis,
    Spot,
    clean,
    digest,
    disturbing,
    hypotheses,
    identical,
    orders,
    proportional,
)
from samegrad.implementations.tracing.sites import Site, probed

Array = Any
BUDGET = 6_000  # runs of the loss, and of the backward pass
MOST_ENTRIES = 3000  # of all parameters: each costs two of the losses of the budget
SAMPLE = 40  # entries of each, where there are more
SECONDS = 5.0  # of the processor, for all of it; what is not found by then is not named
MOST_CONSTANTS = 4  # conventions of one backward pass
MOST_OF_SPOT = 3  # ways in which one expression may be right
MOST_LEFT_OUT = 12  # values of one expression that are put back one by one


def explain(
    loss: Callable[[], Any],
    backward: Callable[[], Any],
    state: Sequence[Any],
    params: Mapping[str, Any],
    grads: Callable[[Any], Sequence[Any]],
    free: bool = False,
) -> list[Line]:
    """The lines that make a gradient wrong, the first cause first; [] where nothing shows it.

    The user's functions run many times; whatever they change is put back.

    Args:
        loss: gives the loss of the live state, a number.
        backward: computes the gradient.
        state: functions, objects and arrays of the user's: the functions that can be reached from
            these are traced, and what they hold is put back after each run.
        params: the live arrays, lists of floats or leaves on which the loss depends, by their
            names.
        grads: what `backward` returned -> the gradients as they were understood, in the order and
            the shapes of `params` (None for one that is not known).
        free: whether `grads` gives updates, which are the gradients times a rate nobody knows.

    Returns:
        [] too where there is no source, where a run does not repeat itself, or where the network
        is too large for the number of runs allowed.
    """
    reached = Reached()
    for held in state:
        reached.add(held, "")
    snapshot = reached.snapshot(random=True)
    found: list[Line] = []
    try:  # nothing of this may hide the verdict that it explains
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of runs with values that are made up
            with contextlib.suppress(Exception):
                found = _Case(loss, backward, reached, snapshot).lines(params, grads, free)
            with contextlib.suppress(Exception):
                if not found and reached.rules and (at := wrong_rule(reached.rules, backward)):
                    found = [Line(*at[:2], f"what {at[2]} returns is not the derivative")]
    finally:
        snapshot.restore()
    return found


class _Case:
    """One gradient that is explained."""

    def __init__(
        self,
        loss: Callable[[], Any],
        backward: Callable[[], Any],
        reached: Reached,
        snapshot: Snapshot,
    ) -> None:
        self.backward, self.reached, self.snapshot = backward, reached, snapshot
        self.sites: list[Site] = []
        self.probe = Probe(self.sites)
        self.tracer = Tracer(self.probe, probed(reached.functions, self.probe, self.sites))
        snapshot.restore()
        loss()
        self.measured = Measured(loss, self.tracer, snapshot.narrowed(), BUDGET)
        self.left = BUDGET
        self.until, self.over = time.process_time() + SECONDS, False

    def lines(
        self, given: Mapping[str, Any], grads: Callable[[Any], Sequence[Any]], free: bool
    ) -> list[Line]:
        if not self.tracer.codes:
            return []
        self.snapshot.restore()
        _, seen = self.tracer.record(self.measured.loss)
        self._precision(seen)
        leaves = [self._leaf(name, held) for name, held in given.items()]
        most = None
        if sum(leaf.size for leaf in leaves) > MOST_ENTRIES:
            most, self.measured.largest = SAMPLE, quantities.LARGEST_THERE
        params = [
            Param(name, self.measured.of_leaf(leaf, most), leaf)
            for name, leaf in zip(given, leaves, strict=True)
        ]
        self.snapshot.restore()
        self.outcome = Outcome(params, grads, self.measured.same, free)
        result, events = self.tracer.record(self.backward)
        self.narrow, judged = self.snapshot.narrowed(), self.outcome.judge(result)
        if not any(right is False for right in judged) or adds_up(
            self.backward, self.outcome, self.narrow
        ):
            return self._over_calls()
        self.snapshot.restore()
        forward = quantities.forward(self.measured, seen, self.sites, self.until - SECONDS / 3)
        self.rights = rights(
            list(forward.values()),
            self._others(seen, forward),
            [(p.name, p.slopes) for p in params],
        )
        self.sizes = words.sizes(list(forward.values()))
        self.last = {id(e.value): e.array for e in events}
        spots = self._spots(events, forward)
        self.orders = orders(events, self.rights)
        self.constants = self._constants([e for spot in spots for e in spot.events])
        found = self._search(spots, judged)
        text = ""
        if found is not None:
            found = replace(found, best=by_caller(found.best, events, self.sites, seen))
            text = words.sentence(found.best, self.rights, self.sizes, self.measured.same)
        vague = " is wrong; ", " of shape ", "than that;"
        if found is None or found.other is not None or any(words in text for words in vague):
            repaired = self._repaired(self.backward, events)
            if repaired or found is None:
                return repaired
        site, other = found.best.spot.site, found.other
        if other is None or (other.file, other.line) == (site.file, site.line):
            return [Line(site.file, site.line, text)]
        return [Line(site.file, site.line, f"{text}; or line {other.line} is wrong", False)]

    def _repaired(self, backward: Callable[[], Any], events: Sequence[Event]) -> list[Line]:
        repairs = Repairs(backward, self.outcome, self.measured, self.snapshot, self.sites)
        repair = repairs.find(list(self.tracer.codes), events)
        return [] if repair is None else [Line(repair.file, repair.edit.line, repair.text)]

    def _precision(self, seen: Sequence[Event]) -> None:
        if any(e.array.dtype == np.float32 for e in seen):
            self.measured.step, self.measured.same = quantities.STEP32, quantities.SAME32

    def _leaf(self, name: str, held: Any) -> Leaf:
        leaf = held if isinstance(held, Leaf) else leaf_of(held, name, fixed(held))
        if leaf is None:
            raise TypeError(name)
        return leaf

    def _others(
        self, seen: Sequence[Event], forward: Mapping[int, Quantity]
    ) -> list[tuple[Site, list[Event]]]:
        """Labels and masks: whole numbers, and arrays that were there before the run."""
        by_site: dict[int, list[Event]] = {}
        for event in seen:
            if event.site in forward or event.array.size == 1:
                continue
            counted = event.array.dtype.kind in "iu" and not np.array_equal(
                event.array, np.arange(event.array.size)
            )
            if counted or self.reached.holds(event.value):
                by_site.setdefault(event.site, []).append(event)
        return [(self.sites[number], events) for number, events in by_site.items()]

    def _spots(self, events: Sequence[Event], forward: Mapping[int, Quantity]) -> list[Spot]:
        """Expressions of the backward pass, without the values of its forward pass."""
        by_site: dict[int, list[Event]] = {}
        users = {site.function for site in self.sites}
        for event in quantities.thinned(events, self.sites, users):
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
        seen = {clean(c): min(counts[c]) for c in ordered[:MOST_CONSTANTS]}
        arrays = any(isinstance(e.value, np.ndarray) and e.array.size > 1 for e in events)
        usual = (-1.0, n, -n) if n > 1 else (-1.0,)
        return Constants({1.0: -1, **seen}, usual, arrays, self.orders)

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
            effect = frozenset(i for i in wrong if not identical(plain[i], moved[i]))
            if effect and 1 < len(spot.events) <= MOST_LEFT_OUT:
                spot = replace(spot, events=self._used(spot, plain))
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

    def _used(self, spot: Spot, plain: Sequence[Array | None]) -> tuple[Event, ...]:
        """The values of an expression, without those of last turns on which nothing depends."""
        for last in reversed(range(1, len(spot.events))):
            self.narrow.restore()
            alone = replace(spot, events=spot.events[last:])
            try:
                moved = self.outcome.gradients(self.tracer.change(self.backward, disturbing(alone)))
            except Exception:  # values that the code does not bear
                return spot.events[: last + 1]
            if not all(map(identical, plain, moved)):
                return spot.events[: last + 1]
        return spot.events[:1]

    def _search(self, spots: Sequence[Spot], judged: Sequence[bool | None]) -> Found | None:
        wrong = {i for i, right in enumerate(judged) if right is False}
        found: list[Hypothesis] = []
        late: list[Hypothesis] = []
        for spot, effect in self._effective(spots, wrong):
            if effect != wrong:
                continue  # it cannot make all of them right
            if self.over:
                break
            tried: set[Any] = set()
            for h in hypotheses(spot, self.rights, self.constants, self.measured.same):
                key = tuple((e.index, digest(a)) for e, a in zip(h.events, h.arrays, strict=True))
                if key not in tried and not makes_up(h, self.rights, self.measured.same, self.last):
                    tried.add(key)
                    if h.late:
                        late.append(h)
                    else:
                        self._try(h, found, judged)
        if not found:
            for h in sorted(late, key=lambda h: h.rank):
                self._try(h, found, judged)
        if not found:
            return None
        return placed(found, self.rights, self.measured.same)

    def _try(self, h: Hypothesis, found: list[Hypothesis], judged: Sequence[bool | None]) -> None:
        self.over = self.over or self.left < 0 or time.process_time() > self.until
        if self.over:
            return
        known = sum(f.spot is h.spot for f in found)
        if known < MOST_OF_SPOT and self._mends(h, judged):
            found.append(self._least(h, judged))

    def _mends(self, hypothesis: Hypothesis, judged: Sequence[bool | None]) -> bool:
        """Whether all wrong gradients are right with it, and all right ones still."""
        result = self.run(hypothesis.changes())
        return result is not None and all(
            result[i] is True for i, right in enumerate(judged) if right is not None
        )

    def _least(self, h: Hypothesis, judged: Sequence[bool | None]) -> Hypothesis:
        """The same without the values that need not change: the first that does is the cause."""
        if len(h.events) > MOST_LEFT_OUT:
            return h
        for event in h.events:
            left = [(e, a) for e, a in zip(h.events, h.arrays, strict=True) if e is not event]
            if not left:
                break
            events, arrays = zip(*left, strict=True)
            fewer = replace(h, events=events, arrays=arrays)
            if self._mends(fewer, judged):
                h = fewer
        return h

    def _over_calls(self) -> list[Line]:
        """Where a second pass, after the first, adds to its gradients or does not clear them."""

        def twice() -> Any:
            self.backward()
            return self.backward()

        self.narrow.restore()
        try:
            _, first = self.tracer.record(self.backward)
            result, events = self.tracer.record(self.backward)
        except Exception:
            return []
        added, clearing = not_cleared(first, events, self.sites, self.outcome)
        if clearing or not any(right is False for right in self.outcome.judge(result)):
            return added
        mended = self._repaired(twice, [*first, *events])
        return (
            mended if mended and [m.number for m in mended] != [a.number for a in added] else added
        )


__all__ = ["Line", "explain"]
