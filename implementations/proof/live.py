"""`prove_object`: the same of an object that holds its parameters, and of functions without any.

Who calls it knows where the parameters are and which arrays are their gradients: `samegrad.check`
finds both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.proof.arrays import exact
from samegrad.implementations.proof.point import Point
from samegrad.implementations.proof.prove import POINTS, proof
from samegrad.implementations.proof.result import Proof


@dataclass(frozen=True)
class Place:
    """Where an array or a number is held.

    Attributes:
        value: what is there: an array of floats, lists of floats, or a float.
        put: puts something else there.
    """

    value: Any
    put: Callable[[Any], None]


def prove_object(
    loss: Callable[[], Any],
    backward: Callable[[], Any],
    parameters: Mapping[str, Place],
    gradients: Callable[[Any], Mapping[str, Any]],
    *,
    buffers: Sequence[Place] = (),
    points: int = POINTS,
    seed: int = 0,
    functions: Iterable[Callable[..., Any]] = (),
) -> Proof:
    """Run an object's own loss and backward over exact numbers and compare all entries.

    Args:
        loss: gives the loss.
        backward: computes the gradients; it is called after `loss`.
        parameters: by name; each is put back afterwards.
        gradients: of what backward returned, the gradient of each parameter, by the same names, in
            the parameter's shape.
        buffers: other arrays of floats that the object holds: exact while it runs, so that it can
            write into them.
        points: random points.
        seed: of the points.
        functions: more functions of the user's, whose globals have to be known.
    """

    def evaluate(point: Point) -> tuple[Any, Any, Any]:
        drawn = {name: point.like(place.value) for name, place in parameters.items()}
        try:
            for name, place in parameters.items():
                place.put(_copy(drawn[name]))
            for buffer in buffers:
                buffer.put(buffer.value.copy() if point.floats else exact(buffer.value))
            value = loss()
            found = gradients(backward())
            return value, {name: _shaped(found[name], drawn[name]) for name in parameters}, drawn
        finally:
            for place in (*parameters.values(), *buffers):
                place.put(place.value)

    return proof(evaluate, points=points, seed=seed, functions=(loss, backward, *functions))


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _shaped(gradient: Any, parameter: Any) -> Any:
    """A gradient nested like its parameter; a number like a number."""
    if isinstance(parameter, np.ndarray) and not isinstance(gradient, np.ndarray):
        return exact(gradient)
    if not isinstance(parameter, np.ndarray | list) and isinstance(gradient, np.ndarray):
        return gradient.item()
    return gradient
