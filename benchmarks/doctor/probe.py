"""The child's side of `doctor`: what one library reaches in this process."""

import statistics
import time
from typing import Any

import numpy as np
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.selftest.checks import work_of
from samegrad.benchmarks.worker import ceilings
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec

SPEC, BATCH = MLPSpec((784, 128, 64, 10)), 128
TINY = 1e-42  # a denormal number in float32


def main() -> None:
    """Answer one request."""
    processes.serve(answer)


def answer(request: dict[str, Any], send: Any) -> None:
    """Rates, a step's time, the cores that were busy, and what denormal numbers cost."""
    implementation: Any = registry.load(request["implementation"])
    began, busy = time.monotonic(), time.process_time()
    rates = {d: ceilings.gemm(implementation, "cpu", d) for d in implementation.DTYPES}
    busy_cores = (time.process_time() - busy) / max(time.monotonic() - began, 1e-9)
    devices = implementation.devices()
    facts: dict[str, str] = getattr(implementation, "describe", lambda _: {})(devices[-1])
    send(
        {
            "gemm": rates,
            "busy_cores": busy_cores,
            "step_seconds": _step(implementation),
            "denormals": _denormals(implementation),
            "devices": list(devices),
            "facts": facts,
            "tf32_times": _tf32_times(implementation),
        }
    )


def _tf32_times(implementation: Any) -> float | None:
    """How many times as fast products in TF32 are on a GPU that has them."""
    if "cuda" not in implementation.devices() or not hasattr(implementation, "precision"):
        return None
    ieee = ceilings.gemm(implementation, "cuda", "float32")
    try:
        with implementation.precision("tf32"):
            return ceilings.gemm(implementation, "cuda", "float32") / ieee
    except NotImplementedError:  # this GPU has no TF32, so there is nothing to compare
        return None


def _step(implementation: Any) -> float:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((BATCH, 784), np.float32), rng.integers(0, 10, BATCH)
    batch = implementation.batch_from_numpy(SPEC, X, y, "cpu")
    params = implementation.params_from_numpy(SPEC, init_params(SPEC), "cpu")
    work = work_of(
        lambda: implementation.loss_and_grad(SPEC, params, *batch), implementation.synchronize
    )
    timer.warm_up(work, 0.3)
    return timer.measure(work, timer.CPU_BLOCK_NS, 2e8).per_call_ns / 1e9


def _denormals(implementation: Any) -> float:
    """How many times as long a forward pass takes whose numbers are all denormal."""
    spec = MLPSpec((256, 256), "identity", bias=False)
    times = []
    for size in (1.0, TINY):
        X = np.full((64, 256), size, np.float32)
        X, _ = implementation.batch_from_numpy(spec, X, np.zeros(64, np.int64), "cpu")
        W = np.full((256, 256), 0.5, np.float32)
        params = implementation.params_from_numpy(spec, [(W, None)], "cpu")
        work = work_of(
            lambda p=params, X=X: implementation.forward(spec, p, X),  # type: ignore[misc] # bound
            implementation.synchronize,
        )
        timer.block(work, 1)
        found = [timer.measure(work, timer.CPU_BLOCK_NS, 0).per_call_ns for _ in range(3)]
        times.append(statistics.median(found))
    return times[1] / times[0]
