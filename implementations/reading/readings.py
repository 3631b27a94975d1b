"""Readings of a network: which calls are its forward pass, its loss and its gradient, and on what.

Each is tried: calls must run, shapes must be sensible, every weight must change the loss.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.checking.notes import Note
from samegrad.implementations.reading import names
from samegrad.implementations.reading.applied import Applied
from samegrad.implementations.reading.board import (
    Y_FORMS,
    Form,
    Sizes,
    parameters,
    turned,
    understood,
)
from samegrad.implementations.reading.effects import Place, places
from samegrad.implementations.reading.gradients import Change, gradients_of
from samegrad.implementations.reading.networks import Globals
from samegrad.implementations.reading.objectives import (
    PENALTY,
    PER_EXAMPLE,
    losses_of,
    parameters_of,
    with_penalty,
)
from samegrad.implementations.reading.outputs import with_first
from samegrad.implementations.reading.stretched import LABELS, is_cut_off, is_stretched
from samegrad.implementations.reading.trials import Trial, Wishes, runs, set_targets
from samegrad.implementations.reading.usage import first_of, gives_loss, returns_several

Array = Any
MOST_OTHERS = 16  # functions of a network whose names say nothing
# Of the problems that confirm a reading; what sends back a wrong array shows from three layers on.
OTHER_SIZES = (Sizes(8, 3, 5, 2, 1), Sizes(6, 5, 7, 4, 2, (3,)))
# Words of a backward pass that is meant for several examples at once.
BATCHED = re.compile(
    r"sum\(|mean\(|\.shape\[|len\(\w+\)|\.size\b"
    r"|/ ?(?:self\.)?(?:m|n|N|batch\w*|n_samples|num_examples)\b"
)


@dataclass
class Reading:
    """One way in which a file may be meant.

    Attributes:
        net: what holds the parameters.
        parameters: where they are; none where the file's own loss is no finite number.
        loss, backward: to be called as often as one likes.
        data: X and y as they are passed.
        how: the reading in one line.
        own: whether the loss is the file's own.
        loss_name: of the file's function, or of the standard loss.
        step: whether the gradient is before - after of an update.
        rated: whether the rate of the update is known.
        batched: whether a batch was passed.
        certain: whether every argument was known by its name.
        printed: whether the loss is only what a loop prints, or not a number yet.
        part: whether it is one layer of several that the file has.
        functions: of the user, whose lines make up the backward pass.
        users: all of the user's functions that may be called.
        slopes: of the loss, by the names of parameters, once they are measured.
        changeable: the data that loss and backward both follow when it changes.
        key: of the calls that it consists of.
        others: the same calls on other networks and batches.
        at: the same calls on a network and a batch of these sizes, or None.
        trial: the network with its data and forward pass, of what is no script.
        update: the step itself, of which `backward` gives the change.
        notes: of what the file does besides, where its gradient is right.
        applied: what is known of the steps of a loop.
        variables: whether the net is made of variables of the file, by their names.
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
    part: bool = False
    examples: int = 1
    outputs: int = 1
    functions: Sequence[Callable[..., Any]] = ()
    users: Sequence[Callable[..., Any]] = ()
    slopes: dict[str, Any] = field(default_factory=dict)
    changeable: tuple[Any, ...] = ()
    key: tuple[str, ...] = ()
    others: "Callable[[], Iterator[Reading]]" = lambda: iter(())
    at: "Callable[..., Reading | None]" = lambda *_: None
    trial: Trial | None = None
    update: Callable[[], Any] | None = None
    notes: Sequence[Note] = ()
    applied: Applied | None = None
    variables: bool = False


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
        or (not names.STEP.fullmatch(n) and gives_loss(getattr(functions[n], "__code__", None)))
        or (trial.function is None and names.FORWARD.match(n) and _takes_targets(functions[n]))
    )]  # fmt: skip
    if chosen := _chosen(functions) & set(own):
        own = [n for n in own if n in chosen]
    methods_first = sorted(own, key=lambda n: not hasattr(functions[n], "__self__"))
    gradients = [n for n in functions if names.BACKWARD.match(n) and n not in (trial.name, *own)]
    gradients.sort(key=lambda n: not hasattr(functions[n], "__self__"))
    if passes := [n for n in gradients if not names.DESCENT.match(n)]:
        gradients = passes
    steps = [n for n in functions if names.STEP.fullmatch(n) and n not in gradients]
    if own and not gradients and any(returns_several(functions[n]) for n in own):
        # The same function gives loss and gradient: a fault of their penalty shows only with one.
        trial.board.values["#reg"] = PENALTY
    if wide:
        others = _others_of(trial, [*methods_first, *gradients, *steps])
        others = [n for n in others if not names.PLAIN_FORWARD.match(n)]
        methods_first = [*methods_first, *(n for n in others if not names.NO_LOSS.search(n))]
        gradients = [*gradients, *others]
    outs = trial.outs or [""]
    for y in [wishes.y] if wishes.y else forms:
        for out in outs:
            form = replace(trial.form, y=y)
            trial = with_first(trial.copy(), out)  # a reading keeps its targets
            try:
                if trial.takes_targets and not trial.network.held:
                    set_targets(trial, form, "")
                if trial.function is not None:
                    trial.forward()
                set_targets(trial, form, out)
            except Exception:  # this form does not fit
                continue
            for loss, loss_name, mine in losses_of(trial, methods_first, out, wishes):
                if mine and not np.isfinite(loss()):
                    gradient = partial(dict[str, Any])
                    yield _reading(trial, (), loss, loss_name, mine, gradient, "none", "")
                    continue
                if mine and (not out or y in LABELS) and is_stretched(trial, loss):
                    continue
                if mine and is_cut_off(trial, loss):
                    continue
                if mine:
                    with_penalty(trial, loss)
                if "#more" in trial.board.values:
                    loss = partial(_over_examples, trial, loss)
                found = parameters_of(trial, loss)
                if not found:
                    continue
                wishes.attempts.own = mine
                if mine:
                    wishes.attempts.losses.add(loss_name)
                slopes: dict[str, Any] = {}
                for backward, name, kind in gradients_of(
                    trial, gradients, methods_first, steps, found, wishes
                ):
                    reading = _reading(trial, found, loss, loss_name, mine, backward, name, kind)
                    reading.slopes = slopes
                    pairs = "pairs" if name in trial.paired else ""
                    reading.key = (loss_name, name, kind, out, first_of(backward), pairs)
                    reading.trial = trial
                    reading.others = _others(trial, reading.key, wide)
                    reading.at = partial(_at, trial, reading.key, wide)
                    reading.printed = loss_name.endswith(PER_EXAMPLE)
                    # Of a graph the loss and its gradient are those of one call, whatever it is.
                    reading.certain = (kind == "graph" and name == loss_name) or (
                        reading.certain
                        and not wide and not names.WEAK.fullmatch(loss_name)
                        and (name not in unsure or names.MAYBE.sub("", name) == loss_name)
                        and trial.sure.get(loss_name, True) and trial.sure.get(name, True)
                    )  # fmt: skip
                    yield reading


