"""Networks made from what a file defines: classes, functions over parameters, globals."""

import ast
import contextlib
import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.arguments import GENERATOR, deepened, init_ways, value_of_kind
from samegrad.implementations.reading.beside import given_objects
from samegrad.implementations.reading.board import (
    VALIDATION,
    Form,
    Sizes,
    parameters,
)
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.words import ACTIVATION, activation_words

MOST_WAYS = 12  # to construct one class
MOST_LAYERS = 3  # hidden ones
MOST_COUNTED = 5  # of hidden layers; more are hidden units
FUNCTION = re.compile(r"activation|nonlin|func|(?:^|_)act(?:_f|$)")  # of outputs: no width


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
        placed: attributes, lists, whose first place its methods give an example to.
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
    placed: tuple[str, ...] = ()
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
            ends = {"f", "k"} <= {width for name, width in widths.items() if name != p.name}
            options = [("spread hidden" if ends else "spread", None)]
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
    found = {p.name: "" if FUNCTION.search(p.name) else names.width(p.name) for p in given}
    needed = [p.name for p in given if p.default is inspect.Parameter.empty]
    hidden = [n for n, width in found.items() if width in ("h", "hs")]
    if len(hidden) > 1:  # hidden_layers, beside the number of hidden units, is how many
        counted = [n for n in hidden if "layers" in names.words(n) and n in needed]
        found |= {n: "depth" for n in counted if usage.used_as(cls, n) != "sizes"}
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
        return [*written, (use, activation_words(loaded))]
    if "weight" in names.words(p.name) and place == "k" and not default:
        return [("factors", None)]
    number = default and isinstance(p.default, int | float | str)
    if kind in ("X", "y") and place not in ("f", "h", "k", "sizes") and not number:
        return [(kind, None)]
    if kind in VALIDATION and not number:
        return [] if default else [(kind, None)]
    if place == "sizes" and (part := _of_a_width(cls, p.name, loaded)) is not None:
        return [("layer objects", part), ("sizes", None)]
    if place == "sizes" and kind != "batch_size":
        if default and isinstance(p.default, int):
            return [("int h", None), *written]
        shaped = [v for v in written if isinstance(v[1], list | tuple)
                  and all(isinstance(x, int) for x in v[1])]  # fmt: skip
        others = {names.width(q.name) for q in given if q is not p}
        if {"f", "k"} <= others:
            return [("hs", None), ("h", None)]
        return [("sizes", None)] if shaped or not written else [*written, ("sizes", None)]
    if place == "hs" and isinstance(p.default, int) and 0 < p.default <= MOST_COUNTED:
        return []  # how many hidden layers there are
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
    if names.LOSS.search(names.plain(p.name)) and (objects := _loss_objects(loaded)):
        return [("text", loss) for loss in objects]
    if objects := given_objects(cls, p.name, loaded):
        return [("text", value) for value in objects]
    if ACTIVATION.fullmatch(names.plain(p.name)):
        return [("text", word) for word in dict.fromkeys(activation_words(loaded))]
    if names.plain(p.name) in ("seed", "random_state"):
        return [("one", None)]
    if keys := usage.keys_of(cls, p.name, loaded.namespace):
        return [("text", key) for key in keys[:3]]
    if values := usage.compared(cls, p.name):
        two = {True, False} if set(values) <= {True, False} else ()
        return [("text", value) for value in (*sorted(two), *values[:3]) if two or value != ""]
    if GENERATOR.fullmatch(names.plain(p.name)):
        return [("rng", None), ("legacy rng", None)]
    return [("h", None), ("sizes", None), ("many", None)]


def _of_a_width(cls: type, name: str, loaded: Loaded) -> type | None:
    """The class of the layers that a parameter lists, where each is made of its number of units."""
    found = (c for n, c in own_classes(loaded).items()
             if c is not cls and "layer" in n.lower() and "layer" in name.lower())  # fmt: skip
    return next((c for c in found if len(usage.needed(c)) == 1 and usage.body(c) is not None
                 and usage.used_as(c, usage.needed(c)[0]) == "width"), None)  # fmt: skip


def _loss_objects(loaded: Loaded) -> list[Any]:
    """Classes of the file that give a loss and its derivative, or objects of them."""
    found: list[Any] = []
    for cls in own_classes(loaded).values():
        pair = usage.loss_methods(cls)
        static = pair and isinstance(inspect.getattr_static(cls, pair[0]), staticmethod)
        with contextlib.suppress(Exception):
            found += [cls if static else cls()] if pair else []
    return found


def _int_like(p: inspect.Parameter, written: Sequence[tuple[str, Any]]) -> bool:
    return isinstance(p.default, int) or any(isinstance(v, int) for _, v in written)


