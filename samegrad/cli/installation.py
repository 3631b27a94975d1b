"""What is wrong with how samegrad is installed: two versions, or what an older one has left."""

import sys
from collections.abc import Iterable
from pathlib import Path

from samegrad.implementations.contract import commands

# Top-level names of samegrad before it was one package, and a file that only its own had.
OLD = {"benchmarks": "plugin.py", "implementations": "mlp_numpy.py", "reports": "render.py"}
NAME = "samegrad"


def faults(folders: Iterable[str] | None = None) -> list[str]:
    """One line for each; reads names of files only.

    Args:
        folders: where Python looks for packages; default: sys.path.
    """
    places = [
        Path(folder or ".").resolve() for folder in (sys.path if folders is None else folders)
    ]
    places = [place for place in dict.fromkeys(places) if place.is_dir()]
    return [*_versions(places), *_remains(places)]


def _versions(places: list[Path]) -> list[str]:
    """Copies of the package besides the one that runs."""
    import importlib.metadata  # half of the time that --help may take

    running = Path(__file__).resolve().parents[1]
    copies = [place / NAME for place in places if (place / NAME / "__init__.py").is_file()]
    others = [copy for copy in copies if copy.resolve() != running]
    records = {
        Path(str(record.locate_file(""))).resolve(): record.version
        for record in importlib.metadata.distributions(name=NAME, path=list(map(str, places)))
    }
    lines = [
        f"two versions of samegrad: {running} is running, {other}"
        f"{_numbered(records, other.parent)} is there too; "
        f"{_uninstall(other)}"
        for other in others
    ]
    installed = [place for place in records if place.name == "site-packages"]
    if len(installed) > 1:
        lines.append(
            f"samegrad is installed twice, in {' and in '.join(map(str, installed))}; "
            "uninstall it until none is left, then install one"
        )
    return lines


def _numbered(records: dict[Path, str], place: Path) -> str:
    return f" ({records[place]})" if place in records else ""


def _uninstall(copy: Path) -> str:
    if copy.parent.name == "site-packages":
        return f"`{sys.executable} -m pip uninstall {NAME}` removes that"
    return f"leave {copy.parent} out of PYTHONPATH, or start elsewhere"


def _remains(places: list[Path]) -> list[str]:
    """Files of installs from before samegrad was one package."""
    lines = []
    for place in places:
        if place == commands.HOME:
            continue
        found = [place / f"{NAME}.py", place / f"{NAME}.egg-link"]
        if place.name == "site-packages":
            found += [place / name for name, file in OLD.items() if _ours(place / name / file)]
        found += sorted(place.glob("__editable___samegrad_*_finder.py"))
        lines += [
            f"{path} is of an older samegrad: uninstall that, or delete it, and install it again"
            for path in found
            if path.exists() and not _is_current(path)
        ]
    return lines


def _ours(path: Path) -> bool:
    try:
        return NAME in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _is_current(path: Path) -> bool:
    """Whether an editable install's table of packages is of the present layout."""
    if not path.name.startswith("__editable__"):
        return False
    text = path.read_text(encoding="utf-8")
    return f"'{NAME}.benchmarks'" in text or "'benchmarks'" not in text