def _chosen(functions: Mapping[str, Callable[..., Any]]) -> set[str]:
    """The loss that a setting of the file names, as in LOSS = "cross_entropy", of several."""
    spaces = (getattr(f, "__globals__", {}) for f in list(functions.values())[:1])
    return {v for space in spaces for k, v in space.items()
            if isinstance(v, str) and names.LOSS.fullmatch(names.plain(k))}  # fmt: skip


def _takes_targets(function: Callable[..., Any]) -> bool:
    """Whether a forward pass needs targets: it may go on to the loss."""
    try:
        given = parameters(function)
    except (TypeError, ValueError):
        return False
    return any(names.role(p.name) == "y" and p.default is p.empty for p in given)


def _others_of(trial: Trial, known: Sequence[str]) -> list[str]:
    """Functions that may be a loss or a gradient though their names do not say so."""
    functions = trial.network.functions
    own = [n for n in functions if hasattr(functions[n], "__self__")]
    return [n for n in own or functions if n not in known and n != trial.name
            and not names.INIT.match(n) and not names.WHOLE.match(n)
            and not n.startswith("__")][:MOST_OTHERS]  # fmt: skip


def _at(
    trial: Trial, key: tuple[str, ...], wide: bool, sizes: Sizes,
    change: Callable[[Trial], Trial] = lambda trial: trial,
) -> Reading | None:  # fmt: skip
    """The same calls with such sizes, and data that are changed, if they run."""
    networks = runs(trial.make, sizes, trial.form, trial.name) if trial.make else ()
    read = (readings(change(other), Wishes(), [trial.form.y], wide) for other in networks)
    found = (r for r in itertools.chain.from_iterable(read) if r.key == key)
    return next(found, None)


