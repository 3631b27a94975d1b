"""A file's network with weights of ours, and its own calls with next to nothing around them.

What a reading has found out, which function is called with what, is resolved once; a call then
passes a batch that already is in the file's own layout.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import MLPSpec, Params
from samegrad.implementations.reading import layouts, names
from samegrad.implementations.reading.board import TURNED, Plan, Sizes, in_form, rows_of
from samegrad.implementations.reading.effects import places
from samegrad.implementations.reading.gradients import Backward, Change, ThroughGraph
from samegrad.implementations.reading.layouts import Layout, kind_of
from samegrad.implementations.reading.networks import Maker
from samegrad.implementations.reading.objectives import OwnLoss, value_of_loss
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.trials import Trial

Array = Any


class Batch:
    """A batch in the file's layout (X, y, n), and in ours (given)."""

    __slots__ = ("X", "given", "n", "pairs", "y")

    def __init__(self, X: Any, y: Any, n: int, given: tuple[Array, Array]) -> None:
        self.X, self.y, self.n, self.given = X, y, n, given
        self.pairs = list(zip([X], [y], strict=True))


Call = Callable[[Any, Any], Any]  # of a batch and what the forward pass has returned


@dataclass(frozen=True)
class Calls:
    """The calls of a reading, for networks and batches of any size.

    Attributes:
        make: makes a network.
        reading: whose calls these are.
        pairs: names of its parameters with those of their gradients.
        expression: of a hint, in the place of the backward pass, compiled with the file's names.
        alone: whether the backward pass runs the forward pass itself.
    """

    make: Maker
    reading: Reading
    pairs: tuple[tuple[str, str], ...] = ()
    expression: tuple[Any, dict[str, Any]] | None = None
    alone: bool = False

    @property
    def trial(self) -> Trial:
        """The small network that the reading was made on."""
        assert self.reading.trial is not None
        return self.reading.trial

    @property
    def step(self) -> bool:
        """Whether a call updates the weights."""
        return isinstance(unwrapped(self.reading.backward), Change)

    @property
    def one(self) -> bool:
        """Whether a call takes one example."""
        return self.trial.form.x.startswith("one")

    def backward(self) -> list[Backward]:
        """The functions of a backward pass, in the order of their calls."""
        last = unwrapped(self.reading.backward)
        last = last.step if isinstance(last, Change) else last
        last = last.loss if isinstance(last, ThroughGraph) else last
        found: list[Backward] = []
        while isinstance(last, Backward):
            found.insert(0, last)
            last = last.first
        return found

    def text(self) -> str:
        """The calls in words."""
        shown = []
        if not self.alone and self.trial.function is not None:
            shown.append(f"{self.trial.name}({_shown(self.trial.plan)})")
        shown += [f"{each.name}({_shown(each.plan)})" for each in self.backward()]
        if self.expression is not None:
            shown.append(self.reading.key[1])
        if isinstance(self.reading.backward, ThroughGraph):
            shown.append("backward() of what it returns")
        return ", then ".join(shown)


def unwrapped(backward: Any) -> Any:
    """A backward pass without what looks for its results in globals."""
    return backward.args[0] if isinstance(backward, partial) and backward.args else backward


def _shown(plan: Plan) -> str:
    return ", ".join(name.strip("*") for name, _ in plan)


