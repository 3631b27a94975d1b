"""Where a file's network keeps weights and biases, and how they lie there: from and to [(W, b)].

An array, rows in lists or single numbers: numbers whose names differ by an index alone belong
together. What is weights and what biases, and which axis is whose, is found by size; where sizes
leave it open, every way is tried on numbers (`timed`).
"""

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import Params
from samegrad.implementations.reading.effects import Place

Array = Any
MOST_KINDS = 8  # of names that are told apart: ways to give them roles double with each
BIASES = ("apart", "none", "first", "last")  # in arrays of their own, or as a row of the weights


@dataclass(frozen=True)
class Block:
    """The weights or the biases of one layer.

    Attributes:
        places: an array, rows or numbers, in order.
        shape: (rows, columns) of what they make up; of biases (size, 1).
    """

    places: Sequence[Place]
    shape: tuple[int, int]


@dataclass(frozen=True)
class Slot:
    """One layer of a network.

    Attributes:
        weights, biases: its blocks; of biases None where there are none, or with the weights.
        turned: whether the weights lie as (out, in).
        row: "first" or "last" if the biases are such a row of the weights, or "".
    """

    weights: Block
    biases: Block | None
    turned: bool
    row: str

    def spread(self, W: Array, b: Array | None) -> list[Array]:
        """Numbers like params in the order and shapes of the places."""
        if self.row and b is not None:
            rows = [np.reshape(b, (1, -1)), W]
            W = np.concatenate(rows if self.row == "first" else rows[::-1])
        parts = _cut(W.T if self.turned else W, self.weights)
        return parts + (_cut(b, self.biases) if self.biases is not None else [])

    def gathered(self, values: Sequence[Array]) -> tuple[Array, Array | None]:
        """What `spread` has spread: (W, b)."""
        count = len(self.weights.places)
        W = _joined(values[:count]).reshape(self.weights.shape)
        W = W.T if self.turned else W
        if self.row:
            b, W = (W[0], W[1:]) if self.row == "first" else (W[-1], W[:-1])
            return W.copy(), b.copy()
        return W.copy(), _joined(values[count:]) if self.biases is not None else None

    @property
    def places(self) -> list[Place]:
        """All of it."""
        return [*self.weights.places, *(self.biases.places if self.biases is not None else ())]


