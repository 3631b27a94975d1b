"""NumPy, `math` and `float` as somebody's code has to see them while it runs over exact numbers.

Constructors of arrays of floats give exact arrays, so that what is written into them stays exact.
Everything is put back afterwards. For one thread at a time.
"""

import builtins
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.proof.arrays import (
    FLOAT,
    ExactArray,
    bare,
    exact,
    holds,
    is_float,
    of_numbers,
    plain,
)
from samegrad.implementations.proof.exactness import users
from samegrad.implementations.proof.number import Number, lift

KEEP = ("asarray", "asanyarray", "ascontiguousarray", "asfortranarray")  # an exact array as it is
MAKERS = (
    *("zeros ones empty full eye identity tri linspace logspace arange".split()),
    *("zeros_like ones_like empty_like full_like array".split()),
    *KEEP,
)
DRAWS = "rand randn normal uniform random random_sample standard_normal".split()
NETWORKS = ("mlp_", "functions_", "engine_")  # files of ours that are run like anybody's


def _maker(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of NumPy's that makes arrays, with exact ones in place of those of floats."""

    def make(*args: Any, **kwargs: Any) -> Any:
        if not users(sys._getframe(1).f_code):
            return original(*args, **kwargs)
        dtype = kwargs.get("dtype")
        if args and holds(args):
            if not is_float(dtype):
                return original(bare(args[0])).astype(dtype)
            kwargs.pop("dtype", None)
            args = tuple(a for i, a in enumerate(args) if not (i and _is_dtype(a)))
            if name in KEEP and isinstance(args[0], ExactArray):
                return args[0]
            if name == "array":
                args = (bare(args[0]), *args[1:])
        if name == "empty_like" and isinstance(args[0], ExactArray):
            return np.zeros_like(*args, **kwargs)
        made = original(*args, **kwargs)
        if isinstance(made, np.ndarray) and type(made) in (np.ndarray, ExactArray):
            kind = plain(made).dtype.kind
            return exact(made) if kind == "f" or (kind == "O" and of_numbers(made)) else made
        return exact(made).item() if isinstance(made, np.floating | float) else made

    return make


class _Joined:
    """`np.c_` and `np.r_`, also of exact arrays."""

    def __init__(self, original: Any, columns: bool) -> None:
        self.original, self.columns = original, columns

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not holds(parts) or any(isinstance(part, slice | str) for part in parts):
            return self.original[key]
        if self.columns:
            return np.column_stack([exact(part) for part in parts])
        return np.concatenate([np.atleast_1d(exact(part)) for part in parts])


def _from_iterable(original: Callable[..., Any]) -> Callable[..., Any]:
    """`np.fromiter`, also of exact numbers."""

    def fromiter(numbers: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        held = list(numbers)
        return exact(held) if holds(held) else original(held, *args, **kwargs)

    return fromiter


def _logsumexp(original: Callable[..., Any]) -> Callable[..., Any]:
    """scipy's, also of exact arrays."""

    def logsumexp(a: Any, axis: Any = None, *args: Any, keepdims: bool = False, **more: Any) -> Any:
        if not holds(a):
            return original(a, axis, *args, keepdims=keepdims, **more)
        largest = np.max(a, axis=axis, keepdims=True)
        sums = np.log(np.sum(np.exp(a - largest), axis=axis, keepdims=keepdims))
        return sums + (largest if keepdims else np.max(a, axis=axis))

    return logsumexp


def _is_dtype(x: Any) -> bool:
    return isinstance(x, type | np.dtype | str)


def _number(x: Any) -> Any:
    """The exact number that a Number or an exact array of one entry is, else None."""
    if isinstance(x, ExactArray):
        return x.item() if x.size == 1 else None
    return x if isinstance(x, Number) else None


def _of_math(original: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `math`, that of exact numbers beside its own."""

    def function(*args: Any) -> Any:
        if not any(isinstance(a, Number | ExactArray) for a in args):
            return original(*args)
        return rule(*(a if (n := _number(a)) is None else n for a in map(_lifted, args)))

    return function


def _lifted(x: Any) -> Any:
    return lift(x) if isinstance(x, int | float) else x


def _fsum(numbers: Iterable[Any]) -> Any:
    numbers = list(numbers)
    return sum(numbers) if holds(numbers) else math_fsum(numbers)


math_fsum = math.fsum
MATH: dict[str, Callable[..., Any]] = {
    **{
        name: operator.methodcaller(name)
        for name in "exp sqrt tanh sin cos erf expm1 log1p log2 log10 sinh cosh".split()
    },
    "log": lambda x, base=None: x.log() if base is None else x.log() / base.log(),
    "pow": lambda x, n: x**n,
    "fabs": abs,
    "hypot": lambda *xs: sum(x * x for x in xs).sqrt(),
    "isnan": lambda _: False,
    "isinf": lambda _: False,
    "isfinite": lambda _: True,
    "copysign": lambda x, y: abs(x) if y >= 0 else -abs(x),
}


class _Kind(type):
    """Of `Float`: an exact number is a float there."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, builtins.float | Number)


class Float(float, metaclass=_Kind):
    """`float` in the globals of the user's code: of an exact number it is the number itself."""

    dtype = FLOAT

    def __new__(cls, x: Any = 0.0) -> Any:
        """The number, or an ordinary float."""
        number = _number(x)
        return builtins.float(x) if number is None else number


class _Scalar(type):
    """Of what stands for np.float64 and np.float32: an exact number is one of them."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, np.floating | Number)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, np.floating | Number)


def _scalar(original: Any) -> Any:
    """A scalar type of NumPy's, for calls and as a dtype; exact numbers and arrays stay exact."""

    def new(_: Any, x: Any = 0.0) -> Any:
        return exact(x) if isinstance(x, ExactArray) else x if holds(x) else original(x)

    return _Scalar(original.__name__, (original,), {"__new__": new, "dtype": np.dtype(original)})


@contextmanager
def exact_numpy(functions: Iterable[Callable[..., Any]] = ()) -> Iterator[None]:
    """While it lasts, code of the user's modules and of `functions` stays exact."""
    replaced: list[tuple[Any, str, Any]] = []
    new: dict[int, Any] = {}

    def put(owner: Any, name: str, value: Any) -> None:
        original = getattr(owner, name)
        replaced.append((owner, name, original))
        new[id(original)] = value
        setattr(owner, name, value)

    shadowed: list[tuple[Any, Any, Any]] = []

    def shadow(space: Any, name: Any, value: Any) -> None:
        """A function that was taken from NumPy or math, also in a table of functions."""
        now = new.get(id(value)) if callable(value) else None
        if now is None and type(value) is tuple and any(id(v) in new for v in value):
            now = tuple(new.get(id(v), v) for v in value)
        if now is not None:
            shadowed.append((space, name, value))
            space[name] = now
        elif type(value) is dict:
            for key, held in list(value.items()):
                shadow(value, key, held)
        elif type(value) is list:
            for key, held in enumerate(value):
                shadow(value, key, held)

    try:
        for name in MAKERS:
            put(np, name, _maker(getattr(np, name), name))
        for name in DRAWS:
            put(np.random, name, _maker(getattr(np.random, name), name))
        for name, rule in MATH.items():
            put(math, name, _of_math(getattr(math, name), rule))
        put(math, "fsum", _fsum)
        for name in ("float64", "float32"):
            put(np, name, _scalar(getattr(np, name)))
        put(np, "fromiter", _from_iterable(np.fromiter))
        put(np, "c_", _Joined(np.c_, columns=True))
        put(np, "r_", _Joined(np.r_, columns=False))
        if (special := sys.modules.get("scipy.special")) is not None:
            put(special, "logsumexp", _logsumexp(special.logsumexp))
        for space in _spaces(functions):
            for name, value in list(space.items()):
                if not name.startswith("__"):
                    shadow(space, name, value)
            if "float" not in space:
                shadowed.append((space, "float", None))
                space["float"] = Float
        yield
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)
        for space, name, value in reversed(shadowed):
            if value is None:
                space.pop(name, None)
            else:
                space[name] = value


def _spaces(functions: Iterable[Callable[..., Any]]) -> list[dict[str, Any]]:
    """The globals of the user's modules, each once."""
    spaces = {id(vars(m)): vars(m) for m in list(sys.modules.values()) if _is_users(m)}
    for function in functions:
        inner = getattr(function, "__func__", function)
        space = getattr(inner, "__globals__", None)
        if space is not None and space.get("__name__") != __name__:
            spaces[id(space)] = space
    return list(spaces.values())


def _is_users(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not isinstance(file, str):
        return False
    name = module.__name__
    if name.startswith("samegrad."):
        return name.rpartition(".")[2].startswith(NETWORKS)
    return name != "samegrad" and is_users(file)
