"""Readings of a network: which calls are its forward pass, its loss and its gradient, and on what.

Each is tried: calls must run, shapes must be sensible, every weight must change the loss.
"""

import itertools
import linecache
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import losses, names
from samegrad.implementations.reading.board import (
    RATE,
    Y_FORMS,
    Plan,
    Sizes,
    call,
    plans,
    sure,
    understood,
)
from samegrad.implementations.reading.effects import (
    Place,
    Snapshot,
    number,
    places,
    redraw,
    with_effect,
)
from samegrad.implementations.reading.networks import Globals
from samegrad.implementations.reading.trials import Trial, Wishes, runs, set_targets

Array = Any
MOST_WAYS = 3  # to call one backward pass
SCALARS = ("data", "value", "val", "v", "x")  # where an object of a graph keeps its number
MOST_OTHERS = 16  # functions of a network whose names say nothing
OTHER_SIZES = (Sizes(8, 3, 5, 2, 1), Sizes(6, 5, 7, 4, 2))  # of the problems that confirm a reading
# Words of a backward pass that is meant for several examples at once.
BATCHED = re.compile(
    r"sum\(|mean\(|\.shape\[|/ ?(?:self\.)?(?:m|n|N|batch\w*|n_samples|num_examples|len\(\w+\))\b"
)


@dataclass
class Reading:
    """One way in which a file may be meant.

    Attributes:
        net: what holds the parameters.
        parameters: where they are.
        loss, backward: to be called as often as one likes.
        data: X and y as they are passed.
        how: the reading in one line.
        own: whether the loss is the file's own.
        loss_name: of the file's function, or of the standard loss.
        step: whether the gradient is before - after of an update.
        rated: whether the rate of the update is known.
        batched: whether a batch was passed.
        certain: whether every argument was known by its name.
        printed: whether the loss is only what a loop prints.
        functions: of the user, whose lines make up the backward pass.
        users: all of the user's functions that may be called.
        slopes: of the loss, by the names of parameters, once they are measured.
        changeable: the data that loss and backward both follow when it changes.
        key: of the calls that it consists of.
        others: the same calls on other networks and batches.
    """

    net: Any
    parameters: Sequence[Place]
    loss: Callable[[], float]
    backward: Callable[[], Any]
    data: tuple[Any, ...]
    how: str
    own: bool
    loss_name: str
    step: bool = False
    rated: bool = True
    batched: bool = True
    certain: bool = True
    printed: bool = False
    examples: int = 1
    outputs: int = 1
    functions: Sequence[Callable[..., Any]] = ()
    users: Sequence[Callable[..., Any]] = ()
    slopes: dict[str, Any] = field(default_factory=dict)
    changeable: tuple[Any, ...] = ()
    key: tuple[str, ...] = ()
    others: "Callable[[], Iterator[Reading]]" = lambda: iter(())


