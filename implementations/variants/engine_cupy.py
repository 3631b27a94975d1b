"""The NumPy network's source with another library as `np`, and what a GPU needs besides.

A module is made from the text of a file of ours, not from a copy of it: what is measured on the
GPU is what a reader sees in `mlp_numpy.py`. Imports of `numpy` give CuPy instead; everything else
is imported as it stands.
"""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

Array = Any


def with_library(path: Path, np: Any, modules: dict[str, ModuleType]) -> ModuleType:
    """The module of a file in which `import numpy as np` has given another library.

    Args:
        modules: modules that were made this way before, by dotted name; imports of them give these.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    made = ModuleType(f"{path.stem}_with_{np.__name__}")
    made.__file__ = str(path)
    kept = []
    for node in tree.body:
        if isinstance(node, ast.Import) and [alias.name for alias in node.names] == ["numpy"]:
            setattr(made, node.names[0].asname or "numpy", np)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                value = getattr(modules[node.module], alias.name)
                setattr(made, alias.asname or alias.name, value)
        else:
            kept.append(node)
    tree.body = kept
    exec(compile(tree, str(path), "exec"), made.__dict__)  # noqa: S102 # a file of this folder
    return made


@cache
def library() -> Any:
    """CuPy."""
    import cupy

    return cupy


def there() -> bool:
    """Whether CuPy finds a GPU; without a driver it says so by an exception."""
    cupy = library()
    try:
        return int(cupy.cuda.runtime.getDeviceCount()) > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


@cache
def network() -> Any:
    """The NumPy network, its tables and itself, on CuPy's arrays."""
    here = Path(__file__).parents[1]
    tables = with_library(here / "functions_numpy.py", library(), {})
    return with_library(
        here / "mlp_numpy.py", library(), {"samegrad.implementations.functions_numpy": tables}
    )


def fetched(array: Array) -> Array:
    """In the CPU's memory."""
    return library().asnumpy(array)


def waited() -> None:
    """The GPU has done all that it was told."""
    library().cuda.get_current_stream().synchronize()


def peak_memory(device: str) -> int:
    """The most bytes that CuPy's pool has taken from the GPU, in this process."""
    return int(library().get_default_memory_pool().total_bytes())


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


def events(device: str) -> tuple[Callable[[], None], Callable[[], Callable[[], int]]]:
    """CUDA events round device work: start(), then stop() which gives a reader of nanoseconds."""
    cupy = library()
    first, last = cupy.cuda.Event(), cupy.cuda.Event()

    def stop() -> Callable[[], int]:
        last.record()
        # get_elapsed_time is in milliseconds
        return lambda: round(cupy.cuda.get_elapsed_time(first, last) * 1e6)

    return first.record, stop
