"""A stand-in for CuPy: NumPy's functions on arrays that refuse to meet NumPy's own.

What a GPU computes it cannot show; that every array of the network is placed, stays there and is
fetched, it can.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


class DeviceArray(np.ndarray):
    """An array that pretends to live on a GPU: it computes with its like and with numbers only."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """The ufunc on the arrays inside, if all of them are on the device."""
        for array in inputs:
            if type(array) is np.ndarray:
                raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        compute = getattr(ufunc, method)
        out = options.pop("out", None)
        if out is not None:
            compute(*map(_inside, inputs), out=tuple(map(_inside, out)), **options)
            return out[0]
        return _outside(compute(*map(_inside, inputs), **options))

    def __array__(self, *_: Any, **__: Any) -> Any:
        """As CuPy: NumPy does not get at it by itself."""
        raise TypeError("Implicit conversion to a NumPy array is not allowed; use .get()")


def _inside(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_inside, value))
    return np.ndarray.view(value, np.ndarray) if isinstance(value, DeviceArray) else value


def _outside(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return np.ndarray.view(np.array(value), DeviceArray)
    return value


class Library(ModuleType):
    """The module: its functions are NumPy's, and give arrays of the device."""

    def __getattr__(self, name: str) -> Any:
        """A function of NumPy."""
        of_numpy = getattr(np, name)
        if not callable(of_numpy) or isinstance(of_numpy, type):
            return of_numpy

        def function(*arrays: Any, **options: Any) -> Any:
            if any(type(value) is np.ndarray for value in arrays):
                raise TypeError("Unsupported type <class 'numpy.ndarray'>")
            options = {key: _inside(value) for key, value in options.items()}
            return _outside(of_numpy(*map(_inside, arrays), **options))

        return function


def install(monkeypatch: pytest.MonkeyPatch, gpus: int = 1) -> Any:
    """Put the stand-in where CuPy would be."""
    library: Any = Library("cupy")
    library.array = lambda array: _outside(np.array(_inside(array)))
    library.asarray = library.array
    library.asnumpy = lambda array: np.array(_inside(array))
    library.waited = 0

    def wait() -> None:
        library.waited += 1

    runtime = SimpleNamespace(getDeviceCount=lambda: gpus, CUDARuntimeError=RuntimeError)
    stream = SimpleNamespace(synchronize=wait)
    library.cuda = SimpleNamespace(runtime=runtime, get_current_stream=lambda: stream)
    monkeypatch.setitem(sys.modules, "cupy", library)
    return library