def readings(
    trial: Trial, wishes: Wishes, forms: Sequence[str] = Y_FORMS, wide: bool = False
) -> Iterator[Reading]:
    """Readings of a network with its inputs and forms of targets, those with its own loss first.

    Args:
        wide: whether functions count whose names do not say that they are a loss or a gradient.
    """
    functions = trial.network.functions
    _set_sizes(trial)
    unsure = [n for n in functions if names.MAYBE.search(n) and not names.BOTH.match(n)]
    own = [n for n in functions if not names.NO_LOSS.search(n) and (
        (names.LOSS.fullmatch(n) and not names.DERIVED.search(n) and not names.BACKWARD.match(n))
        or names.BOTH.match(n)
    )]  # fmt: skip
    methods_first = sorted(own, key=lambda n: not hasattr(functions[n], "__self__"))
    gradients = [n for n in functions if names.BACKWARD.match(n) and n not in (trial.name, *own)]
    gradients.sort(key=lambda n: not hasattr(functions[n], "__self__"))
    steps = [n for n in functions if names.STEP.fullmatch(n) and n not in gradients]
    if wide:
        others = _others_of(trial, [*methods_first, *gradients, *steps])
        others = [n for n in others if not names.PLAIN_FORWARD.match(n)]
        methods_first = [*methods_first, *(n for n in others if not names.NO_LOSS.search(n))]
        gradients = [*gradients, *others]
    for y in [wishes.y] if wishes.y else forms:
        for out in trial.outs or [""]:
            form = replace(trial.form, y=y)
            trial = trial.copy()  # a reading keeps its targets
            try:
                if trial.function is not None:
                    trial.forward()
                set_targets(trial, form, out)
            except Exception:  # this form does not fit
                continue
            for loss, loss_name, mine in _losses(trial, methods_first, out, wishes):
                found = _parameters(trial, loss)
                if not found:
                    continue
                slopes: dict[str, Any] = {}
                for backward, name, kind in _gradients(
                    trial, gradients, methods_first, steps, found, wishes
                ):
                    reading = _reading(trial, found, loss, loss_name, mine, backward, name, kind)
                    reading.slopes = slopes
                    reading.key = (loss_name, name, kind, out)
                    reading.others = _others(trial, reading.key, wide)
                    reading.certain = (
                        reading.certain
                        and not wide and name not in unsure and not names.WEAK.fullmatch(loss_name)
                        and trial.sure.get(loss_name, True) and trial.sure.get(name, True)
                    )  # fmt: skip
                    yield reading


def _others_of(trial: Trial, known: Sequence[str]) -> list[str]:
    """Functions that may be a loss or a gradient though their names do not say so."""
    functions = trial.network.functions
    own = [n for n in functions if hasattr(functions[n], "__self__")]
    return [n for n in own or functions if n not in known and n != trial.name
            and not names.INIT.match(n) and not n.startswith("__")][:MOST_OTHERS]  # fmt: skip


def _others(
    trial: Trial, key: tuple[str, ...], wide: bool = False
) -> Callable[[], Iterator[Reading]]:
    """The same calls with other sizes, as far as they run."""

    def others() -> Iterator[Reading]:
        for sizes in OTHER_SIZES:
            if trial.make is None or (trial.network.held and trial.board.sizes.k == 1):
                sizes = replace(sizes, k=trial.board.sizes.k)
            for other in runs(trial.make, sizes, trial.form, trial.name) if trial.make else ():
                found = readings(other, Wishes(), [trial.form.y], wide)
                same = (r for r in found if r.key == key)
                yield from itertools.islice(same, 1)

    return others


def _set_sizes(trial: Trial) -> None:
    """Numbers of examples that a file keeps in globals are those of its data: ours are fewer."""
    for function in list(trial.network.functions.values()):
        known = getattr(function, "__globals__", {})
        for name in getattr(getattr(function, "__code__", None), "co_names", ()):
            if type(known.get(name)) is int and names.role(name) == "n":
                known[name] = trial.board.values["n"]


def _losses(
    trial: Trial, own: Sequence[str], out: str, wishes: Wishes
) -> Iterator[tuple[Callable[[], float], str, bool]]:
    board = trial.board
    wished = wishes.loss
    if wished is not None:

        def hinted() -> float:
            trial.forward()
            return number(wished(board, trial))

        if _finite(hinted):
            yield hinted, "as hinted", True
        return
    outs = [out] if out else []
    if out:
        board.values["out"] = trial.out(out)
    for name in own:
        function = trial.network.functions[name]
        for plan in _plans(trial, function, outs, "loss"):

            def loss(function: Any = function, plan: Plan = plan) -> float:
                trial.forward()
                _refresh(trial, out)
                return value_of_loss(call(function, plan, board))

            if _finite(loss):
                trial.sure[name] = sure(plan)
                yield loss, name, True
                if names.RISING.fullmatch(name):
                    yield partial(_negative, loss), f"-{name}", True
                break
    if not out:
        return
    for name in losses.STANDARD:

        def standard(name: str = name) -> float:
            trial.forward()
            return losses.value(name, trial.out(out), board.values["#Y"])

        if _finite(standard):
            yield standard, name, False


