"""Classes that hold layers, and layers that are as wide as what they are given."""

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.board import parameters

LAYERS = re.compile(r"layer|module|couche|capa|camada|schicht", re.IGNORECASE)
# Names of the one number that a layer is made of, such as normalization over a batch.
WIDTH = re.compile(r"dim|size|shape|features?|units|channels|neurons|nodes|width")


def holds_layers(cls: type) -> bool:
    """Whether a class is constructed of a list of layers, or of layers one by one."""
    try:
        given = parameters(cls)
    except (TypeError, ValueError):
        return False
    several = star(cls)
    name = given[0].name if given else several
    layers = bool(LAYERS.search(name) or (several == name != "" and not names.width(name)))
    return layers and (
        len(usage.needed(cls)) <= 1
        and usage.used_as(cls, name) != "width"
        and not _builds(cls, name)
    )


def star(cls: type) -> str:
    """The name of what a constructor takes any number of, as in `Chain(*layers)`; or ""."""
    given = inspect.signature(cls).parameters.values()
    return next((p.name for p in given if p.kind is p.VAR_POSITIONAL), "")


def holding(cls: type, layers: Sequence[Any]) -> Any:
    """A container of layers."""
    return cls(*layers) if not parameters(cls) and star(cls) else cls(layers)


def _builds(cls: type, name: str) -> bool:
    """Whether it makes arrays or layers of what it is given: then these are sizes."""
    tree = usage.body(cls.__dict__["__init__"]) if "__init__" in cls.__dict__ else None
    if tree is None:
        return False
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(n, ast.Subscript) and usage.is_name(n.value, name)
               for n in ast.walk(tree)) or any(
        getattr(call.func, "attr", "") in usage.SHAPED for call in calls)  # fmt: skip


def of_one_width(cls: type, forward: Callable[..., Any] | None) -> bool:
    """Whether a layer is made of the one width of what it is given, and computes as in training."""
    needed = usage.needed(cls)
    if len(needed) != 1 or not WIDTH.search(names.plain(needed[0])) or forward is None:
        return False
    given = parameters(forward)
    if any(names.role(p.name) == "training" and p.default is not True for p in given):
        return False
    try:
        held = vars(cls(4))
    except (Exception, SystemExit):
        return False
    return all(v is not False for n, v in held.items() if names.role(n) == "training")
