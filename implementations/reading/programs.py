"""Programs beside a file that only defines: those of its folder, or around it, that use it."""

import ast
import contextlib
import itertools
from pathlib import Path

from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.source import blocks

MOST_LOOKED_AT = 100  # files of a folder, and of those within it
MOST_SIBLINGS = 3  # files beside one that only defines, which use it
LIKELY = ("main", "train", "test", "xor", "run")  # in the names of programs


def siblings(loaded: Loaded) -> list[Path]:
    """Files of its folder, and of those around it, that import a file."""
    path = loaded.path
    found: list[Path] = []
    folders = [path.parent, path.parent.parent]
    for folder in folders:
        here = [*sorted(folder.glob("*.py")), *sorted(folder.glob("*.ipynb"))]
        near = itertools.islice(folder.glob("*/*.py"), MOST_LOOKED_AT)
        for other in [*here[:MOST_LOOKED_AT], *sorted(near)]:
            if other == path or other in found or not other.is_file():  # a pipe would never end
                continue
            with contextlib.suppress(OSError, ValueError, RecursionError, *UNPARSABLE):
                tree = ast.Module([s for b in blocks(other) for s in b.tree.body], [])
                if path.stem in imported(tree) and _does_more(tree):
                    found.append(other)
        if found:
            break
    found.sort(key=lambda p: (not any(w in p.stem.lower() for w in LIKELY), len(p.parts)))
    return found[:MOST_SIBLINGS]


def imported(tree: ast.Module) -> set[str]:
    """The last words of modules that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").rpartition(".")[2])
            found |= {alias.name for alias in node.names}
    return found


def _does_more(tree: ast.Module) -> bool:
    """Whether a file does something when it is run."""
    kinds = (ast.For, ast.While, ast.If, ast.Expr, ast.With)
    return any(
        isinstance(s, kinds) and not isinstance(getattr(s, "value", None), ast.Constant)
        for s in tree.body
    )
