"""Optimizers that are made anew in each step, so that what they keep is thrown away.

What is said follows from the file's text: in one turn of a loop, or one call of a step, something
that keeps averages of gradients is made, and takes a step of weights that were there before. It is
one of torch's or of another library's by its name, or a class or function of the file's own by its
text; of optax it is what `init` returns.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from samegrad.implementations.reading import names
from samegrad.implementations.reading.averages import (
    assigned,
    elements,
    flat,
    is_average,
    is_sum_of_squares,
    mentions,
    taken_off,
)
from samegrad.implementations.reading.uncleared import repeated

# Optimizers of libraries that keep averages, by their names; SGD does with momentum.
KEEPS = re.compile(
    r"(?:\w+\.)*(?:Adam\w*|NAdam|RAdam|RMSprop|RMSProp|Ada[gG]rad|Ada[dD]elta|Momentum|Nesterov\w*"
    r"|SGD)"
)
OPTAX = re.compile(r"(?:optax\.)?(?:ada\w+|n?adamw?|radam|rmsprop|lamb|lion|yogi|sgd)")
STEPS = re.compile(r"step|update\w*|apply\w*|minimi[sz]e|optimi[sz]e")  # methods of such
ANEW = re.compile(r"load_state_dict\(|reset_parameters\(|\.apply\(")  # weights begin again
MOMENTUM = re.compile(r"momentum=(?!0(?:\.0*)?[,)])")
PLAIN = ("SGD", "sgd")  # but for momentum
ATTRIBUTE = re.compile(r"self\.\w+")
LOOPS = ast.For | ast.While
NESTED = LOOPS | ast.If | ast.FunctionDef | ast.ClassDef


def made_anew(tree: ast.Module) -> tuple[int, str] | None:
    """The line at which an optimizer is made in each step, and its name; or None."""
    makers = _Makers(tree)
    for each in [*repeated(tree), *_called_in_loops(tree)]:
        body = list(flat(each.body))
        turned = ast.walk(each.target) if isinstance(each, ast.For) else ()
        new = {n.id for n in turned if isinstance(n, ast.Name)}
        for index, statement in enumerate(body):
            before, later = body[:index], body[index + 1 :]
            if any(ANEW.search(ast.unparse(s)) for s in before):
                break
            fresh = new | {n for s in before for n, v in assigned(s) if _is_fresh(v)}
            made = new | {n for s in before for n, _ in assigned(s)}
            for name, value in assigned(statement):
                if makers.is_state(value) and not any(mentions(a, made) for a in value.args):
                    if makers.is_used(value, name, later):
                        return statement.lineno, name
                elif makers.keeps(value) and not any(mentions(a, made) for a in value.args):
                    taken = _taken(name, later)
                    if taken is not None and not any(mentions(a, fresh) for a in taken.args):
                        return statement.lineno, name
            for call in () if isinstance(statement, NESTED) else _calls(statement):
                of, given = _at_once(call), list(call.args)  # Adam().update(params, grads)
                if makers.keeps(of) and not any(mentions(a, fresh) for a in given + of.args):
                    return statement.lineno, ast.unparse(of)
    return None


class _Makers:
    """What in a file makes something that keeps averages of gradients."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        self._classes = {n.name: n for n in nodes if isinstance(n, ast.ClassDef)}
        functions = [n for n in nodes if isinstance(n, ast.FunctionDef)]
        self._returned = {
            f.name: f.body[-1].value for f in functions if isinstance(f.body[-1], ast.Return)
        }
        self._closures = {f.name for f in functions if _keeps_around(f)}
        found = [(name, value) for n in nodes for name, value in assigned(n)]
        self._optax = {name for name, value in found if _is_named(value, OPTAX)}

    def keeps(self, value: ast.expr) -> TypeGuard[ast.Call]:
        """Whether an expression makes what keeps averages and takes steps by them."""
        if not isinstance(value, ast.Call):
            return False
        name = ast.unparse(value.func)
        call = self._returned.get(name) or value
        if name in self._closures:
            return True
        if not isinstance(call, ast.Call):
            return False
        own = self._classes.get(ast.unparse(call.func))
        return _is_named(call, KEEPS) if own is None else self._has_state(own)

    def is_state(self, value: ast.expr) -> TypeGuard[ast.Call]:
        """Whether it is the state of an optimizer of optax, from its beginning."""
        return (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr == "init"
            and ast.unparse(value.func.value) in self._optax
        )

    def is_used(self, value: ast.Call, name: str, later: Sequence[ast.stmt]) -> bool:
        """Whether the optimizer of such a state updates by it in the same turn."""
        update = f"{ast.unparse(value.func).rpartition('.')[0]}.update"
        return any(
            ast.unparse(call.func) == update and any(mentions(a, {name}) for a in call.args)
            for statement in later
            if not isinstance(statement, LOOPS)
            for call in _calls(statement)
        )

    def _has_state(self, own: ast.ClassDef) -> bool:
        """Whether methods of a class, or of those it is made of, take off averages it keeps."""
        bases = [self._classes.get(ast.unparse(base)) for base in own.bases]
        kinds = [own, *(base for base in bases if base is not None and base is not own)]
        shared = {
            name
            for kind in kinds
            for statement in kind.body
            for name, value in assigned(statement)
            if getattr(value, "value", ...) is not None
        }
        methods = [m for kind in kinds for m in kind.body if isinstance(m, ast.FunctionDef)]
        set_to = [(n, v) for m in methods for node in ast.walk(m) for n, v in assigned(node)]
        given = {
            name
            for m in methods
            if m.name == "__init__"
            for node in ast.walk(m)
            for name, value in assigned(node)
            if isinstance(value, ast.Name)  # kept by somebody else
        }
        held = {name for name, _ in set_to if ATTRIBUTE.fullmatch(name)} - given
        held -= {name for name in held if name.partition(".")[2] in shared}
        return any(
            _averages_of(method, name) for method in methods for name in held
            if method.name != "__init__"
        )  # fmt: skip