def value_of_loss(value: Any) -> float:
    """The number in what a loss returns: alone, first of a tuple's numbers, or in an object.

    Raises:
        ValueError: there is none.
    """
    if isinstance(value, tuple | list):
        kinds = dict | list | tuple | str
        value = [p for p in value if not isinstance(p, kinds) and np.ndim(p) == 0]
    elif not isinstance(value, np.ndarray | np.generic) and callable(
        getattr(value, "backward", None)
    ):
        value = next((getattr(value, a) for a in SCALARS if hasattr(value, a)), value)
    return number(value)


def _negative(loss: Callable[[], float]) -> float:
    return -loss()


def _plans(
    trial: Trial, function: Callable[..., Any], outs: Sequence[str], purpose: str
) -> Iterator[Plan]:
    keys = ["out"] if outs else []
    return plans(function, trial.board, keys, purpose)


def _refresh(trial: Trial, out: str) -> None:
    if out:
        trial.board.values["out"] = trial.out(out)


def _finite(loss: Callable[[], float]) -> bool:
    try:
        return bool(np.isfinite(loss()))
    except (Exception, SystemExit):
        return False


def _parameters(trial: Trial, loss: Callable[[], float]) -> list[Place]:
    """The numbers of the network on which the loss depends; drawn anew, so that none is 0."""
    data = {id(v) for k, v in trial.board.values.items() if k in ("X", "y", "#Y")}
    data |= {id(v) for v in trial.network.held}
    X = np.asarray(trial.board.values["X"])
    settings = trial.network.settings
    found = [
        place
        for place in places(trial.network.net, "net")
        if place.key not in data
        and not _same(place.read(), X)
        and _may_learn(place, trial)
        and not any(_same(place.read(), setting) for setting in settings)
    ]
    arrays = [place for place in found if np.ndim(place.read()) > 0]
    live = with_effect(found, loss)
    if not any(np.ndim(p.read()) > 1 for p in live) or len(live) < len(arrays):
        initial = [p for p in arrays if not np.any(p.read()) or p in live]
        before = [p.read() for p in initial]
        redraw(initial, 7)
        live = with_effect(found, loss)
        for place, old in zip(initial, before, strict=True):
            if place not in live:
                place.write(old)  # a velocity, say, that begins at 0
    redraw([p for p in live if np.ndim(p.read()) > 0], 11)
    sizes = [int(np.size(p.read())) for p in live]
    return live if sum(sizes) > 2 else []


def _may_learn(place: Place, trial: Trial) -> bool:
    """Whether a number by itself is a weight, or something is there that is its derivative.

    A coefficient of regularization or the slope of a leaky ReLU changes the loss as well.
    """
    if np.ndim(place.read()) > 0:
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


def _same(a: Array, b: Array) -> bool:
    return np.shape(a) == np.shape(b) and np.array_equal(a, b)


