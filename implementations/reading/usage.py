"""What a parameter is for, by what the body of its function does with it."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import CodeType
from typing import Any

from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import parameters, returned_names

SIZED = {"len", "zip", "enumerate", "pairwise", "list", "tuple", "sum"}
SHAPED = {"zeros", "ones", "empty", "full", "randn", "rand", "normal", "uniform", "standard_normal",
          "random", "random_sample", "range", "eye", "integers", "randint"}  # fmt: skip


def body(function: Callable[..., Any]) -> ast.AST | None:
    """The syntax tree of a function or class; None if its text is not known."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None


def used_as(function: Callable[..., Any], name: str) -> str:
    """How a body uses a parameter.

    Returns:
        "sizes" (a list that is measured, cut or run through), "pairs" or "triples" (a list of
        tuples of so many), "width" (a number in a shape), "callable", or "".
    """
    tree = body(function)
    if tree is None:
        return ""
    found = [kind for node in ast.walk(tree) if (kind := _use(node, name))]
    order = ("triples", "pairs", "sizes", "callable", "width")
    return next((kind for kind in order if kind in found), "")


def _use(node: ast.AST, name: str) -> str:
    if isinstance(node, ast.For | ast.comprehension) and is_name(node.iter, name):
        parts = len(node.target.elts) if isinstance(node.target, ast.Tuple) else 1
        return {2: "pairs", 3: "triples"}.get(parts, "sizes")
    if isinstance(node, ast.Subscript) and is_name(node.value, name):
        return "sizes"
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else (
            getattr(node.func, "id", ""))  # fmt: skip
        if is_name(node.func, name):
            return "callable"
        given = [*node.args, *(kw.value for kw in node.keywords)]
        if called in SIZED and any(is_name(a, name) for a in given):
            return "sizes"
        if called in SHAPED and any(is_name(a, name) for a in given):
            return "width"
    if isinstance(node, ast.Tuple) and len(node.elts) <= 4 and any(
        is_name(e, name) for e in node.elts
    ) and isinstance(node.ctx, ast.Load):  # fmt: skip
        return "width"
    return ""


def unpacked(function: Callable[..., Any], name: str) -> list[Any]:
    """The names that a body unpacks a parameter into, nested as they are there; [] if it does not.

    Of `W1, b1, W2, b2 = params` these four; of `(W1, b1), (W2, b2) = params` two lists of two.
    """
    tree = body(function)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign) and is_name(node.value, name):
            pattern = _pattern(node.targets[0])
            if isinstance(pattern, list):
                return pattern
    return []


def _pattern(target: ast.AST) -> list[Any] | str | None:
    """A target of an assignment: a name, or a list of such; None where it is anything else."""
    if isinstance(target, ast.Tuple | ast.List):
        parts = [_pattern(part) for part in target.elts]
        return None if any(part is None for part in parts) else parts
    return target.id if isinstance(target, ast.Name) else None


def is_name(node: ast.AST, name: str) -> bool:
    """Whether a node is a name."""
    return isinstance(node, ast.Name) and node.id == name


def subtracts(function: Callable[..., Any], name: str) -> bool:
    """Whether a parameter is subtracted, as targets are; or may be, for all that is known."""
    tree = body(function)
    return tree is None or any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and any(is_name(side, name) for side in (node.left, node.right))
        for node in ast.walk(tree)
    )


def calls(name: str, statements: Sequence[ast.stmt]) -> int:
    """In how many places statements call something by a name."""
    nodes = (node for s in statements for node in ast.walk(s))
    return sum(isinstance(node, ast.Call) and is_name(node.func, name) for node in nodes)


def returns_several(function: Callable[..., Any]) -> bool:
    """Whether a function returns a tuple somewhere."""
    tree = body(function)
    return tree is not None and any(
        isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)
        for node in ast.walk(tree)
    )


@cache
def gives_loss(code: CodeType) -> bool:
    """Whether a function returns what it calls a loss, beside gradients."""
    parts = returned_names(code)
    called = [p for p in parts if names.LOSS.fullmatch(p) and not names.WEAK.fullmatch(p)]
    others = {"" if names.role(p) == "grads" or names.GRADIENT.fullmatch(p) else p
              for p in parts if p not in called}  # fmt: skip
    return bool(called) and others == {""}


def kept_arguments(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes that a method other than the constructor takes from its parameters, with these."""
    tree = body(cls)
    for function in ast.walk(tree) if tree is not None else ():
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        given = {a.arg for a in function.args.args}
        for node in ast.walk(function):
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for left, right in pairs:
                if (
                    isinstance(left, ast.Attribute)
                    and is_name(left.value, "self")
                    and isinstance(right, ast.Name)
                    and right.id in given
                ):
                    yield left.attr, right.id


def calls_of(
    cls: type, statements: Sequence[ast.stmt], namespace: dict[str, Any]
) -> Iterator[tuple[ast.Call, dict[str, Any]]]:
    """Calls of a class anywhere in a file; arguments by name where they can be evaluated."""
    for statement in statements:
        for node in ast.walk(statement):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == cls.__name__):
                continue
            try:
                known = parameters(cls)
            except (TypeError, ValueError):
                return
            pairs = [*zip((p.name for p in known), node.args, strict=False),
                     *((kw.arg, kw.value) for kw in node.keywords if kw.arg)]  # fmt: skip
            evaluated: dict[str, Any] = {}
            for parameter, expression in pairs:
                try:
                    code = compile(ast.Expression(expression), "samegrad", "eval")
                    evaluated[parameter] = eval(code, dict(namespace))  # of the user's file
                except Exception:  # a name that is not there without a run
                    continue
            yield node, evaluated
