"""Losses that no gradient leads from to the model: cut off by `detach()`, `item()` and the like.

What is said follows from the text of one loop or step. What is not known to be cut off is not: a
call of anything but torch's losses and a tensor's own methods may have the model in it.
"""

import ast
import re
from collections.abc import Mapping, Sequence

from samegrad.implementations.reading.averages import assigned

CUTS = {"detach", "item", "numpy", "tolist"}  # methods that give what has no graph
# Torch's losses, as functions and as what makes objects of them.
FUNCTIONS = re.compile(r"(?:(?:torch\.)?nn\.functional|functional|F)\.\w*(?:loss|cross_entropy)\w*")
OBJECTS = re.compile(
    r"(?:torch\.)?nn\.\w+Loss|(?:CrossEntropy|MSE|NLL|BCE|BCEWithLogits|L1|SmoothL1|Huber)Loss"
)


def cut_off(body: Sequence[ast.stmt], losses: set[str]) -> int | None:
    """The line at which what a backward pass starts from was cut off from the model, or None.

    Args:
        body: statements that run one after the other.
        losses: variables that hold losses of torch's.
    """
    known: dict[str, int] = {}  # where it was cut off; 0 where it was not
    for statement in body:
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            if value.func.attr == "backward" and not value.args and not value.keywords:
                return _cut(value.func.value, known, losses) or None
        elif isinstance(statement, ast.Assign):
            line = _cut(statement.value, known, losses)
            for target in statement.targets:
                known |= {n.id: line for n in ast.walk(target) if isinstance(n, ast.Name)}
        else:
            stored = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
            known |= {n.id: 0 for n in stored if isinstance(n.ctx, ast.Store)}
    return None


def losses_in(nodes: Sequence[ast.AST]) -> set[str]:
    """Variables that hold losses of torch's, by what is assigned to them."""
    pairs = (p for n in nodes if isinstance(n, ast.stmt) for p in assigned(n))
    return {
        name
        for name, value in pairs
        if isinstance(value, ast.Call) and OBJECTS.fullmatch(ast.unparse(value.func))
    }


def _cut(node: ast.expr, known: Mapping[str, int], losses: set[str]) -> int:
    """The line at which an expression is cut off from all parameters, or 0."""
    if isinstance(node, ast.Name):
        return known.get(node.id, 0)
    if isinstance(node, ast.UnaryOp):
        return _cut(node.operand, known, losses)
    if isinstance(node, ast.BinOp):
        return _of_all([node.left, node.right], known, losses)
    if not isinstance(node, ast.Call):
        return 0
    called = ast.unparse(node.func)
    if (called in losses or FUNCTIONS.fullmatch(called)) and node.args:
        out, *others = node.args  # targets are data, unless this loop has computed them
        data = all(isinstance(o, ast.Name) and o.id not in known for o in others)
        return _cut(out, known, losses) if data else _of_all(node.args, known, losses)
    if not isinstance(node.func, ast.Attribute):
        return 0
    of = node.func.value
    if node.func.attr in CUTS:  # of what this loop has computed
        computed = isinstance(of, ast.Call) or (isinstance(of, ast.Name) and of.id in known)
        return node.lineno if computed else 0
    tensors = node.args if ast.unparse(of) == "torch" else [of, *node.args]
    return _of_all(tensors, known, losses)


def _of_all(nodes: Sequence[ast.expr], known: Mapping[str, int], losses: set[str]) -> int:
    """The line at which they were cut off, if all of them are numbers or were; else 0."""
    lines = [_cut(n, known, losses) for n in nodes if not isinstance(n, ast.Constant)]
    return max(lines) if lines and all(lines) else 0
