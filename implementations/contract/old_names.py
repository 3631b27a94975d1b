"""What a file writes that was made when samegrad was three packages, and what to write now."""

import ast
from pathlib import Path

# The packages of before, and modules that have another name now.
OLD_TOPS = ("benchmarks", "implementations", "reports")
PUBLIC = {"MLPSpec", "init_params", "load", "names"}  # of `implementations` itself
OLD_MODULES = {
    "implementations.initial": "samegrad.implementations.contract.initializers",
    "implementations.interface": "samegrad.implementations.contract.spec",
    "implementations.registry": "samegrad.implementations.contract.registry",
    "implementations.parts_jax": "samegrad.implementations.functions_jax",
    "implementations.parts_numpy": "samegrad.implementations.functions_numpy",
    "implementations.parts_scalar": "samegrad.implementations.functions_scalar",
    "implementations.parts_torch": "samegrad.implementations.functions_torch",
    "implementations.verification": "samegrad.implementations.checking.assertions",
}


def what_to_write(path: Path) -> str | None:
    """What to write for the first import of our packages by their old names, if there is one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        module = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
        if isinstance(node, ast.Import):
            module = next((a.name for a in node.names if a.name.split(".")[0] in OLD_TOPS), None)
        if isinstance(node, ast.Import | ast.ImportFrom) and module:
            if module.split(".")[0] not in OLD_TOPS:
                continue
            new = OLD_MODULES.get(module, f"samegrad.{module}")
            if module == "implementations" and PUBLIC & {alias.name for alias in node.names}:
                new = "samegrad"
            words = f"from {new} import" if isinstance(node, ast.ImportFrom) else f"import {new}"
            return f"line {node.lineno} imports {module} by its old name; write: {words} ..."
    return None
