"""Functions of a file's own that set gradients to zero, and that its training never calls.

What is said follows from the file's text: a backward pass adds to attributes, a function sets them
to zero, and a loop with the backward pass and a step is there, but no call of such a function.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from samegrad.implementations.reading import names

ZEROES = re.compile(r"\w*(?:zero|clear|reset)\w*")  # functions that clear if somebody calls them
# What may clear them without their names.
OTHERWISE = re.compile(
    r"setattr|__dict__|__init__|\.fill\(|copyto|\.clear\(|\*= 0|\[(?:[:, ]+|\.\.\.)\] = 0"
)


def never_called(tree: ast.AST) -> tuple[int, str] | None:
    """The line of a backward pass in a loop, and the function that its gradients wait for.

    None where such a function is called, or something else may set them to zero.
    """
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    zeroing = [f for f in functions if ZEROES.fullmatch(f.name)]
    others = [n for n in _outside(tree) if not isinstance(n, ast.FunctionDef)]
    added = {
        _own(n.target)
        for f in functions
        if names.BACKWARD.match(f.name)
        for n in ast.walk(f)
        if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add)
    } - {""}
    set_to = {f.name: added & set(map(_own, _targets(f))) for f in zeroing}
    held = set().union(*set_to.values())
    if not held or any(_may_clear(n, set(set_to), held) for n in others):
        return None
    name = next(name for name, found in set_to.items() if found)
    loops = (n for n in others if isinstance(n, ast.For | ast.While))
    lines = (line for loop in loops if (line := _pass(loop, tree, held)) is not None)
    return next(((line, name) for line in lines), None)


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that are in no constructor, and in nothing that sets to zero."""
    for child in ast.iter_child_nodes(node):
        name = child.name if isinstance(child, ast.FunctionDef) else ""
        if name != "__init__" and not ZEROES.fullmatch(name):
            yield child
            yield from _outside(child)


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    for n in ast.walk(node):
        if isinstance(n, ast.Assign):
            yield from _flat(n.targets)


def _flat(targets: Iterable[ast.expr]) -> Iterator[ast.expr]:
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            yield from _flat(target.elts)
        else:
            yield target


def _own(target: ast.expr) -> str:
    """The attribute of an object that a target is, or is an entry of; or ""."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.attr if isinstance(target, ast.Attribute) else ""


def _may_clear(node: ast.AST, functions: set[str], held: set[str]) -> bool:
    """Whether a node names such a function, or gives what they set to zero another value."""
    if isinstance(node, ast.Attribute):
        return node.attr in functions
    if isinstance(node, ast.Name):
        return node.id in functions
    if isinstance(node, ast.Assign) and held & set(map(_own, _flat(node.targets))):
        return True
    if isinstance(node, ast.AugAssign) and not isinstance(node.op, ast.Add):
        return _own(node.target) in held or OTHERWISE.search(ast.unparse(node)) is not None
    simple = isinstance(node, ast.Expr | ast.Assign)
    return simple and OTHERWISE.search(ast.unparse(node)) is not None


def _pass(loop: ast.For | ast.While, tree: ast.AST, held: set[str]) -> int | None:
    """The line of a backward pass that a loop makes, with a step, of an object that stays."""
    nodes = list(ast.walk(loop))
    classes = {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    if any(getattr(c.func, "id", "") in classes for c in calls):
        return None
    within = {n.id for f in nodes if isinstance(f, ast.For) for n in _names(f.target)}
    methods = [c for c in calls if isinstance(c.func, ast.Attribute)]
    passes = [c for c in methods if names.BACKWARD.match(_method(c)) and _receiver(c) not in within]
    steps = any(
        names.STEP.fullmatch(_method(c)) and not names.BACKWARD.match(_method(c)) for c in methods
    ) or any(
        isinstance(n, ast.AugAssign)
        and isinstance(n.op, ast.Sub)
        and any(_own(e) in held for e in ast.walk(n.value) if isinstance(e, ast.Attribute))
        for n in nodes
    )
    return passes[0].lineno if passes and steps else None


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (n for n in ast.walk(node) if isinstance(n, ast.Name))


def _method(call: ast.Call) -> str:
    return getattr(call.func, "attr", "")


def _receiver(call: ast.Call) -> str:
    return ast.unparse(getattr(call.func, "value", call.func))
