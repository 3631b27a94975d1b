"""Scripts: weights in globals and a loop that trains them; one turn is the backward pass."""

import ast
import copy
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.board import RATE, Board, Form, Sizes, inputs, plans, targets
from samegrad.implementations.reading.effects import (
    Place,
    number,
    places,
    redraw,
    with_effect,
)
from samegrad.implementations.reading.loading import Loaded, execute, own_functions
from samegrad.implementations.reading.loops import (
    STEPS,
    Loop,
    as_function,
    draws,
    loops,
    loops_of,
    one_turn,
)
from samegrad.implementations.reading.networks import Maker, constructions
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.source import defines

Array = Any
TURNS = 4  # of which the last is taken
EXAMPLES = 8  # to which a script's own data is cut
MOST_WAYS = 2  # to construct what has a method that trains
DATA = (  # of functions that train
    (Sizes(k=1), "flat"), (Sizes(k=1), "same"), (Sizes(), "same"), (Sizes(), "labels"),
    (Sizes(f=2, k=2), "labels"), (Sizes(k=1), "signs"), (Sizes(), "label column"),
)  # fmt: skip
ERRORS = {"error", "err", "e", "total", "total_error", "mse_error", "loss_value", "residual"}


def script_readings(loaded: Loaded) -> Iterator[Reading]:
    """Readings of the training loops of a file, from the last one on."""
    for loop in reversed(list(loops(loaded))):
        yield from _of_loop(loop, loaded)


def fit_readings(loaded: Loaded, name: str = "", make: Maker | None = None) -> Iterator[Reading]:
    """Readings of training loops in functions and methods, which make their weights themselves.

    Args:
        name: of the class or function that is meant, or "".
        make: makes an object of the class, where a hint says how.
    """
    for block in loaded.blocks:
        for statement in block.tree.body:
            cls = statement.name if isinstance(statement, ast.ClassDef) else ""
            for node in statement.body if cls else [statement]:  # type: ignore[attr-defined]
                meant = name in ("", cls, getattr(node, "name", ""))
                if isinstance(node, ast.FunctionDef) and meant:
                    found = list(loops_of(node, cls, block.filename))
                    for given in _arguments(node.name, cls, loaded, make) if found else ():
                        for loop in reversed(found):
                            yield from _of_loop(replace(loop, given=given), loaded)


def _arguments(
    name: str, cls: str, loaded: Loaded, hinted: Maker | None
) -> Iterator[dict[str, Any]]:
    """What a function is given: data in several forms, and of a method the object."""
    makers: Iterator[Maker | None] = iter([hinted])
    if cls and hinted is None:
        makers = (
            constructions(loaded.namespace[cls], loaded) if cls in loaded.namespace else iter(())
        )
    for make in itertools.islice(makers, MOST_WAYS):
        for sizes, y in DATA:
            form = Form("rows", y)
            try:
                net = make(sizes, form).net if make else None
                if make and type(net).__name__ != cls:
                    return
                function = getattr(net, name) if make else loaded.namespace[name]
                shape = (sizes.n, sizes.k)
                values = {"X": inputs(sizes, "rows"), "y": targets(sizes, form, shape)[0]}
                board = Board(sizes, {**values, "n": sizes.n, "k": sizes.k, "lr": RATE})
                plan = next(plans(function, board, [], "step"))
                bound = inspect.signature(function).bind(**{n: board[key] for n, key in plan})
            except (Exception, SystemExit):
                continue
            bound.apply_defaults()
            yield {**bound.arguments, **({"self": net} if make else {})}


