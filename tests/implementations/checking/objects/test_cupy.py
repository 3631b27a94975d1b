"""`samegrad.check` on arrays of a device, of which NumPy gets nothing but by `.get()`."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.check import check
from tests.helpers import fake_cupy
from tests.helpers.fake_cupy import DeviceArray


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801 # CuPy's name
    """An array that is none of NumPy's, as CuPy's is none."""

    def __init__(self, inside: Any) -> None:
        self.inside = np.ndarray.view(np.asarray(inside), DeviceArray)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """On what is on the device, and on numbers: the arrays inside refuse NumPy's."""
        held = [x.inside if isinstance(x, ndarray) else x for x in inputs]
        out = options.pop("out", None)
        found = ndarray(getattr(ufunc, method)(*held, **options))
        if out is not None:
            out[0].inside[...] = found.inside
            return out[0]
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inside"], name)

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) is np.ndarray:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self.inside[key] = value.inside if isinstance(value, ndarray) else value

    @property
    def T(self) -> Any:  # noqa: N802 # CuPy's name
        """Transposed."""
        return ndarray(self.inside.T)

    def get(self) -> Any:
        """On the host."""
        return np.array(np.ndarray.view(self.inside, np.ndarray))

    def copy(self) -> Any:
        """On the device."""
        return ndarray(self.get())

    def sum(self, *axes: int) -> Any:
        """Of all or along an axis."""
        return ndarray(self.get().sum(*axes))


ndarray.__module__ = "cupy"


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_arrays_of_a_device_are_checked_where_they_are(
    factor: float, steps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Returned, or taken off the weights in place; these are afterwards as they were."""
    library = fake_cupy.install(monkeypatch)
    monkeypatch.setattr(library, "asarray", lambda a, dtype=None: ndarray(np.array(a, dtype)))
    rng = np.random.default_rng(0)
    net: Any = SimpleNamespace(W=ndarray(rng.normal(size=(4, 3))), V=ndarray(np.ones((3, 2))))
    x, y = ndarray(rng.normal(size=(6, 4))), ndarray(rng.normal(size=(6, 2)))

    def loss() -> Any:
        return ((np.tanh(x @ net.W) @ net.V - y) ** 2).sum()

    def backward() -> Any:
        h = np.tanh(x @ net.W)
        d = 2.0 * (h @ net.V - y)
        z = (d @ net.V.T) * (1.0 - h * h)
        found = x.T @ z * (factor / 2), h.T @ d
        if not steps:
            return found
        net.W -= 0.1 * found[0]
        net.V -= 0.1 * found[1]
        return None

    before = net.W.get(), net.V.get()
    report = check(net, loss, backward, (x, y))

    assert report.verdict == ("agrees" if factor == 2 else "disagrees")
    assert [4 * 3, 3 * 2] == [match.measured for match in report.matches]
    assert np.array_equal(before[0], net.W.get()) and np.array_equal(before[1], net.V.get())
