"""The child process of `doctor`: what one library, or OpenBLAS, reaches in this process."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker import ceilings
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec

SPEC, BATCH = MLPSpec((784, 128, 64, 10)), 128
TINY = 1e-42  # a denormal number in float32
Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer one request: for the kernels of OpenBLAS, or for an implementation."""

    def answer(request: dict[str, Any], send: Send) -> None:
        send(openblas() if request["about"] == "openblas" else library(request["implementation"]))

    processes.serve(answer)


def openblas() -> dict[str, Any]:
    """Which kernels NumPy's OpenBLAS uses here, and its FLOP/s; or the reason why not."""
    from threadpoolctl import threadpool_info

    numpy = registry.load("numpy")
    libraries = [info for info in threadpool_info() if info["internal_api"] == "openblas"]
    if not libraries:
        return {"reason": "NumPy's products are not OpenBLAS's here"}
    rates = {dtype: ceilings.gemm(numpy, "cpu", dtype) for dtype in numpy.dtypes}
    return {"kernel": str(libraries[0].get("architecture", "unknown")), "gemm": rates}


def library(name: str) -> dict[str, Any]:
    """FLOP/s, a step's time, the cores that were busy, and what denormal numbers cost."""
    implementation: Any = registry.load(name)
    began, busy = time.monotonic(), time.process_time()
    rates = {d: ceilings.gemm(implementation, "cpu", d) for d in implementation.dtypes}
    busy_cores = (time.process_time() - busy) / max(time.monotonic() - began, 1e-9)
    devices = implementation.devices()
    facts: dict[str, str] = implementation.capabilities.describe(devices[-1])
    return {
        "gemm": rates,
        "busy_cores": busy_cores,
        "step_seconds": _step_seconds(implementation),
        "denormals": _denormals(implementation),
        "devices": list(devices),
        "facts": facts,
        "tf32_times": _tf32_times(implementation),
    }


def _tf32_times(implementation: Any) -> float | None:
    """How many times as fast products in TF32 are on a GPU that has them."""
    if "cuda" not in implementation.devices():
        return None
    ieee = ceilings.gemm(implementation, "cuda", "float32")
    try:
        with implementation.capabilities.precision("tf32", "cuda"):
            return ceilings.gemm(implementation, "cuda", "float32") / ieee
    except NotImplementedError:  # this GPU has no TF32, so there is nothing to compare
        return None


def _step_seconds(implementation: Any) -> float:
    """Seconds of one loss and gradient."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((BATCH, 784), np.float32), rng.integers(0, 10, BATCH)
    batch = implementation.batch_from_numpy(SPEC, X, y, "cpu")
    params = implementation.params_from_numpy(SPEC, init_params(SPEC), "cpu")
    work = timer.work_of(
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
        work = timer.work_of(
            lambda p=params, X=X: implementation.forward(spec, p, X),  # type: ignore[misc] # bound
            implementation.synchronize,
        )
        timer.block(work, 1)
        per_call = [timer.measure(work, timer.CPU_BLOCK_NS, 0).per_call_ns for _ in range(3)]
        times.append(statistics.median(per_call))
    return times[1] / times[0]
