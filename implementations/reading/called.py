"""Losses of torch's that a file calls where it trains, without a name of their own for it."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.uncleared import is_pass

OUTPUTS = ("input", "target")  # the first parameters of all of them


def called_losses(loaded: Loaded) -> Iterator[tuple[Callable[[Any, Any], Any], str]]:
    """Functions of outputs and targets with their names in the file, those of training loops first.

    Of functions such as F.cross_entropy, with the options that they are given, and of objects such
    as nn.CrossEntropyLoss() that a function makes for itself.
    """
    bodies = [n for s in loaded.statements for n in ast.walk(s)
              if isinstance(n, ast.FunctionDef | ast.For | ast.While)]  # fmt: skip
    training = [b for b in bodies if any(is_pass(n) for n in ast.walk(b))]
    seen: set[str] = set()
    for body in (*training, *(bodies if training else ())):
        for node in ast.walk(body):
            if not isinstance(node, ast.Call) or (text := ast.unparse(node.func)) in seen:
                continue
            found = _function(node, loaded) if body in training else None
            if (found := found or _object(node, loaded)) is not None:
                seen.add(text)
                yield found, text


def _value(node: ast.expr, loaded: Loaded) -> Any:
    return eval(compile(ast.Expression(node), "samegrad", "eval"), dict(loaded.namespace))


def _function(call: ast.Call, loaded: Loaded) -> Callable[[Any, Any], Any] | None:
    functional = sys.modules["torch"].nn.functional
    name = ast.unparse(call.func).rpartition(".")[2]
    known = getattr(functional, name, None)
    if not (name.endswith("loss") or "cross_entropy" in name) or not inspect.isfunction(known):
        return None
    try:
        if _value(call.func, loaded) is not known:
            return None
        given = {k.arg: k.value for k in call.keywords if k.arg not in OUTPUTS}
        if len(call.args) + len(call.keywords) - len(given) != len(OUTPUTS):
            return None
        return partial(known, **{str(key): _value(node, loaded) for key, node in given.items()})
    except Exception:  # options that only a run would give
        return None


def _object(call: ast.Call, loaded: Loaded) -> Callable[[Any, Any], Any] | None:
    try:
        kind = _value(call.func, loaded) if isinstance(call.func, ast.Name | ast.Attribute) else 0
        losses = sys.modules["torch"].nn.modules.loss
        if not (isinstance(kind, type) and issubclass(kind, losses._Loss)):
            return None
        made: Callable[[Any, Any], Any] = _value(call, loaded)
        return made
    except Exception:  # likewise
        return None
