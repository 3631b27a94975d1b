"""Networks made from what a file defines: classes, functions over parameters, globals."""

import ast
import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import (
    RATE,
    Form,
    Sizes,
    inputs,
    parameters,
    targets,
)
from samegrad.implementations.reading.loading import Loaded

MOST_WAYS = 12  # to construct one class
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
        rated: whether its steps have board.RATE in them.
    """

    net: Any
    functions: dict[str, Callable[..., Any]]
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    held: tuple[Any, ...] = ()
    rated: bool = False


Maker = Callable[[Sizes, Form], Network]


def own_functions(loaded: Loaded) -> dict[str, Callable[..., Any]]:
    """The functions that the file itself defines."""
    files = {block.filename for block in loaded.blocks}
    return {
        name: value
        for name, value in loaded.namespace.items()
        if isinstance(value, types.FunctionType) and value.__code__.co_filename in files
    }


def own_classes(loaded: Loaded) -> dict[str, type]:
    """The classes that the file itself defines."""
    return {
        name: value
        for name, value in loaded.namespace.items()
        if isinstance(value, type) and value.__module__ == loaded.module.__name__
    }


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
    """The parameters of a class.

    Raises:
        ValueError, TypeError: it has no signature.
    """
    own = inspect.getattr_static(cls, "__init__") is not object.__init__
    return parameters(cls) if own else []


def constructions(cls: type, loaded: Loaded) -> Iterator[Maker]:
    """Ways to construct a class, the likeliest first."""
    examples = list(_call_sites(cls.__name__, loaded))
    try:
        given = (
            parameters(cls)
            if inspect.getattr_static(cls, "__init__") is not object.__init__
            else []
        )
    except (TypeError, ValueError):
        return
    choices: list[list[tuple[str, str, Any]]] = []
    for p in given:
        options = _options(p, examples, given)
        if options:
            choices.append([(p.name, kind, value) for kind, value in options])
        elif p.default is inspect.Parameter.empty:
            choices = []
            break
    ways = (
        list(itertools.islice(itertools.product(*choices), MOST_WAYS))
        if choices or not given or all(p.default is not inspect.Parameter.empty for p in given)
        else []
    )
    for way in ways:
        yield partial(_constructed, cls, way, loaded)
    for node, evaluated in examples:
        if evaluated is not None:
            yield partial(_as_written, node, loaded)


def _options(
    p: inspect.Parameter, examples: Sequence[Any], given: Sequence[inspect.Parameter]
) -> list[tuple[str, Any]]:
    """What a parameter of a constructor may be given: kinds of `_value`, or values as written."""
    default = p.default is not inspect.Parameter.empty
    written = [
        ("written", value)
        for _, evaluated in examples
        if evaluated is not None
        and p.name in evaluated
        and (value := evaluated[p.name]) is not None
    ]
    kind, place = names.role(p.name), names.width(p.name)
    if kind in ("X", "y") and place not in ("f", "k"):
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
    if kind == "lr":
        return [("rate", None)]
    if written:
        return written[:2]
    if kind == "epochs":
        return [("one", None)]
    if default:
        return []
    if kind in ("batch_size", "n"):
        return [("n", None)]
    if kind in ("reg", "keep", "quiet"):
        return [("zero", None)]
    if ACTIVATION.fullmatch(names.plain(p.name)):
        return [("text", "sigmoid"), ("text", "relu"), ("text", "tanh")]
    if names.plain(p.name) in ("seed", "random_state"):
        return [("one", None)]
    return [("h", None)] if names.plain(p.name) in ("size", "n", "num") else []


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
        "f": sizes.f, "h": sizes.h, "k": sizes.k, "n": sizes.n, "hs": [sizes.h],
        "tuple h": (sizes.h,), "sizes": [sizes.f, sizes.h, sizes.k], "depth": 1, "int h": sizes.h,
        "rate": RATE, "one": 1, "zero": 0,
    }  # fmt: skip
    return plain.get(kind, value)


def _constructed(cls: type, way: Any, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    arguments = {name: value_of_kind(kind, value, sizes, form) for name, kind, value in way}
    held = tuple(arguments[name] for name, kind, _ in way if kind in ("X", "y"))
    np.random.seed(sizes.seed)
    net = cls(**arguments)
    shown = ", ".join(
        kind
        if kind in ("X", "y")
        else repr(value)
        if np.ndim(value) < 2 and len(repr(value)) < 40
        else name
        for (name, kind, _), value in zip(way, arguments.values(), strict=True)
    )
    return _of_object(net, f"class {cls.__name__}({shown})", held, loaded)


def _of_object(net: Any, title: str, held: tuple[Any, ...], loaded: Loaded) -> Network:
    functions = {**own_functions(loaded), **methods(net)}
    return Network(net, functions, title, {}, held)


def _as_written(node: ast.Call, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    np.random.seed(0)
    code = compile(ast.Expression(node), "samegrad", "eval")
    net = eval(code, dict(loaded.namespace))  # a call of the user's file
    return _of_object(net, f"class {ast.unparse(node)}"[:80], (), loaded)


def _call_sites(name: str, loaded: Loaded) -> Iterator[tuple[ast.Call, dict[str, Any] | None]]:
    """Calls of a class anywhere in the file; arguments by name where they can be evaluated."""
    cls = loaded.namespace.get(name)
    for statement in loaded.statements:
        for node in ast.walk(statement):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == name):
                continue
            try:
                known = parameters(cls) if callable(cls) else []
            except (TypeError, ValueError):
                return
            pairs = [*zip((p.name for p in known), node.args, strict=False),
                     *((kw.arg, kw.value) for kw in node.keywords if kw.arg)]  # fmt: skip
            evaluated: dict[str, Any] = {}
            for parameter, expression in pairs:
                try:
                    code = compile(ast.Expression(expression), "samegrad", "eval")
                    evaluated[parameter] = eval(code, dict(loaded.namespace))  # of the user's file
                except Exception:  # a name that is not there without a run
                    continue
            yield node, evaluated
