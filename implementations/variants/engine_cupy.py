"""The NumPy network's source with another library as `np`.

A module is made from the text of a file of ours, not from a copy of it: what is measured on the
GPU is what a reader sees in `mlp_numpy.py`. Imports of `numpy` give CuPy instead; everything else
is imported as it stands.
"""

import ast
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from samegrad.implementations.backends.cupy_backend import library


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
def network() -> Any:
    """The NumPy network, its tables and itself, on CuPy's arrays."""
    here = Path(__file__).parents[1]
    tables = with_library(here / "functions_numpy.py", library(), {})
    return with_library(
        here / "mlp_numpy.py", library(), {"samegrad.implementations.functions_numpy": tables}
    )
