"""What the files beside one define, and what of it a constructor can be given."""

import ast
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

from samegrad.implementations.contract.texts import UNPARSABLE
from samegrad.implementations.reading import names, usage
from samegrad.implementations.reading.loading import Loaded, own_classes, own_functions
from samegrad.implementations.reading.source import blocks, trains

MOST_FILES, MOST_FOLDERS = 24, 2  # beside a file, and below its folder
MOST_OBJECTS = 3
OTHERS = re.compile(r"test|main|example|demo|train|run|setup|plot")  # files that define nothing
CURVED = ("tanh", "sigmoid", "relu", "logistic", "leaky_relu", "elu", "softplus", "gelu", "swish")
OF_LOSS = re.compile(r"loss|cost|mse|entrop|squared|error|custo|perd|perte|cout", re.IGNORECASE)
DERIVATIVE = re.compile(r"(?:^|_)(?:d|grad(?:ient)?|deriv\w*)(?:_|$)|prime|deriv|grad|backward")


def modules_beside(loaded: Loaded) -> Iterator[types.ModuleType]:
    """The files beside one, and those of its package, which define something and do nothing else.

    A module that has been imported is yielded as it is.
    """
    folder, package = loaded.path.parent, loaded.module.__package__ or ""
    package = package if all(map(str.isidentifier, package.split("."))) else ""
    root = folder
    while (root / "__init__.py").exists() and len(folder.relative_to(root).parts) < MOST_FOLDERS:
        root = root.parent  # of the package that it is in
    above = folder.relative_to(root).parts
    package = "" if above else package
    whole = root.joinpath(*above[:1])
    files = [p for p in sorted(whole.rglob("*.py")) if p != loaded.path]
    files.sort(key=lambda p: p.parent != folder)
    for path in files[:MOST_FILES]:
        within = path.relative_to(root).with_suffix("").parts
        deep = len(within) > MOST_FOLDERS + bool(above)
        if deep or OTHERS.search(path.stem) or path.stem == "__init__":
            continue
        try:
            statements = [s for block in blocks(path) for s in block.tree.body]
            defines = (ast.ClassDef, ast.FunctionDef)
            if trains(statements) or not any(isinstance(s, defines) for s in statements):
                continue
            yield _imported(str(path), [*([package] if package else []), *within])
        except (*UNPARSABLE, Exception, SystemExit):
            continue


def _imported(path: str, parts: Sequence[str]) -> types.ModuleType:
    """A file as a module: by the name that others of the folder import it by, if some have."""
    known = [m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == path]
    importlib.invalidate_caches()
    return known[0] if known else importlib.import_module(".".join(parts))


def classes_beside(loaded: Loaded) -> dict[str, type]:
    """Classes of the files beside one."""
    return {n: c for m in modules_beside(loaded) for n, c in vars(m).items()
            if isinstance(c, type) and c.__module__ == m.__name__}  # fmt: skip


def functions_around(loaded: Loaded) -> dict[str, Any]:
    """Functions of the files beside one, and its own."""
    found = {n: f for m in modules_beside(loaded) for n, f in vars(m).items()
             if isinstance(f, types.FunctionType) and f.__module__ == m.__name__}  # fmt: skip
    return {**found, **own_functions(loaded)}


def derived(functions: dict[str, Any], losses: bool) -> list[tuple[Any, Any]]:
    """Functions with their derivatives, by their names: losses, or what is none."""
    found = []
    for name, derivative in functions.items():
        stem = names.DERIVED.sub("", name)
        stem = stem if stem != name else re.sub(r"^(?:d|grad|deriv\w*)_?", "", name)
        of = functions.get(stem)
        if of is not None and of is not derivative and bool(OF_LOSS.search(stem)) == losses:
            found.append((of, derivative))
    return found


def given_objects(cls: type, name: str, loaded: Loaded) -> list[Any]:
    """What a parameter of a constructor may be given whose methods, or which itself, it calls."""
    tree = usage.body(cls)
    nodes = list(ast.walk(tree)) if tree is not None else []
    held = {name, usage.held_as(nodes, name)} - {""}
    calls = [n.func for n in nodes if isinstance(n, ast.Call)]
    wanted = {f.attr for f in calls if isinstance(f, ast.Attribute)
              and ast.unparse(f.value) in held}  # fmt: skip
    loss = bool(OF_LOSS.search(name))
    if wanted:
        classes = {**classes_beside(loaded), **own_classes(loaded)}
        found = [c for c in classes.values() if wanted <= {*dir(c)} and c is not cls]
        abstract = {base for c in found for base in c.__mro__[1:]}
        found.sort(key=lambda c: (c in abstract, _is_loss(c) != loss, _rank(c)))
        return [o for c in found if (o := _made(c)) is not None][:MOST_OBJECTS]
    if any(ast.unparse(f) in held for f in calls):
        functions = functions_around(loaded)
        pairs = sorted(derived(functions, loss), key=lambda p: _rank(p[0]))
        return [pairs[0][bool(DERIVATIVE.search(name))]] if pairs else []
    return []


def _is_loss(cls: type) -> bool:
    return bool(OF_LOSS.search(cls.__name__) or OF_LOSS.search(cls.__module__.rpartition(".")[2]))


def _rank(thing: Any) -> int:
    """The place of an activation among those that are known: smooth ones first."""
    name = thing.__name__.lower()
    return next((i for i, word in enumerate(CURVED) if word in name), len(CURVED))


def _made(cls: type) -> Any:
    """An object of a class that needs nothing to make one; None of another."""
    try:
        needs = [] if inspect.getattr_static(cls, "__init__") is object.__init__ else (
            usage.needed(cls))  # fmt: skip
        return None if needs else cls()
    except (Exception, SystemExit):
        return None
