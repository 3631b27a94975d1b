"""What a line computes, and what it should, in words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.tracing.placing import among, numbers_of
from samegrad.implementations.tracing.quantities import Quantity
from samegrad.implementations.tracing.rights import ACTIVATIONS, Right
from samegrad.implementations.tracing.search import Hypothesis, proportional

Array = Any
ZERO = 1e-9  # of what is right: rounding, where things cancel
MOST_NUMBERS = 10**6  # in one array of factors


@dataclass(frozen=True)
class Sizes:
    """The numbers by which a gradient may be off: examples of the batch, outputs; 0: unknown."""

    batch: int
    outputs: int


def sizes(quantities: Sequence[Quantity]) -> Sizes:
    """The batch is the length that the most arrays of the forward pass have in common."""
    shapes = [(e.index, e.array.shape) for q in quantities for e in q.events if e.array.ndim == 2]
    if not shapes:
        return Sizes(0, 0)
    counts = Counter(length for _, shape in shapes for length in set(shape))
    batch = counts.most_common(1)[0][0]
    last = max((index, shape) for index, shape in shapes if batch in shape)[1]
    others = [length for length in last if length != batch]
    return Sizes(batch, others[0] if others else batch if set(last) == {batch} else 1)


def constant(c: float, known: Sizes) -> str:
    """A factor with what it is: "6 (the batch) times "; "" for 1."""
    if abs(c - 1) < 1e-4:
        return ""
    if abs(c + 1) < 1e-4:
        return "minus "
    n, k = known.batch, known.outputs
    named = {n * k: "the batch times the outputs", k: "the outputs", n: "the batch"}
    for size, text in named.items():
        for shown, value in ((f"{size}", size), (f"1/{size}", 1 / max(size, 1))):
            if size > 2 and abs(abs(c) - value) < 1e-4 * value:
                return f"{'-' if c < 0 else ''}{shown} ({text}) times "
    for whole in (c, 1 / c):
        if abs(whole - round(whole)) < 1e-4 and round(whole):
            shown = f"{round(whole)}" if whole == c else f"1/{round(whole)}"
            return f"{shown.replace('1/-', '-1/')} times "
    return f"{c:.5g} times "


def sentence(best: Hypothesis, rights: Sequence[Right], known: Sizes, same: float) -> str:
    """What the first wrong value of a hypothesis is, and what was expected."""
    site, right = best.spot.site, best.right
    name = site.target if site.target not in ("", "return") else f"what {site.function} returns"
    whole = site.whole or site.kind == "stored"
    text = _short(site.text)
    if right.kind in ("value", "label") or best.events[0].array.dtype.kind != "f":
        takes = f"{name} is {text}" if whole else f"{name} takes {text}"
        # Quantities are named without their object.
        same = right.text in (text, text.removeprefix("self."))
        before = " as it was before that changed" if same else ""
        return f"{takes}; expected {right.text}{before}"
    subject = name if whole else f"in {name}, {text}"
    if right.kind == "derivative":
        now = text if whole else ""
        return f"{subject} is {now or 'another'}; expected {_expected(best)}"
    product = _product(best, rights, known, same)
    if product is not None:
        return f"{subject} is {product[0]}; expected {product[1]}"
    now = _now(best, rights, known, same)
    wanted = f"expected {constant(best.constant, known)}{_expected(best)}"
    if wanted == f"expected {now}":  # the slope at one place, of a quantity that has several
        return f"{subject} is {now} by one of its uses in the loss; expected by all of them"
    return f"{subject} is {now}; {wanted}" if now else f"{subject} is wrong; {wanted}"


def _expected(best: Hypothesis) -> str:
    right = best.right
    layer = ""
    if right.count > 1 and right.kind != "value":
        layer = f" of layer {best.position % right.count + 1}"
    return right.text + layer


def _short(text: str) -> str:
    return text if len(text) <= 50 else f"{text[:47]}..."


def _now(best: Hypothesis, rights: Sequence[Right], known: Sizes, same: float) -> str:
    """A formula for the value, or ""."""
    value, right = best.events[0].array, best.arrays[0]
    if value.shape != right.shape:
        return f"of shape {value.shape}, not {right.shape}"
    if np.max(np.abs(value)) < ZERO * np.nanmax(np.abs(right)):
        return "zero"
    if (numbers := numbers_of(best)) is not None and (name := _of_numbers(numbers, rights, same)):
        return name
    c = _ratio(value, right, same)
    if c is not None:
        return f"{constant(c * best.constant, known)}{best.right.text}" if c else "zero"
    for r, a in _arrays(rights, "slope"):
        c = None if value.size < 2 else _ratio(value, a, same)
        if c:
            return f"{constant(c, known)}{r.text}"
    for r, a in _arrays(rights, "value"):
        if a.shape == value.shape and value.size > 2:
            c = _ratio(value - right, a, same)
            if c:
                sign = "more" if c > 0 else "less"
                return f"{constant(abs(c), known) or '1 times '}{r.text} {sign} than that"
    return ""


def _of_numbers(numbers: Array, rights: Sequence[Right], same: float) -> str:
    """The slope of which all of these are entries, computed one by one, or ""."""
    for r in rights:
        if r.kind != "slope" or len(r.arrays) < len(numbers) or any(a.size > 1 for a in r.arrays):
            continue
        if among(numbers, np.sort([float(a.reshape(())) for a in r.arrays]), same):
            return r.text
    return ""


def _product(
    best: Hypothesis, rights: Sequence[Right], known: Sizes, same: float
) -> tuple[str, str] | None:
    """(what it is, what it ought to be) where both are a slope times something, or None."""
    value, right = best.events[0].array, best.arrays[0]
    if value.size < 3 or value.shape != right.shape or _ratio(value, right, same):
        return None
    factors = list(_factors(list(_arrays(rights, "value")), value.shape))
    for r, a in _arrays(rights, "slope"):
        if a.shape != value.shape or a is best.right:
            continue
        was = _times(value, a, factors, same)
        if was is None:
            continue
        ought = _times(right, a, factors, same)
        now = f"{constant(was[0], known)}{r.text}{f' times {was[1]}' if was[1] else ''}"
        if ought is not None and abs(was[0] - ought[0]) < 1e-3 * abs(was[0]):
            return now, f"times {ought[1]}" if ought[1] else f"{constant(ought[0], known)}{r.text}"
        if was[1]:
            return now, f"{constant(best.constant, known)}{_expected(best)}"
    return None


def _times(
    value: Array, slope: Array, factors: Sequence[tuple[str, Array]], same: float
) -> tuple[float, str] | None:
    """(c, factor) where a value is c times a slope times the factor; "" for none."""
    c = _ratio(value, slope, same)
    if c:
        return c, ""
    flat = value.ravel().astype(np.float64)
    at_once = max(1, MOST_NUMBERS // value.size)
    for start in range(0, len(factors), at_once):  # some thousands of factors, of few numbers each
        some = factors[start : start + at_once]
        tried = slope.ravel() * np.array([b.ravel() for _, b in some], np.float64)
        with np.errstate(all="ignore"):
            cs = tried @ flat / np.sum(tried**2, axis=1)
            off = np.max(np.abs(flat - cs[:, None] * tried), axis=1)
        for k in map(
            int, np.flatnonzero(off <= 2 * same * np.abs(cs) * np.max(np.abs(tried), axis=1))
        ):
            c = _ratio(value, slope * some[k][1], same)
            if c:
                return c, some[k][0]
    return None


def _arrays(rights: Sequence[Right], kind: str) -> Iterator[tuple[Right, Array]]:
    return ((r, a) for r in rights if r.kind == kind for a in r.arrays)


def _factors(values: Sequence[tuple[Right, Array]], shape: tuple[int, ...]) -> Any:
    for r, a in values:
        if a.shape != shape or a.dtype.kind != "f":
            continue
        x = r.text
        yield x, a
        yield f"(1 - {x})", 1 - a
        yield f"{x} (1 - {x})", a * (1 - a)
        yield f"(1 - {x}^2)", 1 - a**2
        yield f"{x}^2", a**2
        for activation in ACTIVATIONS[1:]:
            yield activation.of_z.format(z=x, a=f"{activation.name}({x})"), activation.slope(a)


def _ratio(value: Array, right: Array, same: float) -> float | None:
    """c where value = c right, else None."""
    if value.shape != right.shape or np.isnan(right).any():
        return None
    return proportional(value, right, same) or (None if np.any(value) else 0.0)
