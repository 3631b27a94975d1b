"""Other arguments of a call: another axis, a turn of a loop more or less, another number."""

import ast
import itertools
from collections.abc import Iterator
from typing import Any

REDUCING = {"sum": "mean", "mean": "sum", "max": "max"}


def of_axis(node: ast.expr) -> Iterator[ast.expr]:
    """Another axis, or one where there is none."""
    if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in REDUCING:
        return
    now = next((k for k in node.keywords if k.arg == "axis"), None)
    others = [k for k in node.keywords if k is not now]
    for axis in ("0", "1", "-1"):
        if now is not None and ast.unparse(now.value) != axis:
            yield ast.Call(
                node.func, node.args, [*others, ast.keyword("axis", ast.Constant(int(axis)))]
            )
        elif now is None and axis != "-1":
            more = ast.keyword("axis", ast.Constant(int(axis)))
            for kept in ([], [ast.keyword("keepdims", ast.Constant(True))]):
                yield ast.Call(node.func, node.args, [*others, more, *kept])


def of_range(node: ast.expr) -> Iterator[ast.expr]:
    """A turn more or less, at either end of a loop."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range" and not node.keywords:
        args = node.args if len(node.args) > 1 else [ast.Constant(0), *node.args]
        for i, op in itertools.product(range(min(2, len(args))), (ast.Add(), ast.Sub())):
            moved = ast.BinOp(args[i], op, ast.Constant(1))
            yield ast.Call(node.func, [*args[:i], moved, *args[i + 1 :]], [])


def of_number(parent: Any, node: ast.expr) -> Iterator[ast.expr]:
    """Other small numbers."""
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
        return
    if not isinstance(parent, ast.Subscript | ast.Slice | ast.keyword):
        value: Any = node.value
        for new in (2 * value, value / 2, value + 1, value - 1):
            yield ast.Constant(new)
