"""Optimizer state that is thrown away: averages of gradients that start anew in each step.

What is said follows from the file's text: in one turn of a loop, or one call of a step, something
is set to zeros, is then made a number times itself plus something else, and what comes of it is
taken off weights. The average then never has more than one gradient in it.
"""

import ast
import re
from collections.abc import Sequence

from samegrad.implementations.reading.averages import (
    assigned,
    elements,
    flat,
    is_average,
    is_sum_of_squares,
    mentions,
    taken_off,
)
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.made_anew import made_anew
from samegrad.implementations.reading.uncleared import repeated

ZEROS = re.compile(r"(?:\w+\.)*zeros(?:_like)?")
EMPTY = re.compile(r"\{\}|\[\]|dict\(\)|list\(\)|(?:\w+\.)*defaultdict\(.*\)")


def thrown_away(loaded: Loaded) -> tuple[int, str] | None:
    """The line at which a state starts anew in each step, and its name; None if there is none."""
    tree = ast.Module(loaded.statements, [])
    zero = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        if isinstance(node.body[-1], ast.Return) and _is_zero(node.body[-1].value, set())
    }
    for each in repeated(tree):
        body = list(flat(each.body))
        for index, statement in enumerate(body):
            for name, value in assigned(statement):
                sums = not isinstance(value, ast.Constant)  # of one number it may be a norm
                later = body[index + 1 :]
                if _is_zero(value, zero) and _averages(name, later, zero, sums):
                    return statement.lineno, name
    return made_anew(tree)


def keeps(loaded: Loaded) -> bool:
    """Whether steps take off an average, wherever that is kept."""
    return any(
        is_average(statement, name, {name}) and taken_off(body[index:], {name})
        for each in repeated(ast.Module(loaded.statements, []))
        for body in [list(flat(each.body))]
        for index, statement in enumerate(body)
        for name, _ in assigned(statement)
    )


def _is_zero(value: ast.expr | None, functions: set[str]) -> bool:
    """Whether an expression is zeros, or a container of some, or an empty one."""
    if isinstance(value, ast.Constant):
        return type(value.value) in (int, float) and value.value == 0
    if isinstance(value, ast.ListComp):
        return _is_zero(value.elt, functions)
    if isinstance(value, ast.DictComp):
        return _is_zero(value.value, functions)
    if isinstance(value, ast.Tuple | ast.List) and value.elts:
        return all(_is_zero(e, functions) for e in value.elts)
    if isinstance(value, ast.Dict) and value.values:
        return all(_is_zero(v, functions) for v in value.values)
    if isinstance(value, ast.Call) and ast.unparse(value.func) in functions:
        return True
    if isinstance(value, ast.Call) and ZEROS.fullmatch(ast.unparse(value.func)):
        return True
    return value is not None and EMPTY.fullmatch(ast.unparse(value)) is not None


def _averages(name: str, later: Sequence[ast.stmt], zero: set[str], sums: bool) -> bool:
    """Whether what was set to zeros becomes an average once, which a step then takes off.

    Args:
        zero: functions that return zeros.
        sums: whether a sum of squares is one.
    """

    def averages(statement: ast.stmt, known: set[str]) -> bool:
        if is_average(statement, name, known):
            return True
        return sums and is_sum_of_squares(statement, known)

    for index, statement in enumerate(later):
        if not mentions(statement, {name}) or _fills(statement, name, zero):
            continue
        if isinstance(statement, ast.For):
            if not _by_element(statement, name):
                return False
            inside = {name, *elements(statement.target, statement.iter, name)}
            inner = list(flat(statement.body))
            made = next((i for i, s in enumerate(inner) if mentions(s, inside)), len(inner))
            averaged = made < len(inner) and averages(inner[made], inside)
            return averaged and taken_off([*inner[made:], *later[index + 1 :]], inside)
        return averages(statement, {name}) and taken_off(later[index:], {name})
    return False


def _fills(statement: ast.stmt, name: str, zero: set[str]) -> bool:
    """Whether a statement, or a loop of such, only puts zeros into a container."""
    if isinstance(statement, ast.For):
        return all(_fills(s, name, zero) or not mentions(s, {name}) for s in statement.body)
    found = list(assigned(statement))
    return bool(found) and all(
        target.startswith(f"{name}[") and _is_zero(v, zero) for target, v in found
    )


def _by_element(loop: ast.For, name: str) -> bool:
    """Whether a loop goes through what a container holds: each element has one turn."""
    targets = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    indexed = any(
        isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == name
        and mentions(node.slice, targets)
        for node in ast.walk(loop)
    )
    return indexed or mentions(loop.iter, {name})
