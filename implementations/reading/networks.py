"""Networks made from what a file defines: classes, functions over parameters, globals."""

import ast
import contextlib
import inspect
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.board import (
    RATE,
    Form,
    Sizes,
    inputs,
    parameters,
    targets,
)
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.loading import Loaded, own_functions

MOST_WAYS = 12  # to construct one class
MOST_LAYERS = 3  # hidden ones
LISTS = {"hs", "tuple h", "sizes", "int h"}  # kinds that say how many layers there are
CURVED = ("tanh", "sigmoid", "relu", "logistic", "leaky_relu", "elu", "softplus", "gelu", "swish")
STRAIGHT = ("linear", "identity", "none", "id")
GENERATOR = re.compile(r"rng|rs|rgen|generator|random|prng|(?:rng_?|prng_?|random_?)?key")
ACTIVATION = re.compile(r".*(?:activation|act|nonlin|func).*|f|g")


@dataclass
class Network:
    """Something to call.

    Attributes:
        net: what holds the parameters.
        functions: what can be called, by name.
        values: what the board gets besides data: "params", "W1".
        title: "class MLP([4, 6, 3])".
        held: data that it was constructed with.
        rate: of its steps, alone in a list, where it is ours to set.
        kept: attributes that its methods take from their arguments, with the roles of these.
        settings: lists of numbers that its constructor was given, which are no weights.
        part: whether it is one layer of several that the file has.
        users: functions of the user that those to call have within them.
        also: ways to make networks of what else the file has, which must be right, too.
        shapes: of its matrices, where all of them are in one vector.
    """

    net: Any
    functions: dict[str, Callable[..., Any]]
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    held: tuple[Any, ...] = ()
    rate: list[float] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    settings: tuple[Any, ...] = ()
    part: bool = False
    users: tuple[Any, ...] = ()
    also: "tuple[Maker, ...]" = ()
    shapes: tuple[tuple[int, ...], ...] = ()


