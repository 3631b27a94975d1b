"""The losses of a network that run, and the numbers on which they depend."""

import contextlib
import linecache
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.board import Plan, call, inputs, plans, sure
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.effects import Place, number, places, redraw, with_effect
from samegrad.implementations.reading.trials import Trial, Wishes
from samegrad.implementations.state.leaves import ScalarsLeaf

Array = Any
# An update that adds a rate times something that has not its sign changed.
ASCENT = re.compile(
    r"\+=\s*(?:self\.)?(?:lr|rate|learning_rate|eta|alpha|step|step_size)\s*\*\s*[^-\s]"
)
PER_EXAMPLE = ", summed over examples"  # in the name of a loss that does not sum
REDRAWN, DRAWN = (7, 8, 9), (11, 12, 13)  # seeds of weights; with some, units of relu are all off
PENALTY = 0.1  # the coefficient of regularization where the loss takes one
SCALARS = ("data", "value", "val", "v", "x")  # where an object of a graph keeps its number


def losses_of(
    trial: Trial, own: Sequence[str], out: str, wishes: Wishes
) -> Iterator[tuple[Callable[[], float], str, bool]]:
    """Losses: the callable, its name, whether it is the file's own.

    One of the file's own that runs and is never finite is given as well.
    """
    board = trial.board
    wished = wishes.loss
    if wished is not None:

        def hinted() -> float:
            trial.forward()
            return number(wished(board, trial))

        if _finite(hinted):
            yield hinted, "loss of the hint", True
        return
    outs = [out] if out else []
    if out:
        board.values["out"] = trial.out(out)
    for name in own:
        function, not_finite = trial.network.functions[name], None
        for plan in plans(function, board, ["out"] if outs else [], "loss"):
            loss = OwnLoss(trial, function, plan, out)
            per_example = PerExample(board.values["n"])
            several = OwnLoss(trial, function, plan, out, per_example)
            if _of_weights_alone(trial, plan, (several, loss)):
                continue
            if _finite(several):
                trial.sure[name] = False  # whether it is summed or averaged is not said
                yield several, f"{name}{PER_EXAMPLE}", True
                break
            if _finite(loss):
                trial.sure[name] = sure(plan) and not per_example.one
                yield loss, name, True
                if names.RISING.fullmatch(name) and not _ascends(trial):
                    yield partial(_negative, loss), f"-{name}", True
                break
            if not_finite is None and _value(loss) is not None:
                not_finite = loss
        else:
            if not_finite is not None:
                yield not_finite, name, True
    if not out:
        return
    for name in losses.STANDARD:

        def standard(name: str = name) -> float:
            trial.forward()
            return losses.value(name, trial.out(out), board.values["#Y"])

        if _finite(standard):
            yield standard, name, False


@dataclass(frozen=True, eq=False)
class OwnLoss:
    """The forward pass, then a function of the file's that gives the loss."""

    trial: Trial
    function: Callable[..., Any]
    plan: Plan
    out: str
    value: "PerExample | None" = None

    def __call__(self) -> float:
        """The number."""
        self.trial.forward()
        _refresh(self.trial, self.out)
        returned = call(self.function, self.plan, self.trial.board)
        return value_of_loss(returned) if self.value is None else self.value(returned)


class PerExample:
    """The sum of what a loss gives for each of some examples."""

    def __init__(self, n: int) -> None:
        self.n, self.one = n, False

    def __call__(self, value: Any) -> float:
        """The number.

        Raises:
            ValueError: it gives another number of numbers.
        """
        array = np.asarray(value[0] if isinstance(value, tuple) and value else value)
        self.one = array.size == 1 and array.ndim > 0 and self.n == 1  # perhaps of one example
        if array.size != self.n or array.ndim == 0 or self.n == 1 or array.dtype.kind != "f":
            raise ValueError("it is no number for each example")
        return float(array.sum())


def _of_weights_alone(trial: Trial, plan: Plan, ways: Sequence[Callable[[], float]]) -> bool:
    """Whether weights were given in the place of outputs, so that no inputs count.

    The derivative of a loss by its own argument is no gradient of a network.
    """
    keys, values = {key for _, key in plan}, trial.board.values
    if "y" not in keys or not keys & {*trial.network.values} or trial.network.held:
        return False
    if keys & {"X", "pairs"} or any(key.split("[")[0] in ("out", "returned") for key in keys):
        return False
    X, before = values["X"], [*map(_value, ways)]
    other = replace(trial.board.sizes, seed=trial.board.sizes.seed + 1)
    try:
        values["X"] = trial.given(inputs(other, trial.form.x))
        return any(v is not None for v in before) and [*map(_value, ways)] == before
    finally:
        values["X"] = X


def _ascends(trial: Trial) -> bool:
    """Whether steps are added: what is maximised has its gradient as it stands."""
    files = {getattr(getattr(f, "__code__", None), "co_filename", "") for f in
             trial.network.functions.values()}  # fmt: skip
    return any(ASCENT.search(line) for file in files for line in linecache.getlines(file))


