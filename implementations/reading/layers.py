"""Files of layer objects: a small network of all of them, with their loss and its derivative."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.activated import (
    made_of_functions,
    ordered_call,
    squashing,
)
from samegrad.implementations.reading.beside import derived
from samegrad.implementations.reading.board import RATE, Form, Sizes, parameters
from samegrad.implementations.reading.functions import of_factories
from samegrad.implementations.reading.holding import holding, holds_layers, of_one_width
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions, parts
from samegrad.implementations.reading.networks import Maker, Network, constructions, methods

MOST_ACTIVATIONS = 4
MOST_ALONE = 2  # ways to construct a layer that is a network by itself
ACTIVATIONS = ("relu", "tanh", "sigmoid", "softplus", "leaky", "elu", "gelu", "swish", "activation")
FORWARD = ("forward", "__call__", "forward_pass", "forward_propagation", "fwd", "avant", "adelante",
           "vorwaerts", "propager", "propagar", "avanti")  # fmt: skip
BACKWARD = ("backward", "backward_pass", "backward_propagation", "backprop", "bwd", "grad_in",
            "back", "arriere", "atras", "rueckwaerts", "retropropager", "retropropagar", "indietro",
            "differentiate")  # fmt: skip
DOWN = ("dinputs", "dinput", "dx", "dX", "grad_input", "d_input", "input_gradient", "din", "grad_x")


def layer_classes(loaded: Loaded) -> dict[str, type]:
    """Classes whose forward takes one array and whose backward takes what comes from above."""
    return {n: c for n, c in own_classes(loaded).items() if _is_layer(c)}


def _is_layer(cls: type, among: bool = False) -> bool:
    """Whether it is a layer; `among` others, which something else runs backwards by its names."""
    forward, backward = _method(cls, FORWARD), _method(cls, BACKWARD)
    if among and forward is not None:
        return len(parameters(forward)) == 2 and any(names.BACKWARD.match(n) for n in dir(cls))
    if forward is None or backward is None:
        return False
    try:
        takes = [p for p in parameters(forward) if p.default is inspect.Parameter.empty][1:]
        given = [p for p in parameters(backward) if p.default is inspect.Parameter.empty][1:]
    except (TypeError, ValueError):
        return False
    return len(takes) == 1 and 1 <= len(given) <= 2 and (
        names.role(given[0].name) in ("grad_out", "out", "", "grads")
        or (given[0].name == "d" and not usage.subtracts(backward, "d"))
    ) and all(names.role(p.name) == "lr" for p in given[1:])  # fmt: skip


def _method(cls: type, wanted: Sequence[str]) -> Callable[..., Any] | None:
    for name in wanted:
        for klass in cls.__mro__:
            if name in klass.__dict__ and klass is not object:
                found: Callable[..., Any] = klass.__dict__[name]
                return found
    return None


def of_layers(loaded: Loaded, only: str = "") -> Iterator[Maker]:
    """Ways to make a network of layers, with the file's own container or a plain chain.

    Of several classes of layers that have weights `only` names the one that it is made of.
    """
    classes, inner = layer_classes(loaded), parts(loaded)
    pairs_of = derived(own_functions(loaded), losses=False)
    holders = [c for c in own_classes(loaded).values() if holds_layers(c)]
    if holders and all(c in holders for c in classes.values()):  # by other names
        classes = {n: c for n, c in own_classes(loaded).items()
                   if c not in holders and _is_layer(c, among=True)}  # fmt: skip
    weighted: list[type] = []
    plain: list[type] = []
    narrow: list[type] = []
    containers = []
    for cls in classes.values():
        try:
            given = (
                parameters(cls)
                if inspect.getattr_static(cls, "__init__") is not object.__init__
                else []
            )
        except (TypeError, ValueError):
            continue
        places = [names.width(p.name) for p in given]
        needed = [p for p in given if p.default is inspect.Parameter.empty]
        if cls in holders or ("sizes" in places[:1] and any("layer" in p.name for p in given)):
            containers.append(cls)
        elif cls.__name__ in inner and needed:
            continue  # a network that is a class of its own makes it
        elif made := list(made_of_functions(cls, pairs_of)):
            plain += made
        elif len([p for p in places if p]) >= 2 or len(needed) == 2:
            weighted.append(cls)
        elif not needed:
            plain.append(cls)
        elif _is_narrow(cls):
            narrow.append(cls)
    weighted = [c for c in weighted if only in ("", c.__name__)]
    working = [c for c in plain if _works(c)]
    known = [c for c in working if any(a in c.__name__.lower() for a in ACTIVATIONS)]
    chosen = (known or working)[:MOST_ACTIVATIONS]
    left = [*(c for c in working if c not in chosen and _alters(c)), *narrow]
    pairs: list[Any] = [_squashed(pair, loaded) for pair in _loss_pairs(loaded)] or [None]
    for cls, pair in itertools.product(weighted, pairs):
        also = tuple(partial(_chain, cls, (), _squares, None, last=c) for c in left)
        for container in [*containers, None]:
            yield partial(_chain, cls, chosen, pair, container, also=also)
    # A whole network that gets the derivative of a loss by its outputs.
    wholes = [make for c in [*containers, *plain] if c.__name__ not in inner and not _works(c)
              for make in itertools.islice(constructions(c, loaded), MOST_ALONE)]  # fmt: skip
    for make, pair in itertools.product([*wholes, *of_factories(loaded)], pairs):
        yield partial(_chain, object, (), pair, None, alone=make, part=False)
    # A container that is no layer itself.
    for cls, pair in itertools.product(weighted, pairs):
        for other in holders:
            if other not in classes.values():
                yield partial(_chain, cls, chosen, pair, other)
    # Layers as wide as long: what raises with others runs, and shows what is wrong with it.
    for cls, pair in itertools.product(weighted, pairs):
        if usage.calls(cls.__name__, loaded.statements) > 1:
            yield partial(_chain, cls, chosen, pair, None, square=True)
    # A layer that is a network by itself.
    for cls, pair in itertools.product(weighted, pairs):
        for make in itertools.islice(constructions(cls, loaded), MOST_ALONE):
            yield partial(_chain, cls, (), pair, None, alone=make)


def of_containers(loaded: Loaded) -> Iterator[tuple[Maker, type]]:
    """Ways to make a class that takes a list of layers, and has its loss and gradient itself."""
    classes = layer_classes(loaded)
    plain = [c for c in classes.values() if not usage.needed(c)]
    chosen = [c for c in plain if _works(c)][:MOST_ACTIVATIONS]
    for other in own_classes(loaded).values():
        if other in classes.values() or not holds_layers(other):
            continue
        for cls in (c for c in classes.values() if len(usage.needed(c)) >= 2):
            yield partial(_contained, cls, chosen, other, loaded), other


def _contained(
    cls: type, activations: Sequence[type], other: type, loaded: Loaded, sizes: Sizes, form: Form
) -> Network:
    np.random.seed(sizes.seed)
    layers = _stacked(cls, activations, sizes)
    net = holding(other, layers)
    shown = ", ".join(type(layer).__name__ for layer in layers)
    functions = {**own_functions(loaded), **methods(net)}
    return Network(net, functions, f"class {other.__name__}([{shown}])")


def _works(cls: Callable[[], Any]) -> bool:
    """Whether it keeps the shape, and runs forward and backward."""
    try:
        layer, X = cls(), np.random.default_rng(0).normal(0, 1, (5, 4))
        out = np.asarray(_up(layer, X))
        down = np.ones_like(out)
        down = _down(layer, down) if _method(type(layer), BACKWARD) is not None else down
        return out.shape == np.shape(down) == X.shape
    except (Exception, SystemExit):
        return False


def _alters(cls: type) -> bool:
    """Whether its backward pass does something: that of a softmax may be done with the loss."""
    layer, X = cls(), np.random.default_rng(0).normal(0, 1, (5, 4))
    _up(layer, X)
    return not np.allclose(_down(layer, X.copy()), X)


def runs_alone(cls: type) -> bool:
    """Whether it is an activation that a network has, or that is judged as its last layer."""
    return (not usage.needed(cls) and _works(cls) and _alters(cls)) or _is_narrow(cls)


def _is_narrow(cls: type) -> bool:
    """Whether it keeps the shape, of which it is told the width, as normalization does."""
    return of_one_width(cls, _method(cls, FORWARD)) and _works(partial(cls, 4))


def _squares(sizes: Sizes) -> tuple[str, Any, Any]:
    """A loss by which a layer is judged that the network of the others does without."""
    return "squares", lambda y, out: ((out - y) ** 2).sum(), lambda y, out: 2 * (out - y)


def _up(layer: Any, value: Any) -> Any:
    for name in FORWARD:
        if hasattr(layer, name):
            returned = getattr(layer, name)(value)
            return layer.output if returned is None and hasattr(layer, "output") else returned
    raise TypeError("no forward")


def _down(layer: Any, gradient: Any, rate: Sequence[float] = (RATE,)) -> Any:
    kind: Any = type(layer)
    name, steps = _backward_of(kind)
    function = getattr(layer, name)
    returned = function(gradient, *rate) if steps else function(gradient)
    if returned is None:
        return next((getattr(layer, d) for d in DOWN if hasattr(layer, d)), None)
    return returned[0] if isinstance(returned, tuple) else returned


@functools.cache  # a call of it may be timed
def _backward_of(cls: type) -> tuple[str, bool]:
    """The name of a layer's backward pass, and whether it makes a step, so that it takes a rate."""
    for name in BACKWARD:
        if hasattr(cls, name):
            given = parameters(getattr(cls, name))
            static = isinstance(inspect.getattr_static(cls, name), staticmethod)
            needed = [p for p in given if p.default is inspect.Parameter.empty]
            return name, len(needed) > (1 if static else 2)
    raise TypeError("no backward")


