"""What library and machine can do at most.

The best rate of a large square matrix product of a library, the memory's bandwidth, on a GPU the
cost of a launch and the rates of transfer.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.products import place, work
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
SMALLEST, LARGEST = 64, 8192  # of the square products; doubled until one takes a block
BLOCKS = 5  # of a ceiling: the best one counts
COPY_BYTES = 2**28  # far more than a cache holds
TRANSFER_BYTES = 2**26


def measure(
    implementation: Implementation, device: str, arithmetic: str, with_memory: bool
) -> Iterator[Message]:
    """Each ceiling as quantity, arithmetic and value.

    Args:
        arithmetic: "tf32" or "bfloat16" under that precision, else "" for all dtypes.
        with_memory: whether the machine's memory is measured, too.
    """
    if implementation.capabilities.products is not None:
        for dtype in ("float32",) if arithmetic else implementation.dtypes:
            rate = gemm(implementation, device, dtype)
            yield {"quantity": "gemm", "arithmetic": arithmetic or dtype, "value": rate}
        if device != "cpu" and not arithmetic:
            yield {"quantity": "launch", "arithmetic": "", "value": launch(implementation, device)}
            for quantity, rate in transfer(implementation, device):
                yield {"quantity": quantity, "arithmetic": "", "value": rate}
            rate = device_bandwidth(implementation, device)
            yield {"quantity": "bandwidth", "arithmetic": "", "value": rate}
    if device == "cpu" and with_memory:
        yield {"quantity": "bandwidth", "arithmetic": "", "value": bandwidth()}


def gemm(implementation: Implementation, device: str, dtype: Any) -> float:
    """FLOP/s of the largest square product that takes about a block, or of the best before."""
    target = timer.CPU_BLOCK_NS if device == "cpu" else timer.GPU_BLOCK_NS
    best, n = 0.0, SMALLEST
    while n <= LARGEST:
        rng = np.random.default_rng(0)
        A, B, C = (place(implementation, rng.random((n, n)), device, dtype) for _ in "ABC")
        product = work(implementation, ("nn",), [(A, B)], [C], 2 * n * n * 8)
        timer.block(product, 1)  # compiles, and fills caches
        elapsed = min(timer.block(product, 1).elapsed_ns for _ in range(2))
        best = max(best, 2e9 * n**3 / elapsed)
        if elapsed >= target:
            elapsed = min(timer.block(product, 1).elapsed_ns for _ in range(BLOCKS))
            return max(best, 2e9 * n**3 / elapsed)
        n *= 2
    return best


def bandwidth() -> float:
    """Bytes per second, read and written, of copying memory with as many threads as there are."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    source = np.zeros(COPY_BYTES // 8)
    target = np.ones_like(source)  # written once, so that its pages are mapped
    slices = zip(np.array_split(source, threads), np.array_split(target, threads), strict=True)
    copies = list(slices)
    with ThreadPoolExecutor(threads) as pool:

        def run(calls: int, _: Tree) -> None:
            for _i in range(calls):
                list(pool.map(lambda copy: np.copyto(copy[1], copy[0]), copies))

        copying = timer.Work(lambda: None, run, lambda _: None)
        elapsed = min(timer.block(copying, 1).elapsed_ns for _ in range(BLOCKS))
    return 2e9 * source.nbytes / elapsed


def device_bandwidth(implementation: Implementation, device: str) -> float:
    """Bytes per second that a product of a large matrix with a vector reads."""
    n = 8192
    rng = np.random.default_rng(0)
    A = place(implementation, rng.random((n, n)), device, "float32")
    x = place(implementation, rng.random((n, 1)), device, "float32")
    out = place(implementation, np.zeros((n, 1)), device, "float32")
    product = work(implementation, ("nn",), [(A, x)], [out], 4 * n)
    return 4e9 * n * n / timer.measure(product, 20_000_000, 0).per_call_ns


def launch(implementation: Implementation, device: str) -> float:
    """Seconds for each of many calls in a row of a product of two numbers."""
    one, out = (place(implementation, np.ones((1, 1)), device, "float32") for _ in "AC")
    product = work(implementation, ("nn",), [(one, one)], [out], 4)
    return timer.measure(product, 20_000_000, 0).per_call_ns / 1e9


def transfer(implementation: Implementation, device: str) -> Iterator[tuple[str, float]]:
    """Bytes per second to the device and back, through the interface and its checks."""
    X = np.zeros((TRANSFER_BYTES // 4096, 1024), np.float32)
    spec, y = MLPSpec((1024, 1)), np.zeros(len(X), np.int64)
    to_device, back = [], []
    for _ in range(3):
        on_device, ns = timer.timed(
            lambda: implementation.batch_from_numpy(spec, X, y, device),
            implementation.synchronize,
        )
        to_device.append(ns)
        _, ns = timer.timed(partial(implementation.to_numpy, on_device[0]), lambda _: None)
        back.append(ns)
    yield "transfer_in", 1e9 * X.nbytes / min(to_device)
    yield "transfer_out", 1e9 * X.nbytes / min(back)
