"""Containers of layers that other files of the folder define, or that a method `add` puts in.

A class that is given a list of layers, and a loss, runs nothing by itself: its parts are taken
from the files beside it, by what their constructors need.
"""

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.activated import made_of_functions, ordered_call
from samegrad.implementations.reading.beside import (
    CURVED,
    DERIVATIVE,
    classes_beside,
    derived,
    functions_around,
    given_objects,
)
from samegrad.implementations.reading.board import RATE, Form, Sizes, parameters
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.networks import (
    Maker,
    Network,
    constructor,
    methods,
)
from samegrad.implementations.reading.words import ACTIVATION

MOST_LOSSES = 3
SET = re.compile(
    r"_*(?:set|use|compile|configure|build)(?:_?(?:loss|cost|criterion)\w*)?", re.IGNORECASE
)
READY = ("finalize", "build", "compile")  # called when all is there
ADD = re.compile(r"_*(?:add|push|append|insert)(?:_?layers?)?", re.IGNORECASE)
# Methods by which a layer of so many units is told how many there are below it.
LATER = re.compile(r"_*(?:build|init|initiali[sz]e|setup|init_weights|set_input(?:_size)?)")
LAST = ("softmax", "sigmoid", "linear", "identity")  # words of the activation of outputs


def of_assembled(loaded: Loaded, watched: bool = False) -> Iterator[tuple[Maker, type]]:
    """Ways to make what holds layers of other files, or layers that are added one by one.

    Args:
        watched: whether its own training is all that is going to be called: then also layers
            that are told of what is below them later, and losses and activations as functions.
    """
    for cls in own_classes(loaded).values():
        tree = usage.body(cls)
        if tree is None:
            continue
        held, add = _list_of(cls, tree), _adds(tree)
        if add is not None and _sized(add):
            yield partial(_widened, cls, add.name, loaded), cls
        others = [c for c in own_classes(loaded).values() if c is not cls]
        here = any(_is_weighted(c, loaded, False) for c in others)
        if (not held and add is None) or here:
            continue  # what has its layers in its own file is read otherwise
        classes = {**classes_beside(loaded), **own_classes(loaded)}
        functions = functions_around(loaded) if watched else {}
        pairs = derived(functions, losses=False)
        activations = [c for n, c in classes.items() if _is_activation(n, c)]
        activations += [a for c in classes.values() for a in made_of_functions(c, pairs)]
        entries = [c for n, c in classes.items() if _is_entry(n, c)]
        takes_loss = any(_is_loss(p.name) for p in constructor(cls)) or bool(_setter(cls))
        losses: Sequence[Any] = [c for c in classes.values() if _pair(c)]
        losses = [*losses] or [*derived(functions, losses=True)] or [None]
        for weighted in (
            c for c in classes.values() if c is not cls and _is_weighted(c, loaded, watched)
        ):
            for loss in losses[:MOST_LOSSES] if takes_loss else [None]:
                name = add.name if add is not None and not held else ""
                parts = (weighted, activations[:1], loss, entries[:1])
                yield partial(_filled, cls, held, name, parts, loaded), cls


def _list_of(cls: type, tree: ast.AST) -> str:
    """The parameter of a constructor that is a list of objects whose methods are called; or ""."""
    try:
        given = [p.name for p in constructor(cls)]
    except (TypeError, ValueError):
        return ""
    kept = {
        node.value.id: target.attr
        for node in ast.walk(tree) if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name) and node.value.id in given
        for target in node.targets if isinstance(target, ast.Attribute)
    }  # fmt: skip
    return next((p for p, attribute in kept.items() if _of_objects(tree, attribute)), "")


def _of_objects(tree: ast.AST, attribute: str) -> bool:
    """Whether methods are called of what an attribute holds several of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and f"self.{attribute}" in ast.unparse(node.iter):
            held = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            calls = (n.func for s in node.body for n in ast.walk(s) if isinstance(n, ast.Call))
            roots = (f.value for f in calls if isinstance(f, ast.Attribute))
            if any(isinstance(r, ast.Name) and r.id in held for r in roots):
                return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            root = node.func.value
            if isinstance(root, ast.Subscript) and ast.unparse(root.value) == f"self.{attribute}":
                return True
    return False


def _adds(tree: ast.AST) -> ast.FunctionDef | None:
    """The method that puts what it is given into a list of the object."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or not ADD.fullmatch(node.name):
            continue
        given = [a.arg for a in node.args.args[1:2]]
        for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
            into = isinstance(call.func, ast.Attribute) and call.func.attr == "append"
            if into and given and any(usage.is_name(a, given[0]) for a in call.args):
                return node
    return None


