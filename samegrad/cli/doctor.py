"""`samegrad doctor`: what makes this machine's numbers misleading or slow; a broken install."""

import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED, seconds
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.texts import say

# Top-level names of samegrad before it was one package, and a file that only its own had.
OLD = {"benchmarks": "plugin.py", "implementations": "mlp_numpy.py", "reports": "render.py"}
NAME = "samegrad"


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor", help="what makes this machine's numbers misleading or slow"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    parser.add_argument(
        "--time", type=seconds, default=60.0, metavar="SECONDS", help="limit (default: 60)"
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Print facts and findings; 1 if something is wrong."""
    wrong = faults_of_installation()
    if not arguments.json:
        for line in columns.folded(f"PROBLEM: {line}" for line in wrong):
            say(line)
    commands.require("benchmark", "doctor")
    import json
    from dataclasses import asdict

    from samegrad.benchmarks.doctor import doctor

    limit = f"about {arguments.time:,.0f} s at most"
    say(f"samegrad: measuring what this machine and its libraries do, {limit}", error=True)
    facts, findings = doctor.diagnose(arguments.time)
    if arguments.json:
        plain = [asdict(finding) for finding in findings]
        say(json.dumps({"installation": wrong, "facts": facts, "findings": plain}, indent=1))
    else:
        for line in columns.folded(doctor.text(facts, findings).splitlines()):
            say(line)
    return FAILED if wrong or doctor.problems(findings) else DONE


def faults_of_installation(folders: Iterable[str] | None = None) -> list[str]:
    """A line for each other version, and what an older one has left; reads names of files only.

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
    lines = []
    for other in others:
        place = other.parent
        number = f" ({records[place]})" if place in records else ""
        cure = f"leave {place} out of PYTHONPATH, or start elsewhere"
        if place.name == "site-packages":
            cure = f"`{sys.executable} -m pip uninstall {NAME}` removes that"
        lines.append(
            f"two versions of samegrad: {running} is running, {other}{number} is there too; {cure}"
        )
    installed = [place for place in records if place.name == "site-packages"]
    if len(installed) > 1:
        lines.append(
            f"samegrad is installed twice, in {' and in '.join(map(str, installed))}; "
            "uninstall it until none is left, then install one"
        )
    return lines


def _remains(places: list[Path]) -> list[str]:
    """Files of installs from before samegrad was one package."""
    lines = []
    for place in places:
        if place == commands.HOME:
            continue
        remains = [place / f"{NAME}.py", place / f"{NAME}.egg-link"]
        if place.name == "site-packages":
            remains += [place / name for name, file in OLD.items() if _ours(place / name / file)]
        remains += sorted(place.glob("__editable___samegrad_*_finder.py"))
        lines += [
            f"{path} is of an older samegrad: uninstall that, or delete it, and install it again"
            for path in remains
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
