"""Optimizer state that no step writes: a new average is taken off weights and then forgotten.

What is said follows from the file's text: something that a class set to zeros, or that a function
is given and returns, has a share in an average, and nothing ever puts the average in its place.
Whatever else becomes of it, such as a loop through it, which may write it, and nothing is said.
"""

import ast
import re
from collections.abc import Iterator

from samegrad.implementations.reading import names
from samegrad.implementations.reading.averages import assigned, is_one, is_share, taken_off

ELSEWHERE = re.compile(r"\b(?:setattr|getattr|vars|__dict__|locals|globals)\b")  # by other words
SHARE = re.compile(
    r"[\d.e-]+|(?:self\.)?(?:beta|mu|mom|gamma|rho|decay|alpha|b_?[12])\w*", re.IGNORECASE
)


def never_kept(tree: ast.Module) -> tuple[int, str] | None:
    """The line at which a new average is made that nothing keeps, and the name of the old one."""
    if ELSEWHERE.search(ast.unparse(tree)):
        return None
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
        for index, statement in enumerate(statements):
            for target, value in assigned(statement):
                for held in _held(value, function) if target.isidentifier() else ():
                    whole = tree if held.startswith("self.") else function
                    if (
                        is_share(value, {held})
                        and _by_number(value, held)
                        and taken_off([statement, *statements[index + 1 :]], {target})
                        and not any(target in _stored(other) for other in statements)
                        and _only_read(whole, held)
                    ):
                        return statement.lineno, held
    return None


def _held(value: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    """Attributes of a class, and parameters of a step, that are in an expression."""
    step = names.STEP.fullmatch(function.name)
    given = {a.arg for a in function.args.args} if step or _is_rule(function) else set()
    for node in ast.walk(value):
        text = ast.unparse(node)
        if (isinstance(node, ast.Attribute) and re.fullmatch(r"self\.\w+", text)) or (
            isinstance(node, ast.Name) and text in given
        ):
            yield text


def _is_rule(function: ast.FunctionDef) -> bool:
    return re.search(r"adam|momentum|nesterov|rmsprop|ada_?grad", function.name, re.I) is not None


def _by_number(value: ast.expr, held: str) -> bool:
    """Whether a factor of it has the name of a share, or is a number."""
    return any(
        is_one(one, {held}) and SHARE.fullmatch(ast.unparse(other)) is not None
        for node in ast.walk(value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
        for one, other in ((node.left, node.right), (node.right, node.left))
    )


def _stored(statement: ast.stmt) -> set[str]:
    """What is put elsewhere as it is, or is returned."""
    value = statement.value if isinstance(statement, ast.Assign | ast.Return) else None
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return {ast.unparse(part) for part in parts if part is not None}


def _only_read(whole: ast.AST, held: str) -> bool:
    """Whether all that becomes of it is: zeros at first, products with it, and to be returned."""
    own = held.removeprefix("self.")
    begins, read, seen = False, 0, 0
    for node in ast.walk(whole):
        if held == own:
            seen += isinstance(node, ast.Name) and node.id == own
        else:  # of whatever object
            seen += isinstance(node, ast.Attribute) and node.attr == own
        for target, value in assigned(node):
            if is_one(ast.parse(target, mode="eval").body, {held}):
                if held == own or "zeros" not in ast.unparse(value):
                    return False
                begins, read = True, read + 1
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            read += sum(is_one(side, {held}) for side in (node.left, node.right))
        elif isinstance(node, ast.Return) and held == own and held in _stored(node):
            begins, read = True, read + 1
    return begins and read == seen