class Script:
    """One turn of a loop, as often as one likes, from the same globals."""

    def __init__(self, loop: Loop, loaded: Loaded) -> None:
        self.loop = loop
        self.base: dict[str, Any] = {**loaded.namespace, **loop.given}
        self.space: dict[str, Any] = {}
        self.function: FunctionType | None = None
        self.owner = self.base.get("self") if loop.function else None
        self._class = None if self.owner is None else type(self.owner)
        np.random.seed(0)
        for statement in loop.before:
            shown = draws(statement) if loop.function else not defines(statement)
            if isinstance(statement, ast.Expr) and shown:
                continue  # it shows something, or trains
            try:
                execute([statement], loop.filename, self.base)
            except (Exception, SystemExit):
                continue
        self.weights: dict[str, Any] = {}
        self._bind()
        before = self._copy(self.base)
        after = self.turn()
        self.weights = {
            k: v for k, v in before.items() if k in after and self._changed(v, after[k])
        }
        self._cut()
        for name in self.weights:
            self.weights[name] = _as_floats(copy.deepcopy(self.base[name]))
        _scalars(self, after)
        held = {*self.weights, *getattr(self.weights.get("self"), "__dict__", {})}
        self.function = as_function(loop, self.space, held)

    def turn(self, steps: bool = True) -> dict[str, Any]:
        """The globals after one turn from the weights as they are.

        Args:
            steps: whether it updates them: what is computed after that is of other ones.
        """
        self.space.clear()
        self.space.update({**self._copy(self.base), **self._copy(self.weights), STEPS: steps})
        np.random.seed(0)
        if self.function is not None:
            self.function()
        else:
            execute([one_turn(self.loop)], self.loop.filename, self.space)
        return dict(self.space)

    def _copy(self, space: dict[str, Any]) -> dict[str, Any]:
        kinds: Any = (np.ndarray, list, dict, self._class or dict)
        return {k: copy.deepcopy(v) if isinstance(v, kinds) and not k.startswith("__") else v
                for k, v in space.items()}  # fmt: skip

    def _changed(self, before: Any, after: Any) -> bool:
        """Whether numbers that something holds are others, and no others are there."""
        if isinstance(before, list | dict) or (before is not None and type(before) is self._class):
            olds, news = ({p.name: p.read() for p in places(v, "")} for v in (before, after))
            missing = np.empty(0)
            whole = self._class is type(before) or len(olds) == len(news)
            return whole and any(
                np.shape(old) == np.shape(news.get(name, missing))
                and not np.array_equal(old, news[name])
                for name, old in olds.items()
            )
        return isinstance(before, np.ndarray) and before.dtype.kind in "fi" and (
            before.shape == np.shape(after) and not np.array_equal(before, after)
        )  # fmt: skip

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


