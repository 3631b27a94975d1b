"""One turn of a loop that trains, as often as one likes, from the same weights."""

import ast
import contextlib
import copy
import itertools
import re
import sys
from collections.abc import Iterator
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.names import of_one_layer
from samegrad.implementations.reading import names
from samegrad.implementations.reading.bounded import TooLongError, at_most
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.loading import Loaded, execute
from samegrad.implementations.reading.loops import (
    STEPS,
    Loop,
    as_function,
    draws,
    literal_rate,
    one_turn,
    updates,
)
from samegrad.implementations.reading.source import defines
from samegrad.implementations.state.leaves import TorchLeaf

Array = Any
TURNS = 4  # of which the last is taken
# To which a script's own data is cut. A prime: what is 7 times too much is so by the batch size.
EXAMPLES = 7
LEAST_RATE = 1e-2  # what is computed of updated weights shows only where they have moved


class RaisedError(Exception):
    """A turn of a loop raises with the file's own data; the cause is the file's exception."""


class Script:
    """One turn of a loop, as often as one likes, from the same globals.

    Attributes:
        weights: what a turn changes, by name.
        still: arrays with names like those of weights, that no turn changes.
        held: whether a turn changes none, so that they are known by their names.
        rated: whether a number is called a learning rate.
        raised: whether that is larger than the file has it.
        of_torch: whether weights are tensors, which are float64 from then on.
        gradients: what autograd gave for tensors in the last turn, by the names of weights.
        grown: of weights to which a turn gives another shape, (the shape, the other one).
        cut: how many examples there were, of which the first few are taken; 0: all are.

    Raises:
        RaisedError: a turn raises.
    """

    def __init__(self, loop: Loop, loaded: Loaded) -> None:
        self.loop = loop
        self.base: dict[str, Any] = {**loaded.namespace, **loop.given}
        self.space: dict[str, Any] = {}
        self.function: FunctionType | None = None
        self.owner = self.base.get("self") if loop.function else None
        self._class = None if self.owner is None else type(self.owner)
        self.rated = self.raised = False
        self.of_torch = False
        self.gradients: dict[str, Any] = {}
        self._failed: BaseException | None = None
        self.cut = 0
        np.random.seed(0)
        for statement in loop.before:
            shown = draws(statement) if loop.function else not defines(statement)
            if (isinstance(statement, ast.Expr) and shown) or draws(statement):
                continue  # it shows something, or trains
            try:
                with at_most():
                    execute([statement], loop.filename, self.base)
            except (Exception, SystemExit) as error:
                self._failed = self._failed or error
        self.weights: dict[str, Any] = {}
        self._bind()
        before = self._copy(self.base)
        after = self._first()
        self.weights = {
            k: v for k, v in before.items()
            if k in (loop.learnt or after) and self._changed(v, after.get(k))
        }  # fmt: skip
        self.held = bool(loop.learnt) and not self.weights
        self.weights = self.weights or {
            k: before[k] for k in loop.learnt if _is_numbers(before.get(k))
        }
        self.of_torch = any(isinstance(p.leaf, TorchLeaf) for p in places(self.weights, ""))
        if self.of_torch:
            promote(self.base)
        self.still, self.grown = self._others(before, after)
        self._cut()
        held = self._copy({name: self.base[name] for name in self.weights})
        self.weights = {name: _as_floats(value) for name, value in held.items()}
        _scalars(self, after)
        names_held = {*self.weights, *getattr(self.weights.get("self"), "__dict__", {})}
        self.function = as_function(loop, self.space, names_held)

    def turn(self, steps: bool = True) -> dict[str, Any]:
        """The globals after one turn from the weights as they are.

        Args:
            steps: whether it updates them: what is computed after that is of other ones.
        """
        self.space.clear()
        self.space.update({**self._copy(self.base), **self._copy(self.weights), STEPS: steps})
        if self.of_torch:
            self._watch()
        np.random.seed(0)
        with of_doubles(self.of_torch):
            if self.function is not None:
                self.function()
            else:
                execute([one_turn(self.loop)], self.loop.filename, self.space)
        return dict(self.space)

    def _watch(self) -> None:
        """Keep what autograd gives for weights: a loop may change it, and set it to zero, then."""
        self.gradients = {}
        for place in places({name: self.space[name] for name in self.weights}, "net"):
            tensor = place.leaf.value
            if getattr(tensor, "requires_grad", False):
                tensor.register_hook(partial(self._keep, place.name))

    def _keep(self, name: str, gradient: Any) -> None:
        held = self.gradients.get(name)  # a copy: clipping changes it in place
        now = gradient.detach().clone()
        self.gradients[name] = now if held is None else held + now

    def rate(self) -> float | None:
        """The learning rate of a turn, by its name or as the one number in all updates; or None.

        One that is tiny is set to LEAST_RATE.
        """
        for name, value in list(self.base.items()):
            if names.role(name) == "lr" and type(value) is float and 0 < value < LEAST_RATE:
                self.base[name] = LEAST_RATE
                self.raised = True
        now, used = {**self.base, **self.turn()}, self._read()
        for name, value in {**now, **getattr(self.owner, "__dict__", {})}.items():
            known = names.role(name) == "lr" and isinstance(value, float | int) and value
            if known and name in used:
                self.rated = True
                return float(value)
        return literal_rate(self.loop, set(self.weights))

    def _read(self) -> set[str]:
        """The names that a turn or a function reads: a rate may be there for nothing."""
        nodes = [n for statement in self.loop.body for n in ast.walk(statement)]
        found = {getattr(n, "id", getattr(n, "attr", "")) for n in nodes}
        functions = [v for v in self.base.values() if isinstance(v, FunctionType)]
        kinds = [self._class] if self._class is not None else []
        functions += [v for k in kinds for v in vars(k).values() if isinstance(v, FunctionType)]
        return found.union(*(f.__code__.co_names for f in functions))

    def _first(self) -> dict[str, Any]:
        try:
            with at_most():
                return self.turn()
        except TooLongError:
            raise
        except (Exception, SystemExit) as error:
            missing = isinstance(error, NameError) and self._failed is not None
            if isinstance(error, NameError) and not missing and _stored(self.loop, error.name):
                raise  # it is there when the whole file runs
            raise RaisedError from (self._failed if missing else error)

    def _others(
        self, before: dict[str, Any], after: dict[str, Any]
    ) -> tuple[list[str], dict[str, tuple[Any, Any]]]:
        """What a turn leaves as it is, or gives another shape, of arrays named as weights are."""
        if self.loop.function:
            return [], {}
        stored = {n.id for s in self.loop.body for n in ast.walk(s)
                  if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}  # fmt: skip
        read = {n.id for s in self.loop.body for n in ast.walk(s) if isinstance(n, ast.Name)}
        changed = updates(self.loop)
        still, grown = [], {}
        for name, value in before.items():
            new: Any = after.get(name)
            if not _are_floats(value) or name not in read:
                continue
            if not any(
                of_one_layer(name, other) or _numbered(name) == _numbered(other) != name
                for other in self.weights
            ):
                continue
            if name not in stored:
                still.append(name)
            elif (
                isinstance(value, np.ndarray)
                and name in changed
                and np.size(new)
                and np.shape(new) != value.shape
            ):
                grown[name] = (value.shape, np.shape(new))
        return still, grown

    def _copy(self, space: dict[str, Any]) -> dict[str, Any]:
        kinds: Any = (np.ndarray, list, tuple, dict, self._class or dict)
        memo: dict[int, Any] = {}  # what two names share stays shared
        return {
            k: copy.deepcopy(v, memo)
            if (isinstance(v, kinds) or is_leaf(v)) and not k.startswith("__")
            else v
            for k, v in space.items()
        }

    def _changed(self, before: Any, after: Any) -> bool:
        """Whether numbers that something holds are others, and no others are there.

        In another order, as examples are that are shuffled, they are the same.
        """
        if isinstance(before, list | tuple | dict) or (
            before is not None and type(before) is self._class
        ):
            olds, news = ({p.name: p.read() for p in places(v, "")} for v in (before, after))
            missing = np.empty(0)
            whole = self._class is type(before) or len(olds) == len(news)
            return whole and any(
                np.shape(old) == np.shape(news.get(name, missing))
                and not np.array_equal(old, news[name])
                for name, old in olds.items()
            )
        if is_leaf(before):
            same = hasattr(after, "is_leaf") and before.shape == after.shape
            return same and before.is_floating_point() and not bool((before == after).all())
        return isinstance(before, np.ndarray) and before.dtype.kind in "fi" and (
            before.shape == np.shape(after)
            and not np.array_equal(np.sort(before, None), np.sort(after, None))
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
        whole = dict(self.base)
        for name, value in arrays.items():
            if length in value.shape and name not in self.still:
                axis = value.shape.index(length)
                self.base[name] = np.take(value, range(EXAMPLES), axis=axis)
                if value.dtype.kind == "i" and np.array_equal(np.sort(value), np.arange(length)):
                    self.base[name] = np.argsort(np.argsort(self.base[name]))  # the order of turns
        for name, value in list(self.base.items()):
            if type(value) is int and (value == length or _is_batch(name, value)):
                self.base[name] = EXAMPLES
        self._bind()
        if not self._goes_on():  # it knows how many there are in another way
            self.base = whole
            self._bind()
            return
        self.cut = length

    def _goes_on(self) -> bool:
        """Whether a turn changes all weights, and to finite numbers."""
        try:
            now = self.turn()
        except (Exception, SystemExit):
            return False
        return all(
            self._changed(old, now[name]) and np.isfinite(_numbers(now[name])).all()
            for name, old in self.weights.items()
        )


def is_leaf(value: Any) -> bool:
    """Whether something is a tensor of torch that nothing was computed for."""
    torch: Any = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    known: Any = value
    return isinstance(tensor, type) and isinstance(value, tensor) and bool(known.is_leaf)


def promote(space: dict[str, Any]) -> None:
    """Give tensors float64, in the places of variables and of what these hold."""
    for name, value in space.items():
        held = is_leaf(value) or isinstance(value, list | tuple | dict)
        if held and not name.startswith("__"):
            for place in places(value, name):
                if isinstance(place.leaf, TorchLeaf):
                    place.leaf.promote()


@contextlib.contextmanager
def of_doubles(wanted: bool) -> Iterator[None]:
    """Torch makes tensors of float64, if that is wanted."""
    if not wanted:
        yield
        return
    torch: Any = sys.modules["torch"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _are_floats(value: Any) -> bool:
    """Whether something is an array of floats, or a list of some, or of floats."""
    if isinstance(value, list):
        return bool(value) and all(_are_floats(v) or type(v) is float for v in value)
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _numbered(name: str) -> str:
    """A name without its numbers, which are those of layers."""
    return re.sub(r"\d+", "#", name)


def _stored(loop: Loop, name: str | None) -> bool:
    """Whether the loop, or something before it, gives a variable a value."""
    nodes = [*loop.before, *loop.body, *(target for target, _ in loop.bindings)]
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for root in nodes
        for node in ast.walk(root)
    )


def _numbers(value: Any) -> Array:
    """All numbers that something holds, in a row."""
    return np.concatenate([np.ravel(p.read()) for p in places(value, "")] or [np.empty(0)])


def _is_batch(name: str, value: int) -> bool:
    return names.role(name) == "batch_size" and value > EXAMPLES


def _as_floats(value: Any) -> Any:
    number = isinstance(value, float | int | np.ndarray)
    return np.asarray(value, np.float64) if number else value


def _is_numbers(value: Any) -> bool:
    """Whether something may be weights: an array of floats, or a number with a fraction."""
    return isinstance(value, float) or _are_floats(value)


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
