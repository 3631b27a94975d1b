"""What can be passed to a user's functions: data in some form, and what earlier calls returned."""

import ast
import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading.ambiguous import (
    one_network,
    outputs_too,
    targets_too,
    weights_too,
)
from samegrad.implementations.reading.bodies import reads_unasked, takes_last, turns
from samegrad.implementations.reading.bounded import unless_too_long
from samegrad.implementations.reading.names import PENALTIES, plain, role, width, words

Array = Any
# Of arguments: name of the parameter (one that takes no name begins with *), key of the board.
Plan = tuple[tuple[str, str], ...]
MOST_PLANS = 24  # of one function
NETS = ("model", "net", "network", "nn", "mlp", "ann", "neural_net")  # names of one as an argument
VALIDATION = {"X val": "X", "y val": "y"}  # roles of other data that may be the same
TURNED = ("X.T", "y.T")  # keys of data, transposed
RATE = 1e-3  # learning rate of a step, whose change divided by it is the gradient


@dataclass(frozen=True)
class Sizes:
    """Of a small problem; all differ, so that an axis cannot be taken for another.

    Attributes:
        n, f, h, k: examples, features, hidden units, outputs.
        more: the widths of hidden layers after the first.
    """

    n: int = 5
    f: int = 4
    h: int = 6
    k: int = 3
    seed: int = 0
    more: tuple[int, ...] = ()

    @property
    def hidden(self) -> list[int]:
        """The widths of all hidden layers."""
        return [self.h, *self.more]

    @property
    def layers(self) -> list[int]:
        """Features, hidden widths and outputs."""
        return [self.f, *self.hidden, self.k]


@dataclass(frozen=True)
class Form:
    """How a file takes its data.

    Attributes:
        x: "rows", "columns", "one" (an example as a vector), "one row", "one column", "lists",
            "one list".
        y: "same" (one-hot, of the outputs' shape), "labels", "label column", "label row", "flat",
            "signs", "one-hot int".
    """

    x: str = "rows"
    y: str = "same"

    def text(self) -> str:
        """In words."""
        x = {
            "rows": "examples in rows",
            "columns": "examples in columns",
            "one": "one example at a time",
            "one row": "one example at a time, as a row",
            "one column": "one example at a time, as a column",
            "lists": "examples as lists of floats",
            "one list": "one example at a time, as a list",
            "sets": "examples of several rows each",
        }[self.x]
        y = {
            "same": "targets like the outputs",
            "labels": "labels 0 to k-1",
            "label column": "labels in a column",
            "label row": "labels in a row",
            "flat": "targets (n,)",
            "signs": "targets -1 and 1",
            "one-hot int": "one-hot labels",
            "like X": "targets like X",
        }[self.y]
        return f"{x}, {y}"


MANY = 16  # features; of more, inputs are smaller: sums would saturate what follows
X_FORMS = ("rows", "columns", "one column", "one", "one row", "lists", "one list")
Y_FORMS = ("same", "labels", "label row", "label column", "flat", "like X", "signs", "one-hot int")


def inputs(sizes: Sizes, form: str) -> Any:
    """Inputs in a form."""
    X = np.random.default_rng(sizes.seed + 1).normal(0, 1, (sizes.n, sizes.f))
    return rows_of(X * min(1, MANY / sizes.f) ** 0.5, form)


def rows_of(X: Array, form: str) -> Any:
    """Rows of inputs in a form; of one example the first."""
    made: dict[str, Callable[[], Any]] = {
        "rows": lambda: X,
        "columns": lambda: X.T.copy(),
        "one": lambda: X[0],
        "one row": lambda: X[:1],
        "one column": lambda: X[:1].T.copy(),
        "lists": X.tolist,
        "sets": lambda: np.stack([X, -X, X[::-1] / 2], axis=1),
        "one list": X[0].tolist,
    }
    return made[form]()


def targets(sizes: Sizes, form: Form, shape: Sequence[int]) -> tuple[Any, Array]:
    """Targets in a form, and as float array of the shape that the outputs have.

    Raises:
        ValueError: the outputs have another number of examples, or the form does not fit.
    """
    n = 1 if form.x.startswith("one") else sizes.n
    total = int(np.prod(shape))
    if total % n:
        raise ValueError(f"outputs of shape {tuple(shape)} for {n} examples")
    k = total // n
    rng = np.random.default_rng(sizes.seed + 2)
    labels = rng.permutation(np.arange(max(n, k)))[:n] % max(k, 2)
    # One output: 0 or 1; more: one-hot.
    rows = np.eye(k)[labels] if k > 1 else labels[:, None].astype(float)
    if form.y == "signs":
        rows = 2 * rows - 1
    return in_form(rows, form, shape), _like(rows, form, shape)


def _like(rows: Array, form: Form, shape: Sequence[int]) -> Array:
    """Rows of targets in the shape that outputs have, columns if these are some."""
    other = tuple(shape) == rows.shape[::-1] != rows.shape  # a square fits both ways round
    turned = len(shape) > 1 and (form.x == "columns" or other)
    return (rows.T if turned else rows).reshape(shape).copy()


