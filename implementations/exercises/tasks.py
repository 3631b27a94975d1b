"""What the functions of a worksheet are called with: drawn anew for each check, from its seed.

Each is called on some numbers, on others of another size, on the first again, and one by itself on
others of the first's size: what it keeps of a call shows. Weights are the same objects in all calls
of a whole network, as in a training.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samegrad.implementations.exercises.sheets import NET, Part, Sheet

Array = Any
STEPS = 4  # of a rule
RATE, DECAY, L2 = 0.1, 0.3, 0.7
SMALL = 1e-5  # the step of a difference quotient: its error is about 1e-10 of the slope
DIRECTIONS = 2
HUGE = 1000.0  # logits at which exp overflows
STATE = {"U1": 0, "U2": 1, "U3": 1, "U4": 1, "U5": 2, "U6": 2, "U7": 2}  # kept arrays of a rule
DERIVED = ("B1-B4", NET)


@dataclass
class Task:
    """The calls of one function.

    Attributes:
        part: what it computes.
        how: "call" it, "chain" a rule, "operation" of Values, or "backward" of a graph.
        pool: arguments by key; a key stands for the same object in every call.
        calls: keys of the arguments of each call.
        judged: how many of the calls are compared with what is right; of the others the last is
            on huge numbers, or the loss near the first point, a pair for each direction.
        directions: of these, like the first argument.
    """

    part: Part
    how: str
    pool: dict[str, Any]
    calls: list[list[str]]
    judged: int = 3
    directions: Sequence[Any] = ()

    def arguments(self, number: int) -> list[Any]:
        """Of one call."""
        return [self.pool[key] for key in self.calls[number]]


def tasks(sheet: Sheet, seed: int) -> list[Task]:
    """The calls for each part of a worksheet."""
    return [_task(sheet, part, np.random.default_rng([seed, n])) for n, part in
            enumerate(sheet.parts)]  # fmt: skip


def _task(sheet: Sheet, part: Part, rng: np.random.Generator) -> Task:
    equation = part.equation
    if equation in DERIVED:
        return _whole(sheet, part, rng)
    if equation[0] == "D":
        draw: Callable[..., Any] = _graph if equation == "D6" else _operands
        pool: dict[str, Any] = {f"{call}0": draw(rng, equation) for call in "ab"}
        how = "backward" if equation == "D6" else "operation"
        return Task(part, how, pool, [["a0"], ["b0"], ["a0"]])
    if equation[0] == "U" and equation != "U1":
        return _chain(part, rng)
    draws = ONE if sheet.one else ROWS
    pool, calls = {}, []
    # Where W is square, one that is transposed gives numbers, not an exception.
    other = (5, 4, 4) if equation in ("F1", "B4") else (5, 2, 4)
    for call, sizes in zip("ab", ((4, 3, 3), other), strict=True):
        arguments = draws[equation](rng, *sizes)
        pool |= {f"{call}{n}": argument for n, argument in enumerate(arguments)}
        calls.append([f"{call}{n}" for n in range(len(arguments))])
    for n, argument in enumerate(draws[equation](rng, 4, 3, 3)):
        pool[f"c{n}"] = argument
    calls += [calls[0], [key.replace("a", "c") for key in calls[0]]]
    task = Task(part, "call", pool, calls, len(calls))
    if equation in ("L1", "B1"):
        pool["huge"] = np.where(pool["a0"] > 0, HUGE, -HUGE)
        task.calls.append(["huge", "a1"])
    return task


Draw = Callable[..., tuple[Any, ...]]


def _labels(rng: np.random.Generator, n: int, k: int) -> Array:
    return rng.permutation(np.arange(n) % k)


def _label(rng: np.random.Generator, k: int) -> int:
    """The class of one example; of three the last, of more one of the first two.

    So a class that is taken for another thing, such as a factor, is no 0 or 1 in every call.
    """
    return 2 if k == 3 else int(rng.integers(2))


def _params(rng: np.random.Generator, *sizes: int) -> list[Any]:
    pairs = itertools.pairwise(sizes)
    return [(rng.normal(size=(i, j)), rng.normal(size=j)) for i, j in pairs]


# equation -> (rng, examples, fan_in, fan_out) -> the arguments of its function
ROWS: dict[str, Draw] = {
    "F1": lambda rng, n, i, j: (
        rng.normal(size=(n, i)), rng.normal(size=(i, j)), rng.normal(size=j)),
    "F2": lambda rng, n, i, j: (rng.normal(size=(n, j)),),
    "L1": lambda rng, n, i, j: (rng.normal(size=(n, j)), _labels(rng, n, j)),
    "L2": lambda rng, n, i, j: (_params(rng, i, j, n), L2),
    "B1": lambda rng, n, i, j: (rng.normal(size=(n, j)), _labels(rng, n, j)),
    "B2": lambda rng, n, i, j: (
        rng.normal(size=(n, i)), rng.normal(size=(n, j)), rng.normal(size=(i, j)), L2),
    "B3": lambda rng, n, i, j: (rng.normal(size=(n, j)),),
    "B4": lambda rng, n, i, j: (
        rng.normal(size=(n, j)), rng.normal(size=(i, j)), np.tanh(rng.normal(size=(n, i)))),
    "U1": lambda rng, n, i, j: (rng.normal(size=(i, j)), rng.normal(size=(i, j)), RATE),
}  # fmt: skip
ONE: dict[str, Draw] = {
    "F1": lambda rng, n, i, j: (
        rng.normal(size=i), rng.normal(size=(i, j)), rng.normal(size=j)),
    "F2": lambda rng, n, i, j: (rng.normal(size=j),),
    "L1": lambda rng, n, i, j: (rng.normal(size=j), _label(rng, j)),
    "B1": lambda rng, n, i, j: (rng.normal(size=j), _label(rng, j)),
    "B2": lambda rng, n, i, j: (rng.normal(size=i), rng.normal(size=j)),
    "B3": lambda rng, n, i, j: (rng.normal(size=j),),
    "B4": lambda rng, n, i, j: (
        rng.normal(size=j), rng.normal(size=(i, j)), np.tanh(rng.normal(size=i))),
    "U1": ROWS["U1"],
}  # fmt: skip


def _whole(sheet: Sheet, part: Part, rng: np.random.Generator) -> Task:
    """A network; and, around its weights, what the slopes of the file's own loss are."""
    params = _params(rng, 3, 4, 3)
    pool: dict[str, Any] = {"p": params}
    for call, n in zip("ab", (5, 7), strict=True):
        pool |= {f"{call}X": rng.normal(size=(n, 3)), f"{call}y": _labels(rng, n, 3)}
    rest = []
    if any(p.equation == "L2" for p in sheet.parts):
        pool["decay"], rest = L2, ["decay"]
    first = ["p", "aX", "ay", *rest]
    task = Task(part, "call", pool, [first, ["p", "bX", "by", *rest], first])
    directions = [_params(rng, 3, 4, 3) for _ in range(DIRECTIONS)]
    for number, direction in enumerate(directions):
        for sign in (1, -1):
            key = f"{'+' if sign > 0 else '-'}{number}"
            pool[key] = [
                tuple(p + sign * SMALL * d for p, d in zip(pair, along, strict=True))
                for pair, along in zip(params, direction, strict=True)
            ]
            task.calls.append([key, *first[1:]])
    task.directions = directions
    return task


