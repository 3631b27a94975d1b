"""The folder of a fleet, as it is found: what its file says, which machines have begun a run."""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samegrad.implementations.contract.files import ordinary

NAME, MACHINES, JOURNAL = "fleet.json", "machines", "journal.jsonl"
MOST_MACHINES = 1000
MOST_NAMED = 5  # machines
MOST_BYTES = 2**20  # of fleet.json
STAMP = re.compile("[0-9]{8}-[0-9]{6}")


def _stated(folder: Path) -> dict[str, Any]:
    """What a fleet's file says; nothing where it cannot be read."""
    with (
        contextlib.suppress(OSError, ValueError, RecursionError),
        ordinary(folder / NAME).open("rb") as file,
    ):
        about = json.loads(file.read(MOST_BYTES))
        return about if isinstance(about, dict) else {}
    return {}


def count(about: Mapping[str, Any]) -> int:
    """How many machines a fleet's file says there are, 0 where it does not."""
    known = about.get("machines")
    return min(known, MOST_MACHINES) if isinstance(known, int) else 0


def run_name(folder: Path, own: str) -> str:
    """What a run of a fleet is called: since when, the fleet's folder, and its own name.

    The time tells fleets in folders of one name apart; it stands once where the folder has one.
    """
    began = str(_stated(folder).get("began"))
    dated = STAMP.match(folder.name) or not STAMP.fullmatch(began)
    return f"{folder.name}-{own}" if dated else f"{began}-{folder.name}-{own}"


def machines(folder: Path) -> int:
    """The highest number of a machine that has a run with a journal; 0 if none has."""
    return max(_begun(folder), default=0)


def _begun(folder: Path) -> set[int]:
    paths = (folder / MACHINES).glob(f"*/{JOURNAL}")
    numbers = (path.parent.name.partition("-")[0] for path in paths)
    return {int(number) for number in numbers if number.isdecimal()}


def absent(folder: Path) -> list[int]:
    """The machines of a fleet that have no run with a journal."""
    begun = _begun(folder)
    most = max(count(_stated(folder)), *begun, 0)
    return [number for number in range(1, min(most, MOST_MACHINES) + 1) if number not in begun]


def lacking(paths: Iterable[Path]) -> Iterator[str]:
    """The machines of fleets that have no run, a line for each fleet that some journals are of."""
    here: dict[str, set[str]] = {}  # folder -> numbers; by texts, since there are many
    for path in paths:
        folder, kind, run, _ = [".", ".", ".", *os.fspath(path).rsplit(os.sep, 3)][-4:]
        if kind == MACHINES:
            here.setdefault(folder, set()).add(run.partition("-")[0])  # or a summary alone
    for folder, numbers in here.items():
        if not (Path(folder) / NAME).is_file():
            continue
        gone = [str(n) for n in absent(Path(folder)) if str(n) not in numbers]
        if gone:
            some = ", ".join(gone[:MOST_NAMED]) + ", ..." * (len(gone) > MOST_NAMED)
            which = f"machine{'s' * (len(gone) > 1)} {some}"
            yield f"{folder}: no run of {which} of this fleet is there"
