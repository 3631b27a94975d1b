"""A network with data in one form and a forward pass that runs; what of it may be the outputs."""

import contextlib
import copy
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from samegrad.implementations.reading import names
from samegrad.implementations.reading.attempts import Attempts
from samegrad.implementations.reading.board import (
    RATE,
    X_FORMS,
    Board,
    Form,
    Plan,
    Sizes,
    call,
    inputs,
    plans,
    targets,
)
from samegrad.implementations.reading.bodies import with_target
from samegrad.implementations.reading.bounded import at_most
from samegrad.implementations.reading.effects import converter, places
from samegrad.implementations.reading.networks import Maker, Network
from samegrad.implementations.reading.usage import returned_names

MOST_FORWARDS = 4
ONE = ("one", "one list")  # forms of a single example


@dataclass
class Wishes:
    """What hints pin: expressions of the file's names, X, y, net and what forward returned.

    Attributes:
        attempts: what became of the calls that were tried for them.
    """

    loss: Callable[[Board, Any], Any] | None = None
    backward: Callable[[Board, Any], Any] | None = None
    x: str = ""
    y: str = ""
    X_value: Callable[[], Any] | None = None
    y_value: Callable[[], Any] | None = None
    rate: float | None = None
    attempts: Attempts = field(default_factory=Attempts, compare=False)  # no wish


NO_WISHES = Wishes()


class Trial:
    """A network with data in one form and a forward pass that runs."""

    def __init__(self, network: Network, sizes: Sizes, form: Form) -> None:
        self.network, self.form = network, form
        network.values.setdefault("net", network.net)
        one = form.x.startswith("one")
        self.given = converter(network.net, network.values)
        X = network.held[0] if network.held else self.given(_inputs(network, sizes, form))
        if network.held and np.ndim(X) > 1 and not one:
            sizes = replace(sizes, n=np.shape(X)[-1 if form.x == "columns" else 0])
        values = {
            "X": X,
            "n": 1 if one else sizes.n,
            "k": sizes.k,
            "lr": RATE,
            "sizes": [sizes.f, sizes.h, sizes.k],
        }
        self.board = Board(sizes, {**values, **network.values})
        self.plan: Plan = ()
        self.function: Callable[..., Any] | None = None
        self.name = ""
        self.called: list[str] = []
        self.outs: list[str] = []
        self.seed = sizes.seed
        self.make: Maker | None = None
        self.wishes = NO_WISHES
        self.paired: set[str] = set()  # functions that are given a list of pairs
        self.singly: list[bool] = []  # of steps that are made for several examples, one by one
        self.sure: dict[str, bool] = {}  # of functions whose arguments are known by their names

    def copy(self) -> "Trial":
        """The same network with a board of its own."""
        other = copy.copy(self)
        other.board = Board(self.board.sizes, dict(self.board.values), self.board.returned)
        return other

    def forward(self) -> None:
        """Run the forward pass; the board then has what it returned."""
        np.random.seed(self.seed)
        for attribute, kind in self.network.kept.items():
            if kind in self.board.values:
                setattr(self.network.net, attribute, self.board.values[kind])
        for attribute in () if self.plan else self.network.placed:
            if held := getattr(self.network.net, attribute):
                held[0] = self.board.values["X"]
        if self.function is not None:
            self.board.take(call(self.function, self.plan, self.board), self.called)

    def show_outputs(self) -> None:
        """Put on the board what the forward pass gave as outputs."""
        if self.outs:
            self.board.values["out"] = self.out(self.outs[0])

    @property
    def takes_targets(self) -> bool:
        """Whether the forward pass is given targets."""
        return any(key == "y" for _, key in self.plan)

    def out(self, key: str) -> Any:
        """What may be the outputs, by its key."""
        return value_of(self, key)


def _inputs(network: Network, sizes: Sizes, form: Form) -> Any:
    """Inputs in a form; an example ends with its label where the file takes that off again."""
    X = inputs(sizes, form.x)
    codes = (getattr(f, "__code__", None) for f in network.functions.values())
    if form.x not in ONE or not any(code is not None and with_target(code) for code in codes):
        return X
    label = targets(sizes, replace(form, y="labels"), (sizes.k,))[0]
    return [*X, label] if isinstance(X, list) else np.append(X, label)


def value_of(trial: Trial, key: str) -> Any:
    """The value of a key: "returned[0][-1]", "@A2", ".a2", ".layers[-1].output"."""
    if key.startswith("."):
        name, last, inner = key[1:].partition("[-1]")
        held = getattr(trial.network.net, name)
        held = list(held.values()) if isinstance(held, dict) else held
        held = held[-1] if last else held
        return getattr(held, inner[1:]) if inner else held
    if key.startswith("@"):
        return trial.board.values[key]
    value = trial.board.returned
    for index in re.findall(r"\[(-?\d+)\]", key):
        value = value[int(index)]
    return value


