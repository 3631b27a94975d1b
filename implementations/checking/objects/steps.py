"""Updates that are no constant times the gradient, and yet no fault: other rules, several steps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from samegrad.implementations.checking.objects.matching import UPDATE, Fit
from samegrad.implementations.state.leaves import Leaf, NumberLeaf

# Between steps this small the point moves by so little that their sum is one step; a float64
# difference of parameters still has ten digits of it.
SLOWER = 1e-5
BOUND = 1e-3  # of the sum of some tens of such steps
ALIKE = 0.01  # relative: by so much the entries of a first step of Adam differ (its epsilon)


def none_fits(chosen: Sequence[Fit | None]) -> bool:
    """Whether updates are all that there is, and none is in proportion to its gradient."""
    known = [of for of in chosen if of is not None and of.decided]
    return bool(known) and all(
        of.candidate.origin == UPDATE and of.constant is None and of.wrong and not of.not_finite
        for of in known
    )


def signs_only(chosen: Sequence[Fit | None]) -> bool:
    """Whether all entries of each update are of one size, as in a first step of Adam."""
    for of in chosen:
        if of is not None:
            sizes = np.abs(of.values[of.values != 0])
            if sizes.size and np.max(sizes) > (1 + ALIKE) * np.min(sizes):
                return False
    return True


@contextmanager
def slow(leaves: Sequence[Leaf], parameters: Sequence[Leaf]) -> Iterator[bool]:
    """Numbers that may be rates are much smaller for a while; gives whether there are any."""
    rates = [
        leaf
        for leaf in leaves
        if isinstance(leaf, NumberLeaf)
        and 0 < float(leaf.value) <= 1
        and leaf.places[0].settable
        and not any(set(leaf.names) & set(p.names) for p in parameters)
    ]
    values = [leaf.value for leaf in rates]
    try:
        for leaf, value in zip(rates, values, strict=True):
            leaf.replace(float(value) * SLOWER)
        yield bool(rates)
    finally:
        for leaf, value in zip(rates, values, strict=True):
            leaf.replace(value)
