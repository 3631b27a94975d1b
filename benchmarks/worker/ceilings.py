"""What library and machine can do at most, and how fast the machine is at a moment.

The matrix products of a call alone are the least that it could take. The ceilings are the best rate
of a large square product of a library, the memory's bandwidth, on a GPU the cost of a launch and
the rates of transfer.
"""

import hashlib
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.products import Pairs, factors
from samegrad.benchmarks.cases.workload import MLPWorkload, Shape
from samegrad.benchmarks.clock import calls, timer
from samegrad.benchmarks.machine import system
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Array, MLPSpec, Tree

Message = dict[str, Any]
# Of the square products; doubled until one takes a block. A GPU is filled by none below its own.
SMALLEST, SMALLEST_ON_GPU, LARGEST = 64, 1024, 8192
PATTERN = 2**16  # random numbers that large factors repeat: 134 million would take a second
BLOCKS = 5  # of a ceiling: the best one counts
COPY_BYTES = 2**28  # far more than a cache holds
TRANSFER_BYTES = 2**26
HASHED_BYTES, HASHES = 2**19, 5  # 0.3 ms each: an interruption hits one of them


class Products:
    """Some matrix products by the library of an implementation, on a device.

    Attributes:
        kinds: "nn" (A B), "tn" (A^T B) or "nt" (A B^T) of each.
        pairs: their factors, in float64.
        device, placed: the factors on the device.
        out: an array there for each result.
    """

    def __init__(
        self,
        implementation: Implementation,
        kinds: tuple[str, ...],
        pairs: Pairs,
        device: str,
        dtype: str,
    ) -> None:
        """Place the factors, each array once.

        Raises:
            NotImplementedError: the implementation does not show its products.
        """
        if implementation.capabilities.products is None:
            raise NotImplementedError("it defines no products(kinds, pairs, out)")
        self.multiply = implementation.capabilities.products
        self.implementation, self.kinds, self.pairs = implementation, kinds, pairs
        self.device = device
        arrays = {id(array): array for pair in pairs for array in pair}
        once = {key: place(implementation, array, device, dtype) for key, array in arrays.items()}
        self.placed: Pairs = [(once[id(A)], once[id(B)]) for A, B in pairs]
        self.out: list[Array] = [
            place(implementation, np.zeros(size, dtype), device, dtype) for size in self._sizes()
        ]

    @classmethod
    def of_call(
        cls, implementation: Implementation, workload: MLPWorkload, operation: str, device: str
    ) -> "Products":
        """Those of one call of an operation, with random factors.

        Raises:
            NotImplementedError: the implementation does not show its products.
        """
        kinds, pairs = factors(workload.products(operation))
        return cls(implementation, kinds, pairs, device, workload.dtype)

    def call(self) -> Tree:
        """All of them, once."""
        return self.multiply(self.kinds, self.placed, self.out)

    def work(self) -> timer.Work:
        """A loop over them, to be timed; results of one shape overwrite one another."""
        multiply, kinds, placed = self.multiply, self.kinds, self.placed
        synchronize = self.implementation.synchronize
        sizes = self._sizes()
        one = dict(zip(sizes, self.out, strict=True))
        shared = [one[size] for size in sizes]
        size = 8 * max(rows * columns for rows, columns in sizes) * len(sizes)
        most = calls.most_pending(size, self.device)
        run = calls.repeated(lambda *_: multiply(kinds, placed, shared), synchronize, most)
        return timer.Work(
            lambda _: None, run, lambda several: synchronize(several and several.last)
        )

    def _sizes(self) -> list[Shape]:
        """The shapes of the results."""
        return [
            (A.shape[kind == "tn"], B.shape[kind != "nt"])
            for kind, (A, B) in zip(self.kinds, self.pairs, strict=True)
        ]


def place(implementation: Implementation, array: Array, device: str, dtype: Any) -> Array:
    """A matrix on the device, by way of a batch: the contract knows no other arrays."""
    spec = MLPSpec((array.shape[1], 1), dtype=dtype)
    y = np.zeros(len(array), np.int64)
    X = array.astype(dtype, copy=False)
    return implementation.batch_from_numpy(spec, X, y, device)[0]


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


