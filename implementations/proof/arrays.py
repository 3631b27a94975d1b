"""Arrays of exact numbers that a file takes for arrays of floats.

An `ExactArray` is a NumPy array of `Number` objects. Whatever meets one is made exact first (0.1 is
the double's own value), so no operation rounds in silence: what has no exact result, or writes into
an array of floats, raises NotExactError at its line.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from samegrad.implementations.proof.exactness import lost
from samegrad.implementations.proof.number import Number, dispatch, lift

Array = Any
# NumPy's own, while `patches` has others stand in their place.
_array, _asarray = np.array, np.asarray
FLOAT = np.dtype(np.float64)  # what an exact array says it is
_lift = np.frompyfunc(lift, 1, 1)
FLOATS = "fcO"  # kinds of dtypes in place of which exact numbers stand


def bare(x: Any) -> Any:
    """An array or number as a plain array of objects, every number in it exact; others stay."""
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "fOiub":
            return x
        whole = np.ndarray.view(x, np.ndarray)
        return _asarray(_lift(whole), dtype=object).reshape(x.shape)
    if isinstance(x, Number | float | np.floating):
        return _array(lift(x), dtype=object)
    if isinstance(x, int | np.integer | np.bool_):
        return _array(lift(x), dtype=object)
    if isinstance(x, list | tuple) and holds(x):
        return bare(_array(x, dtype=object))
    return bare(_asarray(x)) if isinstance(x, list | tuple) else x


def holds(x: Any) -> bool:
    """Whether lists and tuples hold an exact number or array anywhere."""
    if isinstance(x, list | tuple):
        return any(map(holds, x))
    return isinstance(x, Number | ExactArray)


def of_numbers(x: Array) -> bool:
    """Whether an array of objects holds numbers and nothing else."""
    return all(isinstance(entry, Number | float | int | np.number | np.bool_) for entry in x.flat)


def wrapped(x: Any) -> Any:
    """What NumPy gave, with exact arrays for plain arrays of objects."""
    if type(x) is np.ndarray and x.dtype == object and of_numbers(x):
        if not all(type(entry) is Number for entry in x.flat):  # np.where(z > 0, z, 0)
            x = bare(x)
        return x.view(ExactArray)
    if type(x) in (list, tuple):
        return type(x)(map(wrapped, x))
    return x


def exact(x: Any) -> "ExactArray":
    """An exact copy of anything that is an array of numbers."""
    made: ExactArray = _array(bare(_asarray(x)), dtype=object).view(ExactArray)
    return made


def is_float(dtype: Any) -> bool:
    """Whether a dtype, as it is given to NumPy, is one of floats."""
    return dtype is None or np.dtype(dtype).kind in FLOATS


class ExactArray(np.ndarray):
    """An array of exact numbers; `dtype` says float64, as the file expects."""

    __array_priority__ = 200.0

    @property
    def dtype(self) -> Any:  # NumPy itself does not ask here
        """The dtype that it stands for."""
        return FLOAT

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return apply_function(func, args, kwargs)

    def __setitem__(self, index: Any, value: Any) -> None:
        made = bare(value)  # of no dimension, NumPy would store the array itself
        plain(self)[_index(index)] = made[()] if isinstance(made, np.ndarray) else made

    def __getitem__(self, index: Any) -> Any:
        return wrapped(plain(self)[_index(index)])

    def __float__(self) -> float:
        return float(self.item())

    def fill(self, value: Any) -> None:
        """Every entry the same."""
        self[...] = value

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """A copy; a narrower float would only round it, whole numbers are constants."""
        if is_float(dtype):
            return exact(self)
        return _array([n.astype(dtype) for n in bare(self).flat], dtype).reshape(self.shape)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, **more: Any) -> Any:
        """As of floats."""
        return _mean(self, axis, dtype, out, **more)

    def var(self, axis: Any = None, *_: Any, **more: Any) -> Any:
        """As of floats."""
        return _var(self, axis, **more)

    def std(self, axis: Any = None, *_: Any, **more: Any) -> Any:
        """As of floats."""
        return np.sqrt(_var(self, axis, **more))

    def dot(self, other: Any, out: Any = None) -> Any:
        """As of floats."""
        return np.dot(self, other, out)

    def clip(self, *bounds: Any, **more: Any) -> Any:
        """As of floats."""
        return _clip(self, *bounds, **more)

    def any(self, *arguments: Any, **more: Any) -> Any:
        """Whether any entry is not 0."""
        return (self != 0).any(*arguments, **more)

    def all(self, *arguments: Any, **more: Any) -> Any:
        """Whether no entry is 0."""
        return (self != 0).all(*arguments, **more)

    def round(self, *_: Any, **__: Any) -> Any:
        """Not exact."""
        raise lost("it rounds")

    def view(self, *arguments: Any, **more: Any) -> Any:
        """The same entries; there are no bits to look at."""
        kind = arguments[0] if arguments else None
        if isinstance(kind, type) and issubclass(kind, np.ndarray):
            return super().view(kind)
        if kind is None and not more:
            return super().view()
        raise lost("it looks at the bits of floats")


def plain(x: Any) -> Any:
    """The same memory as an ordinary array of objects."""
    return np.ndarray.view(x, np.ndarray) if isinstance(x, ExactArray) else x


def _index(index: Any) -> Any:
    """An index; NumPy asks nothing else of a mask or of whole numbers."""
    return tuple(map(plain, index)) if isinstance(index, tuple) else plain(index)


# ---- ufuncs


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Applied to every entry."""
    made = np.frompyfunc(function, function.__code__.co_argcount, 1)
    return lambda *arrays, **more: made(*arrays, **more)


