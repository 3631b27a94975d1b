"""What a line computes, and what it should, in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.tracing.quantities import Quantity
from samegrad.implementations.tracing.rights import ACTIVATIONS, Right
from samegrad.implementations.tracing.search import Hypothesis, equal

Array = Any
ZERO = 1e-9  # of what is right: rounding, where things cancel


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
    named = {n: "the batch", k: "the outputs", n * k: "the batch times the outputs"}
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
    site = best.spot.site
    name = site.target if site.target not in ("", "return") else f"what {site.function} returns"
    part = "" if site.whole or site.kind == "stored" else f" (in {_short(site.text)})"
    if site.kind in ("name", "kept"):
        part = f" (where {site.text} is read)"
    is_now = _now(best, rights, known, same)
    verb = f"is {is_now}" if is_now else "is not what it ought to be"
    return f"{name}{part} {verb}; expected {constant(best.constant, known)}{_expected(best)}"


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
    if best.right.kind in ("value", "label"):
        return best.spot.site.text
    if value.dtype.kind != "f":
        return best.spot.site.text
    if value.shape != right.shape:
        return f"of shape {value.shape}, not {right.shape}"
    if np.max(np.abs(value)) < ZERO * np.nanmax(np.abs(right)):
        return "zero"
    c = _ratio(value, right, same)
    if c is not None:
        return f"{constant(c, known)}{best.right.text}" if c else "zero"
    if best.right.kind == "derivative":
        return best.spot.site.text
    slopes = [(r, i, a) for r in rights if r.kind == "slope" for i, a in enumerate(r.arrays)]
    values = [(r, a) for r in rights if r.kind == "value" for a in r.arrays]
    for r, _, a in slopes:
        c = None if value.size < 2 else _ratio(value, a, same)
        if c:
            return f"{constant(c, known)}{r.text}"
    for r, _, a in slopes:
        if a.shape != value.shape or value.size < 3:
            continue
        for f, b in _factors(values, value.shape):
            c = _ratio(value, a * b, same)
            if c:
                return f"{constant(c, known)}{r.text} times {f}"
    for r, a in values:
        if a.shape == value.shape and value.size > 2:
            c = _ratio(value - right, a, same)
            if c:
                sign = "more" if c > 0 else "less"
                return f"{constant(abs(c), known) or '1 times '}{r.text} {sign} than that"
    return ""


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
    square = float(np.sum(np.square(right, dtype=np.float64)))
    if not square:
        return None
    c = float(np.sum(value * right)) / square
    if equal(value, c * right, same) and np.any(value):
        return c
    return 0.0 if not np.any(value) else None