def in_form(rows: Array, form: Form, shape: Sequence[int]) -> Any:
    """Rows of targets, one-hot or values, in a form.

    Args:
        shape: of the outputs.

    Raises:
        ValueError: the form does not fit, or has no place for such values.
    """
    one, k = form.x.startswith("one"), rows.shape[1]
    same = _like(rows, form, shape)
    if form.y in ("same", "signs"):
        return same.tolist() if "list" in form.x else same
    if form.y == "like X":
        rows = rows[0] if form.x in ("one", "one list") else rows.T if "column" in form.x else rows
        if np.shape(rows) == tuple(shape):
            raise ValueError("that is the form of the outputs")
        return rows.tolist() if "list" in form.x else rows.copy()
    if form.y == "flat":
        if k > 1:
            raise ValueError("flat targets are those of one output")
        flat = rows[:, 0]
        return float(flat[0]) if one else flat.tolist() if "list" in form.x else flat.copy()
    if not np.isin(rows, (0.0, 1.0)).all() or (k > 1 and not np.all(rows.sum(axis=1) == 1)):
        raise ValueError("its targets are labels, which has no place for other values")
    if form.y == "one-hot int":
        return same.astype(int)
    labels = rows.argmax(axis=1) if k > 1 else rows[:, 0].astype(np.int64)
    shapes = {"label column": (-1, 1), "label row": (1, -1)}
    given: Any = labels.reshape(shapes.get(form.y, -1))
    if one and form.y == "labels":
        given = int(labels[0])
    return given.tolist() if "list" in form.x and not one else given


@dataclass
class Board:
    """Values by key, while a reading runs.

    Attributes:
        values: "X", "y", "#Y" (of the outputs' shape), "params", "n", "out", and whatever was
            returned, by the names that the returning function has for it.
        returned: what the last forward pass returned.
    """

    sizes: Sizes
    values: dict[str, Any] = field(default_factory=dict)
    returned: Any = None

    def __getitem__(self, key: str) -> Any:
        if key == "returned":
            return self.returned
        if key.startswith("returned["):
            return self.returned[int(key[9:-1])]
        if key in ("#f", "#h"):
            return getattr(self.sizes, key[1])
        if key.startswith("="):
            return ast.literal_eval(key[1:])
        if key == "pairs":  # a mini-batch of (x, y)
            pair = (self.values["X"], self.values["y"])
            return [pair, tuple(map(turned, pair))] if "#more" in self.values else [pair]
        if key in TURNED:
            return np.transpose(self.values[key[0]])
        if key == "out" and callable(self.values["out"]):
            return self.values["out"]()
        return self.values[key]

    def take(self, returned: Any, names: Sequence[str]) -> None:
        """Keep what a forward pass returned, by name."""
        self.returned = returned
        parts = returned if isinstance(returned, tuple) else (returned,)
        for name, part in zip(names, parts, strict=False):
            self.values[f"@{name}"] = part
        for part in parts:
            if isinstance(part, dict):
                self.values.update({f"@{k}": v for k, v in part.items() if isinstance(k, str)})