def _sized(add: ast.FunctionDef) -> bool:
    """Whether a method that adds makes weights itself, of a number of units."""
    calls = (n for n in ast.walk(add) if isinstance(n, ast.Call))
    return any(getattr(c.func, "attr", "") in usage.SHAPED - {"range"} for c in calls)


def _needed(cls: type) -> list[inspect.Parameter]:
    return [p for p in constructor(cls) if p.default is inspect.Parameter.empty]


def _is_activation(name: str, cls: type) -> bool:
    try:
        return (
            any(word in name.lower() for word in CURVED)
            and not _needed(cls)
            and any(names.FORWARD.match(n) for n in dir(cls))
        )
    except (TypeError, ValueError):
        return False


def _is_entry(name: str, cls: type) -> bool:
    """Whether it stands for the inputs, of which it is told how many there are."""
    try:
        return "input" in name.lower() and len(_needed(cls)) == 1
    except (TypeError, ValueError):
        return False


def _is_loss(name: str) -> bool:
    return bool(names.LOSS.fullmatch(names.plain(name)))


def _is_weighted(cls: type, loaded: Loaded, watched: bool) -> bool:
    """Whether a layer with a matrix comes of two widths, the one below perhaps given later."""
    try:
        known = [ACTIVATION.fullmatch(names.plain(p.name)) for p in _needed(cls)[2:]]
        rates = [names.role(p.name) == "lr" for p in _needed(cls)[2:]]
        plain = not _later(cls) and all(a or b for a, b in zip(known, rates, strict=True))
        if not (watched or plain):
            return False
        layer = _layer(cls, 4, 3, "relu", loaded)
        if later := _later(cls):
            _built(layer, later, 4)
    except (Exception, SystemExit):
        return False
    arrays = [v.shape for v in vars(layer).values() if isinstance(v, np.ndarray)]
    forward = any(names.FORWARD.match(n) and n != "__call__" for n in dir(cls))
    shapes = ((4, 3), (3, 4), *(((5, 3), (3, 5)) if later else ()))  # a bias may be within
    return forward and any(shape in shapes for shape in arrays)


def _layer(cls: type, fan_in: int, fan_out: int, word: str, loaded: Loaded) -> Any:
    """A layer of two widths, with the word or the functions of its activation, if it takes some."""
    needed = _needed(cls)
    later = _later(cls)
    values: list[Any] = [fan_out] if later else [fan_in, fan_out]
    for p in needed[len(values) :]:
        if names.role(p.name) == "lr":
            values.append(RATE)
        elif given := given_objects(cls, p.name, loaded):
            values.append(given[0])
        elif ACTIVATION.fullmatch(names.plain(p.name)):
            values.append(word)
        else:
            raise TypeError(f"{p.name} is not known")
    if len(needed) < 2 - bool(later):
        raise TypeError("it has no two widths")
    # Without its derivative, an activation that is given would be taken for none.
    more = {p.name: given_objects(cls, p.name, loaded) for p in constructor(cls)
            if p.default is None and DERIVATIVE.search(p.name)}  # fmt: skip
    return cls(*values, **{name: given[0] for name, given in more.items() if given})


def _later(cls: type) -> str:
    """The method that gives a layer of so many units the width of what is below it; or ""."""
    needed = _needed(cls)
    if not needed or any(not ACTIVATION.fullmatch(names.plain(p.name)) for p in needed[1:]):
        return ""
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        if LATER.fullmatch(name) and len(usage.needed(function)) == 2:  # with self
            return name
    return ""


def _built(layer: Any, later: str, below: int) -> None:
    """Give a layer the width of what is below it, as a number or as an array of one."""
    try:
        getattr(layer, later)(below)
    except AttributeError:
        getattr(layer, later)(np.array(below))


def _setter(cls: type) -> str:
    """The method that gives a container its loss object, and perhaps its optimizer; or ""."""
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        given = [p.name for p in parameters(function)][1:] if SET.fullmatch(name) else []
        if sum(map(_is_loss, given)) == 1:
            return name
    return ""


def _open(function: Callable[..., Any]) -> list[str]:
    """The names of what must be given, and of losses."""
    return [p.name for p in parameters(function)
            if p.default is inspect.Parameter.empty or _is_loss(p.name)]  # fmt: skip


def _pair(cls: type) -> tuple[str, str] | None:
    """The methods of a loss object that can be made."""
    try:
        return None if _needed(cls) else usage.loss_methods(cls)
    except (TypeError, ValueError):
        return None


def _made_loss(cls: type, sizes: Sizes) -> Any:
    given = {p.name: sizes.k for p in constructor(cls) if names.role(p.name) == "k"}
    return cls(**given)


