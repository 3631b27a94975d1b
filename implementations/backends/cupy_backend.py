"""CuPy's arrays, which live on a GPU and nowhere else."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from samegrad.implementations.contract.protocol import Backend, Capabilities, Events, products_of
from samegrad.implementations.contract.spec import Array, Tree, map_tree


@cache
def library() -> Any:
    """CuPy."""
    import cupy

    return cupy


def take(X: Array, y: Array, chosen: np.ndarray) -> tuple[Array, Array]:
    """Examples of a placed batch by their indices, on the GPU."""
    indices = library().asarray(chosen)
    return library().take(X, indices, axis=0), library().take(y, indices, axis=0)


def peak_memory(device: str) -> Callable[[], int]:
    """The most bytes that arrays take on the GPU from now on, above those of now.

    The pool is asked for them whenever it has given memory away. What it holds itself would be
    more: blocks that are free, and too small for what comes next.
    """
    cupy = library()
    pool = cupy.get_default_memory_pool()
    before = most = int(pool.used_bytes())

    def look(*_: Any, **__: Any) -> None:
        nonlocal most
        most = max(most, int(pool.used_bytes()))

    own = {"name": f"peak memory {id(look)}", "malloc_postprocess": look}
    hook = type("Hook", (cupy.cuda.MemoryHook,), own)
    hook().__enter__()  # for the rest of the process, in this thread
    return lambda: most - before


def describe(device: str) -> dict[str, str]:
    """What CuPy says of itself."""
    cupy = library()
    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
    return {
        "cupy": str(cupy.__version__),
        "gpu": name.decode() if isinstance(name, bytes) else str(name),
        "cuda": str(cupy.cuda.runtime.runtimeGetVersion()),
        "float32 products": "IEEE float32 unless CUPY_TF32 is set",
    }


def events(device: str) -> Events:
    """CUDA events before and after work on the GPU."""
    cupy = library()
    first, last = cupy.cuda.Event(), cupy.cuda.Event()

    def stop() -> Callable[[], int]:
        last.record()
        # get_elapsed_time is in milliseconds
        return lambda: round(cupy.cuda.get_elapsed_time(first, last) * 1e6)

    return first.record, stop


class CupyBackend(Backend):
    """Copies on the GPU."""

    capabilities = Capabilities(
        products=products_of(lambda A, B, out: library().matmul(A, B, out=out)),
        take=take,
        peak_memory=peak_memory,
        describe=describe,
        events=events,
    )

    def devices(self) -> tuple[str, ...]:
        """CUDA, if CuPy finds a GPU; without a driver it says so by an exception."""
        runtime = library().cuda.runtime
        try:
            return ("cuda",) if int(runtime.getDeviceCount()) > 0 else ()
        except runtime.CUDARuntimeError:
            return ()

    def place(self, array: np.ndarray, device: str) -> Array:
        """A copy on the GPU."""
        return library().array(array)

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory."""
        return map_tree(lambda array: library().asnumpy(array), tree)

    def synchronize(self, tree: Tree) -> None:
        """Wait until the GPU has done all that it was told."""
        library().cuda.get_current_stream().synchronize()


CUPY = CupyBackend()
