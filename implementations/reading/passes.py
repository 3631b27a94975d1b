"""Loops whose loss has its own backward pass: what a turn computes before that, as a function.

It is what a loss of the file's own would be, of torch or of an engine such as micrograd, if the
loop were not the only place that has it; nothing is guessed then. It is tried where nothing else
was found in a file.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.report import AGREES, DISAGREES, CheckReport
from samegrad.implementations.reading import names
from samegrad.implementations.reading.averages import flat
from samegrad.implementations.reading.hinted import outright
from samegrad.implementations.reading.hints import Hints
from samegrad.implementations.reading.loading import Loaded, execute, imported_torch, own_classes
from samegrad.implementations.reading.loops import draws
from samegrad.implementations.reading.shown import with_variables
from samegrad.implementations.reading.turns import of_doubles, promote

LOSS, GRADIENT = "_loss_of_the_loop", "_gradient_of_the_loop"
BY_TORCH = ("torch.autograd.grad", "autograd.grad", "grad")
GIVES = (ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef)  # a variable its value


@dataclass(frozen=True)
class Pass:
    """A backward pass in a loop.

    Attributes:
        before: statements of the file that come before its outermost loop.
        setup: those of loops around it, with the first turn of each.
        body: what a turn computes before it.
        loss: the expression of which it is.
        gradient: the expression that gives it; None where `loss.backward()` leaves it.
        filename: of all of these.
    """

    before: Sequence[ast.stmt]
    setup: Sequence[ast.stmt]
    body: Sequence[ast.stmt]
    loss: ast.expr
    gradient: ast.expr | None
    filename: str


def of_passes(loaded: Loaded) -> CheckReport | None:
    """The verdict on the last loop of a file with a backward pass; None where there is none."""
    for found in reversed(list(_passes(loaded))):
        for doubles in (False, True)[
            : 1 + (imported_torch() is not None)
        ]:  # others may have made some
            with of_doubles(doubles):
                if doubles:
                    promote(loaded.namespace)
                report = _of(found, loaded)
            if report is not None:
                return report
    return None


def _of(found: Pass, loaded: Loaded) -> CheckReport | None:
    try:
        net = _made(found, loaded)
    except (Exception, SystemExit):
        return None
    if not net:
        return None
    backward = f"{GRADIENT}()" if found.gradient else f"{LOSS}().backward()"
    held = "{" + ", ".join(f"{name!r}: {name}" for name in net) + "}"
    report = outright(Hints(net=held, loss=f"{LOSS}()", backward=backward), loaded)
    if report is None or report.verdict not in (AGREES, DISAGREES):
        return None
    # Of torch: what is kept from gradients on purpose looks like a fault.
    if report.disagrees and any(_learns(loaded.namespace[name]) for name in net):
        return None
    name = ast.unparse(found.loss)
    call = ast.unparse(found.gradient) if found.gradient else f"{name}.backward()"
    how = f"script: {', '.join(net)}, as a loop has them before {call}; loss: its own {name}"
    return replace(with_variables(report), reading=how)


def _passes(loaded: Loaded) -> Iterator[Pass]:
    before: list[ast.stmt] = []
    for block in loaded.blocks:
        yield from _within(block.tree.body, before, block.filename)
        before += block.tree.body


def _within(body: Sequence[ast.stmt], before: Sequence[ast.stmt], filename: str) -> Iterator[Pass]:
    """Those of loops among statements, of `if __name__`, and of a `main` without arguments."""
    for index, statement in enumerate(body):
        ahead = [*before, *body[:index]]
        if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
            yield from _within(statement.body, ahead, filename)
        elif isinstance(statement, ast.FunctionDef) and names.WHOLE.match(statement.name):
            if not ast.unparse(statement.args):
                yield from _within(statement.body, ahead, filename)
        elif isinstance(statement, ast.For | ast.While):
            yield from _of_loop(statement, ahead, [], filename)


def _of_loop(
    loop: ast.For | ast.While, before: Sequence[ast.stmt], setup: Sequence[ast.stmt], filename: str
) -> Iterator[Pass]:
    if isinstance(loop, ast.For):
        first = ast.parse("next(iter(_))", mode="eval").body
        first.args[0].args[0] = loop.iter  # type: ignore[attr-defined] # of these two calls
        setup = [*setup, ast.copy_location(ast.Assign([loop.target], first), loop)]
    turn = list(flat(loop.body))
    for number, statement in enumerate(turn):
        ahead = [s for s in turn[:number] if not draws(s)]
        if isinstance(statement, ast.For | ast.While):
            plain = [s for s in ahead if not isinstance(s, ast.For | ast.While)]
            yield from _of_loop(statement, before, [*setup, *plain], filename)
        elif (taken := _taken(statement)) is not None:
            yield Pass(before, setup, ahead, *taken, filename)
            return


def _taken(statement: ast.stmt) -> tuple[ast.expr, ast.expr | None] | None:
    """Of which loss a statement takes the gradient, and by which expression if that returns it."""
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    if not isinstance(value, ast.Call):
        return None
    if isinstance(statement, ast.Assign):
        theirs = ast.unparse(value.func) in BY_TORCH and len(value.args) > 1
        return (value.args[0], value) if theirs else None
    if isinstance(value.func, ast.Attribute) and value.func.attr == "backward" and not value.args:
        return value.func.value, None
    return None


def _made(found: Pass, loaded: Loaded) -> list[str]:
    """Put the functions into the file's namespace; its variables that hold weights."""
    space = loaded.namespace
    np.random.seed(0)
    for statement in (*_needed(found, space), *found.setup):
        execute([ast.fix_missing_locations(statement)], found.filename, space)
    _define(LOSS, found.loss, found, space)
    if found.gradient:
        _define(GRADIENT, found.gradient, found, space)
    nodes = [n for s in (*found.body, ast.Expr(found.loss)) for n in ast.walk(s)]
    used = dict.fromkeys(n.id for n in nodes if isinstance(n, ast.Name) and n.id in space)
    by_torch = [name for name in used if _learns(space[name])]
    own = tuple(own_classes(loaded).values())
    return by_torch or [name for name in used if isinstance(space[name], own)]


