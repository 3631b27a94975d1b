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


def of_whole(node: ast.expr) -> Iterator[ast.expr]:
    """A turn more or less, at either end of a loop; two axes of a transpose changed over."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "transpose":
        yield from _turned_axes(node)
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


def _turned_axes(node: ast.Call) -> Iterator[ast.expr]:
    """A transpose of three axes or more with two of them the other way round."""
    given = node.args[-1:] and isinstance(node.args[-1], ast.Tuple)
    axes = node.args[-1].elts if given else node.args  # type: ignore[attr-defined] # of a tuple
    if len(axes) < 3 or not all(isinstance(a, ast.Constant) for a in axes):
        return
    for i, j in itertools.combinations(range(len(axes)), 2):
        new = list(axes)
        new[i], new[j] = axes[j], axes[i]
        args = [*node.args[:-1], ast.Tuple(new, ast.Load())] if given else new
        yield ast.Call(node.func, args, node.keywords)
