"""Optimizer state that is thrown away: averages of gradients that start anew in each step.

What is said follows from the file's text: in one turn of a loop, or one call of a step, something
is set to zeros, is then made a number times itself plus something else, and what comes of it is
taken off weights. The average then never has more than one gradient in it.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.uncleared import repeated

ZEROS = re.compile(r"(?:\w+\.)*zeros(?:_like)?")
EMPTY = re.compile(r"\{\}|\[\]|dict\(\)|list\(\)|(?:\w+\.)*defaultdict\(.*\)")
# torch's optimizers that keep averages; SGD does with momentum.
KEEPS = re.compile(r"(?:\w+\.)*(?:Adam\w*|NAdam|RAdam|RMSprop|Adagrad|Adadelta|SGD)")
ANEW = re.compile(r"load_state_dict\(|reset_parameters\(|\.apply\(")  # weights begin again
MOMENTUM = re.compile(r"momentum=(?!0(?:\.0*)?[,)])")
LOOPS = ast.For | ast.While


def thrown_away(loaded: Loaded) -> tuple[int, str] | None:
    """The line at which a state starts anew in each step, and its name; None if there is none."""
    tree = ast.Module(loaded.statements, [])
    zero = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        if isinstance(node.body[-1], ast.Return) and _is_zero(node.body[-1].value, set())
    }
    makers = {
        node.name: node.body[-1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return)
    }
    for each in repeated(tree):
        body = list(flat(each.body))
        turned = ast.walk(each.target) if isinstance(each, ast.For) else ()
        new = {n.id for n in turned if isinstance(n, ast.Name)}
        for index, statement in enumerate(body):
            for name, value in assigned(statement):
                later = body[index + 1 :]
                if (_is_zero(value, zero) and _averages(name, later, zero)) or (
                    _is_optimizer(value, body[:index], new, makers) and _steps(name, later)
                ):
                    return statement.lineno, name
    return None


def keeps(loaded: Loaded) -> bool:
    """Whether steps take off an average, wherever that is kept."""
    return any(
        _is_average(statement, name, {name}) and _taken_off(body[index:], {name})
        for each in repeated(ast.Module(loaded.statements, []))
        for body in [list(flat(each.body))]
        for index, statement in enumerate(body)
        for name, _ in assigned(statement)
    )


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


def _averages(name: str, later: Sequence[ast.stmt], zero: set[str]) -> bool:
    """Whether what was set to zeros becomes an average once, which a step then takes off."""
    for index, statement in enumerate(later):
        if not _mentions(statement, {name}) or _fills(statement, name, zero):
            continue
        if isinstance(statement, ast.For):
            if not _by_element(statement, name):
                return False
            inside = {name, *_elements(statement.target, statement.iter, name)}
            inner = list(flat(statement.body))
            made = next((i for i, s in enumerate(inner) if _mentions(s, inside)), len(inner))
            averaged = made < len(inner) and _is_average(inner[made], name, inside)
            return averaged and _taken_off([*inner[made:], *later[index + 1 :]], inside)
        return _is_average(statement, name, {name}) and _taken_off(later[index:], {name})
    return False


def _fills(statement: ast.stmt, name: str, zero: set[str]) -> bool:
    """Whether a statement, or a loop of such, only puts zeros into a container."""
    if isinstance(statement, ast.For):
        return all(_fills(s, name, zero) for s in statement.body)
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
        and _mentions(node.slice, targets)
        for node in ast.walk(loop)
    )
    return indexed or _mentions(loop.iter, {name})


def _elements(target: ast.expr, over: ast.expr, name: str) -> set[str]:
    """The variables of a loop or comprehension that are of a container."""
    if ast.unparse(over) in (name, f"{name}.values()"):
        return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    if isinstance(over, ast.Call) and isinstance(target, ast.Tuple):
        zipped = list(zip(target.elts[-len(over.args) :], over.args, strict=False))
        return set().union(*(_elements(t, of, name) for t, of in zipped))
    return set()


def _is_average(statement: ast.stmt, name: str, known: set[str]) -> bool:
    """Whether something becomes a number times itself plus something else."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Mult):
        return _is(statement.target, known)
    for target, value in assigned(statement):
        if not _is(ast.parse(target, mode="eval").body, known):
            continue
        inside = set(known)
        for node in ast.walk(value):
            if isinstance(node, ast.comprehension):
                inside |= _elements(node.target, node.iter, name)
        if any(
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Add | ast.Sub)
            and any(_is_multiple(side, inside) for side in (node.left, node.right))
            for node in ast.walk(value)
        ):
            return True
    return False


def _is_multiple(node: ast.expr, names: set[str]) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult)
        and any(_is(side, names) for side in (node.left, node.right))
    )


def _is(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is one of some names, or an element of one."""
    while isinstance(node, ast.Subscript) and ast.unparse(node) not in names:
        node = node.value
    return ast.unparse(node) in names


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(n, ast.Name | ast.Attribute | ast.Subscript) and ast.unparse(n) in names
        for n in ast.walk(node)
    )


def _taken_off(statements: Sequence[ast.stmt], names: set[str]) -> bool:
    """Whether what comes of a state is subtracted, or added where it has a minus sign in it."""
    nodes = [node for s in statements for node in ast.walk(s)]
    known = set(names)
    for node in nodes:  # statements come before what is in them, in their order
        if isinstance(node, ast.For | ast.comprehension):
            known |= set().union(*(_elements(node.target, node.iter, name) for name in known))
        for target, value in assigned(node):
            known |= {target} if _mentions(value, known) else set()
    average = list(ast.walk(statements[0]))
    falls = any(isinstance(node, ast.Sub | ast.USub) for node in average)
    for node in nodes:
        if isinstance(node, ast.AugAssign) and not _is(node.target, names):
            side, sign = node.value, node.op
        elif isinstance(node, ast.BinOp):
            side, sign = node.right, node.op
        else:
            continue
        if isinstance(sign, ast.Sub) and _mentions(side, known):
            return True
        if falls and node not in average and isinstance(sign, ast.Add) and _mentions(side, known):
            return True
    return False


def _is_optimizer(
    value: ast.expr,
    before: Sequence[ast.stmt],
    new: set[str],
    makers: Mapping[str, ast.expr | None],
) -> bool:
    """Whether torch's optimizer is made that keeps averages, of parameters that were there.

    Args:
        before: statements of the turn that come first: they may make parameters anew.
        new: variables of the loop.
        makers: what functions of the file return.
    """
    if not isinstance(value, ast.Call):
        return False
    call = makers.get(ast.unparse(value.func)) or value
    text = ast.unparse(call)
    if not isinstance(call, ast.Call) or not KEEPS.fullmatch(ast.unparse(call.func)):
        return False
    if text.partition("(")[0].endswith("SGD") and not MOMENTUM.search(text):
        return False
    made = new | {name for s in before for name, _ in assigned(s)}
    anew = any(ANEW.search(ast.unparse(s)) for s in before)
    return not anew and not any(_mentions(argument, made) for argument in value.args)


def _steps(name: str, later: Sequence[ast.stmt]) -> bool:
    """Whether an optimizer steps in the same turn, with no state that is loaded into it."""
    texts = [ast.unparse(s) for s in later if not isinstance(s, LOOPS)]
    loads = any(f"{name}.load_state_dict(" in text for text in texts)
    return any(f"{name}.step(" in text for text in texts) and not loads
