"""Classes that keep no weights: their methods are given them, by the names of single arrays."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import Form, Sizes, parameters
from samegrad.implementations.reading.functions import of_drawn
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.networks import (
    Maker,
    Network,
    constructions,
    has_matrices,
)

LAYOUTS = ("rows", "columns", "rows 1")


def weights_of(cls: type) -> list[str]:
    """The weights that a forward pass of a class is given, by their names; [] if it has its own."""
    for name in dir(cls):
        if not names.FORWARD.match(name) or names.BACKWARD.match(name) or name == "__call__":
            continue
        try:
            given = [p.name for p in parameters(getattr(cls, name)) if p.default is p.empty]
        except (TypeError, ValueError):
            continue
        found = [n for n in given if names.WEIGHT.fullmatch(names.plain(n))]
        matrices = [n for n in found if not names.plain(n).startswith("b")]
        if len(matrices) > 1 and names.role(found[0]) not in ("X", "y"):
            return found
    return []


def lent(cls: type, loaded: Loaded) -> Iterator[Maker]:
    """Ways to make an object of a class, with the weights that its methods are given."""
    if given := weights_of(cls):
        for make in constructions(cls, loaded):
            for layout in LAYOUTS:
                yield partial(_lent, make, given, layout)
            return


def _lent(make: Maker, given: list[str], layout: str, sizes: Sizes, form: Form) -> Network:
    network = make(sizes, form)
    if has_matrices(network.net, network.held):
        raise TypeError("it has weights of its own")
    matrices = [n for n in given if not names.plain(n).startswith("b")]
    made = of_drawn(given, matrices, layout, sizes, network.functions)
    title = made.title.replace("functions of", f"{network.title} given", 1)
    return replace(made, title=title, held=network.held)
