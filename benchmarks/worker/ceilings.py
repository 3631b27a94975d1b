"""The worker's side of the explanation: what library and machine can do, and what a call needs.

Ceilings: the best rate of a large square matrix product of this library, the memory's bandwidth,
on a GPU the cost of a launch and the rates of transfer. Parts of a call: its matrix products on
their own, and the same call on a network of width 1, in which nothing is left to compute.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.costs import Shape, flops, products
from samegrad.benchmarks.clock import timer
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Tree

Message = dict[str, Any]
Array = Any
SMALLEST, LARGEST = 64, 8192  # of the square products; doubled until one takes a block
ROLES = {"nn": "aW", "tn": "ad", "nt": "dW"}  # of A and B: activation, W, delta
BLOCKS = 5  # of a ceiling: the best one counts
COPY_BYTES = 2**28  # far more than a cache holds
TRANSFER_BYTES = 2**26
LONG_NS = 100_000_000  # products longer than this are not run again, but computed from the rate
# Results that may wait for the synchronisation together: enough to hide the wait itself, which
# takes longer than a small call (8, 16, 32: JAX's smallest gradient takes 26.7, 25.9, 25.6 us), and
# too few to fill the cache, or to take long when they are waited for once more.
MOST_PENDING, MOST_PENDING_BYTES = 16, 16 * 2**20


def repeated(
    call: Callable[[int], Tree], synchronize: Callable[[Tree], None], result_bytes: int
) -> Callable[[int, Tree], Tree]:
    """A loop over independent calls that waits for some of them at once: `timer.Work.run`."""
    most = max(1, min(MOST_PENDING, MOST_PENDING_BYTES // max(1, result_bytes)))

    def run(calls: int, _: Tree) -> Tree:
        pending: list[Tree] = []
        for i in range(calls):
            found = call(i)
            if len(pending) == most:
                synchronize(pending)
                pending = []
            pending.append(found)
        return pending

    return run


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
    target = timer.CPU_BLOCK_NS if device == "cpu" else timer.GPU_BLOCK_NS
    best, n = 0.0, SMALLEST
    while n <= LARGEST:
        rng = np.random.default_rng(0)
        A, B, C = (placed(implementation, rng.random((n, n)), device, dtype) for _ in "ABC")
        work = _products(implementation, ("nn",), [(A, B)], [C], 2 * n * n * 8)
        timer.block(work, 1)  # compiles, and fills caches
        elapsed = min(timer.block(work, 1).elapsed_ns for _ in range(2))
        best = max(best, 2e9 * n**3 / elapsed)
        if elapsed >= target:
            elapsed = min(timer.block(work, 1).elapsed_ns for _ in range(BLOCKS))
            return max(best, 2e9 * n**3 / elapsed)
        n *= 2
    return best


def bandwidth() -> float:
    """Bytes per second, read and written, of copying memory with as many threads as there are."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    source = np.zeros(COPY_BYTES // 8)
    target = np.ones_like(source)  # written once, so that its pages are there
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def run(calls: int, _: Tree) -> None:
            for _i in range(calls):
                list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))

        work = timer.Work(lambda: None, run, lambda _: None)
        elapsed = min(timer.block(work, 1).elapsed_ns for _ in range(BLOCKS))
    return 2e9 * source.nbytes / elapsed


def device_bandwidth(implementation: Implementation, device: str) -> float:
    """Bytes per second that a product of a large matrix with a vector reads."""
    n = 8192
    rng = np.random.default_rng(0)
    A = placed(implementation, rng.random((n, n)), device, "float32")
    x = placed(implementation, rng.random((n, 1)), device, "float32")
    out = placed(implementation, np.zeros((n, 1)), device, "float32")
    found = timer.measure(_products(implementation, ("nn",), [(A, x)], [out], 4 * n), 20_000_000, 0)
    return 4e9 * n * n / found.per_call_ns


def launch(implementation: Implementation, device: str) -> float:
    """Seconds for each of many calls in a row of a product of two numbers."""
    one, out = (placed(implementation, np.ones((1, 1)), device, "float32") for _ in "AC")
    found = timer.measure(_products(implementation, ("nn",), [(one, one)], [out], 4), 20_000_000, 0)
    return found.per_call_ns / 1e9


