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
from samegrad.implementations.tracing.experiments import Experiments, Judged
from samegrad.implementations.tracing.inputs import Inputs
from samegrad.implementations.tracing.named_here import named_here
from samegrad.implementations.tracing.outcome import Line, Outcome, Param
from samegrad.implementations.tracing.over_calls import adds_up, not_cleared
from samegrad.implementations.tracing.passed import passed_on
from samegrad.implementations.tracing.placing import by_caller
from samegrad.implementations.tracing.probe import Event, Probe, Tracer
from samegrad.implementations.tracing.quantities import Measured
from samegrad.implementations.tracing.repairs import Repairs
from samegrad.implementations.tracing.rights import rights
from samegrad.implementations.tracing.rules import wrong_rule
from samegrad.implementations.tracing.search import (
    Constants,
    Hypothesis,
    Spot,
    clean,
    orders,
    proportional,
)
from samegrad.implementations.tracing.sites import Site, probed
from samegrad.implementations.tracing.two import two_at_fault

Array = Any
BUDGET = 6_000  # runs of the loss, and of the backward pass
MOST_ENTRIES = 3000  # of all parameters: each costs two of the losses of the budget
SAMPLE = 40  # entries of each, where there are more
# Seconds of the processor for the runs of the loss, for those of the backward pass, and for two
# lines where no one is at fault. They are counted by the quickest run, so that the same is found
# beside other processes; SLOWED times all of it is the end.
FORWARD_SECONDS, BACKWARD_SECONDS, MORE_SECONDS = 3.0, 3.0, 2.0
SLOWED = 1.5
MOST_CONSTANTS = 4  # conventions of one backward pass


