"""What a backward pass may rightly hold: values of the forward pass, derivatives, slopes."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.quantities import READ, Quantity
from samegrad.implementations.tracing.sites import Site

Array = Any
WIDEST = 100  # of what a softmax gives: its Jacobian has the square of that
ROOT_2_PI = float(np.sqrt(2 / np.pi))


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


def _gelu_slope(z: Array) -> Array:
    t = np.tanh(ROOT_2_PI * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t**2) * ROOT_2_PI * (1 + 3 * 0.044715 * z**2)


@dataclass(frozen=True)
class Activation:
    """An activation by its value and derivative.

    Attributes:
        of_z, of_a: the derivative in words, by z and by a; of_a may be "".
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    of_z: str
    of_a: str = ""


ACTIVATIONS = (
    Activation("identity", lambda z: z, np.ones_like, "1", "1"),
    Activation("sigmoid", _sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z),
               "sigmoid({z}) (1 - sigmoid({z}))", "{a} (1 - {a})"),
    Activation("tanh", np.tanh, lambda z: 1 - np.tanh(z) ** 2, "1 - tanh({z})^2", "1 - {a}^2"),
    Activation("relu", lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), "({z} > 0)"),
    Activation("leaky relu", lambda z: np.where(z > 0, z, 0.01 * z),
               lambda z: np.where(z > 0, 1, 0.01), "1 or 0.01 by the sign of {z}"),
    Activation("leaky relu", lambda z: np.where(z > 0, z, 0.1 * z),
               lambda z: np.where(z > 0, 1, 0.1), "1 or 0.1 by the sign of {z}"),
    Activation("softplus", lambda z: np.logaddexp(0, z), _sigmoid, "sigmoid({z})"),
    Activation("elu", lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
               lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))), "1 or exp({z})"),
    Activation("silu", lambda z: z * _sigmoid(z),
               lambda z: _sigmoid(z) * (1 + z * _sigmoid(-z)), "silu'({z})"),
    Activation("gelu", lambda z: z / 2 * (1 + np.tanh(ROOT_2_PI * (z + 0.044715 * z**3))),
               _gelu_slope, "gelu'({z})"),
    Activation("sin", np.sin, np.cos, "cos({z})"),
    Activation("exp", np.exp, np.exp, "exp({z})", "{a}"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Right:
    """Arrays that are right somewhere, in order of the forward pass.

    Attributes:
        kind: "value", "label" (of integers), "derivative", "slope" (dloss/d something) or
            "gradient" (of a parameter).
        text: what they are.
        arrays: one for each time that the forward pass computed it; NaN: not known.
        activation: of a derivative.
        partial: of a slope through one use of a quantity, of several.
        layers: how many of the arrays belong to one example or batch, where they are of layers.
    """

    kind: str
    text: str
    arrays: tuple[Array, ...]
    activation: Activation | None = None
    layers: int = 0
    partial: bool = False

    @cached_property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """Of the arrays."""
        return frozenset(a.shape for a in self.arrays)

    @property
    def count(self) -> int:
        """The arrays of one example or batch."""
        return self.layers or len(self.arrays)


def rights(
    quantities: Sequence[Quantity],
    others: Sequence[tuple[Site, list[Event]]],
    gradients: Sequence[tuple[str, Array]],
) -> list[Right]:
    """All of them, each once.

    Args:
        quantities: on which the loss depends.
        others: expressions of the forward pass on which it does not: labels, masks.
        gradients: (name, slopes) of each parameter.
    """
    found: list[Right] = []
    ordered = sorted(quantities, key=lambda q: (not _named(q.site), q.events[0].index))
    for q in ordered:
        if any(slopes is not None for slopes in q.slopes):
            blank = [np.full(e.array.shape, np.nan) for e in q.events]
            slopes = [b if s is None else s for s, b in zip(q.slopes, blank, strict=True)]
            text = slope_of(name_of(q.site))
            found.append(Right("slope", text, tuple(slopes), partial=_read(q.site)))
    found += _computed_twice(ordered)
    for name, array in gradients:
        found.append(Right("gradient", slope_of(name.removeprefix("self.")), (array,)))
    for flat in (True, False):
        same = [a for _, a in gradients if (max(a.shape, default=1) == a.size) == flat]
        if len(same) > 1:
            text = "the gradient of the biases" if flat else "the gradient of the weights"
            found.append(Right("gradient", text, tuple(same)))
    found += _derivatives(ordered)
    for q in ordered:
        found.append(Right("value", name_of(q.site), tuple(e.array for e in q.events)))
    found += _softmaxes(ordered)
    found += _jacobians(ordered)
    for site, events in others:
        kind = "label" if events[0].array.dtype.kind in "iu" else "value"
        found.append(Right(kind, name_of(site), tuple(e.array for e in events)))
        if kind == "label" and events[0].array.ndim == 1:
            found += _one_hot(name_of(site), events[0].array, ordered)
    found += list(_by_lists(found, quantities))
    return _distinct([*found, *_by_example(found)])


def _computed_twice(quantities: Sequence[Quantity]) -> Iterator[Right]:
    """The slope by all of the places where a function computes the same expression."""
    groups: dict[tuple[str, ...], list[Quantity]] = {}
    for q in quantities:
        if q.site.kind == "value" and READ.fullmatch(q.site.text) is None:
            groups.setdefault((q.site.file, q.site.function, q.site.text), []).append(q)
    for group in groups.values():
        one = group[0]
        alike = [
            q
            for q in group
            if len(q.events) == len(one.events) and not any(s is None for s in q.slopes)
        ]
        same = all(
            np.array_equal(a.array, b.array)
            for q in alike
            for a, b in zip(one.events, q.events, strict=True)
        )
        if len(alike) > 1 and same:
            sums = [sum(slopes) for slopes in zip(*(q.slopes for q in alike), strict=True)]
            yield Right("slope", slope_of(name_of(one.site)), tuple(sums))


def _by_lists(found: Sequence[Right], quantities: Sequence[Quantity]) -> Iterator[Right]:
    """Numbers that were computed one by one, in lists of the lengths that lists have there."""
    lengths = {
        tuple(e.array.size for e in q.events): None
        for q in quantities
        if all(e.array.ndim == 1 for e in q.events)
    }
    for right in found:
        numbers = right.arrays
        if len(numbers) < 2 or any(a.size > 1 for a in numbers):
            continue
        for sizes in lengths:
            if sum(sizes) == len(numbers) > len(sizes):
                flat = np.array([float(np.reshape(a, ())) for a in numbers])
                parts = np.split(flat, np.cumsum(sizes)[:-1])
                yield Right(right.kind, right.text, tuple(parts), right.activation)


def _read(site: Site) -> bool:
    return site.kind in ("name", "kept") or READ.fullmatch(site.text) is not None


def _named(site: Site) -> bool:
    """Whether it is what a variable is set to."""
    return site.whole and site.target not in ("", "return") and "," not in site.target


def name_of(site: Site) -> str:
    """A quantity by its variable where it has one, else by its expression, as it is written."""
    text = site.target if _named(site) else site.text
    text = re.sub(r"\bself\.", "", text)
    if READ.fullmatch(text):
        return text
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


def slope_of(name: str) -> str:
    """The slope of the loss with respect to a quantity."""
    return f"dloss/d{name}" if READ.fullmatch(name) else f"the slope of the loss by {name}"


def _derivatives(quantities: Sequence[Quantity]) -> Iterator[Right]:
    """g'(z) for each z and a = g(z) of the forward pass."""
    for q in quantities:
        for p in quantities:
            pairs = list(zip(q.events, p.events, strict=False))
            if len(q.events) != len(p.events) or q is p:
                continue
            if any(z.array.shape != a.array.shape or z.index > a.index for z, a in pairs):
                continue
            if pairs[0][0].array.size > 1:
                kinds = [_activation(z.array, a.array) for z, a in pairs]
            elif len(pairs) > 2 and (q.site.function == p.site.function or _in_turn(pairs)):
                # of a scalar engine, or of neurons that are objects
                z, a = (np.array([e.array for e in side]) for side in zip(*pairs, strict=True))
                kinds = [_activation(z, a)] * len(pairs)
            else:
                continue
            known = [kind for kind in kinds if kind is not None]
            if len(known) == len(kinds) and any(k.name != "identity" for k in known):
                kind = next(k for k in known if k.name != "identity")
                text = (kind.of_a or kind.of_z).format(z=name_of(q.site), a=name_of(p.site))
                arrays = [k.slope(z.array) for k, (z, _) in zip(known, pairs, strict=True)]
                yield Right("derivative", text, tuple(arrays), kind)


def _in_turn(pairs: Sequence[tuple[Event, Event]]) -> bool:
    """Whether each second value was computed before the next first one."""
    return all(a.index < z.index for (_, a), (z, _) in itertools.pairwise(pairs))


def _activation(z: Array, a: Array) -> Activation | None:
    for activation in ACTIVATIONS:
        if np.allclose(activation.value(np.asarray(z, np.float64)), a, rtol=1e-6, atol=1e-9):
            return activation
    return None


def _softmaxes(quantities: Sequence[Quantity]) -> Iterator[Right]:
    """softmax(z) where slopes add up to 0 along an axis, as those of a normalised loss do."""
    for q in quantities:
        for axis in (0, 1):
            arrays = []
            for event, slopes in zip(q.events, q.slopes, strict=True):
                if slopes is None or slopes.ndim != 2 or slopes.shape[axis] < 2:
                    break
                if np.abs(slopes.sum(axis)).max() > 1e-6 * np.abs(slopes).max():
                    break
                e = np.exp(event.array - event.array.max(axis, keepdims=True))
                arrays.append(e / e.sum(axis, keepdims=True))
            if len(arrays) == len(q.events):
                text = f"softmax({name_of(q.site)}) along axis {axis}"
                yield Right("value", text, tuple(arrays))


def _jacobians(quantities: Sequence[Quantity]) -> Iterator[Right]:
    """diag(p) - p p^T of each row, or column, p of what a softmax gives."""
    for q in quantities:
        for axis in (0, 1):
            arrays = [e.array.T if axis == 0 else e.array for e in q.events if e.array.ndim == 2]
            rows = [p for a in arrays for p in a if 1 < p.size <= WIDEST]
            if rows and all(p.min() > 0 and abs(p.sum() - 1) < 1e-6 for p in rows):
                squares = tuple(np.diag(p) - np.outer(p, p) for p in rows)
                text = f"diag(p) - p p^T of each p of {name_of(q.site)}"
                yield Right("derivative", text, squares, layers=1)


def _one_hot(name: str, labels: Array, quantities: Sequence[Quantity]) -> Iterator[Right]:
    n = len(labels)
    widths = {
        size
        for q in quantities
        for e in q.events
        if e.array.ndim == 2 and n in e.array.shape
        for size in e.array.shape
    }
    for width in sorted(widths):
        if 0 <= labels.min() and labels.max() < width:
            yield Right("value", f"one-hot of {name}", (np.eye(width)[labels],))


def _by_example(found: Sequence[Right]) -> Iterator[Right]:
    """The same by examples, for a pass that takes one at a time; or a batch, for one that stacks.

    Examples are rows, or columns.
    """
    for right in found:
        arrays = right.arrays
        if all(a.ndim == 2 for a in arrays):
            for axis in (0, 1):
                n = arrays[0].shape[axis]
                if n > 1 and all(a.shape[axis] == n for a in arrays):
                    rows = [np.take(a, i, axis) for i in range(n) for a in arrays]
                    yield Right(right.kind, right.text, tuple(rows), right.activation, len(arrays))
        shapes = {a.shape for a in arrays}
        if len(arrays) > 1 and len(shapes) == 1 and arrays[0].size > 0:
            stacked = np.array([a.ravel() for a in arrays])
            yield Right(right.kind, right.text, (stacked,), right.activation)


def _distinct(found: Sequence[Right]) -> list[Right]:
    kept: dict[tuple[Any, ...], list[Right]] = {}
    for right in found:
        key = (right.kind, tuple(a.shape for a in right.arrays))
        same = kept.setdefault(key, [])
        if not any(
            np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
            for other in same
            for a, b in [(_joined(right), _joined(other))]
        ):
            same.append(right)
    return [right for rights in kept.values() for right in rights]


def _joined(right: Right) -> Array:
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in right.arrays])