def _averages_of(function: ast.FunctionDef, name: str) -> bool:
    """Whether a function takes off an average that something outside of it holds."""
    known, statements = {name}, [n for n in ast.walk(function) if isinstance(n, ast.stmt)]
    for node in statements:
        if isinstance(node, ast.For):
            known |= elements(node.target, node.iter, name)
    return any(
        (is_average(statement, name, known) or is_sum_of_squares(statement, known))
        and taken_off([statement, *statements], known)
        for statement in statements
    )


def _keeps_around(function: ast.FunctionDef) -> bool:
    """Whether a function returns one of its own that keeps averages in variables of the outer."""
    inner = [s for s in function.body if isinstance(s, ast.FunctionDef)]
    held = {name for s in function.body for name, _ in assigned(s)}
    last = function.body[-1]
    returned = ast.unparse(last.value) if isinstance(last, ast.Return) and last.value else ""
    return any(f.name == returned and _averages_of(f, name) for f in inner for name in held)


def _is_named(value: ast.expr, pattern: re.Pattern[str]) -> bool:
    """Whether a call is of an optimizer that keeps averages by the name that it has."""
    if not isinstance(value, ast.Call) or not pattern.fullmatch(ast.unparse(value.func)):
        return False
    text = ast.unparse(value)
    plain = text.partition("(")[0].endswith(PLAIN)
    return not plain or MOMENTUM.search(text) is not None


def _is_fresh(value: ast.expr) -> bool:
    """Whether an expression makes an object or first weights: a network of this turn alone."""
    if not isinstance(value, ast.Call):
        return False
    name = ast.unparse(value.func).rpartition(".")[2]
    return name[:1].isupper() or names.INIT.match(name) is not None


def _called_in_loops(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions that a loop calls in every turn."""
    called = {
        ast.unparse(call.func)
        for node in ast.walk(tree)
        if isinstance(node, LOOPS)
        for statement in flat(node.body)
        if not isinstance(statement, LOOPS | ast.If)
        for call in _calls(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in called:
            yield node


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (n for n in ast.walk(node) if isinstance(n, ast.Call))


def _at_once(call: ast.Call) -> ast.expr:
    """What takes a step in a call, if that is made there; else the function that is called."""
    step = isinstance(call.func, ast.Attribute) and STEPS.fullmatch(call.func.attr)
    return call.func.value if step else call.func  # type: ignore[attr-defined] # of the Attribute


def _taken(name: str, later: Sequence[ast.stmt]) -> ast.Call | None:
    """The step that an optimizer takes in the same turn, with no state that is given to it."""
    for statement in later:
        if any(target.startswith(f"{name}.") for target, _ in assigned(statement)):
            return None
        for call in () if isinstance(statement, LOOPS) else _calls(statement):
            of, _, method = ast.unparse(call.func).rpartition(".")
            if of == name and method == "load_state_dict":
                return None
            if (of == name and STEPS.fullmatch(method)) or ast.unparse(call.func) == name:
                return call
    return None
