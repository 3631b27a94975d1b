"""Where a file that is loaded finds its modules, and what it is called as one itself."""

import ast
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path

MOST_ABOVE = 3  # folders above a file that may be its package


def on_the_path(path: Path, statements: Sequence[ast.stmt], libraries_first: bool) -> str:
    """Put the file's folder, its repository and parents on sys.path; the module's name.

    Args:
        libraries_first: the folder comes after everything else, where it else comes first, as of
            `python FILE`: there a jax.py in it is imported in the place of the library.
    """
    nodes = (node for s in statements for node in ast.walk(s) if isinstance(node, ast.ImportFrom))
    level = max((node.level for node in nodes), default=0)
    hidden = _hidden_package(path, statements)
    level = max(level, hidden)
    parents = list(path.parents)
    root = next((p for p in parents if (p / ".git").exists() or (p / "setup.py").exists()), None)
    root = root or next((p for p in parents if (p / "pyproject.toml").exists()), None)
    sys.path.insert(_place(libraries_first), str(path.parent))
    later = [*([root] if root else []), *parents[1:4]]
    if root is not None and (root / "src").is_dir():
        later.insert(1, root / "src")
    sys.path += [str(p) for p in later if str(p) not in sys.path]
    if not level or level >= len(parents):
        return _free_name(path, libraries_first)
    above = str(parents[level])  # relative imports: from the folder above the package
    sys.path.insert(_place(libraries_first), above)
    package = [p.name for p in reversed(parents[:level])]
    if hidden and not (parents[hidden - 1] / "__init__.py").exists():
        made = sys.modules[package[0]] = types.ModuleType(package[0])
        made.__path__ = [str(parents[hidden - 1])]  # a module of its name would come before it
    return ".".join([*package, path.stem])


def _hidden_package(path: Path, statements: Sequence[ast.stmt]) -> int:
    """How many folders above a file the package begins that it imports from and is in itself.

    0 where nothing in its folder has the name of that package, so that it is found anyway.
    """
    nodes = [node for s in statements for node in ast.walk(s)]
    dotted = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names if "." in a.name}
    dotted |= {f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom)
               and n.module and not n.level for a in n.names}  # fmt: skip
    for above, folder in enumerate(path.parents[:MOST_ABOVE], 1):
        within = {name.split(".")[1] for name in dotted if name.split(".")[0] == folder.name}
        other = path.parent / folder.name
        inside = [n for n in within if _has(folder, n) and not _has(other, n)]
        if inside and (other.is_dir() or other.with_suffix(".py").is_file()):
            return above
    return 0


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def hidden_library(error: BaseException, folder: Path) -> str:
    """What is to be renamed where a file of a folder stands in the place of a library, or ""."""
    owner = getattr(error, "obj", None)  # of an AttributeError
    name = owner.__name__ if isinstance(owner, types.ModuleType) else getattr(error, "name", None)
    root = str(name or "").partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    others = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    if not file or Path(file).resolve().parent not in (folder, folder / root):
        return ""
    if root not in sys.stdlib_module_names and PathFinder.find_spec(root, others) is None:
        return ""
    return f"{Path(file).name} in its folder stands in the place of the library {root}: rename it"


@contextmanager
def without_here() -> Iterator[None]:
    """The current folder, last on the path of our children, is not on it meanwhile."""
    here = [sys.path.pop()] if sys.path[-1:] == [os.getcwd()] else []  # noqa: PTH109 # as they do
    try:
        yield
    finally:
        sys.path.extend(here)


def _place(libraries_first: bool) -> int:
    return len(sys.path) if libraries_first else 0


def _free_name(path: Path, libraries_first: bool) -> str:
    """The file's stem, unless it names another module: a file may be called numpy.py."""
    name = path.stem
    if not name.isidentifier() or name in sys.modules or name in sys.stdlib_module_names:
        return f"samegrad file {path}"
    spec = importlib.util.find_spec(name) if libraries_first else None
    other = spec is not None and spec.origin is not None and Path(spec.origin) != path
    return f"samegrad file {path}" if other else name