def gemm(implementation: Implementation, device: str, dtype: str) -> float:
    """FLOP/s of the largest square product that takes about a block, or of the best before."""
    target = timer.block_ns(device)
    best, n = 0.0, SMALLEST if device == "cpu" else SMALLEST_ON_GPU
    while n <= LARGEST:
        product = _product(implementation, (n, n), (n, n), device, dtype)
        timer.block(product, 1)  # compiles, and fills caches
        elapsed = min(timer.block(product, 1).elapsed_ns for _ in range(2))
        best = max(best, 2e9 * n**3 / elapsed)
        if elapsed >= target:
            elapsed = min(timer.block(product, 1).elapsed_ns for _ in range(BLOCKS))
            return max(best, 2e9 * n**3 / elapsed)
        n *= 2
    return best


def launch(implementation: Implementation, device: str) -> float:
    """Seconds for each of many calls in a row of a product of two numbers."""
    product = _product(implementation, (1, 1), (1, 1), device)
    return timer.measure(product, timer.GPU_BLOCK_NS, 0).per_call_ns / 1e9


def device_bandwidth(implementation: Implementation, device: str) -> float:
    """Bytes per second that a product of a large matrix with a vector reads."""
    n = LARGEST
    product = _product(implementation, (n, n), (n, 1), device)
    return 4e9 * n * n / timer.measure(product, timer.GPU_BLOCK_NS, 0).per_call_ns


def _product(
    implementation: Implementation, a: Shape, b: Shape, device: str, dtype: str = "float32"
) -> timer.Work:
    """The product of two matrices of these shapes, to be timed."""
    some = np.random.default_rng(0).random(PATTERN).astype(dtype)
    pair = np.resize(some, a), np.resize(some[::-1], b)
    return Products(implementation, ("nn",), [pair], device, dtype).work()


def bandwidth() -> float:
    """Bytes per second, read and written, of copying memory with as many threads as there are."""
    threads = system.cores()
    source = np.zeros(COPY_BYTES // 8)
    target = np.ones_like(source)  # written once, so that its pages are mapped
    slices = zip(np.array_split(source, threads), np.array_split(target, threads), strict=True)
    copies = list(slices)
    with ThreadPoolExecutor(threads) as pool:
        copying = timer.work_of(
            lambda: list(pool.map(lambda copy: np.copyto(copy[1], copy[0]), copies))
        )
        elapsed = min(timer.block(copying, 1).elapsed_ns for _ in range(BLOCKS))
    return 2e9 * source.nbytes / elapsed


def transfer(implementation: Implementation, device: str) -> Iterator[tuple[str, float]]:
    """Bytes per second to the device and back, from memory that the system may page out."""
    X = np.zeros((TRANSFER_BYTES // 4096, 1024), np.float32)
    to_device, back = [], []
    for _ in range(3):
        on_device, ns = timer.timed(
            partial(implementation.backend.place, X, device), implementation.synchronize
        )
        to_device.append(ns)
        _, ns = timer.timed(partial(implementation.to_numpy, on_device))
        back.append(ns)
    yield "transfer_in", 1e9 * X.nbytes / min(to_device)
    yield "transfer_out", 1e9 * X.nbytes / min(back)


def cpu_speed() -> Message:
    """A fixed piece of work in words, and nanoseconds that it takes now; 2 ms.

    A processor's clock follows its heat and what its other cores do, on a shared machine for
    others: in three minutes everything becomes 7 % faster, and slower again. The work is a SHA-256:
    it stays in the registers of one core, so its time is that clock's. Over such minutes NumPy's
    gradient varied by 1.6 % (standard deviation), divided by this time by 0.6 %, scalar Python's by
    1.8 and 0.9 % (correlations 0.93 and 0.88; of a loop in Python 0.76 and 0.80).

    The times of a run are not corrected by it: what waits for memory does not follow the clock. It
    says how much of a difference between two runs may be the machine's (`rows.cpu_speed_change`).
    """
    data = bytes(HASHED_BYTES)
    elapsed = [timer.timed(lambda: hashlib.sha256(data).digest())[1] for _ in range(HASHES)]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    made_by = getattr(hashlib.sha256, "__module__", "")  # OpenSSL's, or Python's own
    work = f"SHA-256 of {HASHED_BYTES // 1024} KiB, {made_by} of {python}"
    return {"work": work, "elapsed_ns": min(elapsed)}
