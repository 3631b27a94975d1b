"""Learning rates that a step divides by the number of examples: there gradients are sums."""

import ast
import linecache
from collections.abc import Iterable
from functools import cache
from typing import Any

from samegrad.implementations.reading import names


def divides_its_rate(functions: Iterable[Any]) -> bool:
    """Whether a file of some functions divides a rate, or its product, by a number of examples."""
    codes = (getattr(function, "__code__", function) for function in functions)
    files = {code.co_filename for code in codes if hasattr(code, "co_filename")}
    return any(map(_in_file, files))


def takes_a_rate(functions: Iterable[Any]) -> bool:
    """Whether a loop in a file of some functions takes a rate times something off."""
    codes = (getattr(function, "__code__", function) for function in functions)
    files = {code.co_filename for code in codes if hasattr(code, "co_filename")}
    return any(map(_loop_in, files))


@cache
def _loop_in(filename: str) -> bool:
    loops = (node for node in ast.walk(_tree(filename)) if isinstance(node, ast.For | ast.While))
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult)
        and "lr" in (_role(node.left), _role(node.right))
        for loop in loops
        for node in ast.walk(loop)
    )


def _tree(filename: str) -> ast.AST:
    try:
        return ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


@cache
def _in_file(filename: str) -> bool:
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and _is_count(node.right)
        and any(_role(part) == "lr" for part in ast.walk(node.left))
        for node in ast.walk(_tree(filename))
    )


def _is_count(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "len" or (node.func.id == "float" and any(map(_is_count, node.args)))
    if isinstance(node, ast.Subscript):
        return getattr(node.value, "attr", "") == "shape"
    return _role(node) in ("n", "batch_size")


def _role(node: ast.AST) -> str:
    word = getattr(node, "id", "") or getattr(node, "attr", "")
    return names.role(word) if word else ""
