"""Averages of gradients in the text of a step, and what is taken off weights of them."""

import ast
from collections.abc import Iterator, Sequence


def flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run in every turn, once, with those of `with` among them."""
    for statement in body:
        always = isinstance(statement, ast.If) and getattr(statement.test, "value", None) is True
        if isinstance(statement, ast.With) or (isinstance(statement, ast.If) and always):
            yield from flat(statement.body)
        else:
            yield statement


def assigned(statement: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Targets of an assignment, as they are written, each with its value."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield ast.unparse(statement.target), statement.value
    for target in statement.targets if isinstance(statement, ast.Assign) else ():
        value = statement.value  # type: ignore[attr-defined] # of the Assign
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            yield from ((ast.unparse(t), v) for t, v in zip(target.elts, value.elts, strict=False))
        else:
            yield ast.unparse(target), value


def elements(target: ast.expr, over: ast.expr, name: str) -> set[str]:
    """The variables of a loop or comprehension that are of a container."""
    if ast.unparse(over) in (name, f"{name}.values()"):
        return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    if isinstance(over, ast.Call) and isinstance(target, ast.Tuple):
        zipped = list(zip(target.elts[-len(over.args) :], over.args, strict=False))
        return set().union(*(elements(t, of, name) for t, of in zipped))
    return set()


def is_average(statement: ast.stmt, name: str, known: set[str]) -> bool:
    """Whether something becomes a share of itself plus something else, as in m += c (g - m)."""
    if isinstance(statement, ast.AugAssign) and is_one(statement.target, known):
        moves = isinstance(statement.op, ast.Add | ast.Sub)
        return isinstance(statement.op, ast.Mult) or (moves and _moves(statement.value, known))
    for target, value in assigned(statement):
        if not is_one(ast.parse(target, mode="eval").body, known):
            continue
        inside = set(known)
        for node in ast.walk(value):
            if isinstance(node, ast.comprehension):
                inside |= elements(node.target, node.iter, name)
        if is_share(value, inside):
            return True
    return False


def is_share(value: ast.expr, known: set[str]) -> bool:
    """Whether an expression is a share of something plus something else."""
    sums = [
        (node.left, node.right)
        for node in ast.walk(value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
    ]
    return any(_is_multiple(side, known) for sides in sums for side in sides) or any(
        is_one(left, known) and _moves(right, known) for left, right in sums
    )


def is_sum_of_squares(statement: ast.stmt, known: set[str]) -> bool:
    """Whether a square is added to something, as AdaGrad does."""
    if isinstance(statement, ast.AugAssign) and is_one(statement.target, known):
        return isinstance(statement.op, ast.Add) and _is_square(statement.value)
    return any(
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Add)
        and is_one(ast.parse(target, mode="eval").body, known)
        and is_one(value.left, known)
        and _is_square(value.right)
        for target, value in assigned(statement)
    )


def _is_square(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return getattr(node.right, "value", None) == 2
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return ast.unparse(node.left) == ast.unparse(node.right)
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "square"


def _moves(node: ast.expr, names: set[str]) -> bool:
    """Whether a difference from something is in an expression."""
    return any(
        isinstance(n, ast.BinOp)
        and isinstance(n.op, ast.Sub)
        and (is_one(n.left, names) or is_one(n.right, names))
        for n in ast.walk(node)
    )


def _is_multiple(node: ast.expr, names: set[str]) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult)
        and any(is_one(side, names) for side in (node.left, node.right))
    )


def is_one(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is one of some names, or an element of one."""
    while ast.unparse(node) not in names:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get":
            node = node.func.value  # type: ignore[attr-defined] # of the Attribute
        else:
            return False
    return True


def mentions(node: ast.AST, names: set[str]) -> bool:
    """Whether one of some names is in a text."""
    return any(
        isinstance(n, ast.Name | ast.Attribute | ast.Subscript) and ast.unparse(n) in names
        for n in ast.walk(node)
    )


def taken_off(statements: Sequence[ast.stmt], names: set[str]) -> bool:
    """Whether what comes of a state is subtracted, or added where it has a minus sign in it."""
    nodes = [node for s in statements for node in ast.walk(s)]
    known = set(names)
    for node in nodes:  # statements come before what is in them, in their order
        if isinstance(node, ast.For | ast.comprehension):
            known |= set().union(*(elements(node.target, node.iter, name) for name in known))
        for target, value in assigned(node):
            known |= {target} if mentions(value, known) else set()
    average = list(ast.walk(statements[0]))
    falls = any(isinstance(node, ast.Sub | ast.USub) for node in average) or any(
        isinstance(node.op, ast.Sub) and is_one(node.target, names)  # v *= mu; v -= rate * g
        for node in nodes
        if isinstance(node, ast.AugAssign)
    )
    for node in nodes:
        if isinstance(node, ast.AugAssign) and not is_one(node.target, names):
            side, sign = node.value, node.op
        elif isinstance(node, ast.BinOp):
            side, sign = node.right, node.op
        else:
            continue
        if isinstance(sign, ast.Sub) and mentions(side, known):
            return True
        if falls and node not in average and isinstance(sign, ast.Add) and mentions(side, known):
            return True
    return False
