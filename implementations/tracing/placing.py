"""Of expressions that would each make the gradients right, the one that is wrong in itself."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.tracing.outcome import named_alike
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.quantities import READ
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import Hypothesis, Spot, equal, proportional
from samegrad.implementations.tracing.sites import Site

Array = Any
CALLED = re.compile("sigmoid|logistic|tanh|leaky_?relu|relu|softplus|gelu")
FEW = 3  # numbers that are not the slopes of something by chance


@dataclass(frozen=True)
class Found:
    """What mends the gradients, and the site that may be at fault as well, if there is one."""

    best: Hypothesis
    other: Site | None = None


def placed(found: Sequence[Hypothesis], rights: Sequence[Right], same: float) -> Found:
    """The first of what mends the gradients, where what it computes is wrong in itself.

    A value that is dloss/d(something else) is rightly computed. The line that assigns it to a
    variable, or the one use that ought to read something else, is the cause.
    """
    found = _ordered(_turned_later(found, same), same)
    found = [h for h in found if misnamed(h) or not _as_named(h, rights, same)] or found
    found = [h for h in found if not _as_forward(h, rights, same)] or found
    best = found[0]
    spot = best.spot
    factor = proportional(best.events[0].array, best.arrays[0], same)
    if factor and spot.site.kind == "stored" and spot.returned:
        return Found(replace(best, spot=replace(spot, site=spot.returned)))
    new = spot.assigned if spot.assigned and spot.assigned.kind == "kept" else None
    if factor and new and (not misnamed(best) or new.text == new.target):
        return Found(replace(best, spot=_assigned(best)))  # g = p: that is why it has a new name
    others = _of_others(best, rights, same)
    if best.right.kind not in ("slope", "gradient") or not others:
        return Found(best, _stored_later(best, found, same))
    if spot.site.kind == "kept" and spot.site.whole and spot.site.target != "return":
        return Found(best)  # dc = dc: it is set to be another
    assigned = replace(best, spot=_assigned(best))
    site = assigned.spot.site
    target = site.text if site.kind == "stored" else site.target
    for h in found:  # dz1 ought to be dloss/dz1
        if h.spot is spot and named_alike(target, h.right.text.partition("dloss/d")[2]):
            return Found(replace(h, spot=assigned.spot))
    for h in found:  # db[j] = d[j]: it is made entry by entry
        made = h.spot.site.kind == "stored" and h.spot.site.target != h.spot.site.text
        if (
            made
            and h.constant == 1
            and named_alike(h.spot.site.text, h.right.text.partition("dloss/d")[2])
        ):
            return Found(h)
    # By another number than usual that slope may be wrong itself.
    usual = any(abs(c - best.constant) <= 1e-3 * abs(c) for c in others)
    return Found(_used(best, found, rights, same), None if usual else assigned.spot.site)


def _stored_later(best: Hypothesis, found: Sequence[Hypothesis], same: float) -> Site | None:
    """Where the same variable would be the slope itself, if what is first is off by a number.

    A number alone makes nothing right of what is off by more, which was so before.
    """
    site = best.spot.site
    if best.constant == 1 or site.kind != "stored" or not _of_slopes(best):
        return None
    name = re.split(r"[.\[]", site.text)[0]
    return next(
        (
            other
            for h in found
            if h.constant == 1 and (other := h.spot.site).kind == "stored"
            if re.split(r"[.\[]", other.text)[0] == name and other.line != site.line
            if _scaled(best, same)
            or not proportional(h.events[0].array, best.events[0].array, same)
        ),
        None,
    )


def _used(
    best: Hypothesis, found: Sequence[Hypothesis], rights: Sequence[Right], same: float
) -> Hypothesis:
    """Where the slope of something else is put to the wrong use."""
    value = best.events[0].array
    later = [
        h for h in found if h.rank > best.rank and (_of_slopes(h) or numbers_of(h) is not None)
    ]
    for other in later:
        wrong = other.right.kind == "slope" and not _of_others(other, rights, same)
        if wrong and other.spot.site.kind == "value" and not _rearranged(other, best):
            return other
    set_in = None if best.spot.assigned is None else _place(best.spot.assigned)
    for other in reversed(later):
        if set_in not in (None, _place(best.spot.site), _place(other.spot.site)):
            continue  # it is given there by the line that sets it
        alike = _rearranged(other, best) or (
            value.size > 1 and proportional(other.events[0].array, value, same)
        )
        if alike and other.spot is not best.spot:
            best = other
            break
    if best.spot.site.kind != "name":
        best = replace(best, spot=_assigned(best))
    return best


def _place(site: Site) -> tuple[tuple[str, ...], str]:
    return site.owner, site.function


def _rearranged(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether both hold the same numbers, in another order or shape."""
    a, b = one.events[0].array, other.events[0].array
    if (m := numbers_of(one)) is not None and (n := numbers_of(other)) is not None:
        a, b = m, n
    return bool(a.size == b.size and np.array_equal(np.sort(a, None), np.sort(b, None)))


