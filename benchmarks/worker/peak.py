"""What the cores can do at most: multiply-adds that never leave their registers.

The best matrix product of any library is no limit of the machine: a library may be slow. Four
chains of multiply-adds for each number of a short vector hide each other's latency, and a compiler
takes as many numbers at once as the cores' vectors hold. On a core with 256-bit vectors at 3.1 GHz
it comes to 100 GFLOP/s in float32 and 50 in float64: two multiply-adds of eight and of four numbers
in every cycle, which is all that it has.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import system

Message = dict[str, Any]
NUMBERS = 1024  # in the first cache, of either dtype
REPEATS = 2000  # 1 ms or so
BLOCKS = 60  # the best one counts: any other program only takes away
OPERATIONS = 4 * 8 * 2  # for each number: chains, steps of each, a product and a sum


def answer(request: Message, send: Callable[[Message], object]) -> None:
    """Answer a request "peak": one ceiling for each dtype, or none without Numba.

    Args:
        request: its `dtypes`.
    """
    try:
        import numba
    except ImportError as error:
        send({"missing": str(error)})
        return
    loop = numba.njit(nogil=True, fastmath={"contract"})(multiply_adds)
    for dtype in request["dtypes"]:
        send({"ceiling": {"quantity": "peak", "arithmetic": dtype, "value": rate(loop, dtype)}})


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