def transfer(implementation: Implementation, device: str) -> Iterator[tuple[str, float]]:
    """Bytes per second to the device and back, through the interface and its checks."""
    X = np.zeros((TRANSFER_BYTES // 4096, 1024), np.float32)
    spec, y = MLPSpec((1024, 1)), np.zeros(len(X), np.int64)
    there, back = [], []
    for _ in range(3):
        on_device, ns = timer.timed(
            lambda: implementation.batch_from_numpy(spec, X, y, device),
            implementation.synchronize,
        )
        there.append(ns)
        _, ns = timer.timed(partial(implementation.to_numpy, on_device[0]), lambda _: None)
        back.append(ns)
    yield "transfer_in", 1e9 * X.nbytes / min(there)
    yield "transfer_out", 1e9 * X.nbytes / min(back)


class Parts:
    """Parts of the calls of one worker, each measured once."""

    def __init__(
        self, implementation: Implementation, device: str, rates: Mapping[str, float]
    ) -> None:
        """Nothing is measured yet.

        Args:
            rates: dtype -> FLOP/s, from the ceilings.
        """
        self.implementation, self.device, self.rates = implementation, device, rates
        self.target_ns = (timer.CPU_BLOCK_NS if device == "cpu" else timer.GPU_BLOCK_NS) / 2
        self._found: dict[Any, float] = {}

    def of(self, case: Case) -> Message:
        """products_ns and empty_ns of one call of the case, as far as they can be measured."""
        spec, steps = case.spec, case.calls_per_epoch
        found: Message = {}
        if self.implementation.capabilities.products is not None:
            one = self._products_ns(spec, case.operation, case.workload.batch_size)
            found["products_ns"] = steps * one
        operation = "train_step" if case.operation == "epoch" else case.operation
        with contextlib.suppress(NotImplementedError):  # somebody's network may refuse width 1
            found["empty_ns"] = steps * self._empty_ns(spec, operation)
        return found

    def _products_ns(self, spec: MLPSpec, operation: str, batch_size: int) -> float:
        kind = "forward" if operation == "forward" else "loss_and_grad"
        key = (spec.layer_sizes, spec.dtype, kind, batch_size)
        if key not in self._found:
            rate = self.rates.get(spec.dtype)
            predicted = 1e9 * flops(spec, kind, batch_size) / rate if rate else 0.0
            if predicted > LONG_NS:
                self._found[key] = predicted
            else:
                whole = self._time(products(spec, kind, batch_size), spec.dtype)
                tiny = self._overhead(len(spec.layer_sizes), spec.dtype, kind)
                self._found[key] = max(0.0, whole - tiny)
        return self._found[key]

    def _overhead(self, depth: int, dtype: str, kind: str) -> float:
        """Nanoseconds of calling the library for as many products of numbers."""
        key = (depth, dtype, kind)
        if key not in self._found:
            spec = MLPSpec((1,) * depth)
            self._found[key] = self._time(products(spec, kind, 1), dtype)
        return self._found[key]

    def _time(
        self, shapes: list[tuple[str, tuple[int, int], tuple[int, int]]], dtype: str
    ) -> float:
        kinds, drawn = factors(shapes)
        pairs, out = on_device(self.implementation, kinds, drawn, self.device, dtype)
        work = product_work(self.implementation, kinds, pairs, out)
        timer.block(work, 1)
        return timer.measure(work, int(self.target_ns), 0).per_call_ns

    def _empty_ns(self, spec: MLPSpec, operation: str) -> float:
        tiny = replace(spec, layer_sizes=(1,) * len(spec.layer_sizes))
        key = (tiny, operation)
        if key not in self._found:
            self._found[key] = self._time_empty(tiny, operation)
        return self._found[key]

    def _time_empty(self, spec: MLPSpec, operation: str) -> float:
        implementation, device = self.implementation, self.device
        y = np.zeros(1, np.int64) if spec.loss == "cross_entropy" else np.zeros((1, 1), spec.dtype)
        X, y = implementation.batch_from_numpy(spec, np.ones((1, 1), spec.dtype), y, device)
        fresh = init_params(spec)

        def start() -> Tree:
            params = implementation.params_from_numpy(spec, fresh, device)
            if operation != "train_step":
                return params
            return params, implementation.init_state(spec, params)

        def train(calls: int, given: Tree) -> Tree:
            params, state = given
            for _ in range(calls):
                params, state, loss = implementation.train_step(spec, params, state, X, y, 0.01)
            return params, state, loss

        kept = start()
        function: Callable[..., Tree] = getattr(implementation, operation)
        batch = (X,) if operation == "forward" else (X, y)
        run: Callable[[int, Tree], Tree] = train
        if operation != "train_step":
            run = repeated(lambda _: function(spec, kept, *batch), implementation.synchronize, 8)
        collects = implementation.capabilities.leaves_cycles
        work = timer.Work(start, run, implementation.synchronize, collects=collects)
        timer.block(work, 1)
        return timer.measure(work, int(self.target_ns), 0).per_call_ns


def placed(implementation: Implementation, array: Array, device: str, dtype: Any) -> Array:
    """A matrix on the device, by way of a batch: the contract knows no other arrays."""
    spec = MLPSpec((array.shape[1], 1), dtype=dtype)
    y = np.zeros(len(array), np.int64)
    return implementation.batch_from_numpy(spec, array.astype(dtype), y, device)[0]


def factors(
    shapes: list[tuple[str, Shape, Shape]],
) -> tuple[tuple[str, ...], list[tuple[Array, Array]]]:
    """(kinds, pairs of random factors) of the products of `cases.products`.

    An activation, a delta or a W is one array in all its products, as in a step; those of layers
    that are alike are one: no step reads less.
    """
    rng = np.random.default_rng(0)
    drawn: dict[Any, Array] = {}

    def factor(role: str, shape: Shape) -> Array:
        if (role, shape) not in drawn:
            drawn[role, shape] = rng.standard_normal(shape)
        return drawn[role, shape]

    pairs = [(factor(ROLES[kind][0], a), factor(ROLES[kind][1], b)) for kind, a, b in shapes]
    return tuple(kind for kind, _, _ in shapes), pairs


def on_device(
    implementation: Implementation,
    kinds: tuple[str, ...],
    pairs: list[tuple[Array, Array]],
    device: str,
    dtype: str,
) -> tuple[list[tuple[Array, Array]], list[Array]]:
    """The factors on the device, and an array for each product."""
    once: dict[int, Array] = {}

    def there(array: Array) -> Array:
        if id(array) not in once:
            once[id(array)] = placed(implementation, array, device, dtype)
        return once[id(array)]

    rows, columns = {"nn": 0, "tn": 1, "nt": 0}, {"nn": 1, "tn": 1, "nt": 0}
    sizes = [
        (A.shape[rows[kind]], B.shape[columns[kind]])
        for kind, (A, B) in zip(kinds, pairs, strict=True)
    ]
    out = [placed(implementation, np.zeros(size), device, dtype) for size in sizes]
    return [(there(A), there(B)) for A, B in pairs], out


def product_work(
    implementation: Any, kinds: tuple[str, ...], pairs: list[tuple[Array, Array]], out: list[Array]
) -> timer.Work:
    """A loop over the products, to be timed; results of one shape overwrite one another."""
    shapes = [(len(C), len(C[0])) for C in out]
    place = dict(zip(shapes, out, strict=True))
    entries = max((rows * columns for rows, columns in shapes), default=1)
    shared = [place[shape] for shape in shapes]
    return _products(implementation, kinds, pairs, shared, 8 * entries * len(out))


def _products(
    implementation: Any,
    kinds: tuple[str, ...],
    pairs: list[tuple[Array, Array]],
    out: list[Array],
    result_bytes: int,
) -> timer.Work:
    multiply = implementation.capabilities.products
    run = repeated(
        lambda _: multiply(kinds, pairs, out),
        implementation.synchronize,
        result_bytes,
    )
    return timer.Work(lambda: None, run, implementation.synchronize)
