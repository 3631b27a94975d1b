"""Whether the gradients that a backward pass leaves are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.state.leaves import Leaf
from samegrad.implementations.tracing.probe import as_array
from samegrad.implementations.tracing.search import equal

Array = Any


@dataclass(frozen=True)
class Line:
    """A line of the user's that is at fault.

    Attributes:
        file, number: where.
        text: what it computes and what it should.
        certain: whether an experiment showed that the gradient is right with this line right.
    """

    file: str
    number: int
    text: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.text}"


@dataclass(frozen=True, eq=False)
class Param:
    """A parameter.

    Attributes:
        name: of it, such as "W1".
        slopes: dloss/d(each entry).
        leaf: where it is held.
        noise: by which slopes may be off, by rounding of the loss.
    """

    name: str
    slopes: Array
    leaf: Leaf
    noise: float = 0.0


class Outcome:
    """Judges what runs of the backward pass leave.

    Args:
        params: with their slopes.
        given: what a run returns -> the gradients of the params in their order (None: unknown).
        same: relative difference below which numbers are the same.
        free: whether what is given may be any one multiple of the gradients: updates, by a rate.
    """

    def __init__(
        self,
        params: Sequence[Param],
        given: Callable[[Any], Sequence[Any]],
        same: float,
        free: bool = False,
    ) -> None:
        self.params, self.given, self.same, self.free = params, given, same, free

    def gradients(self, result: Any) -> list[Array | None]:
        """The gradients that a run left, None where they are not known."""
        return [None if g is None else np.array(as_array(g)) for g in self.given(result)]

    def judge(self, result: Any) -> list[bool | None]:
        """For each param whether its gradient is right, None where it is not known."""
        found = self.gradients(result)
        if self.free:
            return self._of_one_rate(found)
        return [
            None if g is None or np.isnan(p.slopes).all() else self._is_right(g, p)
            for g, p in zip(found, self.params, strict=True)
        ]

    def _is_right(self, gradient: Array, p: Param) -> bool:
        if equal(gradient, p.slopes, self.same):
            return True
        near = gradient.shape == p.slopes.shape and np.isfinite(gradient).all()
        return bool(near and np.nanmax(np.abs(gradient - p.slopes)) <= p.noise)

    def _of_one_rate(self, arrays: Sequence[Array | None]) -> list[bool | None]:
        """Right are those that have the rate of most, or the only rate; without one none is."""
        factors = [
            None if a is None else _factor(a, p.slopes, self.same)
            for a, p in zip(arrays, self.params, strict=True)
        ]
        known = [
            f
            for f, p in zip(factors, self.params, strict=True)
            if f and f > 0 and p.slopes.size > 1
        ]
        near = [sum(abs(f - other) <= 1e-3 * f for other in known) for f in known]
        most = 2 * max(near, default=0) > sum(p.slopes.size > 1 for p in self.params)
        if not near or (not most and max(near) < len(known)):
            return [None if a is None else False for a in arrays]
        rate = known[int(np.argmax(near))]
        return [
            None if a is None else bool(f is not None and abs(f - rate) <= 1e-3 * rate)
            for a, f in zip(arrays, factors, strict=True)
        ]


def _factor(array: Array, slopes: Array, same: float) -> float | None:
    """f where array = f slopes (or its transpose), else None."""
    if array.size != slopes.size:
        return None
    for turned in (array, array.T):
        if [s for s in turned.shape if s > 1] == [s for s in slopes.shape if s > 1]:
            a = np.asarray(turned, np.float64).reshape(slopes.shape)
            known = ~np.isnan(slopes)
            a, s = a[known], slopes[known]
            square = float(s @ s)
            if not square:
                return 1.0 if not np.any(a) else None
            f = float(a @ s) / square
            if equal(a, f * s, same):
                return f
    return None


def named_alike(gradient: str, name: str) -> bool:
    """Whether a gradient's name is made of that of a quantity: dZ1 of Z1, self.grad_b of b."""
    gradient, name = (n.lower().removeprefix("self.") for n in (gradient, name))
    before, found, after = gradient.partition(name) if name else ("", "", "")
    extra = (before + after).replace("_", "")
    return bool(found) and extra in {
        "d", "g", "grad", "grads", "nabla", "delta", "gradient", "dloss", "dl", "dj",
    }  # fmt: skip