def _gradients(
    trial: Trial,
    explicit: Sequence[str],
    own: Sequence[str],
    steps: Sequence[str],
    found: Sequence[Place],
    wishes: Wishes,
) -> Iterator[tuple[Callable[[], Any], str, str]]:
    """Backward passes that run: the callable, its name, "explicit", "step" or "free step"."""
    wished = wishes.backward
    if wished is not None:

        def hinted() -> Any:
            trial.forward()
            return wished(trial.board, trial)

        kind = _kind(hinted, found, trial.network.net)
        rate = wishes.rate or RATE
        if kind:
            yield (
                _by_kind(hinted, kind, found, trial, rate), "as hinted",
                kind if kind == "explicit" or wishes.rate else "free step",
            )  # fmt: skip
        return
    for name in own:
        function = trial.network.functions[name]
        for plan in itertools.islice(_plans(trial, function, trial.outs[:1], "loss"), MOST_WAYS):
            graph = _backward(trial, function, plan, None)
            if _is_graph(graph):
                yield partial(_through_graph, graph, trial.network.net), name, "explicit"
                return
    ran: list[Callable[[], Any]] = []  # that leave the parameters as they are
    complete = False  # whether one of them gives a gradient of everything
    for name in [*explicit, *own, *steps]:
        if complete and name in steps:
            break
        function = trial.network.functions[name]
        purpose = "step" if name in steps else "backward"
        keys = ["out"] if trial.outs else []
        tried = 0
        for plan in plans(function, trial.board, keys, purpose):
            # A step may need what a backward pass has left in the object.
            alone = [None] if not ran or any(key in ("X", "pairs") for _, key in plan) else []
            for first in [*ran[:2], *alone] if name in steps else [None]:
                backward = _backward(trial, function, plan, first)
                kind = _kind(backward, found, trial.network.net)
                if not kind or (name in own and kind != "explicit"):
                    continue
                if name in own and not (
                    _covers(backward, kind, found, trial.network.net)
                    if names.BOTH.match(name)
                    else _holds_gradient(backward, found)
                ):
                    continue
                if not names.BACKWARD.match(name) and name not in steps and not _covers(
                    backward, kind, found, trial.network.net
                ):  # fmt: skip
                    continue
                if kind == "explicit" and name in explicit:
                    ran.append(backward)
                    complete = complete or _covers(backward, kind, found, trial.network.net)
                known = _rate(trial, plan)
                if name not in own:
                    trial.sure[name] = sure(plan)
                yield (
                    _by_kind(backward, kind, found, trial, known or 1.0),
                    name,
                    (kind if kind == "explicit" or known else "free step"),
                )
                tried += 1
            if tried >= MOST_WAYS:
                break


def _is_graph(function: Callable[[], Any]) -> bool:
    """Whether a loss returns an object that has its own backward pass."""
    try:
        value = function()
    except (Exception, SystemExit):
        return False
    return callable(getattr(value, "backward", None)) and not isinstance(value, np.ndarray)


def _through_graph(loss: Callable[[], Any], net: Any) -> None:
    """Set derivatives to 0 and run the backward pass of what the loss returned."""
    value = loss()
    for place in places(net, "net", integers=True):
        if re.search(r"\.(?:grad|gradient|derivative|adjoint)$", place.name):
            place.write(np.zeros(np.shape(place.read())))
    value.backward()


def _backward(
    trial: Trial, function: Callable[..., Any], plan: Plan, first: Callable[[], Any] | None
) -> Callable[[], Any]:
    def backward() -> Any:
        if first is not None:
            first()
        else:
            trial.forward()
        if trial.outs:
            trial.board.values["out"] = trial.out(trial.outs[0])
        return call(function, plan, trial.board)

    return backward


def _holds_gradient(backward: Callable[[], Any], found: Sequence[Place]) -> bool:
    sizes = {int(np.size(p.read())) for p in places(backward(), "returned")}
    return bool(sizes & {int(np.size(p.read())) for p in found if np.ndim(p.read())})


def _covers(backward: Callable[[], Any], kind: str, found: Sequence[Place], net: Any) -> bool:
    """Whether a gradient of every matrix may be in what a call returns or leaves."""
    if kind == "step":
        return True
    held = Snapshot(net)
    known = {place.key for place in found}
    try:
        returned = backward()
        sizes = [int(np.size(p.read())) for root in (returned, net) for p in places(root, "")
                 if p.key not in known]  # fmt: skip
    finally:
        held.restore()
    least = 1 if any(np.ndim(p.read()) > 1 for p in found) else 0
    wanted = [int(np.size(p.read())) for p in found if np.ndim(p.read()) > least]
    return all(sizes.count(size) >= wanted.count(size) for size in wanted)