def _chain(
    cls: type,
    activations: Sequence[type],
    pair: Any,
    container: type | None,
    sizes: Sizes,
    form: Form,
    alone: Maker | None = None,
    part: bool = True,
    last: type | None = None,
    also: tuple[Maker, ...] = (),
    square: bool = False,
) -> Network:
    np.random.seed(sizes.seed)
    sizes = replace(sizes, f=sizes.f, h=sizes.f, k=sizes.f) if square else sizes
    layers = [alone(sizes, form).net] if alone is not None else _stacked(cls, activations, sizes)
    layers += [last(*[sizes.k] * len(usage.needed(last)))] if last is not None else []
    shown = ", ".join(type(layer).__name__ for layer in layers)
    rate = [RATE]
    net: Any = layers
    if container is not None:
        net = holding(container, layers)
        shown = f"{container.__name__}([{shown}])"
    functions: dict[str, Callable[..., Any]] = {}
    users: tuple[Any, ...] = ()

    squash: list[Callable[..., Any]] = []

    def forward(X: Any) -> Any:
        for layer in layers if container is None else [net]:
            X = _up(layer, X)
        return squash[0](X) if squash else X

    def back(gradient: Any) -> Any:
        if container is not None and _method(container, BACKWARD) is not None:
            return _down(net, gradient, rate)
        for layer in reversed(layers):
            gradient = _down(layer, gradient, rate)
        return None

    functions["forward"] = forward
    if pair is None:

        def backward(Y: Any, out: Any) -> Any:
            return back(np.asarray(out) - Y)
    else:
        name, *given = pair(sizes)
        users = tuple(getattr(function, "user", function) for function in given)
        loss, derivative = map(ordered_call, given[:2])
        squash += given[2:]
        functions["loss"] = lambda y, out: loss(y, out)

        def backward(y: Any, out: Any) -> Any:  # type: ignore[misc] # one of the two
            loss(y, out)  # a loss object may keep what its derivative needs
            return back(derivative(y, out))

        shown += f" with {', '.join([*(f.__name__ for f in squash), name])}"
    functions["backward"] = backward
    part = part and alone is not None
    return Network(net, functions, f"layers {shown}", rate=rate, part=part, also=also, users=users)


