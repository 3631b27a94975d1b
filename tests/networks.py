"""Small networks and batches that the tests share, and every usable (implementation, device)."""

from typing import Any

import numpy as np
import pytest

from implementations import MLPSpec, init_params, load, names, registry
from implementations.reference import clear_of_kinks


def problem(spec: MLPSpec, batch_size: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Params and a batch clear of kinks: (params, X, y)."""
    rng = np.random.default_rng(seed)
    params = init_params(spec, seed)
    X = rng.normal(size=(4 * batch_size, spec.layer_sizes[0])).astype(spec.dtype)
    X = X[clear_of_kinks(spec, params, X)][:batch_size]
    assert len(X) == batch_size
    if spec.loss == "cross_entropy":
        return params, X, rng.integers(0, spec.layer_sizes[-1], batch_size)
    return params, X, rng.normal(size=(batch_size, spec.layer_sizes[-1])).astype(spec.dtype)


def every_implementation() -> list[Any]:
    """pytest parameters (name, device); one that is not installed is skipped with its reason."""
    parameters = []
    for name in names():
        missing = registry.why_not_installed(name)
        marks = [pytest.mark.skip(reason=missing)] if missing else []
        parameters.append(pytest.param(name, "cpu", marks=marks, id=name))
        if registry.TABLE[name].gpu:
            marks = [*marks, pytest.mark.gpu]
            parameters.append(pytest.param(name, "cuda", marks=marks, id=f"{name}-cuda"))
    return parameters


def loaded(name: str, device: str, spec: MLPSpec | None = None) -> Any:
    """The implementation, or a skip with the reason why it cannot do this here."""
    implementation = load(name)
    if device not in implementation.devices():
        pytest.skip(f"{name} has no device {device!r} on this machine")
    if spec is not None and spec.dtype not in implementation.DTYPES:
        pytest.skip(f"{name} has no dtype {spec.dtype}: it has {implementation.DTYPES}")
    return implementation