@dataclass(frozen=True)
class Layout:
    """How a network's numbers are weights and biases, whatever its sizes.

    Attributes:
        roles: kind of name -> "W" or "b", in the order of the layers.
        bias: one of BIASES.
        turned: whether weights lie as (out, in) where both axes are alike.
        turns: where one kind holds both, as [(W, b), ...] and [W, b, W, b] do: "alternating", or
            "halves" of [W, W, b, b]; else "".
    """

    roles: Mapping[str, str]
    bias: str
    turned: bool
    turns: str = ""

    def slots(self, places: Sequence[Place], features: int) -> list[Slot]:
        """The layers of a network.

        Raises:
            ValueError: there are none of these that follow each other.
        """
        weights = self._blocks(places, "W")
        biases: list[Block | None] = [*self._blocks(places, "b")]
        if self.bias != "apart":
            biases = [None] * len(weights)
        if not weights or len(weights) != len(biases):
            raise ValueError("it has other weights than biases")
        slots, fan_in = [], features
        row = self.bias if self.bias in ("first", "last") else ""
        for block, bias in zip(weights, biases, strict=True):
            rows, columns = block.shape
            fan_in += bool(row)
            fits = [turned for turned, n in ((False, rows), (True, columns)) if n == fan_in]
            if not fits:
                raise ValueError(f"{block.shape} does not follow on {fan_in}")
            turned = self.turned if len(fits) > 1 else fits[0]
            fan_in = rows if turned else columns
            if bias is not None and bias.shape[0] != fan_in:
                raise ValueError(f"{bias.shape[0]} biases of {fan_in} units")
            slots.append(Slot(block, bias, turned, row))
        return slots

    def _blocks(self, places: Sequence[Place], role: str) -> list[Block]:
        kinds = [kind for kind, given in self.roles.items() if given == role]
        if self.turns:
            kinds, places = [*self.roles], self._in_turn(places, role)
        found: dict[Any, list[Place]] = {}
        for place in places:
            if kind_of(place.name) in kinds:
                shape, numbers = np.shape(place.read()), numbers_of(place.name)
                own = min(max(0, (2 if role == "W" else 1) - len(shape)), len(numbers))
                outer = numbers[: len(numbers) - own]
                found.setdefault((kinds.index(kind_of(place.name)), outer, len(shape)), []).append(
                    place
                )
        blocks = []
        for _, held in sorted(found.items(), key=lambda entry: entry[0]):
            held.sort(key=lambda place: numbers_of(place.name))
            size = sum(int(np.size(place.read())) for place in held)
            shape = np.shape(held[0].read())
            if role == "b":
                blocks.append(Block(held, (size, 1)))
            elif len(shape) == 2:
                blocks.append(Block(held, (shape[0], shape[1])))
            else:
                rows = len({numbers_of(place.name)[-2:-1] for place in held})
                rows = len(held) if len(shape) == 1 else rows
                blocks.append(Block(held, (rows, size // rows)))
        return blocks

    def _in_turn(self, places: Sequence[Place], role: str) -> Sequence[Place]:
        """Those of a role where one kind holds both."""
        held = sorted(
            (place for place in places if kind_of(place.name) in self.roles),
            key=lambda place: numbers_of(place.name),
        )
        if self.turns == "alternating":
            return held[role == "b" :: 2]
        half = len(held) // 2
        return held[half:] if role == "b" else held[:half]


def layouts(places: Sequence[Place], features: int, outputs: int) -> Iterator[Layout]:
    """The ways in which a network's numbers may be weights and biases, by their sizes."""
    kinds = list(dict.fromkeys(kind_of(place.name) for place in places))
    if len(kinds) > MOST_KINDS:
        return
    for roles in itertools.product("Wb", repeat=len(kinds)):
        for order in (1, -1):
            given = dict(list(zip(kinds, roles, strict=True))[::order])
            ways = BIASES[:1] if "b" in roles else BIASES[1:]
            for bias, turned in itertools.product(ways, (False, True)):
                layout = Layout(given, bias, turned)
                try:
                    slots = layout.slots(places, features)
                except ValueError:
                    continue
                if sizes_of(slots)[-1] == outputs:
                    yield layout
            if len(kinds) < 2:
                break
    for turns, turned in itertools.product(("alternating", "halves"), (False, True)):
        layout = Layout(dict.fromkeys(kinds, "W"), "apart", turned, turns)
        with contextlib.suppress(ValueError):
            if len(kinds) == 1 and sizes_of(layout.slots(places, features))[-1] == outputs:
                yield layout


def sizes_of(slots: Sequence[Slot]) -> tuple[int, ...]:
    """Features, hidden widths and outputs."""
    first, *others = (s.weights.shape[::-1] if s.turned else s.weights.shape for s in slots)
    features = first[0] - bool(slots[0].row)
    return (features, first[1], *(fan_out for _, fan_out in others))


def write(slots: Sequence[Slot], params: Params) -> None:
    """Put weights and biases into a network."""
    for slot, (W, b) in zip(slots, params, strict=True):
        for place, value in zip(slot.places, slot.spread(W, b), strict=True):
            place.write(value)


def kind_of(name: str) -> str:
    """A name without its numbers: net.W# for net.W1."""
    return re.sub(r"\d+", "#", name)


def numbers_of(name: str) -> tuple[int, ...]:
    """The numbers of a name: (0, 2) of net.layers[0].w[2]."""
    return tuple(map(int, re.findall(r"\d+", name)))


def _joined(values: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(np.asarray(value, np.float64)) for value in values])


def _cut(array: Array, block: Block) -> list[Array]:
    """An array in pieces of the shapes of a block's places."""
    shapes = [np.shape(place.read()) for place in block.places]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    pieces = np.split(np.ravel(array), ends)
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
