"""Values by their names in the function at fault, not in another that computes them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.rights import name_of
from samegrad.implementations.tracing.search import Hypothesis
from samegrad.implementations.tracing.sites import Site


def named_here(h: Hypothesis, events: Sequence[Event], sites: Sequence[Site]) -> Hypothesis:
    """A hypothesis whose expected value has the name of the same value in its own function.

    Args:
        events: of the backward pass.
    """
    if h.right.kind != "value":
        return h
    place = h.spot.site
    here = [e for e in events if (sites[e.site].file, sites[e.site].function) == (
        place.file, place.function)]  # fmt: skip
    if any(name_of(sites[e.site]) == h.right.text for e in here):
        return h
    same = [e for e in here if e.index < h.events[0].index and np.array_equal(e.array, h.arrays[0])]
    called = [name for e in same if "`" not in (name := name_of(sites[e.site]))]
    return replace(h, right=replace(h.right, text=called[0])) if called else h
