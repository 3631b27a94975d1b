"""The backward passes of a network that run: what gives a gradient, and what makes a step of it."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.implementations.checking.objects.lines import leaf_at
from samegrad.implementations.reading import names
from samegrad.implementations.reading.board import RATE, Plan, call, plans, sure
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.effects import Place, places, snapshot
from samegrad.implementations.reading.objectives import SCALARS, graph_number, same
from samegrad.implementations.reading.one_by_one import one_by_one
from samegrad.implementations.reading.piecewise import by_jax, piecewise
from samegrad.implementations.reading.trials import Trial, Wishes
from samegrad.implementations.reading.usage import needed

Array = Any
MOST_WAYS = 3  # to call one backward pass


def gradients_of(
    trial: Trial,
    explicit: Sequence[str],
    own: Sequence[str],
    steps: Sequence[str],
    found: Sequence[Place],
    wishes: Wishes,
) -> Iterator[tuple[Callable[[], Any], str, str]]:
    """Backward passes that run: the callable, its name, and of which kind it is.

    The kinds: "explicit", "graph" (what the loss returned has it), "step", "free step".
    """
    wished = wishes.backward
    if wished is not None:

        def hinted() -> Any:
            trial.forward()
            return wished(trial.board, trial)

        kind = _kind(hinted, found, trial.network.net)
        rate = wishes.rate or RATE
        if kind:
            yield (
                _by_kind(hinted, kind, found, trial, rate), "the hint",
                kind if kind == "explicit" or wishes.rate else "free step",
            )  # fmt: skip
        return
    keys = ["out"] if trial.outs else []
    for name in own:
        function = trial.network.functions[name]
        for plan in itertools.islice(plans(function, trial.board, keys, "loss"), MOST_WAYS):
            graph = Backward(trial, function, name, plan)
            if kind := _graph(graph):
                yield ThroughGraph(graph, trial.network.net), name, kind
                return
            for through in _through(graph, trial):
                yield ThroughGraph(graph, trial.network.net, through), name, "graph"
                return
    if not explicit:
        yield from by_jax(trial, own)
    ran: list[Backward] = []  # that leave the parameters as they are
    both = [name for name in own if name not in explicit]  # losses that may be gradients as well
    attempts = wishes.attempts
    complete = some = False  # whether one of them gives a gradient of everything, and runs
    for name in [*explicit, *both, *steps]:
        if complete and name in steps and not names.DESCENT.match(name):
            continue  # of a descent the sign and the rate are those of the gradient
        function = trial.network.functions[name]
        purpose = "step" if name in steps else "backward"
        tried = 0
        for plan in plans(function, trial.board, keys, purpose):
            # A step may need what a backward pass has left in the object.
            alone = (
                [None] if not ran or any(key in ("X", "X.T", "pairs") for _, key in plan) else []
            )
            behind: Sequence[Backward | None] = [None, *(ran[:2] if not plan else [])]
            told = [first for first in ran[:2] if any(key == "y" for _, key in first.plan)]
            if told and not trial.takes_targets and all(key != "y" for _, key in plan):
                behind = told  # backward(y), then gradients(): alone it has targets of before
            for first in [*ran[:2], *alone] if name in steps else behind:
                backward = Backward(trial, function, name, plan, first)
                owned = f"{type(trial.network.net).__name__}.{name}"  # a layer may have one, too
                called = attempts.noted(owned, backward) if name in explicit else backward
                kind = _kind(called, found, trial.network.net)
                if kind == "explicit" and name not in (*explicit, *both) and attempts.failed:
                    continue  # what training returns where the backward pass raises is no gradient
                if not kind or (name in both and kind != "explicit"):
                    continue
                if name in both and not (
                    _covers(backward, kind, found, trial.network.net)
                    if names.BOTH.match(name)
                    else _holds_gradient(backward, found)
                ):
                    continue
                if not names.BACKWARD.match(name) and name not in steps:
                    if not _covers(backward, kind, found, trial.network.net):
                        continue
                    if kind == "explicit" and _before(backward, found):
                        backward = replace(backward, gives=False)
                complete = complete or (kind == "explicit" and name in both)
                if kind == "explicit" and name in explicit:
                    ran.append(backward)
                    complete = complete or _covers(backward, kind, found, trial.network.net)
                step = Change(backward, found, trial.network.net, RATE)
                if _draws(backward, found, trial) or one_by_one(step, kind, plan, trial):
                    continue
                known = _rate(trial, plan, function)
                if name in steps and kind == "explicit" and is_new(backward, trial):
                    kind = "step" if known else "free step"
                    yield NewParameters(backward, trial, known or 1.0), name, kind
                    tried, some = tried + 1, True
                    continue
                if name in steps and kind == "explicit" and any(key == "lr" for _, key in plan):
                    continue  # it returns weights, among other things
                paired = any(key == "pairs" for _, key in plan)
                (trial.paired.add if paired else trial.paired.discard)(name)
                if name not in both:
                    trial.sure[name] = sure(plan)
                yield (
                    _by_kind(backward, kind, found, trial, known or 1.0), name,
                    (kind if kind == "explicit" or known else "free step"),
                )  # fmt: skip
                tried, some = tried + 1, True
            if tried >= MOST_WAYS:
                break
    if explicit and not some:  # as of gradient = jax.grad(loss)
        yield from by_jax(trial, own)
    if not complete and (parts := piecewise(trial, found)) is not None:
        yield parts, ", ".join(parts.names), "explicit"


def _draws(backward: Callable[[], Any], found: Sequence[Place], trial: Trial) -> bool:
    """Whether a backward pass depends on random numbers, as dropout does, that no seed of it fixes.

    The loss draws others, so that they cannot be compared.
    """
    held, seed = snapshot(trial.network.net), trial.seed
    results = []
    try:
        for trial.seed in (seed, seed + 1):
            returned = backward()
            results.append([p.read() for p in (*places(returned, ""), *found)])
            held.restore()
    finally:
        trial.seed = seed
        held.restore()
    return len(results[0]) == len(results[1]) and not all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
        for a, b in zip(*results, strict=True)
    )


def _graph(function: Callable[[], Any]) -> str:
    """Say "graph" if a loss gives a number with its own backward pass, "explicit" if arrays."""
    try:
        value = function()
    except (Exception, SystemExit):
        return ""
    if isinstance(value, np.ndarray) or not callable(getattr(value, "backward", None)):
        return ""
    if not getattr(value, "requires_grad", True):  # a tensor without a graph
        return ""
    held = next((getattr(value, name) for name in SCALARS if hasattr(value, name)), 0.0)
    return "explicit" if np.ndim(held) else "graph"


def _through(graph: Callable[[], Any], trial: Trial) -> Iterator[Callable[[Any], Any]]:
    """Functions of the file that go back through the object that a loss gives, and change it."""
    try:
        value = graph()
    except (Exception, SystemExit):
        return
    if graph_number(value) is None:
        return
    for function in trial.network.functions.values():
        if hasattr(function, "__self__") or len(needed(function)) != 1:
            continue
        before = dict(vars(value))
        try:
            function(value)
        except (Exception, SystemExit):
            continue
        now = vars(value)
        if any(isinstance(v, float) and v == 1 != before.get(k) for k, v in now.items()):
            yield function  # dloss/dloss


@dataclass(frozen=True, eq=False)
class Backward:
    """A backward pass: the forward pass, or what comes `first` in its place, then a function.

    Attributes:
        gives: whether what the function returns may be a gradient.
    """

    trial: Trial
    function: Callable[..., Any]
    name: str
    plan: Plan
    first: "Backward | None" = None
    gives: bool = True

    def __call__(self) -> Any:
        """What the function returns."""
        self.before()
        returned = call(self.function, self.plan, self.trial.board)
        return returned if self.gives else None

    def before(self) -> None:
        """What comes before the function."""
        trial = self.trial
        if self.first is not None:
            self.first()
        else:
            trial.forward()
        trial.show_outputs()


@dataclass(frozen=True, eq=False)
class ThroughGraph:
    """A loss that returns an object which has the backward pass."""

    loss: Backward
    net: Any
    through: Callable[[Any], Any] | None = None

    def __call__(self) -> None:
        """Set derivatives to 0 and run the backward pass of what the loss returned."""
        value = self.loss()
        for place in places(self.net, "net", integers=True):
            if re.search(r"\.(?:grad|gradient|derivative|adj|adjoint)$", place.name):
                place.write(np.zeros(np.shape(place.read())))
        value.backward() if self.through is None else self.through(value)


def _holds_gradient(backward: Backward, found: Sequence[Place]) -> bool:
    """Whether something of a parameter's size is returned: not a loss where a bias has one.

    What a loss returns in the shape of its outputs is the derivative by these.
    """
    out = next((np.shape(backward.trial.board[k]) for _, k in backward.plan if k == "out"), None)
    returned = [p.read() for p in places(backward(), "") if np.shape(p.read()) != out]
    sizes = {np.size(a) for a in returned if len(returned) > 1 or np.size(a) > 1}
    return bool(sizes & {np.size(p.read()) for p in found if np.ndim(p.read())})


def _covers(backward: Callable[[], Any], kind: str, found: Sequence[Place], net: Any) -> bool:
    """Whether a gradient of every matrix may be in what a call returns or leaves."""
    if kind == "step":
        return True
    held = snapshot(net)
    known = {place.key for place in found}
    try:
        returned = backward()
        sizes = [int(np.size(p.read())) for root in (returned, net) for p in places(root, "")
                 if p.key not in known]  # fmt: skip
    finally:
        held.restore()
    return _has_all(sizes, found)


def _has_all(sizes: Sequence[int], found: Sequence[Place]) -> bool:
    """Whether there is something of the size of every matrix."""
    least = int(any(np.ndim(p.read()) > 1 for p in found))
    wanted = [int(np.size(p.read())) for p in found if np.ndim(p.read()) > least]
    return all(sizes.count(size) >= wanted.count(size) for size in wanted)


def _before(backward: Backward, found: Sequence[Place]) -> bool:
    """Whether the forward pass leaves a gradient of every matrix, and the function returns none.

    It may be anything then, such as relu, and what it returns have the size of a bias by chance.
    """
    net = backward.trial.network.net
    held = snapshot(net)
    try:
        returned = [int(np.size(p.read())) for p in places(backward(), "")]
    finally:
        held.restore()
    return not _has_all(returned, found) and _covers(backward.before, "explicit", found, net)


def is_step(backward: Callable[[], Any], found: Sequence[Place], net: Any) -> bool:
    """Whether a call runs and changes the parameters, which are put back."""
    return _kind(backward, found, net) == "step"


def _kind(backward: Callable[[], Any], found: Sequence[Place], net: Any) -> str:
    """Say "step" if it changes the parameters, "explicit" if not, "" if it does not run."""
    before = [place.read() for place in found]
    held = snapshot(net)
    try:
        with at_most():
            backward()
        after = values_of(net)
    except (Exception, SystemExit):
        return ""
    finally:
        held.restore()
    pairs = zip(found, before, strict=True)
    return "explicit" if all(same(old, after.get(p.name, old)) for p, old in pairs) else "step"


def values_of(net: Any) -> dict[str, Array]:
    """All numbers of an object by name."""
    return {place.name: place.read() for place in places(net, "net")}


def _rate(trial: Trial, plan: Plan, step: Callable[..., Any]) -> float | None:
    """The learning rate of a step: what was passed, or what object, class or file hold."""
    if any(key == "lr" for _, key in plan) or trial.network.rate:
        return RATE
    net, code = trial.network.net, getattr(step, "__code__", None)
    own = getattr(step, "__globals__", {})
    for held in (
        getattr(net, "__dict__", {}),
        {n: v for kind in type(net).__mro__[:-1] for n, v in vars(kind).items()},
        {n: own[n] for n in getattr(code, "co_names", ()) if n in own},
    ):
        numbers = [n for n, v in held.items() if type(v) in (float, int) and v]
        for name in names.rates(numbers):
            return float(held[name])
    return None


def _by_kind(
    backward: Callable[[], Any], kind: str, found: Sequence[Place], trial: Trial, rate: float
) -> Callable[[], Any]:
    """The backward pass itself, or what a step changes over its rate."""
    return backward if kind == "explicit" else Change(backward, found, trial.network.net, rate)


def is_new(step: Callable[[], Any], trial: Trial) -> bool:
    """Whether a step returns parameters like those that it was given, and changes none."""
    pairs = _with_new(places(trial.board.values.get("params"), ""), places(step(), ""))
    return bool(pairs) and all(np.shape(a.read()) == np.shape(b.read()) for a, b in pairs)


def _with_new(held: Sequence[Place], new: Sequence[Place]) -> list[tuple[Place, Place]]:
    """Parameters with what takes their place, by name (jax.jit sorts keys), or else in order."""
    named = {place.name: place for place in new}
    if {place.name for place in held} == set(named):
        return [(place, named[place.name]) for place in held]
    return list(zip(held, new, strict=True)) if len(held) == len(new) else []


@dataclass(frozen=True, eq=False)
class NewParameters:
    """What a step that returns new parameters has changed, over its rate."""

    step: Callable[[], Any]
    trial: Trial
    rate: float

    def __call__(self) -> dict[str, Array]:
        """Of each parameter, by its name."""
        held = places(self.trial.board.values["params"], "net")
        return {
            f"d {old.name}": np.asarray((old.read() - new.read()) / self.rate)
            for old, new in _with_new(held, places(self.step(), "net"))
        }


@dataclass(frozen=True, eq=False)
class Change:
    """What a step changes, over its rate."""

    step: Callable[[], Any]
    parameters: Sequence[Place]
    net: Any
    rate: float

    def __call__(self) -> dict[str, Array]:
        """Of each parameter, by its name; it is put back."""
        before = [place.read() for place in self.parameters]
        held = snapshot(self.net)
        try:
            self.step()
            after = self._after(before)
        finally:
            held.restore()
        return {
            f"d {place.name}": np.asarray((old - after[place.name]) / self.rate)
            for place, old in zip(self.parameters, before, strict=True)
            if place.name in after and np.shape(after[place.name]) == np.shape(old)
        }

    def _after(self, before: Sequence[Array]) -> dict[str, Array]:
        """The parameters by name; a walk through all of the network takes long."""
        found = {place.name: leaf_at(self.net, place.name) for place in self.parameters}
        after = {name: leaf.read() for name, leaf in found.items() if leaf is not None}
        there = zip(self.parameters, before, strict=True)
        if all(p.name in after and np.shape(after[p.name]) == np.shape(old) for p, old in there):
            return after
        return values_of(self.net)