def _stacked(cls: type, activations: Sequence[type], sizes: Sizes) -> list[Any]:
    """Layers with weights, and an activation of each kind between them."""
    hidden = sizes.hidden
    if not sizes.more:
        hidden = [sizes.h + i for i in range(max(1, len(activations)))]
    widths = [sizes.f, *hidden, sizes.k]
    layers: list[Any] = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        layers.append(cls(*(fan_in, fan_out)))
        if i < len(widths) - 2 and activations:
            layers.append(activations[i % len(activations)]())
    return layers


def _loss_pairs(loaded: Loaded) -> Iterator[Callable[[Sizes], tuple[str, Any, Any]]]:
    """Losses of the file with their derivatives: two functions, or two methods of a class."""
    functions = own_functions(loaded)
    for name, function in functions.items():
        for other, derivative in functions.items():
            stem = names.DERIVED.sub("", other)
            if (
                other != name
                and (stem == name or other in (f"d{name}", f"d_{name}", f"grad_{name}"))
                and (names.LOSS.fullmatch(name))
            ):
                yield partial(_pair, name, function, derivative)
    for cls in own_classes(loaded).values():
        forward = _first(
            cls, ("loss", "forward", "calculate", "__call__", "compute", "calc_loss", "calc")
        )
        backward = _first(cls, ("grad", "backward", "gradient", "derivative", "prime", "delta"))
        if not forward or not backward or _is_layer(cls):
            continue

        def made(sizes: Sizes, c: type = cls, f: str = forward, b: str = backward) -> Any:
            one = c()
            loss, derivative = getattr(one, f), getattr(one, b)
            ordered = ordered_call(derivative)

            def down(y: Any, out: Any) -> Any:
                returned = ordered(y, getattr(one, "output", out))
                if returned is None:
                    return next((getattr(one, d) for d in DOWN if hasattr(one, d)), None)
                return returned

            down.user = derivative  # type: ignore[attr-defined] # an attribute of ours
            return c.__name__, loss, derivative if len(parameters(derivative)) < 1 else down

        try:
            _, f, b = made(Sizes())
            if len(parameters(f)) < 2 or not 0 <= len(parameters(b)) <= 2:
                continue
        except Exception:  # no loss that can be made without arguments
            continue
        try:
            f(np.ones((2, 2)) / 2, np.ones((2, 2)) / 2)
        except NotImplementedError:
            continue
        except Exception:  # it may take labels
            pass
        yield made


def _squashed(pair: Any, loaded: Loaded) -> Any:
    """The same, with what makes probabilities of outputs where its derivative is behind that."""
    try:
        _, loss, derivative = pair(Sizes())
        last = squashing(ordered_call(loss), ordered_call(derivative), loaded)
    except (Exception, SystemExit):
        return pair
    return pair if last is None else lambda sizes: (*pair(sizes), last)


def _pair(name: str, loss: Any, derivative: Any, sizes: Sizes) -> tuple[str, Any, Any]:
    return name, loss, derivative


def _first(cls: type, wanted: Sequence[str]) -> str:
    return next((n for n in wanted if _method(cls, (n,)) is not None), "")
