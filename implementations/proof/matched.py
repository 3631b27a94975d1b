"""`prove_matches`: the proof of what `samegrad.check` has matched, parameter by parameter."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.report import Match
from samegrad.implementations.proof.live import Place, prove_object
from samegrad.implementations.proof.prove import POINTS
from samegrad.implementations.proof.result import Proof
from samegrad.implementations.state.leaves import Leaf
from samegrad.implementations.state.reach import around

STEP = re.compile(r"\.(\w+)|\[([^\]]*)\]")  # of a path: an attribute, or an index, key or slice


def prove_matches(
    matches: Sequence[Match],
    net: Any,
    loss: Callable[[], Any],
    backward: Callable[[], Any],
    *,
    points: int = POINTS,
    seed: int = 0,
) -> Proof:
    """Run an object's loss and backward over exact numbers; the object stays as it is.

    Args:
        matches: of the report of a check of these, with their gradients.
        net: the object.
        loss, backward: without arguments.
        points: random points.
        seed: of the points.
    """
    reached = around(net, (loss, backward))
    leaves = {name: leaf for leaf in reached.leaves for name in leaf.names}
    wrong = next(filter(None, (_unfit(match, leaves) for match in matches)), "")
    if wrong or not matches:
        return Proof("not proved", wrong or "no gradient was matched with anything")
    parameters = {match.name: _place(leaves[match.name]) for match in matches}
    own = {id(leaves[name]) for name in parameters}
    buffers = [
        _place(leaf)
        for leaf in reached.leaves
        if id(leaf) not in own
        and isinstance(leaf.value, np.ndarray)
        and leaf.value.dtype.kind == "f"
    ]

    def gradients(returned: Any) -> dict[str, Any]:
        roots = {"returned": returned, "net": net}
        return {m.name: _form(_read(m.gradient, roots), m) for m in matches}

    before = reached.snapshot(random=True)
    try:
        return prove_object(
            loss, backward, parameters, gradients, buffers=buffers, points=points, seed=seed
        )
    finally:
        before.restore()


def _unfit(match: Match, leaves: Mapping[str, Leaf]) -> str:
    """Why a match cannot be followed over exact numbers, or ""."""
    if match.name not in leaves:
        return f"{match.name} cannot be given other numbers"
    if not isinstance(leaves[match.name].value, np.ndarray | float | list):
        kind = type(leaves[match.name].value).__name__
        return f"{match.name} is a {kind}: only NumPy's and Python's numbers can be exact"
    if not match.gradient.startswith(("returned", "net")):
        return f"{match.gradient or 'nothing'} is no array that can be read again"
    return ""


def _place(leaf: Leaf) -> Place:
    def put(value: Any) -> None:
        for place in leaf.places:
            place.set(value)

    return Place(leaf.value, put)


def _read(path: str, roots: Mapping[str, Any]) -> Any:
    """What a path such as "returned[0][1].T" or "net.layers[0].dW" leads to."""
    root = re.match(r"\w+", path)
    assert root is not None
    value = roots[root.group()]
    for name, key in STEP.findall(path[root.end() :]):
        if not name:
            value = value[_key(key)]
        elif name == "T" and isinstance(value, np.ndarray):
            value = value.T
        elif name != "reshape":  # `_form` does that
            value = getattr(value, name)
    return value


def _key(text: str) -> Any:
    """An index, a key or slices."""
    parts = tuple(part.strip() for part in text.split(","))
    keys = tuple(
        slice(*(int(n) if n else None for n in part.split(":")))
        if ":" in part and not part.startswith(("'", '"'))
        else ast.literal_eval(part)
        for part in parts
    )
    return keys if len(keys) > 1 else keys[0]


def _form(gradient: Any, match: Match) -> Any:
    """In the parameter's shape, as it was compared."""
    if isinstance(gradient, np.ndarray) and gradient.shape != match.shape:
        return gradient.reshape(match.shape)
    return gradient
