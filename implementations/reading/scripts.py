"""Scripts: weights in globals and a loop that trains them; one turn is the backward pass."""

import ast
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.effects import (
    Place,
    number,
    places,
    redraw,
    with_effect,
)
from samegrad.implementations.reading.loading import Loaded, execute
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.source import defines

Array = Any
TURNS = 4  # of which the last is taken
EXAMPLES = 8  # to which a script's own data is cut
DRAWS = ("plt", "pyplot", "ax", "fig", "sns", "print", "tqdm", "display", "pbar", "writer")
ERRORS = {"error", "err", "e", "total", "total_error", "mse_error", "loss_value", "residual"}


@dataclass
class Loop:
    """A loop that updates arrays.

    Attributes:
        before: statements of the file before it, and those of outer loops before inner ones.
        bindings: loop variables with what they run over.
        body: one turn, without what prints and draws.
        filename: of the statements.
    """

    before: list[ast.stmt]
    bindings: list[tuple[ast.expr, ast.expr]]
    body: list[ast.stmt]
    filename: str


def script_readings(loaded: Loaded) -> Iterator[Reading]:
    """Readings of the training loops of a file, from the last one on."""
    for loop in reversed(list(loops(loaded))):
        yield from _of_loop(loop, loaded)


def loops(loaded: Loaded) -> Iterator[Loop]:
    """The loops that update something, of the top level and below `if __name__`."""
    before: list[ast.stmt] = []
    for block in loaded.blocks:
        for statement in _flat(block.tree.body):
            if isinstance(statement, ast.For | ast.While) and _updates(statement):
                yield _inner(statement, list(before), block.filename)
            else:
                before.append(statement)


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements with those of `if __name__ == "__main__"` and `with` among them."""
    for statement in body:
        if (
            isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        ) or isinstance(statement, ast.With):
            yield from _flat(statement.body)
        else:
            yield statement


def _updates(node: ast.AST) -> set[str]:
    """Names that are changed by what they were: W -= ..., W = W - ..., W[i] += ..."""
    found = set()
    for child in ast.walk(node):
        if isinstance(child, ast.AugAssign):
            found.add(_root(child.target))
        if isinstance(child, ast.Assign):
            read = {n.id for n in ast.walk(child.value) if isinstance(n, ast.Name)}
            for target in child.targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                found |= {_root(part) for part in parts} & read
    return found - {""}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _inner(loop: ast.For | ast.While, before: list[ast.stmt], filename: str) -> Loop:
    """The innermost loop that holds every update of the outer one's weights."""
    bindings = [(loop.target, loop.iter)] if isinstance(loop, ast.For) else []
    held = {name for name in _updates(loop) if names.WEIGHT.fullmatch(names.plain(name))}
    body = list(loop.body)
    for index, statement in enumerate(body):
        if not isinstance(statement, ast.For | ast.While):
            continue
        outside = set().union(*(_updates(s) for s in body if s is not statement))
        if held and held <= _updates(statement) and not held & outside:
            found = _inner(statement, before, filename)
            setup = [s for s in body[:index] if not _draws(s)]
            return (
                Loop(found.before, bindings + found.bindings, found.body, filename)
                if not setup
                else (
                    Loop([*found.before, *setup], bindings + found.bindings, found.body, filename)
                )
            )
    return Loop(before, bindings, [s for s in body if not _draws(s)], filename)


