"""What the body of a function does with a parameter, of which its name does not say enough."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any

from samegrad.implementations.reading.names import role


def takes_last(function: Callable[..., Any], name: str) -> bool:
    """Whether a body takes the last part of a parameter, as of a list of activations."""
    parts = (node for node in _nodes(function) if isinstance(node, ast.Subscript))
    return any(ast.unparse(part) == f"{name}[-1]" for part in parts)


@cache
def with_target(code: CodeType) -> bool:
    """Whether a body takes the last number off an example that it is given: it is the target."""
    given = {name for name in code.co_varnames[: code.co_argcount] if role(name) == "X"}
    return bool(given) and any(
        isinstance(node, ast.Subscript) and ast.unparse(node) in {f"{n}[:-1]" for n in given}
        for node in _nodes(code)
    )


def reads_unasked(function: Callable[..., Any], name: str) -> bool:
    """Whether a body reads a parameter and never asks whether it was given."""
    nodes = _nodes(function)
    tests = [n.test for n in nodes if isinstance(n, ast.If | ast.IfExp | ast.While | ast.Assert)]
    asked = any(name in _read(test) for test in tests)
    return not asked and any(isinstance(n, ast.Name) and n.id == name for n in nodes)


def turns(function: Callable[..., Any], name: str) -> bool:
    """Whether a body puts the transpose of a parameter in its place: others are given that."""
    return any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
        and ast.unparse(node.value) in (f"{name}.T", f"{name}.transpose()", f"np.transpose({name})")
        for node in _nodes(function)
    )  # fmt: skip


def _nodes(function: Callable[..., Any] | CodeType) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    except (OSError, TypeError, SyntaxError):
        return []


def _read(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
