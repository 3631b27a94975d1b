"""What initializers and constructors are given: widths, data, generators of random numbers."""

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.board import (
    RATE,
    VALIDATION,
    Form,
    Sizes,
    inputs,
    parameters,
    targets,
)

MANY = 40  # of which a file takes a part as a width
LISTS = {"hs", "tuple h", "sizes", "int h"}  # kinds that say how many layers there are
GENERATOR = re.compile(r"rng|rs|rgen|generator|random|prng|(?:rng_?|prng_?|random_?)?key")


def init_ways(init: Callable[..., Any]) -> list[list[tuple[str, str]]]:
    """What a function that makes parameters may be given: kinds of `value_of_kind` by name."""
    choices: list[list[tuple[str, str]]] = []
    given = parameters(init)
    needed = [p for p in given if p.default is inspect.Parameter.empty]
    for p in given:
        kind, place = names.role(p.name), names.width(p.name)
        default = p.default is not inspect.Parameter.empty
        use = "" if default else usage.used_as(init, p.name)
        if use == "sizes":
            choices.append([(p.name, "sizes")])
        elif not default and GENERATOR.fullmatch(names.plain(p.name)):
            both = [(p.name, "rng"), (p.name, "legacy rng")]
            choices.append(both[:1] if "jax" in sys.modules else both)
        elif use == "width" and place in ("sizes", "") and len(given) == 1:
            choices.append([(p.name, "f"), (p.name, "h")])
        elif kind in ("X", "y") and place in ("f", "k") and not default and use != "width":
            choices.append([(p.name, kind), (p.name, place)])
        elif place:
            choices.append([(p.name, place)] if place != "h" else [(p.name, "h"), (p.name, "hs")])
        elif kind in ("X", "y"):
            choices.append([(p.name, kind)])
        elif kind in ("epochs", "lr") and not default:
            choices.append([(p.name, "one" if kind == "epochs" else "rate")])
        elif not default:
            one = names.plain(p.name) in ("seed", "scale")
            choices.append([(p.name, "one" if one else "sizes")])
    if len(choices) == 3 == len(needed) and all(c[0][1] == "sizes" for c in choices):
        return [[(c[0][0], w) for c, w in zip(choices, ("f", "h", "k"), strict=True)]]
    if len(choices) == 1 and choices[0][0][1] not in ("sizes", "X", "y"):
        choices[0].append((choices[0][0][0], "h"))
    if len(choices) > 1 and not any(kind == "f" for c in choices for _, kind in c):
        first = next((c for c in choices if c[0][1] == "sizes"), [])
        first[:0] = [(first[0][0], "f")] if first else []
    if len(choices) > 1:
        choices = [[*c, (c[0][0], "h")] if c[0][1] == "sizes" else c for c in choices]
    ways = itertools.islice(itertools.product(*choices), 6)
    return [
        [(n, kind) for (n, _), kind in zip(way, deepened([k for _, k in way]), strict=True)]
        for way in ways
    ]


def deepened(kinds: Sequence[str]) -> list[str]:
    """Kinds with two layers where their number is free: one shows nothing of the way between."""
    free = not set(kinds) & LISTS
    return ["deep" if free and kind == "depth" else kind for kind in kinds]


def value_of_kind(kind: str, value: Any, sizes: Sizes, form: Form) -> Any:
    """What a parameter is given, by the kind that it is."""
    kind = VALIDATION.get(kind, kind)
    if kind == "X":
        return inputs(sizes, form.x)
    if kind == "y":
        one = form.x.startswith("one")
        n = 1 if one else sizes.n
        shape = (
            (sizes.k, n) if "column" in form.x else (sizes.k,) if form.x == "one" else (n, sizes.k)
        )
        return targets(sizes, form, shape)[0]
    plain = {
        "f": sizes.f, "h": sizes.h, "k": sizes.k, "n": sizes.n, "hs": sizes.hidden,
        "tuple h": tuple(sizes.hidden), "sizes": sizes.layers, "depth": len(sizes.hidden),
        "deep": max(2, len(sizes.hidden)),
        "int h": sizes.h, "pairs": list(itertools.pairwise(sizes.layers)), "spread": sizes.layers,
        "spread hidden": sizes.hidden,
        "factors": [1.0 + i / 2 for i in range(sizes.k)],
        "rate": RATE, "one": 1, "zero": 0, "many": MANY,
    }  # fmt: skip
    if kind == "layer objects":
        return [value(n) for n in sizes.layers]
    if kind in ("rng", "legacy rng"):
        return _generator(kind, sizes.seed)
    if kind == "triples":
        *first, last = itertools.pairwise(sizes.layers)
        return [*((*pair, value[0]) for pair in first), (*last, value[-1])]
    return plain.get(kind, value)


def _generator(kind: str, seed: int) -> Any:
    """Random numbers of NumPy, of one kind or the other, or a key of JAX."""
    jax = sys.modules.get("jax")
    if jax is not None:
        return jax.random.PRNGKey(seed)
    return np.random.default_rng(seed) if kind == "rng" else np.random.RandomState(seed)