def _chain(part: Part, rng: np.random.Generator) -> Task:
    pool: dict[str, Any] = {"rate": RATE, "decay": DECAY}
    calls = []
    for call, shape in zip("ab", ((3, 2), (4,)), strict=True):
        pool[f"{call}p"] = rng.normal(size=shape)
        # Of different size and sign: what divides by the size of a gradient shows what it keeps.
        sizes = rng.permutation(np.arange(1, STEPS + 1))
        pool[f"{call}dps"] = [size * rng.normal(size=shape) for size in sizes]
        decay = ["decay"] if part.equation == "U7" else []
        calls.append([f"{call}p", f"{call}dps", "rate", *decay])
    return Task(part, "chain", pool, [*calls, calls[0]])


def _operands(rng: np.random.Generator, equation: str) -> list[float]:
    count = 2 if equation in ("D1", "D2") else 1
    return [float(x) for x in rng.uniform(0.5, 1.5, count)]


def _graph(rng: np.random.Generator, _: str) -> list[Any]:
    """(data, numbers of parents, slopes) of each node: some are used twice, also far apart."""
    nodes: list[Any] = [(float(rng.normal()), [], []) for _ in range(3)]
    # The third uses two that are used again later, so that an order by depth alone fails.
    for parents in ([0, 1], [1, 2], [3, 4], [3, 3], [5, 0], [6, 7, 4]):
        slopes = [float(slope) for slope in rng.normal(size=len(parents))]
        nodes.append((float(rng.normal()), parents, slopes))
    return nodes
