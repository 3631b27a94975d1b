"""What a loss may be given besides inputs and targets: a second input, indices, a state."""

import inspect
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import Form, Sizes, inputs, parameters
from samegrad.implementations.reading.effects import number
from samegrad.implementations.reading.networks import Maker, Network

MOST_NAMES = 4  # that are supplied
MOST_WAYS = 3  # in which one loss runs
FIXED = ("params", "lr", "epochs", "reg", "keep", "quiet", "training")


def supplied(make: Maker) -> Iterator[Maker]:
    """The same network with values for parameters of its loss, by their names, where that runs."""
    try:
        network = make(Sizes(), Form())
    except (Exception, SystemExit):
        return
    for name, function in network.functions.items():
        if not (names.LOSS.fullmatch(name) or names.BOTH.match(name)):
            continue
        try:
            given = [p.name for p in parameters(function) if p.default is inspect.Parameter.empty]
        except (TypeError, ValueError):
            continue
        free = [n for n in given if names.role(n) not in FIXED and n not in network.values]
        if len(free) == len(given) and 2 <= len(free) <= MOST_NAMES:
            ways = (way for way in _ways(free) if _runs(make, name, way))
            for way in itertools.islice(ways, MOST_WAYS):
                yield lambda sizes, form, way=way: _with(make, way, sizes, form)  # type: ignore[misc] # way is bound here


def _ways(free: list[str]) -> Iterator[dict[str, str]]:
    first = ("X", "indices", "index rows")
    rest = ("numbers", "labels", "X again", "state")
    for kinds in itertools.product(first, *[rest] * (len(free) - 1)):
        if len(free) > 2 or kinds[0] != "X":
            yield dict(zip(free, kinds, strict=True))


def _value(kind: str, sizes: Sizes) -> Any:
    rng = np.random.default_rng(sizes.seed + 5)
    if kind == "X again":
        return inputs(replace(sizes, seed=sizes.seed + 6), "rows")
    if kind == "state":
        return np.zeros((sizes.h, 1))
    return {
        "X": inputs(sizes, "rows"),
        "indices": np.arange(sizes.n) % sizes.f,
        "index rows": rng.permuted(np.tile(np.arange(sizes.f), (sizes.n, 1)), axis=1)[:, :2],
        "labels": np.arange(sizes.n) % 2,
        "numbers": rng.normal(0, 1, sizes.n),
    }[kind]


def _with(make: Maker, way: dict[str, str], sizes: Sizes, form: Form) -> Network:
    network = make(sizes, form)
    values = {name: _value(kind, sizes) for name, kind in way.items()}
    network.values |= values
    network.settings = (*network.settings, *(np.asarray(v, np.float64) for v in values.values()))
    network.title += " given " + ", ".join(f"{name}: {kind}" for name, kind in way.items())
    return network


def _runs(make: Maker, name: str, way: dict[str, str]) -> bool:
    try:
        network = _with(make, way, Sizes(), Form())
        value = network.functions[name](**{n: network.values[n] for n in way})
        parts = value if isinstance(value, tuple) else (value,)
        return bool(np.isfinite(number(next(p for p in parts if np.ndim(p) == 0))))
    except (Exception, SystemExit):
        return False
