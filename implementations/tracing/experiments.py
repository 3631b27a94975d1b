"""Runs of a backward pass with some of its values replaced, and what they show of the others."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from samegrad.implementations.state.snapshot import Snapshot
from samegrad.implementations.tracing.outcome import Outcome, named_alike
from samegrad.implementations.tracing.placing import Found, makes_up, misnamed, placed, ratio
from samegrad.implementations.tracing.probe import Change, Event, Tracer
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import (
    Constants,
    Hypothesis,
    Spot,
    digest,
    disturbing,
    equal,
    hypotheses,
    identical,
    proportional,
)

Array = Any
Changes = dict[int, dict[int, Change]]
Judged = Sequence[bool | None]
MOST_OF_SPOT = 3  # ways in which one expression may be right
FEW = 5  # runs whose quickest has no other process beside it
MOST_LEFT_OUT = 12  # values of one expression that are put back one by one


class Experiments:
    """Experiments on one backward pass.

    Args:
        backward: computes the gradient.
        tracer: changes its values.
        outcome: says which gradients are right.
        narrow: the state from which every run starts.

    Attributes:
        rights: what it may rightly hold.
        constants: by which that may be multiplied.
        last: what objects hold in the end, by their ids.
        base: changes that every run has.
        left: runs that are allowed.
        until: of time.process_time(), after which there are no more.
        over: whether there were too many.
        passed: gives what mends the gradients where an argument is returned as it came.
        alone: (file, line) of what all wrong gradients depend on, and no right one.
    """

    rights: Sequence[Right]
    constants: Constants
    last: Mapping[int, Array]

    def __init__(
        self,
        backward: Callable[[], Any],
        tracer: Tracer,
        outcome: Outcome,
        narrow: Snapshot,
        left: int,
        until: float,
    ) -> None:
        self.backward, self.tracer, self.outcome, self.narrow = backward, tracer, outcome, narrow
        self.left, self.until, self.over = left, until, False
        self.base: Changes = {}
        self.alone: set[tuple[str, int]] = set()
        self.passed: Callable[[Sequence[Hypothesis]], Hypothesis | None] | None = None

    @property
    def same(self) -> float:
        """The relative difference below which numbers are the same."""
        return self.outcome.same

    def runs_in(self, seconds: float, most: int) -> int:
        """How many runs take so long, each as long as the quickest of a few."""
        taken = []
        for _ in range(FEW):
            start = time.process_time()
            self.changed({})
            taken.append(time.process_time() - start)
        return min(most, int(seconds / max(min(taken), 1e-6)))

    def record(self) -> tuple[Judged, list[Event]]:
        """Which gradients are right, and the events of a run.

        Raises:
            OverflowError: there are too many.
        """
        self.narrow.restore()
        result, events = self.tracer.record(self.backward, self.base)
        return self.outcome.judge(result), events

    def changed(self, changes: Changes) -> Any:
        """What a run gives with some values changed."""
        self.narrow.restore()
        both = {
            site: {**self.base.get(site, {}), **changes.get(site, {})}
            for site in {**self.base, **changes}
        }
        return self.tracer.change(self.backward, both)

    def run(self, changes: Changes) -> list[bool | None] | None:
        """Which gradients are right with some values changed; None if the run fails."""
        self.left -= 1
        try:
            return self.outcome.judge(self.changed(changes))
        except Exception:
            return None

    def effective(
        self, spots: Sequence[Spot], wrong: set[int]
    ) -> list[tuple[Spot, frozenset[int]]]:
        """The expressions on which wrong gradients depend, with these gradients.

        Of expressions that have the same values to the same effect only the first is kept.
        """
        found: list[tuple[Spot, frozenset[int]]] = []
        classes: dict[Any, int] = {}
        plain = self.outcome.gradients(self.changed({}))
        for spot in sorted(spots, key=lambda s: s.events[0].index):
            try:
                moved = self.outcome.gradients(self.changed(disturbing(spot)))
            except Exception:  # values that the code does not bear: it may be tried with others
                found.append((spot, frozenset(wrong)))
                continue
            changed = {i for i, now in enumerate(moved) if not identical(plain[i], now)}
            effect = frozenset(changed & wrong)
            if changed == wrong:
                self.alone.add((spot.site.file, spot.site.line))
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
            alone = replace(spot, events=spot.events[last:])
            try:
                moved = self.outcome.gradients(self.changed(disturbing(alone)))
            except Exception:  # values that the code does not bear
                return spot.events[: last + 1]
            if not all(map(identical, plain, moved)):
                return spot.events[: last + 1]
        return spot.events[:1]

    def candidates(self, spot: Spot) -> Iterator[Hypothesis]:
        """What the values of an expression might have to be, each once."""
        tried: set[Any] = set()
        for h in hypotheses(spot, self.rights, self.constants, self.same):
            key = tuple((e.index, digest(a)) for e, a in zip(h.events, h.arrays, strict=True))
            if key not in tried and not makes_up(h, self.rights, self.same, self.last):
                tried.add(key)
                yield h

    def search(self, spots: Sequence[Spot], judged: Judged) -> Found | None:
        """The one expression that makes all gradients right, if there is one."""
        wrong = wrong_of(judged)
        found: list[Hypothesis] = []
        late: list[Hypothesis] = []
        able = [s for s, effect in self.effective(spots, set(wrong)) if effect == wrong]
        for spot in sorted(able, key=lambda s: (self._spoils(s), self._order(s))):
            if self.over:
                break
            for h in self.candidates(spot):
                if h.late:
                    late.append(h)
                else:
                    self._try(h, found, judged)
        for h in late if found else ():
            turned = ratio(h, self.same)
            # What was right as it is may have to be turned only where this is wrong.
            sign = h.constant == 1 and abs(turned + 1) <= 1e-3 and found[0].constant == -1
            if sign or (misnamed(h) and self._others_as_named(h, spots)):
                self._try(h, found, judged)
        if not found:
            for h in sorted(late, key=lambda h: h.rank):
                self._try(h, found, judged)
            found = self._turned_last(found)
        passed = self.passed(found) if self.passed is not None else None
        if passed is not None:
            return Found(passed)
        return placed(found, self.rights, self.same) if found else None

    def _spoils(self, spot: Spot) -> bool:
        """Whether a right gradient depends on its one value, and would not stay right."""
        place = spot.site.file, spot.site.line
        return len(spot.events) == 1 and bool(self.alone) and place not in self.alone

    def _order(self, spot: Spot) -> int:
        """New names of what is there come first, slopes of something last: they are often right."""
        if spot.site.kind == "kept" and spot.site.whole:
            return 0
        arrays = [a for r in self.rights if r.kind == "slope" and not r.partial for a in r.arrays]
        return 1 + all(
            e.array.size > 1 and any(proportional(e.array, a, self.same) for a in arrays)
            for e in spot.events[:MOST_LEFT_OUT]
        )

    def _turned_last(self, found: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Of what is minus a slope, as its inputs are: the last line, where the sign is put right.

        But not if a name says that it is no such thing.
        """
        ratios = [ratio(h, self.same) for h in found]
        if not found or any(abs(r + 1) > 1e-3 for r in ratios) or any(map(misnamed, found)):
            return list(found)
        last = max(found, key=lambda h: h.events[0].index).spot.site
        return [h for h in found if (h.spot.site.file, h.spot.site.line) == (last.file, last.line)]

    def _others_as_named(self, h: Hypothesis, spots: Sequence[Spot]) -> bool:
        """Whether other gradients are, with no factor, what their names say: dW2 is dloss/dW2.

        Then a factor that this one has from its inputs is not left to what comes later.
        """
        slopes = {p.name: p.slopes for p in self.outcome.params}
        own = h.right.text.partition("dloss/d")[2]
        for spot in spots:
            value, target = spot.events[-1].array, spot.site.target
            for name, array in slopes.items():
                short = re.findall(r"\w+", name)[-1]
                other = short != own and spot.site.whole and named_alike(target, short)
                if other and equal(value, array, self.same):
                    return True
        return False

    def is_over(self) -> bool:
        """Whether no more runs are allowed."""
        self.over = self.over or self.left < 0 or time.process_time() > self.until
        return self.over

    def _try(self, h: Hypothesis, found: list[Hypothesis], judged: Judged) -> None:
        if self.is_over():
            return
        known = sum(f.spot is h.spot for f in found)
        if known < MOST_OF_SPOT and self._mends(h, judged):
            found.append(self._least(h, judged))

    def mended(self, h: Hypothesis, judged: Judged) -> frozenset[int]:
        """The wrong gradients that are right with it; none if a right one is no longer."""
        now = self.run(h.changes())
        spoilt = (was and now[i] is not True for i, was in enumerate(judged)) if now else ()
        if now is None or any(spoilt):
            return frozenset()
        return frozenset(i for i in wrong_of(judged) if now[i] is True)

    def _mends(self, h: Hypothesis, judged: Judged) -> bool:
        """Whether all wrong gradients are right with it, and all right ones still."""
        return self.mended(h, judged) == wrong_of(judged)

    def _least(self, h: Hypothesis, judged: Judged) -> Hypothesis:
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


def wrong_of(judged: Judged) -> frozenset[int]:
    """The numbers of the gradients that are wrong."""
    return frozenset(i for i, right in enumerate(judged) if right is False)
