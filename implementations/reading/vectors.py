"""All weights in one vector, which functions take apart: by sizes that they are given, or know."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.board import Form, Sizes, parameters
from samegrad.implementations.reading.harmless import harmless
from samegrad.implementations.reading.networks import Maker, Network

Array = Any
Functions = dict[str, Callable[..., Any]]
LONG = 20_011  # numbers of a vector that is taken apart to see how: a prime, so that all fits none


def of_vectors(functions: Functions) -> Iterator[Maker]:
    """Ways to make a vector for functions that take one."""
    if any(_takes_sizes(f) for f in functions.values()):
        for biases in (1, 0):
            yield partial(_of_sizes, functions, biases)
    for length, shapes in _apart(functions):
        yield partial(_of_length, functions, length, shapes)


def _takes_sizes(function: Callable[..., Any]) -> bool:
    """Whether a function takes parameters together with the sizes of the layers: unrolled."""
    try:
        given = [p.name for p in parameters(function)]
    except (TypeError, ValueError):
        return False
    sized = [g for g in given if names.width(g) in ("f", "h", "k")]
    return len(sized) >= 3 and ("param" in given[0] or names.role(given[0]) == "params")


def _of_sizes(functions: Functions, biases: int, sizes: Sizes, form: Form) -> Network:
    n = (sizes.f + biases) * sizes.h + (sizes.h + biases) * sizes.k
    taken = [p.name for f in functions.values() if _takes_sizes(f) for p in parameters(f)[:1]]
    return _network(functions, n, taken, sizes)


def _of_length(
    functions: Functions, length: int, shapes: tuple[tuple[int, ...], ...], sizes: Sizes, _: Form
) -> Network:
    made = _network(functions, length, _taken(functions), sizes)
    made.shapes = shapes
    return made


def _network(functions: Functions, length: int, taken: list[str], sizes: Sizes) -> Network:
    vector = np.random.default_rng(sizes.seed).normal(0, 0.5, length)
    values = {"params": vector, **dict.fromkeys(taken, vector)}
    return Network({"params": vector}, functions, f"functions of a vector ({length},)", values)


def _taken(functions: Functions) -> list[str]:
    """Names of parameters that hold weights and are cut into slices."""
    found = []
    for function in functions.values():
        try:
            given = [p.name for p in parameters(function)]
        except (TypeError, ValueError):
            continue
        found += [n for n in given[:1] if names.role(n) == "params" or "param" in n]
    return list(dict.fromkeys(found))


class _Recorder(np.ndarray):
    """A long vector that remembers which of its slices became matrices."""

    begin: int
    record: list[tuple[int, int | None, tuple[int, ...] | None]]

    def __array_finalize__(self, of: Any) -> None:
        self.begin, self.record = getattr(of, "begin", -1), getattr(of, "record", [])

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if isinstance(index, slice) and self.ndim == 1 and self.begin >= 0:
            start, stop, step = index.indices(len(self))
            if step == 1 and isinstance(part, _Recorder):
                part.begin = self.begin + start
                whole = self.begin + stop == LONG
                self.record.append((part.begin, None if whole else self.begin + stop, None))
        elif isinstance(part, _Recorder):
            part.begin = -1
        return part

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Zeros of any shape; what is asked for is recorded."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        sizes = tuple(int(n) for n in wanted)
        if sizes.count(-1) == 1 and self.begin + len(self) != LONG:  # a piece of known length
            rest = max(1, -int(np.prod(sizes)))
            sizes = tuple(len(self) // rest if n == -1 else n for n in sizes)
        if self.begin < 0 or min(sizes) < 0:
            return super().reshape(*shape, **kwargs)
        self.record.append((self.begin, self.begin + int(np.prod(sizes)), sizes))
        return np.zeros(sizes)


def _apart(functions: Functions) -> Iterator[tuple[int, tuple[tuple[int, ...], ...]]]:
    """Lengths of the vector that functions may take, with the shapes of its matrices."""
    found: list[tuple[int, tuple[tuple[int, ...], ...]]] = []
    for function in functions.values():
        vector = np.zeros(LONG).view(_Recorder)
        vector.begin, vector.record = 0, []
        if not _called(function, vector):
            continue
        matrices = [(a, b, shape) for a, b, shape in vector.record if shape is not None]
        if not matrices:
            continue
        shapes = tuple(dict.fromkeys(shape for _, _, shape in matrices if len(shape) == 2))
        ends = [b for _, b, _ in vector.record if b is not None]
        last = max(ends)
        rest = [a for a, b, _ in vector.record if b is None]
        lengths = [last]
        if rest and max(rest) >= last:  # what is left are the biases of the last layer
            lengths = [max(rest) + width for width in reversed(matrices[-1][2] or ())]
        found += [(length, shapes) for length in lengths if 0 < length < LONG]
    yield from dict.fromkeys(found)


def _called(function: Callable[..., Any], vector: Array) -> bool:
    """Whether a function took apart what is given for its weights, whatever it made of it."""
    try:
        given = parameters(function)
    except (TypeError, ValueError):
        return False
    rest = [np.ones((2, 2)) for p in given[1:] if p.default is p.empty]
    if not given or given[0].name not in _taken({"": function}):
        return False
    if rest and not _may_be_run(function):
        return False
    with harmless(), contextlib.suppress(Exception, SystemExit):  # it may write what it is given
        function(vector, *rest)
    return bool(vector.record)


def _may_be_run(function: Callable[..., Any]) -> bool:
    """Whether a function is a pass or a loss: what trains would not end."""
    name = function.__name__
    known = (names.FORWARD.match, names.BACKWARD.match, names.BOTH.match, names.LOSS.fullmatch)
    return any(match(name) for match in known) or usage.gives_loss(function.__code__)
