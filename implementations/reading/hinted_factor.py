"""Constants between a loss and a gradient of hints, for which the file's own steps make up."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import CheckReport
from samegrad.implementations.reading import names
from samegrad.implementations.reading.effects import places, snapshot
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.shared_out import divides_its_rate

SAME = 1e-6  # of a constant that is a whole number


def made_up_for(
    report: CheckReport,
    held: Any,
    backward: Callable[[], Any],
    loaded: Loaded,
    times: Callable[[float], CheckReport],
) -> CheckReport:
    """A report that agrees, where the gradient is as many times the slopes as there are numbers.

    Of examples or outputs, that is: it is summed where the loss is averaged, in a file whose steps
    divide by their number, or whose loop takes a rate times the gradient off.

    Args:
        held: the network and its data.
        backward: what gives the gradient, which may leave arrays of examples in the network.
        times: the report on so many times the loss.
    """
    factor = report.constant
    if not report.disagrees or factor is None or not _is_size(factor, held, backward):
        return report
    functions = [*own_functions(loaded).values()]
    functions += [f for cls in own_classes(loaded).values() for f in vars(cls).values()]
    if not (_has_loop(loaded) or (factor > 1 and divides_its_rate(functions))):
        return report
    scaled = times(factor)
    if not scaled.agrees:
        return report
    text = (
        f"the gradient is {factor:.6g} times that of the loss, for which a learning rate makes up"
    )
    return replace(scaled, notes=(Note("summed", text), *scaled.notes))


def _is_size(factor: float, held: Any, backward: Callable[[], Any]) -> bool:
    """Whether a constant is the length of an array, or 1 over that."""
    if factor <= 0 or abs(factor - 1) < SAME:
        return False
    size = factor if factor > 1 else 1 / factor
    before = snapshot(held)
    try:
        returned = backward()
        found = [*places(held, ""), *places(returned, "")]
        lengths = {n for place in found for n in np.shape(place.read())}
    except (Exception, SystemExit):
        return False
    finally:
        before.restore()
    return any(n > 1 and abs(size / n - 1) < SAME for n in lengths)


def _has_loop(loaded: Loaded) -> bool:
    """Whether a loop of the program itself multiplies something by a learning rate."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult)
        and any(_is_rate(part) for side in (node.left, node.right) for part in ast.walk(side))
        for loop in _loops(loaded)
        for node in ast.walk(loop)
    )


def _loops(loaded: Loaded) -> Iterator[ast.AST]:
    for block in loaded.blocks:
        waiting: list[ast.AST] = list(block.tree.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.For | ast.While):
                yield node
            elif isinstance(node, ast.If | ast.With | ast.Try):
                waiting += node.body


def _is_rate(node: ast.AST) -> bool:
    word = getattr(node, "id", "") or getattr(node, "attr", "")
    return bool(word) and names.role(word) == "lr"
