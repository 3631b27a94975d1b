"""Small networks and batches that the tests share, and every usable (implementation, device)."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.judge import chains
from samegrad.implementations.checking import problems
from samegrad.implementations.checking.calls import FUNCTIONS, call
from samegrad.implementations.checking.comparison import (
    Comparison,
    TensorCheck,
    bound,
    judge,
)
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.registry import load, names
from samegrad.implementations.contract.spec import MLPSpec


def problem(spec: MLPSpec, batch_size: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Params and a batch clear of kinks: (params, X, y)."""
    drawn = problems.draw(spec, batch_size, seed)
    return drawn.params, drawn.X, drawn.y


def every_implementation(kind: str = "all") -> list[Any]:
    """pytest parameters (name, device); one that is not installed is skipped with its reason.

    What has no more than a training step is left out: test_peers.py looks at it; and what takes
    small networks alone: test_symbolic.py.
    """
    parameters = []
    for name in names(kind):
        entry = registry.TABLE[name]
        if not entry.whole or entry.small:
            continue
        missing = registry.why_not_installed(name)
        marks = [pytest.mark.skip(reason=missing)] if missing else []
        if entry.cpu:
            parameters.append(pytest.param(name, "cpu", marks=marks, id=name))
        if entry.gpu:
            marks = [*marks, pytest.mark.gpu]
            parameters.append(pytest.param(name, "cuda", marks=marks, id=f"{name}-cuda"))
    return parameters


def loaded(name: str, device: str, spec: MLPSpec | None = None) -> Any:
    """The implementation, or a skip with the reason why it cannot do this here.

    torch.compile takes seconds for each function: its functions run as they are written, except
    in tests/implementations/test_compiled.py.
    """
    implementation = load(name)
    if name == "torch_compile":
        import torch

        torch.compiler.set_stance("force_eager")
    if device not in implementation.devices():
        pytest.skip(f"{name} has no device {device!r} on this machine")
    if spec is not None and spec.dtype not in implementation.dtypes:
        pytest.skip(f"{name} has no dtype {spec.dtype}: it has {implementation.dtypes}")
    return implementation


def check(
    implementation: Any, spec: MLPSpec, params: Any, X: Any, y: Any, device: str, masks: Any = None
) -> Comparison:
    """Everything called on one batch and compared with the reference, tensor by tensor.

    An exception is a disagreement.
    """
    reference = expected(spec, params, X, y, masks)
    one = problems.Problem("", spec, params, X, y, masks)
    results: dict[str, Any] = {}
    for function in FUNCTIONS:
        result = call(function, implementation, one, device, reference.learning_rate)
        wrong = result.failure or result.not_supported
        if wrong:
            reason = f"{function}: {wrong}"
            return Comparison((TensorCheck("call", None, bound(spec.dtype), reason),))
        results |= result.results
    return judge(spec, reference, results, implementation.capabilities.accuracy(spec))


def step_error(implementation: Any, batch_size: int = 4096) -> float:
    """By how much params are off after a step of gradient descent in float32, in the norm."""
    spec, rng = MLPSpec((64, 32, 10)), np.random.default_rng(1)
    X = rng.normal(size=(batch_size, 64)).astype(np.float32)
    y = rng.integers(0, 10, batch_size)
    start: Any = [
        (rng.normal(0, 0.1, (a, b)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in pairwise(spec.layer_sizes)
    ]
    grads, _, _ = chains.gradient(spec, chains.float64(start), X.astype(np.float64), y)
    moved = [
        (W - 0.01 * dW, b - 0.01 * db)
        for (W, b), (dW, db) in zip(chains.float64(start), grads, strict=True)
    ]
    params = implementation.params_from_numpy(spec, start, "cpu")
    state = implementation.init_state(spec, params)
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    stepped, _, _ = implementation.train_step(spec, params, state, *batch, 0.01)
    off = chains.difference(chains.float64(implementation.to_numpy(stepped)), moved)
    return float(np.linalg.norm(chains.flattened(off)))