class Live:
    """One network of the file's.

    Attributes:
        trial: it, with a board.
        slots: its layers.
        run: the file's own calls on a batch; what the last of them returned.
        params: the weights that were put into it.
    """

    def __init__(self, calls: Calls, layout: Layout, spec: MLPSpec, params: Params) -> None:
        """Make it and put weights into it.

        Raises:
            ValueError: its layers are others than those of the spec.
        """
        features, *hidden, outputs = spec.layer_sizes
        if not hidden:
            raise ValueError("it has hidden layers")
        small = calls.trial
        sizes = replace(
            small.board.sizes, f=features, h=hidden[0], k=outputs, more=tuple(hidden[1:])
        )
        self.trial = made(calls, sizes)
        kinds = set(layout.roles)
        found = [p for p in places(self.trial.network.net, "net") if kind_of(p.name) in kinds]
        self.slots = layout.slots(found, features)
        if layouts.sizes_of(self.slots) != spec.layer_sizes:
            raise ValueError("its layers are " + "-".join(map(str, layouts.sizes_of(self.slots))))
        self.params, self.spec = params, spec
        layouts.write(self.slots, params)
        self.rate: list[float] = [small.board.values["lr"]]
        self.calls = calls
        self.run, self.forward = self._resolved()

    def outputs(self, returned: Any) -> Any:
        """The outputs, of what the forward pass has returned."""
        return _getter(self.trial.outs[0], self)(None, returned)

    def loss(self, batch: Batch) -> float | None:
        """The file's own loss; None where it has none that can be called."""
        own = self.calls.reading.loss
        if not isinstance(own, OwnLoss):
            return None
        function = self.trial.network.functions[own_name(own, self.calls.trial)]
        call = _bound(function, own.plan, self, own.out)
        return float(value_of_loss(call(batch, self.forward(batch))))

    def set_rate(self, rate: float) -> None:
        """Let steps be made at a rate."""
        self.rate[0] = rate
        held = self.trial.network.rate
        if held:
            held[0] = rate
        for name in rate_names(self.trial.network.net):
            setattr(self.trial.network.net, name, rate)

    def _resolved(self) -> tuple[Callable[[Batch], Any], Callable[[Batch], Any]]:
        """The calls that give a gradient or make a step, and the forward pass."""
        calls, trial, network = self.calls, self.trial, self.trial.network
        outer = [(vars(network.net), name, key) for name, key in _held(self)]
        outer += [(known, name, "n") for known, name in counts(trial)]
        forward: Call = lambda batch, returned: None  # noqa: E731 # as the others
        if trial.function is not None:
            forward = _bound(trial.function, trial.plan, self)
        steps = [_bound(network.functions[each.name], each.plan, self) for each in calls.backward()]
        if calls.expression is not None:
            steps.append(_evaluated(*calls.expression, self))
        graph = isinstance(calls.reading.backward, ThroughGraph)
        alone = calls.alone

        def ahead(batch: Batch) -> Any:
            for space, name, key in outer:
                space[name] = getattr(batch, key)
            return forward(batch, None)

        def run(batch: Batch) -> Any:
            if outer:
                for space, name, key in outer:
                    space[name] = getattr(batch, key)
            returned = None if alone else forward(batch, None)
            for step in steps:
                result = step(batch, returned)
            if graph:
                result.backward()
            return result

        return run, ahead


def made(calls: Calls, sizes: Sizes) -> Trial:
    """A network of these sizes, with the forward pass of the small one."""
    small = calls.trial
    network = calls.make(sizes, small.form)
    trial = Trial(network, sizes, small.form)
    trial.board.values["#Y"] = trial.board.values["y"] = None
    for key, value in small.board.values.items():
        trial.board.values.setdefault(key, 0.0 if key == "#reg" else value)  # rows have no decay
    trial.name, trial.plan, trial.called, trial.outs = (
        small.name, small.plan, small.called, small.outs
    )  # fmt: skip
    trial.function = network.functions[small.name] if small.function is not None else None
    return trial


def placed(calls: Calls, spec: MLPSpec, X: Array, y: Array) -> Batch:
    """A batch in the file's own layout.

    Raises:
        ValueError: it takes one example at a time, or targets in a form that these do not have.
    """
    n, k = len(X), spec.layer_sizes[-1]
    if calls.one and n > 1:
        raise ValueError("it takes one example at a time: --batch-size 1")
    form = calls.trial.form
    rows = np.eye(k)[y] if spec.loss == "cross_entropy" else np.asarray(y, np.float64)
    shape = _shape_of_outputs(calls, n, k)
    return Batch(rows_of(np.array(X, order="C"), form.x), in_form(rows, form, shape), n, (X, y))


def _shape_of_outputs(calls: Calls, n: int, k: int) -> tuple[int, ...]:
    """That outputs of a batch have, as those of the small network."""
    trial, x = calls.trial, calls.trial.form.x
    if trial.outs:
        seen = np.ndim(trial.out(trial.outs[0]))
        if seen < 2 and (x.startswith("one") or k == 1):
            return (n * k,) if seen else ()
    elif x in ("one", "one list"):
        return (k,)
    return (k, n) if "column" in x else (n, k)


def own_name(own: OwnLoss, trial: Trial) -> str:
    """The name of a function of a network."""
    functions = trial.network.functions
    return next(name for name, function in functions.items() if function == own.function)