def _others(
    trial: Trial, key: tuple[str, ...], wide: bool = False
) -> Callable[[], Iterator[Reading]]:
    """The same calls with other sizes, as far as they run."""

    def others() -> Iterator[Reading]:
        for sizes in OTHER_SIZES:
            if trial.make is None or (trial.network.held and trial.board.sizes.k == 1):
                sizes = replace(sizes, k=trial.board.sizes.k)
            if trial.board.sizes.k == trial.board.sizes.f:  # an autoencoder
                sizes = replace(sizes, k=sizes.f)
            sizes = replace(sizes, n=1) if trial.board.sizes.n == 1 else sizes
            for of in (sizes, replace(sizes, more=())) if sizes.more else (sizes,):
                if (first := _at(trial, key, wide, of)) is not None:
                    yield first
                    break
        yield from _other_data(trial, key, wide)
        for make in trial.network.also:
            for other in runs(make, Sizes(), Form(), trial.name):
                for one in itertools.islice(readings(other, Wishes(), ["same"]), 1):
                    yield replace(one, rated=False, printed=True)  # its loss is ours: any average

    return others


def _other_data(trial: Trial, key: tuple[str, ...], wide: bool) -> Iterator[Reading]:
    """The same calls on two pairs instead of one, or on flat targets if the loss takes both."""
    board, paired = trial.board, key[-1] == "pairs"
    column = (
        np.ndim(board.values["y"]) == 2
        and np.prod(np.shape(board.values["y"])) == board.values["n"] > 1
    )
    if trial.make is None or trial.network.held or not (paired or column):
        return
    for other in runs(trial.make, board.sizes, trial.form, trial.name):
        found: list[Reading] = []
        also: tuple[dict[str, Any], ...] = (
            ({"#more": True, "n": 2},) if paired else ({}, {"#flat": True})
        )
        for changed in also:
            other.board.values |= changed
            same = (r for r in readings(other, Wishes(), [trial.form.y], wide) if r.key == key)
            found += itertools.islice(same, 1)
        if paired and found and _sums(found[0]):
            how = f"{found[0].how}, with two examples"
            yield replace(found[0], rated=False, printed=True, how=how)
        if len(found) == 2 and found[0].own and np.isclose(found[0].loss(), found[1].loss(), 1e-9):
            yield replace(found[1], how=f"{found[1].how}, with flat targets")


def _sums(reading: Reading) -> bool:
    """Whether the order of the two examples makes no difference: none is learnt from first."""
    results = []
    for _ in range(2):
        results.append([place.read() for place in places(reading.backward(), "")])
        for value in reading.data:
            if np.ndim(value):
                value[:] = turned(value)
    return all(np.allclose(a, b, 1e-7, 1e-10) for a, b in zip(*results, strict=True))


def _over_examples(trial: Trial, loss: Callable[[], float]) -> float:
    """The loss, averaged over the two examples of the board."""
    values = trial.board.values
    held = {key: values[key] for key in ("X", "y", "#Y")}
    first = loss()
    try:
        values.update({key: turned(value) for key, value in held.items()})
        return (first + loss()) / 2
    finally:
        values.update(held)


def _set_sizes(trial: Trial) -> None:
    """Numbers of examples that a file keeps in globals are those of its data: ours are fewer.

    What a function takes of its data from there, too, goes with their number.
    """
    for function in list(trial.network.functions.values()):
        known = getattr(function, "__globals__", {})
        named = getattr(getattr(function, "__code__", None), "co_names", ())
        if any(names.role(n) in ("X", "y") and getattr(known.get(n), "ndim", 0) for n in named):
            continue
        for name in named:
            if type(known.get(name)) is int and names.role(name) == "n":
                known[name] = trial.board.values["n"]


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
    one, step = trial.form.x.startswith("one"), "step" in kind
    outputs = max(1, int(np.size(board.values["#Y"])) // (1 if one else board.values["n"]))
    net = trial.network.net
    variables = isinstance(net, Globals)
    if variables:  # of these only the weights: data are globals as well
        backward = partial(_with_globals, backward, net)
        net = {n: vars(net)[n] for p in found if (n := _root(p.name)) in vars(net)}
    return Reading(
        net, found, loss, backward, (board.values["X"], board.values["y"]),
        f"{trial.network.title}: {trial.form.text()}, gradient "
        + ("from the update of " if step else "of ") + name,
        mine, loss_name, step, kind != "free step", variables=variables,
        batched=not one, examples=board.values["n"], outputs=outputs,
        certain=all(understood(trial.network.functions.get(n), board) for n in (loss_name, name)),
        functions=_backward_functions(trial, function), part=trial.network.part,
        users=(*trial.network.functions.values(), *trial.network.users),
        update=backward.step if isinstance(backward, Change) else None,
        changeable=tuple(v for v in (board.values["X"], board.values["y"])
                         if mine or v is not board.values["y"] or v is board.values["#Y"]),
    )  # fmt: skip
