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


@cache
def _in_file(filename: str) -> bool:
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and _is_count(node.right)
        and any(_role(part) == "lr" for part in ast.walk(node.left))
        for node in ast.walk(tree)
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