def _test(function: Callable[[Any], bool]) -> Callable[..., Any]:
    """Applied to every entry; an array of booleans comes out."""
    made = np.frompyfunc(function, 1, 1)

    def test(array: Any, out: Any = None, **more: Any) -> Any:
        result = _asarray(made(array, **more)).astype(bool)
        if out is not None:
            out[0][...] = result
            return out[0]
        return result if result.ndim else result[()]

    return test


def _sign(x: Any) -> Any:
    return lift(int(x > 0) - int(x < 0))


# Of ufuncs that NumPy has not for objects, or has otherwise than for floats.
UFUNCS: dict[str, Callable[..., Any]] = {
    "reciprocal": _each(lambda x: x.reciprocal()),
    "absolute": _each(lambda x: abs(x)),
    "fabs": _each(lambda x: abs(x)),
    "sign": _each(_sign),
    "float_power": _each(lambda x, n: x**n),
    "heaviside": _each(lambda x, half: lift(1) if x > 0 else lift(0) if x < 0 else half),
    "logaddexp": _each(lambda x, y: (x if x > y else y) + (-abs(x - y)).exp().log1p()),
    "sinh": _each(lambda x: x.sinh()),
    "exp2": _each(lambda x: lift(2) ** x),
    "expit": _each(lambda x: x.expit()),
    "erf": _each(lambda x: x.erf()),
    "log_expit": _each(lambda x: -((-x).exp().log1p())),
    "xlogy": _each(lambda x, y: x * y.log() if x != 0 else lift(0)),
    "xlog1py": _each(lambda x, y: x * y.log1p() if x != 0 else lift(0)),
    "hypot": _each(lambda x, y: (x * x + y * y).sqrt()),
    "floor": _each(lambda x: lift(math.floor(x))),
    "ceil": _each(lambda x: lift(math.ceil(x))),
    "trunc": _each(lambda x: lift(math.trunc(x))),
    "conjugate": _each(lambda x: x),
    "isfinite": _test(lambda x: type(x) is Number),
    "isnan": _test(lambda x: type(x) is float and math.isnan(x)),
    "isinf": _test(lambda x: type(x) is float and math.isinf(x)),
    "signbit": _test(lambda x: x < 0),
    "logical_not": _test(lambda x: not x),
}
KEPT = ("axis", "keepdims", "where", "initial")  # arguments that mean the same for exact numbers


def _is_of_floats(x: Any) -> bool:
    """Whether exact numbers would be rounded there."""
    return isinstance(x, np.ndarray) and plain(x).dtype.kind in "fc"


