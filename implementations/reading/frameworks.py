"""Files of torch and JAX: what differentiates for them is their backward pass.

A module's gradient is that of any loss of its outputs, so that one is tried which no file needs to
define. Nothing is imported: what is not in `sys.modules` is not what the file uses.
"""

import ast
import copy
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names, twice
from samegrad.implementations.reading.board import Board, Form, Sizes, call, plans
from samegrad.implementations.reading.called import called_losses
from samegrad.implementations.reading.effects import Place, places, with_effect
from samegrad.implementations.reading.loading import (
    Loaded,
    imported_torch,
    own_classes,
    own_functions,
    parts,
)
from samegrad.implementations.reading.networks import Network, constructions, methods
from samegrad.implementations.reading.readings import Reading

Array = Any
SQUARES = losses.OF_OUTPUTS
MOST_SHAPES = 6  # of the inputs of one function


def with_digits() -> None:
    """Let JAX compute with float64."""
    jax = sys.modules.get("jax")
    if jax is not None and hasattr(jax, "config"):
        jax.config.update("jax_enable_x64", True)


def by_hand(loaded: Loaded) -> bool:
    """Whether a file has a backward pass that no framework calls."""
    torch = imported_torch()
    theirs = (torch.nn.Module, torch.autograd.Function) if torch is not None else ()
    defined = [n for c in own_classes(loaded).values() if not issubclass(c, theirs) for n in dir(c)]
    return any(names.BACKWARD.match(n) for n in [*defined, *own_functions(loaded)])


def of_torch(loaded: Loaded, name: str) -> Iterator[Reading]:
    """Readings of a file's modules, and of its functions of autograd that no module calls."""
    torch = imported_torch()
    if torch is None:
        return
    inner = parts(loaded)
    classes = {n: c for n, c in own_classes(loaded).items() if n == name or not name}
    modules = [c for n, c in reversed(classes.items()) if issubclass(c, torch.nn.Module)]
    for cls in sorted(modules, key=lambda c: c.__name__ in inner and not name):
        found = False
        for make in itertools.islice(constructions(cls, loaded), 4):
            for reading in itertools.islice(_of_module(make, loaded), 1):
                found = True
                yield reading
            if found:
                break
        if found:
            return
    for make in _modules_at_hand(loaded, name):
        yield from itertools.islice(_of_module(make, loaded), 1)
    yield from _each_of([cls for cls in _functions(loaded) if cls in classes.values()], loaded)


def _modules_at_hand(loaded: Loaded, name: str) -> Iterator[Callable[[Sizes, Form], Network]]:
    """Modules that a file makes of torch's own classes, the last first."""
    torch = sys.modules["torch"]
    for of, value in reversed(loaded.namespace.items()):
        if isinstance(value, torch.nn.Module) and name in ("", of) and list(value.parameters()):
            title = f"{of}, a {type(value).__name__}"
            yield lambda *_, v=value, t=title: Network(copy.deepcopy(v), {}, t)


def _of_module(make: Callable[[Sizes, Form], Any], loaded: Loaded) -> Iterator[Reading]:
    torch = sys.modules["torch"]
    try:
        made = make(Sizes(), Form())
        net = made.net.double()
    except (Exception, SystemExit):
        return
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim == 2]
    for f in dict.fromkeys([Sizes.f, *(size for shape in shapes for size in shape[::-1])]):
        torch.manual_seed(0)
        X = torch.randn(Sizes.n, f, dtype=torch.float64)
        try:
            out = net(X)
            target = torch.randn(out.shape, dtype=torch.float64)
        except (Exception, SystemExit):
            continue
        for loss, loss_name, data in _losses(net, X, target, loaded):
            left = _uncalled(loss, loaded)
            alone = partial(_each_of, left, loaded)
            if not left or loss_name != SQUARES:  # else: what is the file's own would not be seen
                said = twice.of_module(out.detach().numpy(), loaded)
                if loss_name != SQUARES:  # its own loss shows what it takes
                    said = (*twice.of_call(loss), *(n for n in said if n.code != twice.CODE))
                for reading in _reading(net, loss, loss_name, data, made.title, loaded):
                    yield replace(reading, others=alone, notes=said)


def _losses(
    net: Any, X: Any, target: Any, loaded: Loaded
) -> Iterator[tuple[Callable[[], Any], str, tuple[Any, ...]]]:
    """Losses of the module's and the file's own, then one of ours."""
    torch = sys.modules["torch"]

    def squares() -> Any:
        return ((net(X) - target) ** 2).sum()

    own = {**methods(net), **own_functions(loaded)}
    for name, function in own.items():
        if names.LOSS.fullmatch(name):
            for y in (target, _labels(target)):
                board = Board(Sizes(), {"X": X, "y": y, "net": net, "params": net, "n": len(X)})
                found = (
                    partial(call, function, p, board) for p in plans(function, board, [], "loss")
                )
                loss = next(filter(_differentiable, found), None)
                if loss is not None:
                    yield loss, name, (X, y)
                    break
    given = {n: v for n, v in loaded.namespace.items()
             if isinstance(v, torch.nn.modules.loss._Loss)}  # fmt: skip
    for name in sorted(given, key=lambda n: not names.LOSS.fullmatch(n)):
        for y in (target, _labels(target)):
            if _differentiable(loss := partial(_loss_of, given[name], net, X, y)):
                yield loss, name, (X, y)
                break
    for given_loss, name in called_losses(loaded):
        for y in (target, _labels(target), target.sigmoid()):
            if _differentiable(loss := partial(_loss_of, given_loss, net, X, y)):
                yield loss, name, (X, y)
                break
    if _differentiable(squares):
        yield squares, SQUARES, (X, target)


