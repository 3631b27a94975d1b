"""The NumPy network on a GPU: its own source, with CuPy in NumPy's place.

CuPy has NumPy's functions on arrays that live on a GPU; cuBLAS does the matrix products, CuPy's
kernels the rest. Not one equation is written again: the files `mlp_numpy.py` and
`functions_numpy.py` are executed with `np` as CuPy, so that what is measured on the GPU is what a
reader sees there, and no copy of it.
"""

import ast
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from samegrad.implementations.backends.cupy_backend import CUPY, library
from samegrad.implementations.contract.spec import Array, MLPSpec, Params, Tree

BACKEND = CUPY
# F1-F3, L1, L2, B1-B4, U1-U7: NumPy's own lines, executed with CuPy


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    return network().forward(spec, params, X, masks)


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss, an array without dimensions."""
    return network().loss(spec, params, X, y, masks)


# B1-B4: derived by hand, in mlp_numpy.py


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    return network().loss_and_grad(spec, params, X, y, masks)


def init_state(spec: MLPSpec, params: Params) -> Any:
    """(0 steps done, for each W and b as many arrays of zeros as the rule keeps)."""
    return network().init_state(spec, params)


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update in place, and the loss before it."""
    return network().train_step(spec, params, state, X, y, learning_rate, masks)


@cache
def network() -> Any:
    """The NumPy network, its tables and itself, on CuPy's arrays."""
    here = Path(__file__).parents[1]
    tables = with_library(here / "functions_numpy.py", library(), {})
    return with_library(
        here / "mlp_numpy.py", library(), {"samegrad.implementations.functions_numpy": tables}
    )


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
