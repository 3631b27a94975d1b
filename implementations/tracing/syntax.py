"""What statements and expressions change, and whether they can be read again."""

import ast
from typing import Any


def targets_of(node: Any) -> list[ast.expr]:
    """What a statement assigns to."""
    if isinstance(node, ast.Expr):
        return []
    return list(node.targets) if isinstance(node, ast.Assign) else [node.target]


def changed_by(node: ast.expr) -> ast.expr | None:
    """The array to which np.add.at and the like add, or into which a result is written."""
    if not isinstance(node, ast.Call):
        return None
    if getattr(node.func, "attr", "") == "at" and node.args:
        return node.args[0]
    return next((keyword.value for keyword in node.keywords if keyword.arg == "out"), None)


def is_simple(node: ast.expr) -> bool:
    """Whether reading it again changes nothing: names, their attributes and entries."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Subscript) and any(
            isinstance(part, ast.Call | ast.NamedExpr) for part in ast.walk(node.slice)
        ):
            return False
        node = node.value
    return isinstance(node, ast.Name)


def span_of(top: ast.stmt) -> set[int]:
    """The lines of a statement, from its first decorator on."""
    first = min([top.lineno, *(d.lineno for d in getattr(top, "decorator_list", ()))])
    return set(range(first, (top.end_lineno or first) + 1))


def root_of(node: ast.expr) -> str:
    """The name at which a chain of attributes starts, or ""."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def copied(node: ast.expr, context: ast.expr_context) -> Any:
    """The same expression, to be read or to be set."""
    new = ast.parse(ast.unparse(node), mode="eval").body
    new.ctx = context  # type: ignore[attr-defined] # of names, attributes, subscripts
    return new