def set_targets(trial: Trial, form: Form, key: str) -> None:
    """Put targets in a form onto the board.

    Raises:
        ValueError: they do not fit the outputs.
    """
    sizes = trial.board.sizes
    if key:
        shape = np.shape(trial.out(key))
    elif form.x == "one":
        shape = (sizes.k,)
    else:
        n = 1 if form.x.startswith("one") else trial.board.values["n"]
        shape = (sizes.k, n) if "column" in form.x else (n, sizes.k)
    if trial.wishes.y_value is not None:
        given = trial.wishes.y_value()
        same = np.asarray(given, np.float64)
    else:
        given, same = targets(sizes, form, shape)
    given = np.ravel(given) if "#flat" in trial.board.values else given
    trial.board.values |= {"y": trial.given(given), "#Y": same}
    held = trial.network.held
    if len(held) > 1:
        trial.board.values["y"] = held[1]
        if np.shape(held[1]) == np.shape(same):
            trial.board.values["#Y"] = np.asarray(held[1], np.float64)
    trial.form = form


def trials(
    make: Maker,
    sizes: Sizes,
    forwards: Sequence[str],
    wishes: Wishes,
    forms: Sequence[str] = X_FORMS,
) -> Iterator[Trial]:
    """Networks with inputs in every form that a forward pass takes; "" stands for none."""
    for x in [wishes.x] if wishes.x else forms:
        for name in forwards[:MOST_FORWARDS]:
            for trial in runs(make, sizes, Form(x), name, wishes):
                if trial.network.held and sizes.k > 1:  # targets first: outputs may be one
                    yield from runs(make, replace(sizes, k=1), Form(x), name, wishes)
                yield trial


def runs(
    make: Maker, sizes: Sizes, form: Form, name: str, wishes: Wishes = NO_WISHES
) -> Iterator[Trial]:
    """A network with inputs in a form for one of its functions, or for none, if that runs."""
    try:
        trial = Trial(make(sizes, form), sizes, form)
        trial.make, trial.wishes = make, wishes
        if wishes.X_value is not None:
            trial.board.values["X"] = wishes.X_value()
    except (Exception, SystemExit):
        return
    function = trial.network.functions.get(name) if name else None
    if name and function is None:
        return
    if function is None:
        yield trial
        for f, k in () if wishes.X_value else widths_of(trial.network, sizes):
            yield from _resized(make, of_widths(sizes, f, k), form, wishes)
        return
    trial.function, trial.name, trial.called = function, name, returned_names(function)
    for f in _inputs_of(trial.network, sizes):
        trial.board.sizes = replace(trial.board.sizes, f=f)
        if not trial.network.held and wishes.X_value is None:
            trial.board.values["X"] = trial.given(_inputs(trial.network, trial.board.sizes, form))
        with contextlib.suppress(Exception):
            set_targets(trial, form, "")
        before = _held(trial)
        for plan in plans(function, trial.board, [], "forward"):
            trial.plan = plan
            try:
                with at_most():
                    _first(trial, form)
                trial.outs = _outs(trial, before)
            except (Exception, SystemExit) as error:
                wishes.attempts.forward(name, error)
                continue
            wishes.attempts.forward(name)
            width = (
                int(np.prod(np.shape(trial.out(trial.outs[0])))) // trial.board.values["n"]
                if trial.outs
                else 0
            )
            if width > sizes.n and not form.x.startswith("one"):  # all labels must occur
                yield from runs(make, replace(sizes, n=width + 2, k=width), form, name, wishes)
                return
            if trial.outs:
                yield trial
                return
    if trial.network.held and not wishes.X_value:  # of other widths than its weights
        for f, k in widths_of(trial.network, sizes):
            yield from runs(make, of_widths(sizes, f, k), form, name, wishes)


def _first(trial: Trial, form: Form) -> None:
    """The first forward pass of a trial; one that takes targets may want labels."""
    try:
        trial.forward()
    except Exception:
        if not trial.takes_targets or trial.network.held:
            raise
        set_targets(trial, replace(form, y="labels"), "")
        trial.forward()


def _resized(make: Maker, sizes: Sizes, form: Form, wishes: Wishes) -> Iterator[Trial]:
    """A network with data of other sizes, without a forward pass."""
    with contextlib.suppress(Exception, SystemExit):
        trial = Trial(make(sizes, form), sizes, form)
        trial.make, trial.wishes = make, wishes
        yield trial


def of_widths(sizes: Sizes, f: int, k: int) -> Sizes:
    """Sizes with other numbers of features and outputs, and examples of all labels."""
    return replace(sizes, f=f, k=k, n=max(sizes.n, k + 2))


def widths_of(network: Network, sizes: Sizes) -> list[tuple[int, int]]:
    """Features and outputs that a network of fixed widths may have, by its matrices."""
    shapes = shapes_of(network)
    if not shapes or {sizes.f, sizes.k} <= {*shapes[0], *shapes[-1]}:
        return []
    return list(dict.fromkeys(itertools.product(shapes[0], shapes[-1])))


