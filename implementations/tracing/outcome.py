"""What a backward pass leaves: which of it is which parameter's gradient, and is it right."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.tracing.probe import as_array
from samegrad.implementations.tracing.reach import reached
from samegrad.implementations.tracing.search import equal

Array = Any


@dataclass(frozen=True, eq=False)
class Param:
    """A parameter.

    Attributes:
        name: of it, such as "W1".
        held: the live array, list or slot.
        slopes: dloss/d(each entry).
    """

    name: str
    held: Any
    slopes: Array


class Outcome:
    """Judges what runs of the backward pass leave.

    Args:
        params: with their slopes.
        given: what a run returns -> the gradients of the params in their order (None: unknown), as
            the caller takes them; without it they are looked for.
        roots: whatever holds state.
        same: relative difference below which numbers are the same.
        free: whether what is given may be any one multiple of the gradients: updates, by a rate.
    """

    def __init__(
        self,
        params: Sequence[Param],
        given: Callable[[Any], Sequence[Any]] | None,
        roots: Sequence[Any],
        same: float,
        free: bool = False,
    ) -> None:
        self.params, self.given, self.roots, self.same = params, given, roots, same
        self.free = free
        self.before = [] if given else [np.array(p.held, np.float64) for p in params]
        self.paths: list[str | None] = []
        self.updates = False
        self.factor: float | None = None

    def look(self, result: Any) -> None:
        """Find the gradients among what the first run left; `judge` looks there."""
        if self.given is not None:
            return
        after = self._updates()
        self.updates = any(np.any(update != 0) for update in after)
        if not self.updates:
            self._find(self._leaves(result))
        self._settle(result)

    def _find(self, held: Mapping[str, tuple[Any, Array]]) -> None:
        own = {id(part) for p in self.params for _, part in reached(p.held)}
        free = {path: array for path, (value, array) in held.items() if id(value) not in own}
        self.paths = [None] * len(self.params)
        tests: tuple[Callable[[Param, str, Array], bool], ...] = (
            lambda p, _, a: _is_one(_factor(a, p.slopes, self.same)) and p.slopes.size > 1,
            lambda p, _, a: bool(_factor(a, p.slopes, self.same)) and p.slopes.size > 2,
            lambda p, path, a: _named_alike(p.name, path) and _could_be(a, p.slopes),
            self._only_one_left,
        )
        for test in tests:
            for i, p in enumerate(self.params):
                fitting = [path for path, a in free.items() if test(p, path, a)]
                if self.paths[i] is None and fitting:
                    self.paths[i] = fitting[0]
                    free = {k: v for k, v in free.items() if not k.startswith(fitting[0])}

    def _only_one_left(self, param: Param, path: str, array: Array) -> bool:
        """Whether it is returned in a place without a name and of a size that nothing else has."""
        unmatched = [p for p, found in zip(self.params, self.paths, strict=True) if found is None]
        return (
            re.fullmatch(r"returned(\[\d+\])*", path) is not None
            and array.size == param.slopes.size
            and sum(p.slopes.size == array.size for p in unmatched) == 1
        )

    def gradients(self, result: Any) -> list[Array | None]:
        """The gradients that a run left, None where they are not known."""
        if self.given is not None:
            return [None if g is None else np.array(as_array(g)) for g in self.given(result)]
        if self.updates:
            return list(self._updates())
        held = self._leaves(result)
        return [None if path is None or path not in held else held[path][1] for path in self.paths]

    def _settle(self, result: Any) -> None:
        """The one factor of what is right in the first run; later ones are held to it."""
        self._up_to_one_factor(self.gradients(result), first=True)

    def judge(self, result: Any) -> list[bool | None]:
        """For each param whether its gradient is right, None where it is not known."""
        found = self.gradients(result)
        if self.free:
            return self._of_one_rate(found)
        if self.given is None:
            return self._up_to_one_factor(found)
        return [
            None if g is None or np.isnan(p.slopes).all() else equal(g, p.slopes, self.same)
            for g, p in zip(found, self.params, strict=True)
        ]

    def _of_one_rate(self, arrays: Sequence[Array | None]) -> list[bool | None]:
        """Right are those that have the rate of most; without such a rate none is."""
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
        if not near or 2 * max(near) <= sum(p.slopes.size > 1 for p in self.params):
            return [None if a is None else False for a in arrays]
        rate = known[int(np.argmax(near))]
        return [
            None if a is None else bool(f is not None and abs(f - rate) <= 1e-3 * rate)
            for a, f in zip(arrays, factors, strict=True)
        ]

    def _up_to_one_factor(
        self, arrays: Sequence[Array | None], first: bool = False
    ) -> list[bool | None]:
        """Right are those that are the slopes times one number, the same for all of them.

        Of updates it is the rate; of gradients a convention, where all of them have it.
        """
        factors: list[float | None] = []
        for array, p in zip(arrays, self.params, strict=True):
            factors.append(None if array is None else _factor(array, p.slopes, self.same))
        # A single number is always a multiple of another.
        known = [
            f
            for f, p in zip(factors, self.params, strict=True)
            if f and p.slopes.size > 1 and (f > 0 or not self.updates)
        ]
        factor = self.factor
        if factor is None:
            near = [sum(abs(f - other) <= 1e-3 * abs(f) for other in known) for f in known]
            factor = known[int(np.argmax(near))] if known else 1.0
            if self.updates and len(near) > 1 and 2 * max(near) <= len(near):
                return [None] * len(arrays)  # rates of their own
            # Of gradients only a sign, or what most of them have, can be a convention.
            common = abs(factor + 1) < 1e-3 or 2 * max(near, default=0) > len(factors)
            one = any(abs(f - 1) < 1e-3 for f in known)
            if not self.updates and (one or not common):
                factor = 1.0
            if first and (known or not self.updates):
                self.factor = factor
        return [
            None
            if a is None or (self.updates and not np.any(a))
            else bool(f is not None and abs(f - factor) <= 1e-3 * abs(factor))
            for a, f in zip(arrays, factors, strict=True)
        ]

    def _updates(self) -> list[Array]:
        return [
            b - np.array(p.held, np.float64) for b, p in zip(self.before, self.params, strict=True)
        ]

    def _leaves(self, result: Any) -> Mapping[str, tuple[Any, Array]]:
        found: dict[str, tuple[Any, Array]] = {}
        for first, roots in (("returned", [result]), ("", self.roots)):
            for path, value in reached(*roots):
                array = as_array(value)
                if array is not None and array.dtype.kind == "f":
                    found.setdefault(first + path, (value, np.array(array)))
        return found


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


def _is_one(factor: float | None) -> bool:
    return factor is not None and abs(factor - 1) < 1e-3


def _could_be(array: Array, slopes: Array) -> bool:
    return array.size == slopes.size or array.size == 1 or array.ndim > slopes.ndim


NAMED = re.compile(r"(?:^|\.|\[')(\w+)'?\]?((?:\[\d+\])*)$")


def _named_alike(param: str, path: str) -> bool:
    """Whether a path has the name and the indices of a parameter: net.W1 and returned['dW1']."""
    ours, theirs = NAMED.search(param), NAMED.search(path)
    if ours is None or theirs is None or ours.group(2) != theirs.group(2):
        return False
    name, other = ours.group(1).lower(), theirs.group(1).lower()
    if name == other:
        return path.startswith("returned") or "grad" in path.lower()
    return named_alike(other, name)


def named_alike(gradient: str, name: str) -> bool:
    """Whether a gradient's name is made of that of a quantity: dZ1 of Z1, self.grad_b of b."""
    gradient, name = (n.lower().removeprefix("self.") for n in (gradient, name))
    before, found, after = gradient.partition(name) if name else ("", "", "")
    extra = (before + after).replace("_", "")
    return bool(found) and extra in {
        "d", "g", "grad", "grads", "nabla", "delta", "gradient", "dloss", "dl", "dj",
    }  # fmt: skip