def _needed(found: Pass, space: dict[str, Any]) -> list[ast.stmt]:
    """What gives variables their values that a turn takes, and that are not there yet."""
    used = set().union(*map(_read, (*found.setup, *found.body, ast.Expr(found.loss))))
    kept: list[ast.stmt] = []
    for statement in reversed(found.before):
        if isinstance(statement, GIVES) and _new(statement) & used - space.keys():
            kept.append(statement)
            used |= _read(statement)
    return kept[::-1]


def _read(statement: ast.stmt) -> set[str]:
    nodes = list(ast.walk(statement))
    added = {id(n.target) for n in nodes if isinstance(n, ast.AugAssign)}
    read = (n for n in nodes if isinstance(n, ast.Name))
    return {n.id for n in read if isinstance(n.ctx, ast.Load) or id(n) in added}


def _new(statement: ast.stmt) -> set[str]:
    """The variables that a statement makes, or the function or class."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = (n for n in ast.walk(statement) if isinstance(n, ast.Name))
    return {n.id for n in nodes if isinstance(n.ctx, ast.Store)}


def _define(name: str, value: ast.expr, found: Pass, space: dict[str, Any]) -> None:
    """A function of a turn that returns an expression, on the lines of the file."""
    nodes = [n for s in found.body for n in ast.walk(s)]
    simple = {n for s in found.body if isinstance(s, ast.Assign) for n in _new(s)}
    targets = (n.target for n in nodes if isinstance(n, ast.AugAssign))
    added = {t.id for t in targets if isinstance(t, ast.Name)} - simple  # from turn to turn
    function = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    ahead: list[ast.stmt] = [ast.Global(sorted(added))] if added else []
    function.body = [*ahead, *found.body, ast.copy_location(ast.Return(value), value)]
    execute([ast.fix_missing_locations(function)], found.filename, space)


def _learns(value: Any) -> bool:
    """Whether something is a module of torch with parameters, or tensors with gradients."""
    if isinstance(value, list | tuple | dict):
        return any(map(_learns, value.values() if isinstance(value, dict) else value))
    if isinstance(value, type):
        return False
    given = getattr(value, "parameters", None)
    if callable(given) and callable(getattr(value, "zero_grad", None)):
        return any(True for _ in given())
    return bool(getattr(value, "requires_grad", False))
