"""The imports between our own files, and the picture of them in docs/architecture.md.

`python -m tests.helpers.imports` writes the picture anew.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from samegrad.benchmarks.machine.checkout import ROOT

FOLDERS = ("samegrad", "implementations", "benchmarks", "reports")
PAGE = ROOT / "docs" / "architecture.md"
NETWORK = re.compile(r"(?:mlp|functions|engine|lif|hh)_(\w+)\.py")
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
)
OURS = frozenset(SOURCES)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; expressions, which hold none, are most of a tree."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            yield child
            yield from statements(child)


@cache  # several tests ask it of every file
def imported(source: str) -> frozenset[str]:
    """Dotted names of all imports of a file, also those inside functions."""
    names: set[str] = set()
    for node in statements(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def files(source: str) -> frozenset[str]:
    """Our own files that a file imports, packages' `__init__.py` left out."""
    paths = {name.replace(".", "/") + ".py" for name in imported(source)}
    below = {path.removeprefix("samegrad/") for path in paths} | paths
    return OURS & below


def below(path: str, folder: str) -> bool:
    """Whether a file is the entry, or lies anywhere below it."""
    return path == folder or path.startswith(f"{folder}/")


def name_of(source: str) -> str | None:
    """The implementation that a file belongs to, or None."""
    match = NETWORK.fullmatch(Path(source).name)
    return match.group(1) if match and source.startswith("implementations/") else None


def folder(source: str) -> str:
    """Where a file lies, two levels deep: what the picture shows as one box."""
    return "/".join(Path(source).parent.parts[:2])


def arrows() -> dict[str, set[str]]:
    """For each folder those that its files import, what follows from others left out."""
    direct: dict[str, set[str]] = {}
    for source in SOURCES:
        own = direct.setdefault(folder(source), set())
        own |= {folder(path) for path in files(source)} - {folder(source)}

    def reached(start: Iterable[str]) -> set[str]:
        seen: set[str] = set()
        waiting = list(start)
        while waiting:
            for other in direct[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    return {source: targets - reached(targets) for source, targets in direct.items()}


def picture() -> str:
    """The folders and their imports as a Mermaid graph; an arrow points at what is imported."""
    names = {name: name.replace("/", "_") for name in arrows()}
    lines = ["flowchart TD"]
    for top in FOLDERS:
        lines.append(f"    subgraph {top.upper()}[{top}/]")
        lines += [
            f"        {key}[{name if name == top else name.partition('/')[2]}]"
            for name, key in names.items()
            if name.split("/")[0] == top
        ]
        lines.append("    end")
    lines += [
        f"    {names[source]} --> {names[target]}"
        for source, targets in arrows().items()
        for target in sorted(targets)
    ]
    return "\n".join(lines)


def with_picture(page: str) -> str:
    """The page with the picture as it is now."""
    block = f"```mermaid\n{picture()}\n```"
    return re.sub(r"```mermaid\n.*?```", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_picture(PAGE.read_text()))