def _assigned(h: Hypothesis) -> Spot:
    """Its expression by the last assignment of the same values."""
    return h.spot if h.spot.assigned is None else replace(h.spot, site=h.spot.assigned)


def _ordered(found: Sequence[Hypothesis], same: float) -> list[Hypothesis]:
    plain = [h for h in found if _scaled(h, same)]
    if plain:  # what is off by a factor alone does not come of what is off by more,
        # unless that is by its own name: a mask may hide by how much more
        found = [h for h in found if h in plain or not _of_slopes(h) or misnamed(h)]
    return sorted(found, key=lambda h: (h.rank[0], not _scaled(h, same), h.rank))


def _turned_later(found: Sequence[Hypothesis], same: float) -> list[Hypothesis]:
    """Without slopes that ought to be minus themselves where something later is minus its own."""
    turned = [h for h in found if _scaled(h, same) and abs(ratio(h, same) + 1) <= 1e-3]
    wrong = [h.events[0].index for h in turned if h.constant == 1]
    last = max(wrong, default=-1)
    return [h for h in found if h not in turned or h.constant == 1 or h.events[0].index > last]


def ratio(h: Hypothesis, same: float) -> float:
    """How many times what a line ought to compute it computes; 0 where it is no multiple."""
    return proportional(h.events[0].array, h.arrays[0], same) or 0.0


def _of_slopes(h: Hypothesis) -> bool:
    return h.right.kind in ("slope", "gradient") and h.events[0].array.size > 1


def _scaled(h: Hypothesis, same: float) -> bool:
    """Whether the first value is what it ought to be times a number."""
    return _of_slopes(h) and bool(proportional(h.events[0].array, h.arrays[0], same))


def _of_others(h: Hypothesis, rights: Sequence[Right], same: float) -> list[float]:
    """By which numbers the first value is the slope of something else."""
    value = h.events[0].array
    whole = [r for r in rights if r.kind == "slope" and not r.partial]
    if (numbers := numbers_of(h)) is not None:
        slopes = [
            np.sort([float(a.reshape(())) for a in r.arrays])
            for r in whole
            if len(r.arrays) >= len(numbers) and all(a.size == 1 for a in r.arrays)
        ]
        constants = dict.fromkeys((1.0, h.constant))
        return [c for c in constants if any(among(numbers / c, own, same) for own in slopes)]
    if value.size < 2 or proportional(value, h.arrays[0], same):
        return []
    return [c for r in whole for a in r.arrays if (c := proportional(value, a, same))]


def numbers_of(h: Hypothesis) -> Array | None:
    """What an expression computed number by number, where there are some."""
    if len(h.events) < FEW or any(e.array.size > 1 for e in h.events):
        return None
    return np.array([float(e.array.reshape(())) for e in h.events])


def among(numbers: Array, others: Array, same: float) -> bool:
    """Whether each number is one of others, which are in order."""
    at = np.clip(np.searchsorted(others, numbers), 1, len(others) - 1)
    off = np.minimum(np.abs(others[at] - numbers), np.abs(others[at - 1] - numbers))
    return bool(np.all(off <= same * np.max(np.abs(others))))


def misnamed(h: Hypothesis) -> bool:
    """Whether it ought to be, with no factor, the slope that its last name says."""
    target = _assigned(h).site.target
    return h.constant == 1 and named_alike(target, h.right.text.partition("dloss/d")[2])


def _as_named(h: Hypothesis, rights: Sequence[Right], same: float) -> bool:
    """Whether it is the slope that its name says, and only ought to be that of something else."""
    value, target = h.events[0].array, h.spot.site.target
    if h.spot.site.kind == "kept" and h.spot.site.whole and target != "return":
        return False  # dc = dc: it is set to be another
    return _of_slopes(h) and any(
        equal(value, h.constant * a, same)
        for r in rights
        if r.kind == "slope" and r.text != h.right.text and not r.partial
        if named_alike(target, r.text.partition("dloss/d")[2])
        for a in r.arrays
    )


def _as_forward(h: Hypothesis, rights: Sequence[Right], same: float) -> bool:
    """Whether it is the value that its name has in the forward pass, or a derivative returned.

    Such a value is rightly computed, and no slope: its use may be wrong. So is one of the forward
    pass that a function is given where it ought to give the derivative.
    """
    value, site = h.events[0].array, h.spot.site
    if h.right.kind == "derivative" and site.argument and READ.fullmatch(site.text):
        # What a derivative is taken of is no derivative.
        return value.size > 1 and any(
            value.shape == a.shape and np.array_equal(value, a)
            for r in rights
            if r.kind == "value"
            for a in r.arrays
        )
    if not _of_slopes(h):
        return False
    named = site.target.removeprefix("self.")
    return any(
        equal(value, a, same)
        for r in rights
        if (r.kind == "value" and r.text == named)
        or (r.kind == "derivative" and site.target == "return")
        for a in r.arrays
    )