def turned(value: Any) -> Any:
    """Numbers in the opposite order, as another example has them; of these the first again."""
    return value[::-1] if isinstance(value, list) else np.flip(value) if np.ndim(value) else value


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those that can be given by position or name.

    Raises:
        ValueError, TypeError: it has no signature.
    """
    given = inspect.signature(function).parameters.values()
    return [p for p in given if "VAR" not in p.kind.name]


def plans(
    function: Callable[..., Any], board: Board, outs: Sequence[str], purpose: str
) -> Iterator[Plan]:
    """The ways to call a function with what is on the board, the likeliest first.

    Args:
        outs: keys of what may be the outputs.
        purpose: "forward", "loss", "backward" or "step".
    """
    try:
        given = parameters(function)
    except (TypeError, ValueError):
        return
    choices: list[list[tuple[str, str]]] = []
    known = purpose not in ("forward", "step") and outs
    order = ("y", *outs[:1]) if known else ("X", "y")
    roles = {role(p.name) for p in given}
    unnamed = iter([key for key in order if key not in roles])
    for p in given:
        if p.default.__class__ is list and role(p.name) in ("X", "y"):  # as `data=[]`
            p = p.replace(default=p.empty)
        keys = _keys(p, board, outs, purpose)
        if role(p.name) in VALIDATION and p.default is None and reads_unasked(function, p.name):
            keys = [VALIDATION[role(p.name)]]
        if (
            keys == [*outs[:3]]
            and isinstance(board.returned, list)
            and takes_last(function, p.name)
        ):
            keys = ["returned"]  # of all layers, as it is
        if not keys and p.default is inspect.Parameter.empty:
            keys = [key for key in (next(unnamed, ""),) if key]
        if not keys and p.default is p.empty and not choices and "params" in board.values:
            keys = ["params"]
        if not keys and p.default is inspect.Parameter.empty:
            return
        if keys in (["X"], ["y"]) and purpose == "step" and turns(function, p.name):
            keys = [*keys, f"{keys[0]}.T"]  # that of a forward pass may be the other way round
        if keys:
            first = "*" if p.kind is inspect.Parameter.POSITIONAL_ONLY else ""
            choices.append([(f"{first}{p.name}", key) for key in keys])
    if "params" in board.values:
        weights_too(choices)
    if purpose != "forward" and not any(key == "y" for keys in choices for _, key in keys):
        targets_too(choices)
    if known:
        outputs_too(choices, outs[0])
    ways = filter(one_network, itertools.product(*choices))
    yield from itertools.islice(ways, MOST_PLANS)


def sure(plan: Plan) -> bool:
    """Whether the names of the parameters say that they are given what they are."""
    alike = {"pairs": "data", "returned": "cache", "net": "params", "out": "params"}
    return all(
        key[0] in "@=#"
        or key in name
        or role(name.strip("*")) in (key.removesuffix(".T"), alike.get(key.split("[")[0]))
        for name, key in plan
    )


def _keys(p: inspect.Parameter, board: Board, outs: Sequence[str], purpose: str) -> list[str]:
    """Keys of what a parameter may be given."""
    name, values = p.name, board.values
    has_default = p.default is not inspect.Parameter.empty
    if f"@{name}" in values and role(name) not in ("X", "y"):
        return [f"@{name}"]
    for key in values:  # cache["A1"] for a parameter a1; `_` at an end
        if key.startswith("@") and plain(key[1:]) == plain(name) and role(name) not in ("X", "y"):
            return [key]
    kind = role(name)
    if name in values and kind != "params":
        return [name]
    if kind == "X" or (kind == "out" and purpose == "forward" and plain(name) in ("a", "z")):
        return ["X"]
    if kind == "y":
        if purpose == "forward" and not has_default:
            return ["y"]
        return [] if purpose == "forward" else ["y"]
    if kind in VALIDATION and not has_default:
        return [VALIDATION[kind]]
    if kind == "data":
        return ["pairs", "X"] if purpose == "step" else ["X", "pairs"]
    if kind == "params" and purpose in ("loss", "backward"):  # P may be outputs: what runs counts
        given = name if name in values else "params"
        found = [key for key in (given, *outs[:1]) if key in ("out", *values)]
        if found and (found != ["out"] or plain(name) not in NETS):
            return found
    if kind == "params" and (name in values or "params" in values):
        return [name if name in values else "params"]
    if kind in ("out", "grad_out") and purpose != "forward":
        found = list(outs) if kind == "out" else [k for k in ("grad_out",) if k in values]
        if found:
            return found[:3]
    if kind == "cache" and purpose != "forward":
        return [
            k for k in ("returned[1]", "returned", "returned[0]", "returned[2]") if _has(board, k)
        ]
    if kind == "params" and plain(name) in NETS and "net" in values:
        return ["net"]
    if kind in ("params", "sizes") and kind in values:
        return [kind]
    if not has_default and kind in ("", "k") and "size" in words(name):
        place = width(name)
        if place in ("f", "h", "k"):
            return ["k" if place == "k" else f"#{place}"]
    if kind == "reg" and "#reg" in values and PENALTIES.fullmatch(plain(name)):
        return ["#reg"]
    if kind == "k" and isinstance(p.default, int) and name != "k":
        return ["k"]  # its own data have that many classes
    whole = kind == "batch_size" and type(p.default) is int and p.default > 1  # one batch of all
    if has_default and kind not in ("lr", "epochs", "quiet") and not whole:
        return []
    constants = {
        "lr": ["lr"], "epochs": ["=1"], "batch_size": ["n"], "reg": ["=0.0"], "keep": ["=1.0"],
        "quiet": ["=False"], "training": ["=True"], "n": ["n"], "k": ["k"],
    }  # fmt: skip
    return constants.get(kind, [])


def understood(function: Callable[..., Any] | None, board: Board) -> bool:
    """Whether the names of what a function must be given say what it is; so does a hint, None."""
    try:
        given = parameters(function) if function is not None else []
    except (TypeError, ValueError):
        return False
    known = {plain(key.lstrip("@")) for key in board.values}
    return all(p.default is not p.empty or role(p.name) or plain(p.name) in known for p in given)


def _has(board: Board, key: str) -> bool:
    with contextlib.suppress(KeyError, IndexError, TypeError):
        board[key]
        return True
    return False


def call(function: Callable[..., Any], plan: Plan, board: Board) -> Any:
    """Call a function by a plan; a number of examples that is missing in its file is supplied."""
    try:
        return unless_too_long(function, partial(_call, function, plan, board))
    except NameError as error:
        known = getattr(function, "__globals__", None)
        values = {"n": board.values["n"], "k": board.values["k"], "lr": RATE, "reg": 0.0}
        if known is None or error.name is None or role(error.name) not in values:
            raise
        known[error.name] = values[role(error.name)]
        return call(function, plan, board)


def _call(function: Callable[..., Any], plan: Plan, board: Board) -> Any:
    first = [board[key] for name, key in plan if name.startswith("*")]
    named = {name: board[key] for name, key in plan if not name.startswith("*")}
    return function(*first, **named)