def value_of_loss(value: Any) -> float:
    """The number in what a loss returns: alone, first of a tuple's numbers, or in an object.

    Raises:
        ValueError: there is none.
    """
    if isinstance(value, tuple | list):
        kinds = (dict, list, tuple, str)
        value = [p for p in value if not isinstance(p, kinds) and np.ndim(p) == 0]
    held = graph_number(value)
    if held is None and not isinstance(value, np.ndarray | np.generic) and callable(
        getattr(value, "backward", None)
    ):  # fmt: skip
        held = next((getattr(value, a) for a in SCALARS if hasattr(value, a)), None)
    return number(value if held is None else held)


def graph_number(value: Any) -> float | None:
    """The number that an object of a graph keeps, or None."""
    held = getattr(value, "__dict__", {})
    found = (held[a] for a in SCALARS if isinstance(held.get(a), float | int))
    return next((float(number) for number in found), None)


def _negative(loss: Callable[[], float]) -> float:
    return -loss()


def _refresh(trial: Trial, out: str) -> None:
    if out:
        trial.board.values["out"] = trial.out(out)


def _finite(loss: Callable[[], float]) -> bool:
    value = _value(loss)
    return value is not None and bool(np.isfinite(value))


def _value(loss: Callable[[], float]) -> float | None:
    try:
        with at_most():
            return loss()
    except (Exception, SystemExit):
        return None


def with_penalty(trial: Trial, loss: Callable[[], float]) -> None:
    """Let a coefficient of regularization that is 0 count, where the file's own loss has it."""
    net = trial.network.net
    for name, value in list(getattr(net, "__dict__", {}).items()):
        if (
            type(value) not in (int, float)
            or value
            or not names.PENALTIES.fullmatch(names.plain(name))
        ):
            continue
        before = loss()
        setattr(net, name, PENALTY)
        try:
            counts = np.isfinite(now := loss()) and now != before
        except (Exception, SystemExit):
            counts = False
        if not counts:
            setattr(net, name, value)


def parameters_of(trial: Trial, loss: Callable[[], float]) -> list[Place]:
    """The numbers of the network on which the loss depends; drawn anew, so that none is 0."""
    data = {id(v) for k, v in trial.board.values.items() if k in ("X", "y", "#Y")}
    data |= {id(v) for v in trial.network.held}
    X = np.empty(0)
    with contextlib.suppress(ValueError):  # arrays of several shapes, which no parameter is
        X = np.asarray(trial.board.values["X"])
    settings = trial.network.settings
    found = [
        place
        for place in places(trial.network.net, "net")
        if place.key not in data
        and not same(place.read(), X)
        and _may_learn(place, trial)
        and not any(same(place.read(), setting) for setting in settings)
    ]
    arrays = [place for place in found if np.ndim(place.read()) > 0]
    live = with_effect(found, loss)
    if not any(np.ndim(p.read()) > 1 for p in live) or len(live) < len(arrays):
        initial = [p for p in arrays if not np.any(p.read()) or p in live]
        before = [p.read() for p in initial]
        for seed in REDRAWN:
            redraw(initial, seed)
            if live := with_effect(found, loss):
                break
        for place, old in zip(initial, before, strict=True):
            if place not in live:
                place.write(old)  # a velocity, say, that begins at 0
    for seed in DRAWN:
        redraw([p for p in live if np.ndim(p.read()) > 0], seed)
        if _gives_outputs(trial, loss):
            break
    sizes = [int(np.size(p.read())) for p in live]
    return live if sum(sizes) > 2 else []


def _gives_outputs(trial: Trial, loss: Callable[[], float]) -> bool:
    """Whether some outputs are not 0, as all are whose units of relu are off."""
    loss()
    try:
        return not trial.outs or bool(np.any(trial.out(trial.outs[0])))
    except Exception:  # they are no array here
        return True


def _may_learn(place: Place, trial: Trial) -> bool:
    """Whether a number by itself is a weight, or something is there that is its derivative.

    A coefficient of regularization or the slope of a leaky ReLU changes the loss as well.
    """
    if np.ndim(place.read()) > 0 or isinstance(place.leaf, ScalarsLeaf):
        return True
    word = names.plain(re.findall(r"[A-Za-z_]\w*", place.name)[-1])
    if names.role(word) in ("lr", "reg", "keep", "training"):
        return False
    if names.WEIGHT.fullmatch(word) or word in ("data", "value", "val", "x"):
        return True
    derived = re.compile(rf"\b(?:d|g|grad|delta|nabla)_?{word}\b|\b{word}_grad")
    files = {getattr(getattr(f, "__code__", None), "co_filename", "") for f in
             trial.network.functions.values()}  # fmt: skip
    return any(derived.search(line) for file in files for line in linecache.getlines(file))


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are equal."""
    return np.shape(a) == np.shape(b) and np.array_equal(a, b)
