"""Activations that a layer is given as functions, and the function that makes outputs of a chain.

Of `ActivationLayer(tanh, tanh_prime)` each pair of the file's functions is a class of its own. A
loss whose derivative is said to be `out - y` is one of probabilities: what makes these, softmax or
a logistic function, has no backward pass then.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import RATE, Board, Sizes, call, parameters, plans
from samegrad.implementations.reading.loading import Loaded, own_functions

Array = Any
ACTIVATION = re.compile(r"act(?:ivation|_?f(?:unc(?:tion)?|n)?)?(?:_f(?:unc(?:tion)?|n))?|f|func")
SQUASHES = re.compile(r"soft_?max|sigmoid|logistic|sigm|expit")
STEP = 1e-6


def made_of_functions(cls: type, pairs: Sequence[tuple[Any, Any]]) -> Iterator[type]:
    """A layer that is made of an activation and its derivative, with each pair of such."""
    try:
        given = [p.name for p in parameters(cls)]
        needed = [p.name for p in parameters(cls) if p.default is inspect.Parameter.empty]
    except (TypeError, ValueError):
        return
    if len(needed) != 2 or given[:2] != needed or not ACTIVATION.fullmatch(names.plain(given[0])):
        return
    inherited = (vars(c)["__init__"] for c in cls.__mro__ if "__init__" in vars(c))
    constructor: Any = next(inherited)
    for f, prime in pairs:

        def made(self: Any, f: Any = f, prime: Any = prime) -> None:
            constructor(self, f, prime)

        yield type(f"{cls.__name__}({f.__name__})", (cls,), {"__init__": made})


def squashing(
    loss: Callable[..., Any], derivative: Callable[..., Any], loaded: Loaded
) -> Callable[..., Any] | None:
    """What the file has to make probabilities, where a loss's derivative is that behind it.

    Args:
        loss, derivative: of targets and outputs.
    """
    out, y = np.array([[0.2, 0.5, 0.3], [0.1, 0.3, 0.6]]), np.eye(3)[[1, 0]]
    try:
        said = np.asarray(derivative(y, out))
        off = (out - y) * (np.sum(said * (out - y)) / np.sum((out - y) ** 2))
        if said.shape != out.shape or not np.allclose(said, off) or not np.any(said):
            return None
        steps = (np.reshape(row, (2, 3)) * STEP for row in np.eye(6))
        slopes = np.array([np.sum(loss(y, out + s)) - np.sum(loss(y, out - s)) for s in steps])
    except Exception:  # they take something else
        return None
    if np.linalg.norm(slopes) * np.linalg.norm(said) - abs(slopes @ said.ravel()) < 1e-9:
        return None  # it is its derivative as it stands
    found = (f for n, f in own_functions(loaded).items() if SQUASHES.fullmatch(names.plain(n)))
    return next(iter(sorted(found, key=lambda f: "max" not in f.__name__.lower())), None)


def ordered_call(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A function of outputs and targets, in whatever order it names them, as one of (y, out).

    What it gives raises TypeError if the function takes others.
    """
    names_of = ("y", "out", "X", "grad_out")
    known = {**dict.fromkeys(names_of), "n": 1, "k": 1, "lr": RATE}
    plan = next(plans(function, Board(Sizes(), known), ["out"], "loss"), None)

    def ordered(y: Any, out: Any) -> Any:
        if plan is None:
            raise TypeError("it takes more than outputs and targets")
        if plain:  # a call of it may be timed
            return function(**{name: y if key == "y" else out for name, key in plan})
        values = {**known, **dict.fromkeys(names_of, out), "y": y, "n": len(out)}
        return call(function, plan, Board(Sizes(), values))

    plain = plan is not None and all(k in names_of and n[0] != "*" for n, k in plan)
    return ordered