def _loss_of(loss: Any, net: Any, X: Any, y: Any) -> Any:
    return loss(net(X), y)


def _labels(like: Any) -> Any:
    """A label for each row of outputs."""
    return sys.modules["torch"].arange(len(like)) % like.shape[-1]


def _functions(loaded: Loaded) -> list[Any]:
    """The classes of a file that are functions of autograd."""
    function = sys.modules["torch"].autograd.Function
    return [cls for cls in own_classes(loaded).values() if issubclass(cls, function)]


def _uncalled(loss: Callable[[], Any], loaded: Loaded) -> list[Any]:
    """Functions of autograd of a file that its loss does not call."""
    left = _functions(loaded)
    for cls in list(left):
        own = vars(cls).get("forward")

        def seen(*args: Any, cls: Any = cls, own: Any = own, **named: Any) -> Any:
            if cls in left:
                left.remove(cls)
            return own.__func__(*args, **named)

        if isinstance(own, staticmethod):
            cls.forward = staticmethod(seen)
            try:
                loss()
            finally:
                cls.forward = own
    return left


def _each_of(classes: Sequence[Any], loaded: Loaded) -> Iterator[Reading]:
    for cls in classes:
        yield from itertools.islice(_of_function(cls, loaded), 1)


def _differentiable(loss: Callable[[], Any]) -> bool:
    try:
        value = loss()
        return bool(value.numel() == 1 and value.requires_grad and np.isfinite(value.item()))
    except (Exception, SystemExit):
        return False


def _of_function(cls: Any, loaded: Loaded) -> Iterator[Reading]:
    """A function of autograd by itself, with tensors of shapes that it takes."""
    torch = sys.modules["torch"]
    n, f, k = Sizes.n, Sizes.f, Sizes.k
    weights: tuple[Sequence[Any], ...] = ([(n, f), (k, f), (k,)], [(n, f), (f, k), (k,)])
    alike = [(n, f)] * 3
    labels = _labels(torch.zeros(n, k))
    for shapes, more in (
        *((w[:count], ()) for count in (1, 2, 3) for w in weights), (alike[:2], ()), (alike, ()),
        ([(n, k)], (labels,)), ([(n, k)], (labels, 1.0)),
    ):  # fmt: skip
        torch.manual_seed(0)
        given = {f"input{i}": torch.randn(s, dtype=torch.float64, requires_grad=True)
                 for i, s in enumerate(shapes)}  # fmt: skip
        try:
            target = torch.randn(cls.apply(*given.values(), *more).shape, dtype=torch.float64)
        except (Exception, SystemExit):
            continue

        def loss(given: Any = given, target: Any = target, more: Any = more) -> Any:
            return ((cls.apply(*given.values(), *more) - target) ** 2).sum()

        if _differentiable(loss):
            yield from _reading(given, loss, SQUARES, (), f"function {cls.__name__}", loaded)


def _reading(
    net: Any, loss: Callable[[], Any], name: str, data: Any, title: str, loaded: Loaded
) -> Iterator[Reading]:
    def value() -> float:
        sys.modules["torch"].manual_seed(0)
        return float(loss().item())

    def backward() -> None:
        for tensor in net.values() if isinstance(net, dict) else net.parameters():
            tensor.grad = None
        sys.modules["torch"].manual_seed(0)
        loss().backward()

    try:
        found: list[Place] = with_effect(places(net, "net"), value)
        backward()
    except (Exception, SystemExit):
        return
    classes = own_classes(loaded).values()
    users = [f for c in classes for f in vars(c).values()]
    users = [getattr(f, "__func__", f) for f in users if callable(getattr(f, "__func__", f))]
    if found:
        how = f"{title} of torch: gradient of its autograd"
        yield Reading(
            net, found, value, backward, data, how, True, name, functions=(),
            users=[*own_functions(loaded).values(), *users], key=(name,),
        )  # fmt: skip


def outside(loaded: Loaded) -> str:
    """What a file is that is no network of dense layers, by the names that it defines; or ""."""
    defined = [
        node.name.lower() if isinstance(node, ast.FunctionDef | ast.ClassDef) else node.id.lower()
        for statement in loaded.statements
        for node in ast.walk(statement)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Name)
    ]
    return next((text for pattern, text in names.OUTSIDE
                 if any(pattern.search(name) for name in defined)), "")  # fmt: skip
