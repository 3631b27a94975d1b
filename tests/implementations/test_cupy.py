"""The NumPy network's own source on another library's arrays, shown with a stand-in for CuPy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.backends import cupy_backend
from samegrad.implementations.checking import problems
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.variants import mlp_cupy
from tests.helpers import fake_cupy
from tests.helpers.fake_cupy import DeviceArray
from tests.helpers.networks import check

CUPY = Implementation(mlp_cupy, "cupy")
SPECS = [
    MLPSpec((5, 7, 4, 3), "relu", weight_decay=0.1, dtype="float64"),
    MLPSpec((5, 7, 3), "gelu", loss="mse", output_activation="sigmoid", dtype="float64"),
    MLPSpec((5, 7, 3), "lif_rate", loss="binary_cross_entropy", bias=False, dtype="float64"),
    MLPSpec((5, 7, 3), "leaky_relu", optimizer="adam", dropout=0.4, dtype="float64"),
    MLPSpec((5, 7, 3), "silu", optimizer="adadelta", dtype="float32"),
    MLPSpec((5, 3), optimizer="nesterov", weight_decay=0.1, decoupled=True, dtype="float32"),
]


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in, with nothing remembered of another one."""
    for remembered in (cupy_backend.library, mlp_cupy.network):
        remembered.cache_clear()
    yield fake_cupy.install(monkeypatch)
    for remembered in (cupy_backend.library, mlp_cupy.network):
        remembered.cache_clear()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.activation}-{spec.optimizer}")
def test_numpy_source_agrees_on_arrays_of_another_library(spec: MLPSpec, cupy: Any) -> None:
    """Outputs, loss, gradient and step; no array of the host gets between them."""
    p = problems.draw(spec, 6)

    verdict = check(CUPY, spec, p.params, p.X, p.y, "cuda", p.masks)

    assert verdict.agrees, verdict.reason


def test_arrays_are_placed_fetched_and_waited_for(cupy: Any) -> None:
    """On the device after placing, of the host after fetching."""
    spec = SPECS[0]
    p = problems.draw(spec, 6)

    params = CUPY.params_from_numpy(spec, p.params, "cuda")
    X, y = CUPY.batch_from_numpy(spec, p.X, p.y, "cuda")
    CUPY.synchronize((params, X))
    taken, _ = CUPY.capabilities.take(X, y, np.array([3, 1]))

    assert all(type(a) is DeviceArray for a in (params[0][0], X, y, taken))
    assert type(CUPY.to_numpy(X)) is np.ndarray
    np.testing.assert_array_equal(CUPY.to_numpy(taken), p.X[[3, 1]])
    assert 1 == cupy.waited


def test_array_of_the_host_among_them_is_refused(cupy: Any) -> None:
    """The stand-in is as strict as CuPy: a batch that was not placed does not get through."""
    spec = SPECS[0]
    p = problems.draw(spec, 6)
    params = CUPY.params_from_numpy(spec, p.params, "cuda")

    with pytest.raises(TypeError, match="Unsupported type"):
        CUPY.forward(spec, params, p.X)


def test_without_a_gpu_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy installed on a machine without one: no silent fall-back to the CPU."""
    cupy_backend.library.cache_clear()
    fake_cupy.install(monkeypatch, gpus=0)

    assert () == CUPY.devices()
    with pytest.raises(ValueError, match="device 'cuda' is not available to cupy"):
        CUPY.params_from_numpy(SPECS[0], problems.draw(SPECS[0], 2).params, "cuda")
    cupy_backend.library.cache_clear()


def test_the_network_is_the_file_that_a_reader_sees(cupy: Any) -> None:
    """Made from mlp_numpy.py and functions_numpy.py, and from no other text."""
    network = mlp_cupy.network()

    assert str(ROOT / "implementations" / "mlp_numpy.py") == network.__file__
    assert network.forward.__code__.co_filename == network.__file__
    tables = network.LOSSES["mse"][0].__code__.co_filename
    assert str(ROOT / "implementations" / "functions_numpy.py") == tables
    assert network.np is cupy
