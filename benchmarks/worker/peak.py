"""What the cores and their caches can do at most, and what no call takes less than.

The best matrix product of any library is no limit of the machine: a library may be slow. Where
there is a C compiler, loops in C (peak.c) multiply and add without leaving the registers, and read
and write what a cache holds. Without one, Numba compiles the first of them: four chains for each
number of a short vector hide each other's latency, and a compiler takes as many numbers at once as
it likes. On a core with 256-bit vectors at 3.1 GHz either comes to 100 GFLOP/s in float32 and 50 in
float64: two multiply-adds of eight and of four numbers in every cycle, which is all that it has.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import system
from samegrad.implementations.backends import c_compiler

Message = dict[str, Any]
NUMBERS = 1024  # in the first cache, of either dtype
REPEATS = 2000  # 1 ms or so
BLOCKS = 60  # the best one counts: any other program only takes away
OPERATIONS = 4 * 8 * 2  # for each number: chains, steps of each, a product and a sum
IN_C = (
    Path(__file__).with_name("peak.c"),
    Path(c_compiler.__file__).parents[1] / "vectors_c.h",
)
REPEATS_IN_C = 1_000_000  # of the multiply-adds: 1.5 ms or so
SWEPT_BYTES = 2**26  # by one core in one block
MEMORY_BYTES, MEMORY_BLOCKS = 2**27, 6  # of each core, more than its share of any cache; of 10 ms
CALLS = 20_000  # of a function that does nothing
MULTIPLE = 1024  # numbers of an array that is swept: whole vectors


def answer(request: Message, send: Callable[[Message], object]) -> None:
    """Answer a request "peak": one ceiling for each dtype, cache and a call.

    Args:
        request: its `dtypes`, and its `caches`: name -> bytes, from the smallest.
    """
    send({"ceiling": {"quantity": "call", "arithmetic": "", "value": call_seconds()}})
    try:
        for dtype in request["dtypes"]:
            value = rate_in_c(library(dtype))
            send({"ceiling": {"quantity": "peak", "arithmetic": dtype, "value": value}})
        for name, value in bandwidths(library("float32"), request["caches"]):
            quantity = f"bandwidth {name}".strip()
            send({"ceiling": {"quantity": quantity, "arithmetic": "", "value": value}})
        return
    except NotImplementedError as error:
        missing = str(error)
    try:
        import numba
    except ImportError as error:
        send({"missing": f"{missing}; {error}"})
        return
    loop = numba.njit(nogil=True, fastmath={"contract"})(multiply_adds)
    for dtype in request["dtypes"]:
        send({"ceiling": {"quantity": "peak", "arithmetic": dtype, "value": rate(loop, dtype)}})


def call_seconds() -> float:
    """Seconds for a call of a training step that has nothing to do: a function of Python."""

    def step(_spec: Any, params: Any, state: Any, _X: Any, _y: Any, rate: float) -> Any:
        return params, state, rate

    def run(calls: int, _: Any) -> Any:
        params = state = None
        for _i in range(calls):
            params, state, loss = step(None, params, state, None, None, 0.1)
        return params, loss

    work = timer.Work(lambda _: None, run, lambda _: None)
    return min(timer.block(work, CALLS).elapsed_ns for _ in range(BLOCKS // 4)) / CALLS / 1e9


def library(dtype: str) -> Any:
    """The loops in C.

    Raises:
        NotImplementedError: there is no C compiler, or it fails.
    """
    single = {"SINGLE": 1} if dtype == "float32" else {}
    made = c_compiler.library(IN_C, single)
    number = ctypes.c_float if single else ctypes.c_double
    made.samegrad_operations.restype = ctypes.c_long
    made.samegrad_multiply_adds.argtypes = (ctypes.c_long,)
    made.samegrad_multiply_adds.restype = made.samegrad_reads.restype = number
    for loop in (made.samegrad_reads, made.samegrad_sweeps):
        loop.argtypes = (ctypes.c_void_p, ctypes.c_long, ctypes.c_long)
    return made


def rate_in_c(made: Any) -> float:
    """FLOP/s of the multiply-adds in C, with one thread for each core."""
    threads = system.cores()
    elapsed = _least_ns(made.samegrad_multiply_adds, [(REPEATS_IN_C,)] * threads)
    return float(1e9 * threads * REPEATS_IN_C * made.samegrad_operations() / elapsed)


def bandwidths(made: Any, caches: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """(name, bytes per second that are read, or read and written) of each cache, by all cores.

    The last one is all cores' together, the others are each core's own. Last, under the name "",
    comes memory.
    """
    threads, last = system.cores(), list(caches)[-1:]
    for name, size in {**caches, "": 2 * MEMORY_BYTES}.items():
        held = size // 2 // (threads if [name] == last else 1)
        numbers = max(1, held // 4 // MULTIPLE) * MULTIPLE
        arrays = [np.full(numbers, 0.5, np.float32) for _ in range(threads)]
        repeats = max(1, SWEPT_BYTES // (4 * numbers))
        work = [(array.ctypes.data, numbers, repeats) for array in arrays]
        moved, blocks = 1e9 * threads * repeats * 4 * numbers, BLOCKS if name else MEMORY_BLOCKS
        read = moved / _least_ns(made.samegrad_reads, work, blocks)
        yield name, max(read, 2 * moved / _least_ns(made.samegrad_sweeps, work, blocks))


def _least_ns(
    loop: Callable[..., Any], arguments: list[tuple[Any, ...]], blocks: int = BLOCKS
) -> int:
    """The best time of a loop that every core runs at once; ctypes lets go of Python meanwhile."""
    with ThreadPoolExecutor(len(arguments)) as pool:
        work = timer.work_of(lambda: list(pool.map(lambda given: loop(*given), arguments)))
        return min(timer.block(work, 1).elapsed_ns for _ in range(blocks))


def rate(loop: Callable[[Any, Any, Any, int], None], dtype: str) -> float:
    """FLOP/s of `multiply_adds` or the like, with one thread for each core."""
    number, threads = np.dtype(dtype).type, system.cores()
    vectors = [np.full(NUMBERS, 0.5, dtype) for _ in range(threads)]
    half = number(0.5)
    loop(vectors[0], half, half, 1)  # compiles

    def run(vector: Any) -> None:
        loop(vector, half, half, REPEATS)

    with ThreadPoolExecutor(threads) as pool:
        work = timer.work_of(lambda: list(pool.map(run, vectors)))
        elapsed = min(timer.block(work, 1).elapsed_ns for _ in range(BLOCKS))
    return 1e9 * threads * REPEATS * NUMBERS * OPERATIONS / elapsed


def multiply_adds(x: Any, factor: Any, term: Any, repeats: int) -> None:
    """x becomes the sum of four chains x -> factor x + term, again and again."""
    for _ in range(repeats):
        for j in range(len(x)):
            a = x[j]
            b = a + term
            c = b + term
            d = c + term
            for _ in range(8):
                a = a * factor + term
                b = b * factor + term
                c = c * factor + term
                d = d * factor + term
            x[j] = a + b + (c + d)