def _draws(statement: ast.stmt) -> bool:
    """Whether a statement only shows something, by itself or in an `if`."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _root(statement.value.func) in DRAWS
    if isinstance(statement, ast.If):
        return all(_draws(s) or _keeps(s) for s in [*statement.body, *statement.orelse])
    return False


def _keeps(statement: ast.stmt) -> bool:
    """Whether a statement only keeps a value for later, or passes."""
    return isinstance(statement, ast.Pass | ast.Break) or (
        isinstance(statement, ast.Expr) and "append(" in ast.unparse(statement)
    )


class Script:
    """One turn of a loop, as often as one likes, from the same globals."""

    def __init__(self, loop: Loop, loaded: Loaded) -> None:
        self.loop = loop
        self.base: dict[str, Any] = dict(loaded.namespace)
        np.random.seed(0)
        for statement in loop.before:
            if isinstance(statement, ast.Expr) and not defines(statement):
                continue  # it shows something, or trains
            try:
                execute([statement], loop.filename, self.base)
            except (Exception, SystemExit):
                continue
        self.weights: dict[str, Any] = {}
        self._bind()
        before = self._copy(self.base)
        after = self.turn()
        self.weights = {k: v for k, v in before.items() if k in after and _changed(v, after[k])}
        self._cut()
        for name in self.weights:
            self.weights[name] = _as_floats(copy.deepcopy(self.base[name]))

    def turn(self) -> dict[str, Any]:
        """The globals after one turn from the weights as they are."""
        space = self._copy(self.base)
        space.update(self._copy(self.weights))
        np.random.seed(0)
        once = ast.For(ast.Name("_turn", ast.Store()), ast.List([ast.Constant(0)], ast.Load()),
                       self.loop.body, [])  # fmt: skip
        execute([ast.fix_missing_locations(once)], self.loop.filename, space)
        return space

    def _copy(self, space: dict[str, Any]) -> dict[str, Any]:
        kinds = (np.ndarray, list, dict)
        return {k: copy.deepcopy(v) if isinstance(v, kinds) and not k.startswith("__") else v
                for k, v in space.items()}  # fmt: skip

    def _bind(self) -> None:
        """The loop variables of an early turn."""
        for target, over in self.loop.bindings:
            try:
                code = compile(ast.Expression(over), self.loop.filename, "eval")
                turns = itertools.islice(iter(eval(code, self.base)), TURNS)
                value = list(turns)[-1]  # of XOR's examples the first has no slopes
            except (Exception, SystemExit):
                value = 0
            self.base["_first"] = value
            assign = ast.Assign([target], ast.Name("_first", ast.Load()))
            execute([ast.fix_missing_locations(assign)], self.loop.filename, self.base)

    def _cut(self) -> None:
        """Keep the first EXAMPLES of the data: arrays that have the axis of targets in common."""
        data = {k: v for k, v in self.base.items() if k not in self.weights}
        arrays = {k: v for k, v in data.items() if isinstance(v, np.ndarray) and v.ndim in (1, 2)}
        y = next((v for k, v in arrays.items() if names.role(k) == "y"), None)
        length = max(y.shape, default=0) if y is not None else 0
        if length <= 2 * EXAMPLES or sum(length in v.shape for v in arrays.values()) < 2:
            return
        for name, value in arrays.items():
            if length in value.shape:
                axis = value.shape.index(length)
                self.base[name] = np.take(value, range(EXAMPLES), axis=axis)
        for name, value in list(self.base.items()):
            if type(value) is int and value == length:
                self.base[name] = EXAMPLES
        self._bind()


def _changed(before: Any, after: Any) -> bool:
    if isinstance(before, list | dict):
        olds = [p.read() for p in places(before, "")]
        news = [p.read() for p in places(after, "")]
        return len(olds) == len(news) and any(
            np.shape(a) == np.shape(b) and not np.array_equal(a, b)
            for a, b in zip(olds, news, strict=True)
        )
    if isinstance(before, np.ndarray):
        return before.dtype.kind in "fi" and before.shape == np.shape(after) and (
            not np.array_equal(before, after)
        )  # fmt: skip
    return False


def _as_floats(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def _scalars(script: Script, after: dict[str, Any]) -> None:
    """Biases that are plain numbers are weights, too."""
    for name, value in script.base.items():
        if isinstance(value, float | np.floating) and names.WEIGHT.fullmatch(names.plain(name)):
            new = after.get(name)
            if (
                isinstance(new, float | np.floating | np.ndarray)
                and np.size(new) == 1
                and new != value
            ):
                script.weights[name] = float(value)


def _of_loop(loop: Loop, loaded: Loaded) -> Iterator[Reading]:
    try:
        script = Script(loop, loaded)
        after = script.turn()
    except (Exception, SystemExit):
        return
    _scalars(script, after)
    if not script.weights:
        return
    if not _draw(script):
        return
    assigned = [n.id for s in loop.body for n in ast.walk(s)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    assigned = [n for n in dict.fromkeys(assigned) if n not in script.weights]
    for loss, text, own in _losses(script, after, assigned):
        if own and not np.isfinite(loss()):
            how, nothing = f"script: weights {', '.join(script.weights)}", partial(dict[str, Any])
            yield Reading(script.weights, (), loss, nothing, (), how, own, text)
            continue
        found = _parameters(script, loss)
        if not found:
            continue
        rates = [
            float(value)
            for name, value in script.base.items()
            if names.role(name) == "lr" and isinstance(value, float | int) and value
        ]
        rate = rates[0] if rates else None
        slopes: dict[str, Any] = {}
        for kind in ("update", "variables"):
            backward = _backward(
                script, found, rate or 1.0, assigned if kind == "variables" else ()
            )
            yield Reading(
                script.weights, found, loss, backward, (), f"script: weights "
                f"{', '.join(script.weights)}, one turn of the loop, gradient from "
                + ("the update" if kind == "update" else "its variables"),
                own, text, step=True, rated=rate is not None, printed=own, certain=True,
                examples=_examples(script), slopes=slopes,
            )  # fmt: skip


def _draw(script: Script) -> bool:
    found = [p for p in places(script.weights, "net") if np.ndim(p.read()) > 0]
    zero = [p for p in found if not np.any(p.read())]
    redraw(zero, 3)
    return bool(found)


def _examples(script: Script) -> int:
    y = next((v for k, v in script.base.items()
              if names.role(k) == "y" and isinstance(v, np.ndarray)), None)  # fmt: skip
    return max(1, max(np.shape(y), default=1)) if y is not None else 1


def _parameters(script: Script, loss: Callable[[], float]) -> list[Place]:
    try:
        return with_effect(list(places(script.weights, "net")), loss)
    except (Exception, SystemExit):
        return []


def _losses(
    script: Script, after: dict[str, Any], assigned: Sequence[str]
) -> Iterator[tuple[Callable[[], float], str, bool]]:
    """The number that the loop computes as its loss; then standard losses of its outputs."""
    for name in assigned:
        word = names.plain(name)
        if (names.LOSS.fullmatch(word) or word in ERRORS) and (
            name in after and np.size(after[name]) == 1
        ):
            try:
                number(after[name])
            except (ValueError, TypeError):
                continue
            yield partial(_of_variable, script, name), name, True
    data = {k: v for k, v in {**script.base, **after}.items()
            if names.role(k) == "y" and k not in assigned}  # fmt: skip
    arrays = {k: v for k, v in script.base.items() if isinstance(v, np.ndarray)}
    data |= {k: v for k, v in arrays.items() if k not in script.weights and k not in data}
    outs = [n for n in reversed(assigned) if _is_numbers(after.get(n))]
    outs.sort(key=lambda n: names.role(n) != "out")
    for target, value in data.items():
        if not _is_numbers(value):
            continue
        for out in outs:
            if np.size(after[out]) != np.size(value) or np.shape(after[out]) != np.shape(value):
                continue
            for loss in losses.STANDARD:

                def standard(out: str = out, target: str = target, loss: str = loss) -> float:
                    space = script.turn()
                    return losses.value(loss, space[out], np.asarray(space[target], np.float64))

                try:
                    if np.isfinite(standard()):
                        yield standard, loss, False
                except (Exception, SystemExit):
                    continue


def _of_variable(script: Script, name: str) -> float:
    return number(script.turn()[name])


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray | float | int | np.floating) and (
        np.asarray(value).dtype.kind in "fi" and np.size(value) > 0
    )


def _backward(
    script: Script, found: Sequence[Place], rate: float, variables: Sequence[str]
) -> Callable[[], Any]:
    def backward() -> dict[str, Any]:
        space = script.turn()
        if variables:
            return {name: space[name] for name in variables if name in space}
        new = {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}
        return {
            f"d {p.name}": (p.read() - new[p.name]) / rate
            for p in found
            if p.name in new and np.shape(new[p.name]) == np.shape(p.read())
        }

    return backward