def shapes_of(network: Network) -> list[tuple[int, ...]]:
    """Of its matrices, in order; data are none."""
    arrays = [place.read() for place in list(places(network.net, "net"))[:40]]
    shapes = [np.shape(a) for a in arrays if not any(np.array_equal(a, d) for d in network.held)]
    return [*network.shapes, *(shape for shape in shapes if len(shape) == 2)]


def _inputs_of(network: Network, sizes: Sizes) -> list[int]:
    """Numbers of features that a network may take; its own if it was not made to measure."""
    found = [sizes.f]
    for shape in shapes_of(network):
        found += [*shape, *(s - 1 for s in shape)]
    return [f for f in dict.fromkeys(found) if f > 0][:8]


def _held(trial: Trial) -> dict[str, tuple[Any, Any]]:
    """The attributes of a network, and copies of those that are arrays or lists."""
    return {
        name: (value, copy.copy(value) if isinstance(value, np.ndarray | list | dict) else value)
        for name, value in getattr(trial.network.net, "__dict__", {}).items()
    }


def _outs(trial: Trial, before: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Keys of what may be the outputs in what a forward pass returned, or left in the object.

    Args:
        before: what the object held before it: what stays, as weights do, are no outputs.
    """
    returned, keys = trial.board.returned, []
    if isinstance(returned, tuple):
        for i, part in enumerate(returned):
            keys.append(f"returned[{i}]")
            if isinstance(part, list) and part:
                keys.append(f"returned[{i}][-1]")
    elif isinstance(returned, list) and returned and np.ndim(returned[-1]) > 0:
        keys.append("returned[-1]")
    if returned is not None:
        keys.append("returned")
    keys += [k for k in trial.board.values if k.startswith("@")]
    if returned is None:
        held = [f".{k}" for k in getattr(trial.network.net, "__dict__", {})
                if names.role(k) not in ("X", "y")]  # fmt: skip
        now = vars(trial.network.net) if held else {}
        held = [k for k in held if not _stays(before.get(k[1:]), now[k[1:]])] or held
        keys += sorted(held, key=lambda k: names.role(k[1:]) != "out")
        keys += [f"{k}[-1]" for k in held if isinstance(now[k[1:]], dict | list) and now[k[1:]]]
        keys = [k for k in keys if not (k.startswith(".") and k[1:].startswith("__"))]
        for k, value in now.items():  # what the last of its layers keeps
            last = value[-1] if isinstance(value, list) and value else None
            keys += [f".{k}[-1].{inner}" for inner in getattr(last, "__dict__", {})]
    good: dict[int, tuple[int, str]] = {}
    for key in keys:
        try:
            score = _sense(trial, trial.out(key))
        except Exception:  # it is no array
            continue
        if score is not None:
            label = key
            if key.startswith("returned[") and trial.called and key.count("[") == 1:
                index = int(key[9:-1])
                label = trial.called[index] if 0 <= index < len(trial.called) else key
            word = label.strip("@.").removesuffix("[-1]").rpartition(".")[2]
            if names.GRADIENT.fullmatch(word):
                continue
            if np.ndim(trial.out(key)) == 0 and names.LOSS.fullmatch(word):
                continue
            named = names.role(word) == "out"
            entry = (2 * score + (not named), key)
            good.setdefault(id(trial.out(key)), entry)
            good[id(trial.out(key))] = min(good[id(trial.out(key))], entry)
    ranked = sorted(good.values())
    if not ranked:
        return []
    top = ranked[0][0] // 2
    same = [key for score, key in ranked if score // 2 == top]
    if any(key.startswith("@") or "[" in key for key in same):
        # Of several arrays of that shape (z and a) the last is more likely the outputs.
        same = sorted(same, key=lambda k: (names.role(k.strip("@.")) != "out", -_number(k)))
    return same[:4]


def _stays(before: tuple[Any, Any] | None, now: Any) -> bool:
    """Whether an attribute is the same object, with what was in it."""
    if before is None or before[0] is not now:
        return False
    if isinstance(now, np.ndarray):
        return np.array_equal(before[1], now)
    if isinstance(now, dict):
        return list(map(id, before[1].values())) == list(map(id, now.values()))
    return not isinstance(now, list) or list(map(id, before[1])) == list(map(id, now))


def _number(key: str) -> int:
    digits = re.findall(r"\d+", key)
    return int(digits[-1]) if digits and "[" not in key else 0


def _sense(trial: Trial, value: Any) -> int | None:
    """0 for outputs of the expected shape, 1 for those of another width, None for no outputs."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
        return None
    n, k, x = trial.board.values["n"], trial.board.sizes.k, trial.form.x
    if array.ndim > 2 or array.size % n or (array.ndim == 0 and n > 1):
        return None
    if not x.startswith("one"):
        along = array.shape[0] if x in ("rows", "lists") else array.shape[-1]
        if along != n:
            return 0 if array.shape == (k, n) and k != n else None
    return 0 if array.size == n * k or array.size == n else 1