def _constructed(cls: type, way: Any, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    """A network of a class, with more hidden layers where it unpacks a list of so many."""
    for more in range(MOST_LAYERS if "sizes" in [kind for _, kind, _ in way] else 0):
        with contextlib.suppress(ValueError, IndexError):
            deeper = replace(sizes, more=sizes.more or (sizes.h - 1, sizes.h + 1)[:more])
            return _with_sizes(cls, way, loaded, deeper, form)
    return _with_sizes(cls, way, loaded, sizes, form)


def _with_sizes(cls: type, way: Any, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    kinds = deepened([kind for _, kind, _ in way])
    arguments = {
        name: value_of_kind(kind, value, sizes, form)
        for kind, (name, _, value) in zip(kinds, way, strict=True)
    }
    held = tuple(arguments[name] for name, kind, _ in way if kind in ("X", "y"))
    spread = next((arguments.pop(name) for name, kind, _ in way if kind.startswith("spread")), ())
    np.random.seed(sizes.seed)
    net = cls(*arguments.values(), *spread) if spread else _without_files(cls, arguments)
    arrays = [v for v in getattr(net, "__dict__", {}).values() if isinstance(v, np.ndarray)]
    if any(array.ndim == 2 and not array.size for array in arrays):
        raise ValueError("a width that it computes is 0")
    held = _prepare(net, held, sizes, form)
    values = [*arguments.values(), *([spread] if spread else [])]
    shown = ", ".join(_shown(*one) for one in zip(way, values, strict=True))
    made = of_object(net, f"class {cls.__name__}({shown})", held, loaded)
    for name, _, value in way:
        kind = value if isinstance(value, type) else type(value)
        if names.LOSS.search(name) and (pair := usage.loss_methods(kind)):
            made.functions["loss"] = getattr(value, pair[0])
    defaults = [p.default for p in parameters(cls) if p.name not in arguments]
    made.settings = tuple(
        np.asarray(value, np.float64) for value in [*arguments.values(), *defaults]
        if isinstance(value, list | tuple) and all(isinstance(x, int | float) for x in value)
    )  # fmt: skip
    return made


def _shown(way: tuple[str, str, Any], value: Any) -> str:
    """An argument as one writes it, or in a word."""
    name, kind, _ = way
    text = repr(value)
    if kind == "layer objects":
        return f"[{', '.join(type(layer).__name__ for layer in value)}]"
    if " at 0x" in text:
        return str(getattr(value, "__name__", f"{type(value).__name__}()"))
    return kind if kind in ("X", "y") else text if np.ndim(value) < 2 and len(text) < 40 else name


def _without_files(cls: type, arguments: dict[str, Any]) -> Any:
    """An object that loads no data where the file that it would load by default is not there."""
    try:
        return cls(**arguments)
    except OSError:
        given = {p.name: arguments.get(p.name, p.default) for p in parameters(cls)}
        paths = [name for name, v in given.items() if isinstance(v, str) and "." in v]
        if not paths:
            raise
        return cls(**{**arguments, **dict.fromkeys(paths)})


def of_object(net: Any, title: str, held: tuple[Any, ...], loaded: Loaded) -> Network:
    """A network that is an object, with the file's functions and its own methods."""
    functions = {**own_functions(loaded), **methods(net)}
    kept = {a: role for a, p in usage.kept_arguments(type(net))
            if (role := names.role(p)) in ("X", "y")
            and getattr(net, a, None) is None}  # fmt: skip
    placed = [a for a, p in usage.placed_arguments(type(net))
              if names.role(p) == "X" and isinstance(getattr(net, a, None), list)]  # fmt: skip
    return Network(net, functions, title, {}, held, kept=kept, placed=tuple(set(placed)))


def _prepare(net: Any, held: tuple[Any, ...], sizes: Sizes, form: Form) -> tuple[Any, ...]:
    """Call the method that makes the weights, of a class whose constructor makes none.

    Args:
        held: the data that the constructor was given.

    Returns:
        The data that the object was given, by one or the other.
    """
    if has_matrices(net, held):
        return held
    for name, function in methods(net).items():
        if not names.INIT.match(name):
            continue
        for way in init_ways(function):
            np.random.seed(sizes.seed)
            given = {p: value_of_kind(kind, None, sizes, form) for p, kind in way}
            try:
                function(**given)
            except Exception:  # its arguments are others
                continue
            data = held or tuple(given[p] for p, kind in way if kind in ("X", "y"))
            if has_matrices(net, data):
                return data
    return held


def has_matrices(net: Any, held: tuple[Any, ...]) -> bool:
    """Whether something holds matrices besides data."""
    arrays = (place.read() for place in places(net, "net"))
    return any(np.ndim(a) > 1 and not any(np.array_equal(a, d) for d in held) for a in arrays)


def _as_written(node: ast.Call, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    np.random.seed(0)
    code = compile(ast.Expression(node), "samegrad", "eval")
    net = eval(code, dict(loaded.namespace))  # a call of the user's file
    return of_object(net, f"class {ast.unparse(node)}"[:80], (), loaded)
