"""Two expressions at fault: one makes some of the wrong gradients right, both make all of them.

An expression before both on which all wrong gradients depend may be the one cause instead: where
it holds nothing that is known to be right, nothing is said.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from samegrad.implementations.tracing.experiments import (
    MOST_OF_SPOT,
    Experiments,
    Judged,
    wrong_of,
)
from samegrad.implementations.tracing.placing import placed
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import Hypothesis, Spot, equal, proportional

Array = Any
MOST_FIRST = 3  # sets of gradients that one expression makes right
Shown = tuple[Hypothesis, Sequence[Event]]  # with the events of the run that shows it


def two_at_fault(
    tried: Experiments,
    events: Sequence[Event],
    judged: Judged,
    spots_of: Callable[[Sequence[Event]], list[Spot]],
) -> list[Shown]:
    """Two hypotheses by the order of the backward pass, or [].

    Args:
        tried: what is known of it.
        events, judged: of a run as it is.
        spots_of: gives the expressions of a run, and has the experiments know of it.
    """
    wrong = wrong_of(judged)
    if len(wrong) < 2 or tried.outcome.free:
        return []
    effective = tried.effective(spots_of(events), set(wrong))
    partly = list(_partly(tried, effective, judged))
    mends = dict.fromkeys(m for _, m in sorted(partly, key=lambda part: part[0].rank))
    for mended in list(mends)[:MOST_FIRST]:
        group = [h for h, m in partly if m == mended]
        found = placed(group, tried.rights, tried.same)
        # What is said of an expression may be of another place that has its values.
        first = next(h for h in group if h.arrays is found.best.arrays)
        second = None if found.other else _second(tried, first, spots_of)
        spots_of(events)
        if second is None:
            continue
        both: list[Shown] = [(found.best, events), second]
        if _may_be_one(tried, effective, wrong, [h for h, _ in both]):
            return []
        return sorted(both, key=lambda shown: shown[0].events[0].index)
    return []


def _partly(
    tried: Experiments, effective: Sequence[tuple[Spot, frozenset[int]]], judged: Judged
) -> Iterator[tuple[Hypothesis, frozenset[int]]]:
    """What makes some of the wrong gradients right, with these."""
    for spot, _ in effective:
        known = 0
        for h in tried.candidates(spot):
            if known == MOST_OF_SPOT or tried.is_over():
                break
            if not h.late and (mended := tried.mended(h, judged)):
                known += 1
                yield h, mended


def _second(
    tried: Experiments, first: Hypothesis, spots_of: Callable[[Sequence[Event]], list[Spot]]
) -> Shown | None:
    """What makes the rest right where the first is right, if one expression does."""
    tried.base = first.changes()
    try:
        judged, events = tried.record()
        spots = [s for s in spots_of(events) if s.site.number not in tried.base]
        found = tried.search(spots, judged)
    except OverflowError:
        return None
    finally:
        tried.base = {}
    return None if found is None or found.other else (found.best, events)


def _may_be_one(
    tried: Experiments,
    effective: Sequence[tuple[Spot, frozenset[int]]],
    wrong: frozenset[int],
    both: Sequence[Hypothesis],
) -> bool:
    """Whether something before both may have made all that is wrong."""
    before = min(h.events[0].index for h in both)
    params = zip(tried.outcome.params, tried.outcome.gradients(tried.changed({})), strict=True)
    off = [c for p, g in params if g is not None if (c := proportional(g, p.slopes, tried.same))]
    own = {(h.spot.site.file, h.spot.site.line) for h in both}
    for spot, effect in effective:
        if effect != wrong or spot.events[0].index >= before:
            continue
        if not (spot.site.whole or spot.assigned or spot.returned or spot.site.kind == "stored"):
            continue  # where what it is part of is right, it is, too
        if (spot.site.file, spot.site.line) in own:
            continue
        number = tried.constants.arrays and spot.events[0].array.size == 1
        arrays = () if number else [e.array for e in spot.events]
        if not all(_is_right(a, tried.rights, tried.same, off) for a in arrays):
            return True
    return False


def _is_right(array: Array, rights: Sequence[Right], same: float, off: Sequence[float]) -> bool:
    """Whether something is a value of the forward pass, or a slope times a number.

    Args:
        off: numbers by which gradients are off: no others are conventions.
    """
    for r in rights:
        for a in (turned for one in r.arrays for turned in (one, one.T)):
            if a.shape != array.shape:
                continue
            c = proportional(array, a, same) if r.kind == "slope" else None
            if equal(array, a, same) or (c and not any(abs(c - o) <= 1e-3 * abs(c) for o in off)):
                return True
    return False
