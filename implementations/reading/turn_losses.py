"""The losses of one turn of a loop: what it computes as its own, and standard ones of outputs."""

import ast
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.effects import number
from samegrad.implementations.reading.loops import Loop
from samegrad.implementations.reading.turns import Script

# Words for a loss, or for any other measure of what is wrong.
MEASURES = {"error", "err", "e", "total", "total_error", "mse_error", "loss_value", "residual"}


def losses_of(
    script: Script, after: dict[str, Any], assigned: Sequence[str]
) -> Iterator[tuple[Callable[[], float], str, bool]]:
    """The number that the loop computes as its loss; then standard losses of its outputs."""
    appended = _appended(script.loop)
    for text in [*assigned, *appended]:
        word = names.plain(re.split(r"[.\[]", text.removesuffix("[-1]"))[-1])
        words = (word, word.removesuffix("s"), *appended.get(text, ()))
        if any(names.LOSS.fullmatch(w) or w in MEASURES for w in words):
            try:
                value = eval(text, after)  # of the user's file
                number(value)
            except Exception:  # it is no number, or not there in an early turn
                continue
            if isinstance(value, int | np.integer) or _is_difference(script.loop.body, text, value):
                continue  # how many are wrong, or how far off: no step follows its slope
            yield partial(_of_variable, script, text), text, True
    data = _targets(script, after, assigned)
    outs = [n for n in reversed(assigned) if is_numbers(after.get(n))]
    outs.sort(key=lambda n: names.role(n) != "out")
    for target, value in data.items():
        if not is_numbers(value):
            continue
        for out in outs:
            wanted = _one_hot(value, after[out])
            if np.shape(after[out]) != np.shape(wanted):
                continue
            if np.size(wanted) == 1 and names.role(out) != "out":
                continue  # of a single number any loss gives so many times the same slopes
            for loss in losses.STANDARD:

                def standard(out: str = out, target: str = target, loss: str = loss) -> float:
                    space = script.turn(False)
                    given = eval(target, space)  # of the user's file
                    wanted = _one_hot(given, space[out])
                    return losses.value(loss, space[out], np.asarray(wanted, np.float64))

                try:
                    if np.isfinite(standard()):
                        yield standard, loss, False
                except (Exception, SystemExit):
                    continue


def _targets(script: Script, after: dict[str, Any], assigned: Sequence[str]) -> dict[str, Any]:
    """What may be the targets, by expressions: variables, parts of them, and data of an object."""
    data = {k: v for k, v in {**script.base, **after}.items()
            if names.role(k) == "y" and k not in assigned}  # fmt: skip
    parts = (n for s in script.loop.body for n in ast.walk(s) if isinstance(n, ast.Subscript))
    for text in sorted({ast.unparse(n) for n in parts if names.role(ast.unparse(n.value)) == "y"}):
        with contextlib.suppress(Exception):  # its index is not there any more
            data[text] = eval(text, dict(after))  # of the user's file
    held = vars(script.weights["self"]).items() if script.loop.held else ()
    data |= {f"self.{k}": v for k, v in held if names.role(k) == "y"}
    arrays = {k: v for k, v in script.base.items() if isinstance(v, np.ndarray)}
    return data | {k: v for k, v in arrays.items() if k not in script.weights and k not in data}


def _one_hot(value: Any, out: Any) -> Any:
    """Labels as outputs in so many rows or columns have them; other targets as they are."""
    labels, shape = np.asarray(value), np.shape(out)
    if labels.dtype.kind == "i" and labels.ndim == 1 and len(shape) == 2:
        for n, k in (shape, shape[::-1]):
            if len(labels) == n and 0 <= labels.min() and labels.max() < k:
                return np.eye(k)[labels] if (n, k) == shape else np.eye(k)[labels].T
    return value


def _of_variable(script: Script, name: str) -> float:
    return number(eval(name, script.turn(False)))  # of the user's file


def _appended(loop: Loop) -> dict[str, tuple[str, ...]]:
    """What is put into lists, as expressions for the last of them, with what that is called."""
    found: dict[str, tuple[str, ...]] = {}
    for s in loop.body:
        call = s.value if isinstance(s, ast.Expr) else None
        func = call.func if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and isinstance(func, ast.Attribute) and func.attr == "append":
            given = [getattr(a, "func", a) for a in call.args]  # of loss(p, y) its function
            called = [getattr(g, "attr", getattr(g, "id", "")) for g in given]
            found[f"{ast.unparse(func.value)}[-1]"] = tuple(map(names.plain, called))
    return found


def is_numbers(value: Any) -> bool:
    """Whether something is a number, or an array of some."""
    return isinstance(value, np.ndarray | float | int | np.floating) and (
        np.asarray(value).dtype.kind in "fi" and np.size(value) > 0
    )


def _is_difference(body: Sequence[ast.stmt], text: str, value: Any) -> bool:
    """Whether a variable is how far an output is off: below zero, or given a difference alone.

    What is called a loss is one but for differences from targets themselves.

    Args:
        text: the variable, or an expression for the last part of a list.
        value: of it.
    """
    word = names.plain(re.split(r"[.\[]", text.removesuffix("[-1]"))[-1])
    weak = word in MEASURES or names.WEAK.fullmatch(word) is not None
    if weak and number(value) < 0:
        return True
    given = [
        node.value
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Assign) and text in map(ast.unparse, node.targets)
    ]
    return bool(given) and all(_subtracts(one, weak) for one in given)


def _subtracts(value: ast.expr, weak: bool) -> bool:
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Sub):
        return False
    return weak or any(_is_target(side) for side in (value.left, value.right))


def _is_target(node: ast.expr) -> bool:
    while isinstance(node, ast.Subscript):
        node = node.value
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return names.role(name) == "y"