def explain(
    loss: Callable[[], Any],
    backward: Callable[[], Any],
    state: Sequence[Any],
    params: Mapping[str, Any],
    grads: Callable[[Any], Sequence[Any]],
    free: bool = False,
    uphill: bool = False,
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
        uphill: whether what is wrong are updates that have the wrong sign and nothing else.

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
                found = _Case(loss, backward, reached, snapshot, uphill).lines(params, grads, free)
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
        uphill: bool,
    ) -> None:
        self.backward, self.reached, self.snapshot = backward, reached, snapshot
        self.uphill = uphill
        self.sites: list[Site] = []
        self.probe = Probe(self.sites)
        self.tracer = Tracer(self.probe, probed(reached.functions, self.probe, self.sites))
        snapshot.restore()
        loss()
        self.measured = Measured(loss, self.tracer, snapshot.narrowed(), 3 * BUDGET)
        self.until = time.process_time() + SLOWED * (FORWARD_SECONDS + BACKWARD_SECONDS)

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
            most = SAMPLE
        params = [
            Param(name, self.measured.of_leaf(leaf, most), leaf, self.measured.noise(leaf.read()))
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
        self.measured.left = min(self.measured.left, int(FORWARD_SECONDS / self.measured.quickest))
        until = self.until - SLOWED * BACKWARD_SECONDS / 2
        self.seen = quantities.forward(self.measured, seen, self.sites, until)
        self.forward: dict[int, list[Array]] = {number: [] for number in self.seen}
        for event in seen:
            if event.site in self.forward:
                self.forward[event.site].append(event.array)
        known = list(self.seen.values())
        tried = self.tried = Experiments(
            self.backward, self.tracer, self.outcome, self.narrow, BUDGET, self.until
        )
        tried.left = tried.runs_in(BACKWARD_SECONDS, BUDGET)
        tried.rights = rights(known, self._others(seen), [(p.name, p.slopes) for p in params])
        tried.passed = lambda found: passed_on(
            found, events, self.sites, seen, known, self.measured.same
        )
        self.sizes = words.sizes(known)
        found = tried.search(self._spots(events), judged)
        text = ""
        if found is not None:
            best, text = self._said(found.best, events, seen)
            found = replace(found, best=best)
        sure = False
        if found is not None and found.other is None and " is wrong; " in text:
            first, sure = self._inputs(events).first_wrong(found.best)
            if first is not found.best:
                found, text = replace(found, best=first), self._sentence(first)
        # Zero, as what it is made of is: the cause is what ought to have set that.
        zero = found is not None and " is zero; " in text
        empty = zero and found is not None and self._inputs(events).are_zero(found.best)
        vague = " is wrong; ", " of shape ", "than that;"
        # The sign of an update is that of its statement: what it takes may be right.
        unsure = found is None or found.other is not None or self.uphill or empty
        if unsure or (not sure and any(words in text for words in vague)):
            repaired = self._repaired(self.backward, events)
            if repaired:
                return repaired
        if found is None or empty:
            return [] if empty else self._two(events, judged, seen)
        site, other = found.best.spot.site, found.other
        if other is None or (other.file, other.line) == (site.file, site.line):
            return [Line(site.file, site.line, text)]
        return [Line(site.file, site.line, f"{text}; or line {other.line} is wrong", False)]

    def _said(
        self, best: Hypothesis, events: Sequence[Event], seen: Sequence[Event]
    ) -> tuple[Hypothesis, str]:
        """A hypothesis at the place that is to be named, and what is said of it."""
        best = by_caller(best, events, self.sites, seen, self.seen)
        best = named_here(best, events, self.sites)
        return best, self._sentence(best)

    def _sentence(self, best: Hypothesis) -> str:
        return words.sentence(best, self.tried.rights, self.sizes, self.measured.same)

    def _inputs(self, events: Sequence[Event]) -> Inputs:
        forward = [array for arrays in self.forward.values() for array in arrays]
        return Inputs(events, self.sites, forward, self.tried.rights, self.measured.same)

    def _two(self, events: Sequence[Event], judged: Judged, seen: Sequence[Event]) -> list[Line]:
        """The lines of two faults, the first one first."""
        self.tried.left = self.tried.runs_in(MORE_SECONDS, BUDGET)
        self.tried.until = time.process_time() + SLOWED * MORE_SECONDS
        self.tried.over = False
        found: list[Line] = []
        vague = True
        for shown, of in two_at_fault(self.tried, events, judged, self._spots):
            best, text = self._said(shown, of, seen)
            site, vague = best.spot.site, vague and " is wrong; " in text
            if (site.file, site.line) not in [(f.file, f.number) for f in found]:
                found.append(Line(site.file, site.line, text))
        return [] if vague else found  # what they take may be wrong itself

    def _repaired(self, backward: Callable[[], Any], events: Sequence[Event]) -> list[Line]:
        repairs = Repairs(backward, self.outcome, self.measured, self.snapshot, self.sites)
        alone = self.tried.alone if hasattr(self, "tried") else ()
        repair = repairs.find(list(self.tracer.codes), events, self.uphill, alone)
        return [] if repair is None else [Line(repair.file, repair.edit.line, repair.text)]

    def _precision(self, seen: Sequence[Event]) -> None:
        if any(e.array.dtype == np.float32 for e in seen):
            self.measured.step, self.measured.same = quantities.STEP32, quantities.SAME32

    def _leaf(self, name: str, held: Any) -> Leaf:
        leaf = held if isinstance(held, Leaf) else leaf_of(held, name, fixed(held))
        if leaf is None:
            raise TypeError(name)
        return leaf

    def _others(self, seen: Sequence[Event]) -> list[tuple[Site, list[Event]]]:
        """Labels and masks: whole numbers, and arrays that were there before the run."""
        by_site: dict[int, list[Event]] = {}
        for event in seen:
            if event.site in self.seen or event.array.size == 1:
                continue
            counted = event.array.dtype.kind in "iu" and not np.array_equal(
                event.array, np.arange(event.array.size)
            )
            if counted or self.reached.holds(event.value):
                by_site.setdefault(event.site, []).append(event)
        return [(self.sites[number], events) for number, events in by_site.items()]

    def _spots(self, events: Sequence[Event]) -> list[Spot]:
        """Expressions of a backward pass, without the values of its forward pass.

        The experiments know from then on what else there is in it.
        """
        by_site: dict[int, list[Event]] = {}
        users = {site.function for site in self.sites}
        for event in quantities.thinned(events, self.sites, users):
            known = self.forward.get(event.site, [])
            if not any(np.array_equal(event.array, array) for array in known):
                by_site.setdefault(event.site, []).append(event)
        spots = [Spot(self.sites[number], tuple(group)) for number, group in by_site.items()]
        self.tried.last = {id(e.value): e.array for e in events}
        self.orders = orders(events, self.tried.rights)
        self.tried.constants = self._constants([e for spot in spots for e in spot.events])
        return spots

    def _constants(self, events: Sequence[Event]) -> Constants:
        """1, and constants by which values of the backward pass differ from slopes."""
        counts: dict[float, list[int]] = {}
        slopes = [a for r in self.tried.rights if r.kind == "slope" for a in r.arrays if a.size > 2]
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