def _filled(
    cls: type, held: str, add: str, parts: Any, loaded: Loaded, sizes: Sizes, form: Form
) -> Network:
    """A container with layers, activations between them, and its loss."""
    weighted, activations, loss_class, entries = parts
    np.random.seed(sizes.seed)
    words = [w for w in LAST if w in inspect.getsource(sys.modules[weighted.__module__]).lower()]
    later, text = _later(weighted), ast.unparse(usage.body(cls) or ast.Pass())
    layers: list[Any] = [c(sizes.f) for c in entries] if later else []
    pairs = list(itertools.pairwise(sizes.layers))
    for i, (fan_in, fan_out) in enumerate(pairs):
        last = i == len(pairs) - 1
        word = words[0] if last and words else "relu"
        layers.append(_layer(weighted, fan_in, fan_out, word, loaded))
        if later and f".{later}(" not in text:
            _built(layers[-1], later, fan_in)
        if not last:
            layers += [c() for c in activations]
    functions_alone = isinstance(loss_class, tuple)  # one and its derivative
    loss = loss_class if functions_alone or loss_class is None else _made_loss(loss_class, sizes)
    values: dict[str, Any] = {}
    for p in constructor(cls):
        if p.name == held:
            values[p.name] = layers
        elif loss is not None and (one := _part_of(loss, p.name)) is not None:
            values[p.name] = one
        elif names.role(p.name) == "lr":
            values[p.name] = RATE
        elif p.default is inspect.Parameter.empty or (later and names.width(p.name) == "f"):
            values[p.name] = sizes.k if names.width(p.name) == "k" else sizes.f
    net = cls(**values)
    for layer in layers if add else ():
        getattr(net, add)(layer)
    if loss is not None and (setter := _setter(cls)):
        function = getattr(net, setter)
        function(**{name: _part_of(loss, name) for name in _open(function)})
    for name in READY:
        if (ready := methods(net).get(name)) is not None and not _open(ready):
            ready()
    functions: dict[str, Callable[..., Any]] = {**own_functions(loaded), **methods(net)}
    users: tuple[Any, ...] = ()
    shown = ", ".join(type(layer).__name__ for layer in layers)
    title = f"class {cls.__name__}([{shown}])"
    if loss is not None:
        title += f" with {(loss[0] if functions_alone else loss_class).__name__}"
        users = _with_loss(functions, net, loss)
    return Network(net, functions, title, rate=[RATE], users=users)


def _part_of(loss: Any, name: str) -> Any:
    """What a parameter is given of a loss, by its name: of two functions one; None of no loss."""
    if isinstance(loss, tuple) and DERIVATIVE.search(name):
        return loss[1]
    if not _is_loss(name):
        return None
    return loss[0] if isinstance(loss, tuple) else loss


def _with_loss(functions: dict[str, Callable[..., Any]], net: Any, loss: Any) -> tuple[Any, ...]:
    """Give functions the loss, and the backward pass what the derivative of the loss gives."""
    pair = loss if isinstance(loss, tuple) else [
        getattr(loss, name) for name in _pair(type(loss)) or ()]  # fmt: skip
    value, slope = pair
    call, derivative = ordered_call(value), ordered_call(slope)
    functions["loss"] = lambda y, out: call(y, out)
    name = next((n for n in methods(net) if names.BACKWARD.match(n)), "")
    if not name:
        return (value, slope)
    down = functions[name]
    needed = [p.name for p in parameters(down) if p.default is inspect.Parameter.empty]
    takes = len(needed)

    def backward(y: Any, out: Any) -> Any:
        call(y, out)  # a loss may keep what its derivative needs
        if not takes:
            return down()
        if names.role(needed[0]) == "y":
            return down(y)
        return down(derivative(y, out) if parameters(slope) else slope())

    if takes <= 1:
        functions[name] = backward
    return (value, slope, down)


def _widened(cls: type, add: str, loaded: Loaded, sizes: Sizes, form: Form) -> Network:
    """A network to which layers are added by their widths."""
    np.random.seed(sizes.seed)
    net = cls()
    text = ast.unparse(usage.body(cls) or ast.Pass()).lower()
    words = [word for word in CURVED if word in text] or ["sigmoid"]
    takes = [p.name for p in parameters(getattr(net, add))][1:]
    named = [n for n in takes if ACTIVATION.fullmatch(names.plain(n))]
    for i, width in enumerate(sizes.layers):
        getattr(net, add)(width, **(dict.fromkeys(named, words[0]) if i else {}))
    title = f"class {cls.__name__}, {add}({', '.join(map(str, sizes.layers))})"
    return Network(net, {**own_functions(loaded), **methods(net)}, title)