def _as_floats(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def _scalars(script: Script, after: dict[str, Any]) -> None:
    """Biases that are plain numbers are weights, too; one of a fit may be 0 before its loop."""
    for name, value in script.base.items():
        new = after.get(name) if names.WEIGHT.fullmatch(names.plain(name)) else None
        kept = isinstance(value, int) and not script.loop.function
        if _becomes(value, new) and new != value and not kept:
            script.weights[name] = np.array(float(value))  # no setting
    owner = script.weights.get("self")
    for name, value in list(getattr(owner, "__dict__", {}).items()):
        if _becomes(value, new := getattr(after["self"], name, None)) and new != value:
            setattr(owner, name, np.array(float(value)))


def _becomes(value: Any, new: Any) -> bool:
    """Whether a number has become one with a fraction."""
    plain = isinstance(value, float | int | np.floating) and not isinstance(value, bool)
    return plain and isinstance(new, float | np.floating | np.ndarray) and np.size(new) == 1


def _of_loop(loop: Loop, loaded: Loaded) -> Iterator[Reading]:
    try:
        script = Script(loop, loaded)
        after = script.turn(False)
    except (Exception, SystemExit):
        return
    if not script.weights:
        return
    if not _draw(script):
        return
    assigned = [n.id for s in loop.body for n in ast.walk(s)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    assigned = [n for n in dict.fromkeys(assigned) if n not in script.weights]
    turn, others = [f for f in (script.function,) if f], own_functions(loaded).values()
    for loss, text, own in _losses(script, after, assigned):
        if own and loop.function and not np.isfinite(loss()):
            return  # of our data, which is in another form
        if own and not np.isfinite(loss()):
            how, nothing = f"script: weights {', '.join(script.weights)}", partial(dict[str, Any])
            yield Reading(script.weights, (), loss, nothing, (), how, own, text)
            continue
        found = _parameters(script, loss)
        if not found:
            continue
        rates = [
            float(value)
            for name, value in {**script.base, **getattr(script.owner, "__dict__", {})}.items()
            if names.role(name) == "lr" and isinstance(value, float | int) and value
        ]
        rate = rates[0] if rates else None
        slopes: dict[str, Any] = {}
        for kind in ("update", "variables"):
            backward = _backward(
                script, found, rate or 1.0, assigned if kind == "variables" else ()
            )
            yield Reading(
                script.weights, found, loss, backward, (), f"{loop.function or 'script'}: weights "
                f"{', '.join(script.weights)}, one turn of the loop, gradient from "
                + ("the update" if kind == "update" else "its variables"),
                own, text, step=True, rated=rate is not None, printed=own, certain=True,
                examples=_examples(script), slopes=slopes, functions=turn, users=[*turn, *others],
                update=partial(_step, script, found) if kind == "update" else None,
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
        space = script.turn()
        new = {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}
        held = places(script.weights, "net")
        if "self" in script.weights:  # an object holds data as well
            held = [p for p in held if p.name in new and not np.array_equal(p.read(), new[p.name])]
        return with_effect(held, loss)
    except (Exception, SystemExit):
        return []


def _losses(
    script: Script, after: dict[str, Any], assigned: Sequence[str]
) -> Iterator[tuple[Callable[[], float], str, bool]]:
    """The number that the loop computes as its loss; then standard losses of its outputs."""
    for text in [*assigned, *_appended(script.loop)]:
        word = names.plain(re.split(r"[.\[]", text.removesuffix("[-1]"))[-1])
        if any(names.LOSS.fullmatch(w) or w in ERRORS for w in (word, word.removesuffix("s"))):
            try:
                number(eval(text, after))  # of the user's file
            except Exception:  # it is no number, or not there in an early turn
                continue
            yield partial(_of_variable, script, text), text, True
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
            wanted = _one_hot(value, after[out])
            if np.shape(after[out]) != np.shape(wanted):
                continue
            for loss in losses.STANDARD:

                def standard(out: str = out, target: str = target, loss: str = loss) -> float:
                    space = script.turn(False)
                    wanted = _one_hot(space[target], space[out])
                    return losses.value(loss, space[out], np.asarray(wanted, np.float64))

                try:
                    if np.isfinite(standard()):
                        yield standard, loss, False
                except (Exception, SystemExit):
                    continue


def _one_hot(value: Any, out: Any) -> Any:
    """Labels as outputs of so many rows have them; other targets as they are."""
    labels, k = np.asarray(value), np.shape(out)[-1] if np.ndim(out) == 2 else 0
    if labels.dtype.kind != "i" or labels.shape != np.shape(out)[:1] or k == 0:
        return value
    return np.eye(k)[labels] if 0 <= labels.min() and labels.max() < k else value


def _of_variable(script: Script, name: str) -> float:
    return number(eval(name, script.turn(False)))  # of the user's file


def _appended(loop: Loop) -> list[str]:
    """What is put into lists, as expressions for the last of them."""
    calls = (
        s.value for s in loop.body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)
    )
    return [
        f"{ast.unparse(c.func.value)}[-1]" for c in calls
        if isinstance(c.func, ast.Attribute) and c.func.attr == "append"
    ]  # fmt: skip


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
        return {f"d {p.name}": (p.read() - new) / rate for p, new in _new(script, space, found)}

    return backward


def _step(script: Script, found: Sequence[Place]) -> None:
    for place, new in _new(script, script.turn(), found):
        place.write(new)


def _new(
    script: Script, space: dict[str, Any], found: Sequence[Place]
) -> Iterator[tuple[Place, Array]]:
    """Weights with what a turn has made of them."""
    new = {p.name: p.read() for p in places({k: space[k] for k in script.weights}, "net")}
    for p in found:
        if p.name in new and np.shape(new[p.name]) == np.shape(p.read()):
            yield p, new[p.name]
