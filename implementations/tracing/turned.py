"""The other sign of an update: a statement that adds where it should take off, or the reverse."""

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

from samegrad.implementations.tracing.edits import (
    Edit,
    Known,
    expressions,
    replacing,
    statement_edit,
)

NAMED = re.compile(r"'[^']*'|[A-Za-z_]\w*|\d+")
HOLDS = (ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.List, ast.Tuple, ast.Dict)


def turning(statement: Any, _: Known) -> Iterator[Edit]:
    """The other sign of what is added to a variable: `w += d` for `w -= d`, or `w = w - d`.

    Of `v = mu * v + d`, too, and of new values: `[w + d for w, d in zip(params, grads)]`.
    """
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        yield statement_edit(statement, _turned(statement))
    if not isinstance(statement, ast.Assign | ast.Return) or statement.value is None:
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    named = {ast.unparse(target) for target in targets}
    for parent, field, index, node in expressions(statement):
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)):
            continue
        if not (parent is statement or isinstance(parent, HOLDS)):
            continue
        if parent is not statement or named & set(map(ast.unparse, _factors(node.left))):
            yield replacing(statement, parent, field, index, node, _turned(node))


def like_another(edit: Edit, texts: Sequence[str]) -> bool:
    """Whether what an edit makes of a statement is like another one, but for names and numbers."""
    new = _shape(edit.new)
    return any(_shape(text) == new for text in texts if text != edit.was)


def takes_off(edit: Edit) -> bool:
    """Whether an edit makes a statement take off what it added."""
    return edit.new.count("-") > edit.was.count("-")


def _turned(node: Any) -> Any:
    new = copy.copy(node)
    new.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    return new


def _factors(node: ast.AST) -> Iterator[ast.AST]:
    """A value, and the factors of a product."""
    yield node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from (*_factors(node.left), *_factors(node.right))


def _shape(text: str) -> str:
    return NAMED.sub("_", text)