def makes_up(
    h: Hypothesis, rights: Sequence[Right], same: float, last: Mapping[int, Array]
) -> bool:
    """Whether a right slope would be another one times a number, taken for a value.

    Or a start from zero, to which something is added later, would be a slope, or labels would.

    Args:
        last: what objects hold in the end, by their ids.
    """
    value = h.events[0].array
    if h.right.kind in ("slope", "gradient"):
        labels = [a for r in rights if r.text.startswith("one-hot of") for a in r.arrays]
        part = h.constant != 1 and not h.spot.site.whole
        if any(equal(value, a, same) or (part and equal(-value, a, same)) for a in labels):
            return True
        return all(not np.any(e.array) and np.any(last[id(e.value)]) for e in h.events)
    if h.right.kind != "value" or value.size < 3 or not proportional(value, h.arrays[0], same):
        return False
    slopes = (a for r in rights if r.kind == "slope" for a in r.arrays)
    return any(proportional(value, a, same) for a in slopes)


def by_caller(
    h: Hypothesis,
    events: Sequence[Event],
    sites: Sequence[Site],
    seen: Sequence[Event],
    made: Container[int],
) -> Hypothesis:
    """What a function reads that ought to be another value is what its caller gave it.

    So is what a function computes by a line of which the loss is made: that line is right.

    Args:
        seen: events of the loss.
        made: the sites of which it is made: a whole turn may be run for it.
    """
    first, site = h.events[0], h.spot.site
    if h.right.kind in ("value", "label"):
        if site.argument and _as_its_function(site.argument, h, seen, sites):
            reads = (
                s
                for e in events[first.index + 1 :]
                if e.value is first.value and (s := sites[e.site]).function != site.function
            )
            return replace(h, spot=replace(h.spot, site=next(reads, site)))
        if site.kind == "name":
            return _given(h, events, sites, seen)
    if h.right.kind == "derivative" and site.whole and READ.fullmatch(site.text):
        return _misused(h, events, sites)
    known = made if h.right.kind == "derivative" else {e.site for e in seen}
    if site.number not in known and not _of_another(h, seen, sites):
        return h
    call = re.compile(rf"\b{re.escape(site.function)}\(")
    calls = (
        s
        for e in events[first.index + 1 :]
        if (s := sites[e.site]).function != site.function and call.search(s.text)
        if np.array_equal(e.array, first.array)
    )
    return replace(h, spot=replace(h.spot, site=next(calls, site)))


def _of_another(h: Hypothesis, seen: Sequence[Event], sites: Sequence[Site]) -> bool:
    """Whether a function is, by its name, of an activation that the forward pass does not have."""
    own = _activations(h.spot.site.function)
    if h.right.activation is None or not own or h.right.activation.name in own:
        return False
    return not own & {a for e in seen for a in _activations(sites[e.site].function)}


def _activations(function: str) -> set[str]:
    found = (word.replace("_", " ") for word in CALLED.findall(function.lower()))
    return {{"logistic": "sigmoid", "leakyrelu": "leaky relu"}.get(word, word) for word in found}


def _misused(h: Hypothesis, events: Sequence[Event], sites: Sequence[Site]) -> Hypothesis:
    """Where a variable is read that ought to be a derivative, and is what its name says."""
    first, site = h.events[0], h.spot.site
    named = [e for e in events[: first.index] if sites[e.site].target == site.target]
    if any(e.site != site.number and np.array_equal(e.array, first.array) for e in named):
        for e in reversed(events[first.index + 1 :]):
            read = sites[e.site]
            if e.value is first.value and _place(read) == _place(site) and read.kind == "name":
                return replace(h, spot=replace(h.spot, site=read))
    return h


def _given(
    h: Hypothesis, events: Sequence[Event], sites: Sequence[Site], seen: Sequence[Event]
) -> Hypothesis:
    """Where the caller of a function gave it the name that it reads."""
    first, site = h.events[0], h.spot.site
    given = [
        sites[e.site]
        for e in events[: first.index]
        if e.value is first.value and sites[e.site].argument and e.site != site.number
    ]
    called = [
        g
        for g in given
        if g.function != site.function
        and (g.path == site.path or g.argument.rpartition(".")[2] == site.function)
    ]
    if called and _as_its_function(called[-1].argument, h, seen, sites):
        return h
    read = [
        s for s in sites if (s.file, s.function, s.text) == (site.file, site.function, site.text)
    ]
    if len(read) > 1 and h.right.text != site.text:
        return h  # another use of it in the function is right
    return replace(h, spot=replace(h.spot, site=called[-1])) if called else h


def _as_its_function(
    derivative: str, h: Hypothesis, seen: Sequence[Event], sites: Sequence[Site]
) -> bool:
    """Whether an object's derivative is given what the object's function was, not its result."""
    owner = derivative.rpartition(".")[0]
    if owner in ("", "self", "cls"):
        return False
    value, wanted = h.events[0].array, h.arrays[0]

    def is_of_owner(called: str) -> bool:
        return called == owner or (called.startswith(f"{owner}.") and called != derivative)

    return any(
        is_of_owner(sites[e.site].argument) and np.array_equal(e.array, value) for e in seen
    ) and any(
        is_of_owner(sites[e.site].text.partition("(")[0]) and np.array_equal(e.array, wanted)
        for e in seen
    )