class Globals:
    """The global arrays of a file as one object."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.__dict__ = namespace


Maker = Callable[[Sizes, Form], Network]


def methods(thing: Any) -> dict[str, Callable[..., Any]]:
    """What can be called of an object, by name."""
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(type(thing)):
        if name.startswith("__") and name != "__call__":
            continue
        value = inspect.getattr_static(type(thing), name, None)
        if isinstance(value, types.FunctionType | staticmethod | classmethod):
            found[name] = getattr(thing, name)
    if not any(
        isinstance(k.__dict__.get("__call__"), types.FunctionType) for k in type(thing).__mro__
    ):
        found.pop("__call__", None)
    return found


def constructor(cls: type) -> list[inspect.Parameter]:
    """The parameters of a class, `*sizes` among them.

    Raises:
        ValueError, TypeError: it has no signature.
    """
    if inspect.getattr_static(cls, "__init__") is object.__init__:
        return []
    spread = [
        p for p in inspect.signature(cls).parameters.values()
        if p.kind is inspect.Parameter.VAR_POSITIONAL
    ]  # fmt: skip
    return [*parameters(cls), *spread]


def constructions(cls: type, loaded: Loaded) -> Iterator[Maker]:
    """Ways to construct a class, the likeliest first."""
    examples = list(usage.calls_of(cls, loaded.statements, loaded.namespace))
    try:
        given = constructor(cls)
    except (TypeError, ValueError):
        return
    widths = _widths(cls, given)
    choices: list[list[tuple[str, str, Any]]] = []
    ways: list[Any] = [] if given else [()]
    for p in given:
        options = _options(p, examples, given, widths, cls, loaded)
        if p.kind is inspect.Parameter.VAR_POSITIONAL:
            options = [("spread", None)]
        if options:
            choices.append([(p.name, kind, value) for kind, value in options])
        elif p.default is inspect.Parameter.empty:
            break
    else:
        ways = list(itertools.islice(itertools.product(*choices), MOST_WAYS))
    for way in ways:
        yield partial(_constructed, cls, way, loaded)
    for node, _ in examples:
        yield partial(_as_written, node, loaded)


def _widths(cls: type, given: Sequence[inspect.Parameter]) -> dict[str, str]:
    """Which width each parameter is; those that the names leave open in the order of layers."""
    found = {p.name: names.width(p.name) for p in given}
    needed = [p.name for p in given if p.default is inspect.Parameter.empty]
    for name in needed:
        if found[name] in ("k", "") and usage.used_as(cls, name) in ("sizes", "pairs", "triples"):
            found[name] = "sizes"
    if "sizes" in found.values():
        return found
    open_ones = [n for n in needed if not found[n] and usage.used_as(cls, n) == "width"]
    if needed and found[needed[0]] == "k" and "f" not in found.values():
        found[needed[0]] = "f"  # what comes first is what goes in
    left = [w for w in ("f", "h", "k") if w not in found.values()]
    if len(open_ones) > len(left) > 1:
        left = [left[0], *["h"] * (len(open_ones) - 2), left[-1]]
    return found | dict(zip(open_ones, left, strict=False))


def _options(
    p: inspect.Parameter,
    examples: Sequence[Any],
    given: Sequence[inspect.Parameter],
    widths: dict[str, str],
    cls: type,
    loaded: Loaded,
) -> list[tuple[str, Any]]:
    """What a parameter of a constructor may be given: kinds of `_value`, or values as written."""
    default = p.default is not inspect.Parameter.empty
    written = [
        ("written", value)
        for _, evaluated in examples
        if p.name in evaluated and (value := evaluated[p.name]) is not None
    ]
    kind, place = names.role(p.name), widths[p.name]
    use = "" if default else usage.used_as(cls, p.name)
    if use in ("pairs", "triples"):
        return [*written, (use, _activation_words(loaded))]
    if "weight" in names.words(p.name) and place == "k" and not default:
        return [("factors", None)]
    number = default and isinstance(p.default, int | float | str)
    if kind in ("X", "y") and place not in ("f", "h", "k", "sizes") and not number:
        return [(kind, None)]
    if place == "sizes" and kind != "batch_size":
        if default and isinstance(p.default, int):
            return [("int h", None), *written]
        shaped = [v for v in written if isinstance(v[1], list | tuple)
                  and all(isinstance(x, int) for x in v[1])]  # fmt: skip
        others = {names.width(q.name) for q in given if q is not p}
        if {"f", "k"} <= others:
            return [("hs", None), ("h", None)]
        return [("sizes", None)] if shaped or not written else [*written, ("sizes", None)]
    if place in ("f", "h", "k", "hs", "depth"):
        if place in ("f", "k") and kind in ("X", "y") and not _int_like(p, written):
            return [(place, None), (kind, None)]
        if place == "hs":
            return [("hs", None), ("h", None), ("tuple h", None)]
        if place == "h":
            return [("h", None), ("hs", None)]
        return [(place, None)] if place != "depth" or not default else []
    if p.name in names.rates([q.name for q in given]):
        return [("rate", None)]
    if written:
        return written[:2]
    if kind == "epochs":
        return [("one", None)]
    if default:
        return []
    if kind in ("batch_size", "n"):
        return [("n", None)]
    if kind in ("lr", "reg", "keep", "quiet"):
        return [("zero", None)]
    if ACTIVATION.fullmatch(names.plain(p.name)):
        return [("text", word) for word in dict.fromkeys(_activation_words(loaded))]
    if names.plain(p.name) in ("seed", "random_state"):
        return [("one", None)]
    if GENERATOR.fullmatch(names.plain(p.name)):
        return [("rng", None), ("legacy rng", None)]
    return [("h", None), ("sizes", None)]


def _activation_words(loaded: Loaded) -> list[str]:
    """What the file calls a function of the hidden layer, and one of the last layer."""
    found = [
        node.value
        for statement in loaded.statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    curved = [w for w in dict.fromkeys(found) if w.lower() in CURVED] or ["sigmoid", "relu", "tanh"]
    straight = [w for w in dict.fromkeys(found) if w.lower() in STRAIGHT]
    return [*curved, *straight[:1]]


def _deep(kinds: Sequence[str]) -> list[str]:
    """Kinds with two layers where their number is free: one shows nothing of the way between."""
    free = not set(kinds) & LISTS
    return ["deep" if free and kind == "depth" else kind for kind in kinds]


def _int_like(p: inspect.Parameter, written: Sequence[tuple[str, Any]]) -> bool:
    return isinstance(p.default, int) or any(isinstance(v, int) for _, v in written)


def value_of_kind(kind: str, value: Any, sizes: Sizes, form: Form) -> Any:
    """What a parameter is given, by the kind that it is."""
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
        "factors": [1.0 + i / 2 for i in range(sizes.k)],
        "rate": RATE, "one": 1, "zero": 0,
    }  # fmt: skip
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


def _constructed(cls: type, way: Any, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    """A network of a class, with more hidden layers where it unpacks a list of so many."""
    for more in range(MOST_LAYERS if "sizes" in [kind for _, kind, _ in way] else 0):
        with contextlib.suppress(ValueError, IndexError):
            deeper = replace(sizes, more=sizes.more or (sizes.h - 1, sizes.h + 1)[:more])
            return _with_sizes(cls, way, loaded, deeper, form)
    return _with_sizes(cls, way, loaded, sizes, form)


def _with_sizes(cls: type, way: Any, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    kinds = _deep([kind for _, kind, _ in way])
    arguments = {
        name: value_of_kind(kind, value, sizes, form)
        for kind, (name, _, value) in zip(kinds, way, strict=True)
    }
    held = tuple(arguments[name] for name, kind, _ in way if kind in ("X", "y"))
    spread = next((arguments.pop(name) for name, kind, _ in way if kind == "spread"), ())
    np.random.seed(sizes.seed)
    net = cls(*arguments.values(), *spread) if spread else cls(**arguments)
    _prepare(net, sizes)
    shown = ", ".join(
        kind
        if kind in ("X", "y")
        else repr(value)
        if np.ndim(value) < 2 and len(repr(value)) < 40
        else name
        for (name, kind, _), value in zip(
            way, [*arguments.values(), *([spread] if spread else [])], strict=True
        )
    )
    made = of_object(net, f"class {cls.__name__}({shown})", held, loaded)
    defaults = [p.default for p in parameters(cls) if p.name not in arguments]
    made.settings = tuple(
        np.asarray(value, np.float64) for value in [*arguments.values(), *defaults]
        if isinstance(value, list | tuple) and all(isinstance(x, int | float) for x in value)
    )  # fmt: skip
    return made


def of_object(net: Any, title: str, held: tuple[Any, ...], loaded: Loaded) -> Network:
    """A network that is an object, with the file's functions and its own methods."""
    functions = {**own_functions(loaded), **methods(net)}
    kept = {a: role for a, p in usage.kept_arguments(type(net))
            if (role := names.role(p)) in ("X", "y")
            and getattr(net, a, None) is None}  # fmt: skip
    return Network(net, functions, title, {}, held, kept=kept)


def _prepare(net: Any, sizes: Sizes) -> None:
    """Call the method that makes the weights, of a class whose constructor makes none."""
    if any(np.ndim(place.read()) > 1 for place in places(net, "net")):
        return
    for name, function in methods(net).items():
        if not names.INIT.match(name):
            continue
        for way in init_ways(function):
            np.random.seed(sizes.seed)
            try:
                function(**{p: value_of_kind(kind, None, sizes, Form()) for p, kind in way})
            except Exception:  # its arguments are others
                continue
            if any(np.ndim(place.read()) > 1 for place in places(net, "net")):
                return


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
        elif place:
            choices.append([(p.name, place)] if place != "h" else [(p.name, "h"), (p.name, "hs")])
        elif kind in ("X", "y"):
            choices.append([(p.name, kind)])
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
        [(n, kind) for (n, _), kind in zip(way, _deep([k for _, k in way]), strict=True)]
        for way in ways
    ]


def _as_written(node: ast.Call, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    np.random.seed(0)
    code = compile(ast.Expression(node), "samegrad", "eval")
    net = eval(code, dict(loaded.namespace))  # a call of the user's file
    return of_object(net, f"class {ast.unparse(node)}"[:80], (), loaded)