def _kind(backward: Callable[[], Any], found: Sequence[Place], net: Any) -> str:
    """Say "step" if it changes the parameters, "explicit" if not, "" if it does not run."""
    before = [place.read() for place in found]
    held = Snapshot(net)
    try:
        backward()
        after = values_of(net)
    except (Exception, SystemExit):
        return ""
    finally:
        held.restore()
    same = all(_same(old, after.get(p.name, old)) for p, old in zip(found, before, strict=True))
    return "explicit" if same else "step"


def values_of(net: Any) -> dict[str, Array]:
    """All numbers of an object by name."""
    return {place.name: place.read() for place in places(net, "net")}


def _rate(trial: Trial, plan: Plan) -> float | None:
    """The learning rate of a step: what was passed, or what the object or the file holds."""
    if any(key == "lr" for _, key in plan) or trial.network.rated:
        return RATE
    for name, value in getattr(trial.network.net, "__dict__", {}).items():
        if names.role(name) == "lr" and isinstance(value, float | int) and value:
            return float(value)
    return None


def _by_kind(
    backward: Callable[[], Any], kind: str, found: Sequence[Place], trial: Trial, rate: float
) -> Callable[[], Any]:
    """The backward pass itself, or what a step changes over its rate."""
    if kind == "explicit":
        return backward

    def change() -> dict[str, Array]:
        before = [place.read() for place in found]
        held = Snapshot(trial.network.net)
        try:
            backward()
            after = values_of(trial.network.net)
        finally:
            held.restore()
        return {
            f"d {place.name}": np.asarray((old - after[place.name]) / rate)
            for place, old in zip(found, before, strict=True)
            if place.name in after and np.shape(after[place.name]) == np.shape(old)
        }

    return change


def _backward_functions(
    trial: Trial, function: Callable[..., Any] | None
) -> list[Callable[..., Any]]:
    """The functions of the user's that make up a backward pass."""
    others = [f for n, f in trial.network.functions.items() if names.BACKWARD.match(n)]
    return [*([function] if function is not None else []), *others]


def _root(name: str) -> str:
    return (re.findall(r"^net\.(\w+)", name) or [""])[0]


def _with_globals(backward: Callable[[], Any], net: Any) -> Any:
    """What a backward pass returns, or what it puts into globals."""
    before = {name: id(value) for name, value in vars(net).items()}
    returned = backward()
    if returned is not None:
        return returned
    return {name: value for name, value in vars(net).items() if
                      id(value) != before.get(name) and not name.startswith("__")}  # fmt: skip


def _reading(
    trial: Trial, found: Sequence[Place], loss: Callable[[], float], loss_name: str, mine: bool,
    backward: Callable[[], Any], name: str, kind: str,
) -> Reading:  # fmt: skip
    board = trial.board
    function = trial.network.functions.get(name)
    outputs = max(1, int(np.size(board.values["#Y"])) // board.values["n"])
    net = trial.network.net
    if isinstance(net, Globals):  # of these only the weights: data are globals as well
        backward = partial(_with_globals, backward, net)
        net = {n: vars(net)[n] for p in found if (n := _root(p.name)) in vars(net)}
    return Reading(
        net, found, loss, backward, (board.values["X"], board.values["y"]),
        f"{trial.network.title}: {trial.form.text()}, gradient "
        + ("from the update of " if kind != "explicit" else "of ") + name,
        mine, loss_name, kind != "explicit", kind != "free step",
        batched=not trial.form.x.startswith("one"), examples=board.values["n"], outputs=outputs,
        certain=all(understood(trial.network.functions.get(n), board) for n in (loss_name, name)),
        functions=_backward_functions(trial, function),
        users=tuple(trial.network.functions.values()),
        changeable=tuple(v for v in (board.values["X"], board.values["y"])
                         if mine or v is not board.values["y"] or v is board.values["#Y"]),
    )  # fmt: skip
