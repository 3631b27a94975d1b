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
        still: set[str] = set()  # variables that are zeros
        for index, statement in enumerate(body):
            anew = [(n, v) for n, v in assigned(statement) if _is_zero(v, zero | still)]
            for name, value in anew:
                sums = not isinstance(value, ast.Constant)  # of one number it may be a norm
                if _averages(name, body[index + 1 :], zero, sums):
                    return statement.lineno, name
            still = {name for name in still if not mentions(statement, {name})}
            still |= {name for name, _ in anew}
    return made_anew(tree)


def keeps(loaded: Loaded) -> bool:
    """Whether steps take off an average, wherever that is kept."""
    for each in repeated(ast.Module(loaded.statements, [])):
        statements = [node for node in ast.walk(each) if isinstance(node, ast.stmt)]
        for index, statement in enumerate(statements):
            named = {name.partition("[")[0] for name, _ in assigned(statement)}
            named |= _scaled(statements[index:])
            for name in named:
                if is_average(statement, name, {name}) and taken_off(statements[index:], {name}):
                    return True
    return False


def _scaled(statements: Sequence[ast.stmt]) -> set[str]:
    """What the first statement multiplies in place, if a later one adds to it: v *= mu; v += g."""
    first, *later = statements
    if not isinstance(first, ast.AugAssign) or not isinstance(first.op, ast.Mult):
        return set()
    name = ast.unparse(first.target)
    added = any(
        isinstance(s, ast.AugAssign)
        and isinstance(s.op, ast.Add | ast.Sub)
        and ast.unparse(s.target) == name
        for s in later
    )
    return {name} if added else set()


def _is_zero(value: ast.expr | None, known: set[str]) -> bool:
    """Whether an expression is zeros, or a container of some, or an empty one.

    Args:
        known: functions that return zeros, and variables that are zeros.
    """
    if isinstance(value, ast.Name):
        return value.id in known
    if isinstance(value, ast.Constant):
        return type(value.value) in (int, float) and value.value == 0
    if isinstance(value, ast.ListComp):
        return _is_zero(value.elt, known)
    if isinstance(value, ast.DictComp):
        return _is_zero(value.value, known)
    if isinstance(value, ast.Tuple | ast.List) and value.elts:
        return all(_is_zero(e, known) for e in value.elts)
    if isinstance(value, ast.Dict) and value.values:
        return all(_is_zero(v, known) for v in value.values)
    if isinstance(value, ast.Call) and ast.unparse(value.func) in known:
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
        inside = {name, *elements(statement.target, statement.iter, name)}
        return all(_fills(s, name, zero) or not mentions(s, inside) for s in statement.body)
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
