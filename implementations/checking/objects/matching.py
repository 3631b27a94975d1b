"""Gradients by value: which of all arrays is the gradient of which parameter, and how right it is.

A candidate whose name says whose gradient it is counts before any other; the others by their
values, in every form that people keep gradients in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects import names
from samegrad.implementations.checking.slopes import Slopes

Array = Any
BEYOND = 10  # times what a slope may be off: a fault, whatever the slope's digits
# A gradient of fewer digits: its own rounding, through a few layers and a sum over a batch.
OF_DTYPE = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 1e-1}
RETURNED, KEPT, UPDATE, PINNED = "returned", "kept", "update", "pinned"
NO_FACTOR = 2e-5  # from 1: what a constant that people forget is never as near to
CHANGE = re.compile(r"\[['\"]d net")  # in the key of what a step changes, by its name
FEW = 2  # entries from which a constant between two arrays can be seen


@dataclass(frozen=True)
class Candidate:
    """An array that may be a gradient.

    Attributes:
        name: its path, such as "returned[0]", "net.dW1", "update of net.W1".
        values: float64.
        origin: RETURNED, KEPT, UPDATE or PINNED.
        of: the parameter whose it is (`.grad` of the same object, an update, a pin), or "".
        dtype: of its numbers.
        paths: other ones that lead to it.
        computed: whether backward() makes it: no result of the loss', no buffer that stays.
    """

    name: str
    values: Array
    origin: str
    of: str = ""
    dtype: str = "float64"
    paths: tuple[str, ...] = ()
    computed: bool = True


@dataclass(frozen=True)
class Fit:
    """How well a candidate fits the slopes of one parameter.

    Attributes:
        candidate: which.
        form: what was done to it: "", ".T", "[1:]", ".reshape".
        constant: it is so many times the slopes, or None if they are not proportional.
        error: from the slopes as they are, relative to the largest.
        rest: from the slopes times the constant, likewise.
        wrong: whether that is more than can be explained.
        decided: whether there were slopes to compare with.
        where: text about the worst entry.
        named: whether its name, or its place, says that it is this parameter's gradient.
    """

    candidate: Candidate
    form: str
    constant: float | None
    error: float
    rest: float
    bound: float
    wrong: bool
    decided: bool
    where: str
    named: bool
    values: Array = field(repr=False)

    @property
    def name(self) -> str:
        """As it is shown."""
        return self.candidate.name + self.form

    @property
    def is_update(self) -> bool:
        """Whether it is before - after: of a call, or as another call gives that."""
        return self.candidate.origin == UPDATE or CHANGE.search(self.candidate.name) is not None

    def upwards(self, name: str, text: str) -> str:
        """What is said of one that is minus the gradient of a parameter: of an update, its way."""
        if self.is_update:
            return f"the update of {name} goes up its gradient"
        return f"{text}; that is right only where it is added to the parameter"

    @property
    def right(self) -> bool:
        """Whether it is the gradient."""
        return self.decided and not self.wrong and not self.not_finite

    @property
    def not_finite(self) -> int:
        """How many of its entries, measured or not, are no numbers."""
        return int(np.count_nonzero(~np.isfinite(self.values)))


def forms(shape: tuple[int, ...], values: Array) -> Iterator[tuple[str, Array]]:
    """The ways to read an array as one of this shape, the likely ones first."""
    size = int(np.prod(shape))
    flat = len([n for n in shape if n > 1]) < 2
    if values.size == size:
        if values.shape == shape or flat:
            yield "", values.reshape(shape)
        if values.ndim == 2 and not flat and values.T.shape == shape:
            yield ".T", values.T
        if values.shape != shape and not flat and values.shape[::-1] != shape:
            yield ".reshape", values.reshape(shape)
            if values.ndim == 2:
                yield ".T.reshape", values.T.reshape(shape)
    elif values.ndim == 2 and values.size > size:
        # Weights with the bias as a row or a column of theirs.
        parts = (
            ("[1:]", values[1:]),
            ("[:-1]", values[:-1]),
            ("[:, 1:]", values[:, 1:]),
            ("[:, :-1]", values[:, :-1]),
            ("[0]", values[0]),
            ("[-1]", values[-1]),
            ("[:, 0]", values[:, 0]),
            ("[:, -1]", values[:, -1]),
        )
        for form, part in parts:
            if part.shape == shape or (part.size == size and flat and part.ndim == 1):
                yield form, part.reshape(shape)
            elif part.T.shape == shape:
                yield form + ".T", part.T


def pieces(
    shapes: Sequence[tuple[int, ...]], order: Sequence[int], index: int, values: Array
) -> Iterator[tuple[str, Array]]:
    """All parameters one after the other in a flat array: the piece of one of them.

    Args:
        shapes: of all parameters.
        order: of those that are in it.
        index: of the one.
        values: the flat array, of (n,), (n, 1) or (1, n).
    """
    sizes = [int(np.prod(shapes[i])) for i in order]
    flat = values.size == max(values.shape, default=0)
    if flat and len(sizes) > 1 and index in order and values.size == sum(sizes):
        at = list(order).index(index)
        start, stop = sum(sizes[:at]), sum(sizes[: at + 1])
        yield f"[{start}:{stop}]", values.ravel()[start:stop].reshape(shapes[index])


def fit(
    slopes: Slopes, candidate: Candidate, form: str, values: Array, bound: float, named: bool
) -> Fit:
    """A candidate in one form against the slopes of a parameter."""
    bound = max(bound, OF_DTYPE.get(candidate.dtype, 0.0))
    claimed = slopes.along(values)
    scales, largest = slopes.scales, slopes.largest
    off = np.abs(claimed - slopes.values)
    trusted = slopes.trusted(bound)
    far = (off > BEYOND * slopes.errors) & (off > BEYOND * bound * largest * scales)
    known = trusted | (far & ~slopes.kinks)
    # An estimate of an error may be short beside a kink: within ten times it nobody is accused.
    clear = known & ~((off > bound * largest * scales) & (off <= BEYOND * slopes.errors))
    shares = np.where(clear, off / scales / largest, 0.0)
    shares = np.where(np.isfinite(shares), shares, np.inf)
    worst = int(np.argmax(shares))
    error = float(shares[worst])
    constant, rest = _constant(claimed / scales, slopes.values / scales, trusted, bound)
    return Fit(
        candidate,
        form,
        constant,
        error,
        rest,
        bound,
        wrong=not error <= bound,
        decided=bool(clear.any()),
        where=_where(slopes, claimed, worst),
        named=named,
        values=values,
    )


def fits(
    index: int,
    measured: Sequence[Slopes],
    paths: Sequence[Sequence[str]],
    orders: Sequence[Sequence[int]],
    candidates: Sequence[Candidate],
    bound: float,
) -> list[Fit]:
    """All fits of one parameter: of its own gradients by name first, then by how near they are."""
    slopes = measured[index]
    shapes = [m.shape for m in measured]
    found = []
    pins = [c for c in candidates if c.origin == PINNED and c.of in paths[index]]
    for candidate in pins or candidates:
        if candidate.of and candidate.of not in paths[index]:
            continue
        own = bool(candidate.of) or names.pairs(list(paths[index]), candidate.name)
        meant = candidate.origin in (RETURNED, PINNED) or names.says_gradient(candidate.name)
        read = list(forms(slopes.shape, candidate.values))
        for order in orders:
            # In such an array a place says whose a piece is, as a name does.
            for form, values in pieces(shapes, order, index, candidate.values):
                found.append(fit(slopes, candidate, form, values, bound, meant))
        found += [fit(slopes, candidate, form, values, bound, own) for form, values in read]
    return sorted(found, key=_order)


def _order(of: Fit) -> tuple[bool, ...]:
    """Right before proportional before wrong; named before others; plain forms first."""
    return (
        not (of.right and of.named),
        not of.right,
        not of.named,
        of.constant is None,
        of.candidate.origin == UPDATE,
        of.form.startswith("["),
        of.form != "",
    )


def _constant(
    claimed: Array, values: Array, trusted: Array, bound: float
) -> tuple[float | None, float]:
    """(the number that the slopes are multiplied by, what is then left), if it is one number."""
    claimed, values = claimed[trusted], values[trusted]
    if not np.isfinite(claimed).all() or np.count_nonzero(values) < 1:
        return None, np.inf
    constant = float(np.sum(claimed * values) / max(float(np.sum(values**2)), 1e-300))
    if constant == 0:
        return None, np.inf
    off = np.max(np.abs(claimed / constant - values)) / max(float(np.max(np.abs(values))), 1e-300)
    proportional = off <= 2 * bound and abs(constant - 1) > NO_FACTOR
    return (constant if proportional else None), float(off)


def _where(slopes: Slopes, claimed: Array, worst: int) -> str:
    if worst >= len(slopes.entries):
        at = "along a random direction"
    else:
        place = np.unravel_index(slopes.entries[worst], slopes.shape) if slopes.shape else ()
        at = f"at {tuple(int(i) for i in place)}" if place else ""
    return (
        f"{at} (got {claimed[worst]:.6g}, the loss has slope {slopes.values[worst]:.6g})"
    ).strip()