def rate_names(net: Any) -> list[str]:
    """Attributes of an object that are learning rates."""
    held = getattr(net, "__dict__", {}).items()
    return [n for n, v in held if names.role(n) == "lr" and isinstance(v, float | int) and v]


def counts(trial: Trial) -> Iterator[tuple[dict[str, Any], str]]:
    """Numbers of examples that the file keeps in globals."""
    for function in trial.network.functions.values():
        known = getattr(function, "__globals__", {})
        for name in getattr(getattr(function, "__code__", None), "co_names", ()):
            if type(known.get(name)) is int and names.role(name) == "n":
                yield known, name


def _held(live: Live) -> Iterator[tuple[str, str]]:
    """Attributes of the network that hold the batch, with "X" or "y"."""
    network = live.trial.network
    yield from ((name, key) for name, key in network.kept.items() if key in ("X", "y"))
    for name, value in list(getattr(network.net, "__dict__", {}).items()):
        for data, key in zip(network.held, ("X", "y"), strict=False):
            if value is data:
                yield name, key


def _bound(function: Callable[..., Any], plan: Plan, live: Live, out: str = "") -> Call:
    """A function with its arguments resolved."""
    first = [_getter(key, live, out) for name, key in plan if name.startswith("*")]
    moving = [(n, _getter(key, live, out)) for n, key in plan if not n.startswith("*")]
    fixed = {name: get.value for name, get in moving if isinstance(get, _Fixed)}
    moving = [(name, get) for name, get in moving if not isinstance(get, _Fixed)]
    if first:
        return lambda batch, returned: function(
            *[get(batch, returned) for get in first],
            **fixed, **{name: get(batch, returned) for name, get in moving},
        )  # fmt: skip
    if not moving:
        return lambda batch, returned: function(**fixed)
    if not fixed:
        return lambda batch, returned: function(**{n: get(batch, returned) for n, get in moving})
    return lambda batch, returned: function(
        **fixed, **{name: get(batch, returned) for name, get in moving}
    )


@dataclass(frozen=True)
class _Fixed:
    """The same value in every call."""

    value: Any

    def __call__(self, _: Any, __: Any) -> Any:
        return self.value


def _getter(key: str, live: Live, out: str = "") -> Call:
    """What gives the value of a key of the board."""
    trial = live.trial
    if key in ("X", "y", "n", "pairs", *TURNED):
        get = operator.attrgetter(key)
        return lambda batch, returned: get(batch)
    if key == "#Y":
        return lambda batch, returned: batch.y
    if key == "lr":
        return lambda batch, returned: live.rate[0]
    if key == "out":
        return _getter(out or trial.outs[0], live)
    if key.startswith("."):
        return lambda batch, returned: getattr(trial.network.net, key[1:])
    if key.startswith("returned"):
        indices = [int(i) for i in re.findall(r"\[(-?\d+)\]", key)]
        return partial(_inside, indices) if indices else lambda batch, returned: returned
    if key.startswith("@"):
        return _named(key[1:], live.calls.trial)
    return _Fixed(trial.board[key])


def _inside(indices: Sequence[int], batch: Any, returned: Any) -> Any:
    for index in indices:
        returned = returned[index]
    return returned


def _named(name: str, small: Trial) -> Call:
    """What gives a value by the name that the forward pass has for it, as `Board.take` does."""
    returned = small.board.returned
    parts = returned if isinstance(returned, tuple) else (returned,)
    for index, part in enumerate(parts):
        whole = part is returned
        if isinstance(part, dict) and name in part:
            if whole:
                return lambda batch, returned: returned[name]
            return lambda batch, returned, i=index: returned[i][name]  # type: ignore[misc] # i is bound here
    index = small.called.index(name)
    if not isinstance(returned, tuple):
        return lambda batch, returned: returned
    return lambda batch, returned: returned[index]


def _evaluated(code: Any, namespace: dict[str, Any], live: Live) -> Call:
    """An expression of a hint, over the file's names, X, y, net and out."""
    board, trial = live.trial.board, live.trial
    space = {**namespace, **{k.lstrip("@"): v for k, v in board.values.items()}}

    def call(batch: Batch, returned: Any) -> Any:
        space["X"], space["y"] = batch.X, batch.y
        if trial.outs:
            space["out"] = _getter(trial.outs[0], live)(batch, returned)
        return eval(code, space)  # the user's own hint

    return call