def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a ufunc of NumPy's or scipy's gives for exact numbers and whatever stands beside them.

    Raises:
        NotExactError: it has no exact result, or writes it into an array of floats.
    """
    name = ufunc.__name__
    if method == "at":
        target, index, *values = inputs
        if not isinstance(target, ExactArray):
            raise lost("it adds exact numbers into an array of floats")
        ufunc.at(plain(target), _index(index), *map(bare, values))
        return None
    more = {key: value for key, value in kwargs.items() if key in KEPT and value is not np._NoValue}
    if more.get("initial") is not None:
        more["initial"] = lift(more["initial"])
    out = kwargs.get("out")
    if out is not None:
        if any(_is_of_floats(o) for o in out):
            raise lost("it writes exact numbers into an array of floats")
        more["out"] = tuple(map(plain, out)) if method == "__call__" else plain(out[0])
    function = UFUNCS.get(name) if method == "__call__" else None
    if function is None:
        function = getattr(ufunc, method)
    result = function(*map(bare, inputs), **more)
    if out is not None:
        return out[0]
    if isinstance(result, int | float) and not isinstance(result, bool | np.bool_):
        return lift(result)  # of nothing, NumPy's sum is its own 0
    return wrapped(result)


# ---- other functions of NumPy


def _mean(a: Any, axis: Any = None, _: Any = None, out: Any = None, **more: Any) -> Any:
    more = {key: more[key] for key in ("keepdims", "where") if key in more}
    total = np.sum(a, axis=axis, **more)
    count = np.size(a) // max(1, np.size(total))
    if more.get("where") is not None:
        count = np.sum(np.broadcast_to(more["where"], np.shape(a)), axis=axis)
    result = total / count
    if out is None:
        return result
    out[...] = result
    return out


def _var(a: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, **_: Any) -> Any:
    off = a - _mean(a, axis, keepdims=True)
    squares = np.sum(off * off, axis=axis, keepdims=bool(keepdims))
    return squares / (np.size(a) // max(1, np.size(squares)) - ddof)


def _std(a: Any, axis: Any = None, *_: Any, **more: Any) -> Any:
    return np.sqrt(_var(a, axis, **more))


def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **more: Any) -> Any:
    low, high = more.get("min", a_min), more.get("max", a_max)
    result = a if low is None else np.maximum(a, low)
    result = result if high is None else np.minimum(result, high)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _copyto(dst: Any, src: Any, _: str = "same_kind", where: Any = True) -> None:
    if not isinstance(dst, ExactArray):
        raise lost("it copies exact numbers into an array of floats")
    np.copyto(plain(dst), bare(src), where=plain(where))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 # NumPy's name
    if ord in (None, 2, "fro") and (ord != 2 or axis is not None or np.ndim(x) == 1):
        return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    if ord == 1 and (axis is not None or np.ndim(x) == 1):
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    raise lost(f"the norm of order {ord} is not supported")


def _near(function: Any) -> Callable[..., Any]:
    """Of nearest floats: a check of the file's own, on which no number depends."""

    def near(*arrays: Any, **more: Any) -> Any:
        floats = (
            _array([float(f"{n:.17g}") for n in bare(a).flat]).reshape(np.shape(a))
            for a in arrays[:2]
        )
        return function(*floats, *arrays[2:], **more)

    return near


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.mean: _mean,
    np.var: _var,
    np.std: _std,
    np.clip: _clip,
    np.copyto: _copyto,
    np.linalg.norm: _norm,
    np.allclose: _near(np.allclose),
    np.isclose: _near(np.isclose),
    np.nan_to_num: lambda x, *_, **__: x,
    np.result_type: lambda *_: FLOAT,
    np.copy: lambda a, *_, **__: exact(a),
    np.real: lambda a: a,
    np.any: lambda a, *arguments, **more: (a != 0).any(*arguments, **more),
    np.all: lambda a, *arguments, **more: (a != 0).all(*arguments, **more),
    np.linalg.multi_dot: lambda arrays, **_: functools.reduce(np.dot, arrays),
}
FIRST = {np.fill_diagonal, np.put, np.place, np.putmask, np.put_along_axis}  # write into the first


def apply_function(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What another function of NumPy's gives for exact arrays and whatever stands beside them."""
    if func in FUNCTIONS:
        return FUNCTIONS[func](*args, **kwargs)
    if func in FIRST and not isinstance(args[0], ExactArray):
        raise lost("it writes exact numbers into an array of floats")
    if func.__module__ == "numpy.linalg" or func in (np.round, np.around):
        raise lost(f"np.{func.__name__} is not exact")
    out = kwargs.pop("out", None)
    if "dtype" in kwargs and is_float(kwargs["dtype"]):
        del kwargs["dtype"]
    first = tuple(map(plain, args[:1])) if func in FIRST else tuple(map(_inner, args[:1]))
    result = wrapped(
        func(*first, *map(_inner, args[1:]), **{k: _inner(v) for k, v in kwargs.items()})
    )
    if out is None:
        return result
    if not isinstance(out, ExactArray):
        raise lost("it writes exact numbers into an array of floats")
    out[...] = result
    return out


def _inner(x: Any) -> Any:
    """An argument: arrays and exact numbers as `bare` has them, other numbers as they are."""
    if isinstance(x, list | tuple):
        return type(x)(map(_inner, x))
    if isinstance(x, Number) or (isinstance(x, np.ndarray) and x.dtype.kind in FLOATS):
        return bare(x)
    return plain(x)


dispatch |= {"ufunc": apply_ufunc, "function": apply_function}
