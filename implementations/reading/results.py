"""What a file's own calls gave, in our layout: asked for later, outside of the clock."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from samegrad.implementations.checking import reference
from samegrad.implementations.contract.spec import Params
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.layouts import kind_of, numbers_of
from samegrad.implementations.reading.live import Batch, Live

Array = Any


class Result:
    """What a call has returned, until somebody asks for it in our layout; stands for the loss."""

    __slots__ = ("batch", "live", "returned")

    def __init__(self, network: Live, batch: Batch, returned: Any) -> None:
        self.live, self.batch, self.returned = network, batch, returned


class Outputs(Result):
    """The same of a forward pass; stands for the outputs."""

    __slots__ = ()


GRADS = object()  # stands for the gradient of the result before it


def loss_of(result: Result) -> Any:
    """The file's own loss on the batch of a result, or None."""
    value = result.live.loss(result.batch)
    return None if value is None else np.float64(value)


def gradient(result: Result) -> Params:
    """A gradient in our layout: what the file gave for each weight."""
    network = result.live
    wanted = reference.expected(network.spec, network.params, *result.batch.given).grads
    found = sources(network, result.returned, wanted, network.calls.pairs)
    return [
        slot.gathered([source.value for source in given])
        for slot, given in zip(network.slots, found, strict=True)
    ]


def weights(network: Live) -> Params:
    """The weights that a network has now, in our layout."""
    return [slot.gathered([place.read() for place in slot.places]) for slot in network.slots]


def outputs(result: Outputs) -> Array:
    """Outputs as rows."""
    given = np.asarray(result.live.outputs(result.returned), np.float64)
    k = result.live.spec.layer_sizes[-1]
    columns = "column" in result.live.trial.form.x and given.ndim > 1
    return np.ascontiguousarray(given.T if columns else given).reshape(result.batch.n, k)


class Source(NamedTuple):
    """Where the gradient of one place is.

    Attributes:
        value: it, in the shape of the place.
        name: a path that begins with "returned" or "net"; "" where nothing fits.
        turned: whether it lies there the other way round.
    """

    value: Array
    name: str = ""
    turned: bool = False


def sources(
    live: Live, returned: Any, wanted: Params, pairs: Sequence[tuple[str, str]]
) -> list[list[Source]]:
    """What a backward pass gave for each place of each layer, nearest to what is wanted.

    Args:
        wanted: like params; a constant between it and what was given does not count.
        pairs: names of parameters and of their gradients on the small network.
    """
    net = live.trial.network.net
    own = {place.key for slot in live.slots for place in slot.places}
    pool = {
        place.name: place.read()
        for root, name in ((returned, "returned"), (net, "net"))
        for place in places(root, name, integers=True)
        if place.key not in own
    }
    rules = dict(_rules(pairs))
    found = []
    for slot, (W, b) in zip(live.slots, wanted, strict=True):
        parts = slot.spread(W, b)
        found.append([
            _source(place.name, part, pool, rules)
            for place, part in zip(slot.places, parts, strict=True)
        ])  # fmt: skip
    return found


def _source(name: str, wanted: Array, pool: dict[str, Array], rules: dict[str, Any]) -> Source:
    """The gradient of one place: by its name where it has several like it, else by value."""
    rule = rules.get(kind_of(name))
    shape = np.shape(wanted)
    if rule is not None and np.ndim(wanted) < 2:
        path = rule(numbers_of(name))
        given = pool.get(path)
        if given is not None and np.size(given) == max(1, np.size(wanted)):
            return Source(np.reshape(given, shape), path)
    best, least = Source(np.full(shape, np.nan)), np.inf
    for path, array in pool.items():
        if np.size(array) != np.size(wanted):
            continue
        forms = [(array.T, True)] if np.ndim(array) == 2 and array.T.shape == shape else []
        if np.shape(array) == shape or not forms:
            forms.append((array, False))
        for form, turned in forms:
            value = np.reshape(form, shape)
            off = distance(value, wanted)
            if off < least:
                best, least = Source(value, path, turned), off
    return best


def distance(value: Array, wanted: Array) -> float:
    """How far a value is from the nearest multiple of what is wanted, relative to its size."""
    size, norm = float(np.vdot(wanted, wanted)), float(np.linalg.norm(value))
    if not np.isfinite(norm) or not size:
        return np.inf
    factor = float(np.vdot(value, wanted)) / size
    if factor <= 0:
        return 2.0
    return float(np.linalg.norm(value - factor * wanted)) / max(norm, 1e-300)


def _rules(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Callable[[Any], str]]]:
    """From a kind of parameter to the name of its gradient, where numbers are taken over as is."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, source in pairs:
        kinds.setdefault(kind_of(name), []).append((name, source))
    for kind, group in kinds.items():
        forms = {kind_of(source) for _, source in group}
        inner = [numbers_of(source) for _, source in group]
        outer = [numbers_of(name) for name, _ in group]
        if len(forms) > 1 or not all(inner):
            continue
        steps: list[
            tuple[int | None, int]
        ] = []  # of each number: which one it follows, how far off
        for j in range(len(inner[0])):
            ways: list[tuple[int | None, int]] = [
                *((i, inner[0][j] - outer[0][i]) for i in range(len(outer[0]))),
                (None, inner[0][j]),
            ]
            steps += [
                (i, off) for i, off in ways
                if all(s[j] == (off if i is None else n[i] + off)
                       for s, n in zip(inner, outer, strict=True))
            ][:1]  # fmt: skip
        if len(steps) == len(inner[0]):
            yield kind, partial(_followed, forms.pop(), steps)


def _followed(form: str, steps: Any, numbers: tuple[int, ...]) -> str:
    filled = iter([off if i is None else numbers[i] + off for i, off in steps])
    return re.sub("#", lambda _: str(next(filled)), form)
