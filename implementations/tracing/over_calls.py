"""Gradients that are right after a first call and not after a second: what adds up, or stays."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.state.snapshot import Snapshot
from samegrad.implementations.tracing.outcome import Line, Outcome
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.search import equal, proportional
from samegrad.implementations.tracing.sites import Site

CLEARING = re.compile("zero|reset|clear")  # functions that say that they clear gradients


def adds_up(backward: Callable[[], Any], outcome: Outcome, snapshot: Snapshot) -> bool:
    """Whether every pass adds the same to its gradients, of parameters that stay."""
    if outcome.free:
        return False
    snapshot.restore()
    held = [p.leaf for p in outcome.params]
    there = [slot.read() for slot in held]
    runs = [outcome.gradients(backward()) for _ in range(3)]
    return all(np.array_equal(a, slot.read()) for a, slot in zip(there, held, strict=True)) and any(
        np.any(b != a) and equal(c - b, b - a, outcome.same)
        for a, b, c in zip(*runs, strict=True)
        if a is not None and b is not None and c is not None
    )


def not_cleared(
    first: Sequence[Event], second: Sequence[Event], sites: Sequence[Site], outcome: Outcome
) -> tuple[list[Line], bool]:
    """The line that adds to what the last call left, or should have cleared it.

    The second result: whether it is the one that should have.

    Args:
        first, second: events of two calls, one after the other.
    """
    slopes = [p.slopes for p in outcome.params if p.slopes.size > 1]
    before = {(e.site, e.occurrence): e.array for e in first}

    def times(array: Any) -> list[float]:
        found = (proportional(array, s, outcome.same) for s in slopes)
        return [round(c, 3) for c in found if c]

    for event in second:
        site = sites[event.site]
        if site.whole and times(event.array) and CLEARING.search(site.function.lower()):
            text = f"{site.target} is what the last call left; expected zero"
            return [Line(site.file, site.line, text)], True
    for event in second:
        site, was = sites[event.site], before.get((event.site, event.occurrence))
        if was is None or was.shape != event.array.shape:
            continue
        kept = site.kind == "stored" or site.operator == "Add"
        if kept and 1.0 in times(event.array - was):
            text = f"{site.target} adds up over calls; expected to start from zero in each"
            return [Line(site.file, site.line, text)], False
    return [], False
