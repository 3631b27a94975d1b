"""The folder of a fleet: what every machine is to run, and the runs, which grow in it.

`fleet.json` says what was begun, `machines/N` is the run of machine N, `jobs` is submitit's. If a
run cannot go on where its machine's job is now (other hardware), another one begins in
`machines/N-2`, and both are in the report.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records.fleets import JOURNAL, MACHINES, MOST_BYTES, NAME
from samegrad.benchmarks.records.fleets import count as stated_count
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, read
from samegrad.implementations.contract.files import ordinary, replaced

JOBS = "jobs"
CODE = {".py", ".c", ".h"}
OUTCOME, DONE = b'"record": "outcome"', b'"status": "ok"'
FIRST = (b'"repetition": 0,', b'"repetition": 0}')
PLAN = (b'"record": "cases"', b'"record": "processes"')


@dataclass(frozen=True)
class Task:
    """What a job is told.

    Attributes:
        folder: of the fleet, absolute.
        number: of the machine, from 1.
        start: the folder that the command was typed in.
        arguments: of `samegrad benchmark`.
        code: hash of the code that began the fleet.
        shared: with whom the machine is shared, or "".
    """

    folder: str
    number: int
    start: str
    arguments: tuple[str, ...]
    code: str
    shared: str = ""


def code() -> str:
    """A hash of all that measures and all that is measured: samegrad's code on this machine."""
    whole, top = hashlib.sha256(), Path(__file__).resolve().parents[2]
    for name in ("benchmarks", "implementations"):
        for path in sorted((top / name).rglob("*")):
            if path.suffix in CODE and path.is_file():
                whole.update(f"{path.relative_to(top).as_posix()}\0".encode())
                whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def begin(folder: Path, arguments: Sequence[str], count: int = 0) -> None:
    """Make the folder of a fleet, or take the one that was begun with the same command.

    Args:
        count: of its machines; the most of several commands is kept.

    Raises:
        ValueError: it holds something else, another command or other code; or cannot be made.
    """
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    now = {"arguments": list(arguments), "code": code(), "began": stamp, "machines": count}
    path = folder / NAME
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"--folder {folder}: neither an empty folder nor that of a fleet")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"--folder {folder}: cannot be written: {error.strerror}") from None
        _write(folder, now)
        return
    try:
        with ordinary(path).open("rb") as file:
            before = json.loads(file.read(MOST_BYTES))
        began, by = [str(text) for text in before["arguments"]], str(before["code"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as that of a fleet: {error!s:.100}") from None
    if began != now["arguments"]:
        typed = " ".join(began)[:200]
        raise ValueError(
            f"--folder {folder}: it was begun with `{typed}`; give another folder, or these options"
        )
    if by != now["code"]:
        raise ValueError(
            f"--folder {folder}: it was begun by other code ({by}, here {now['code']}); its rows "
            "would be of two programs: give another folder"
        )
    if count > stated_count(before):
        _write(folder, before | {"machines": count})


def _write(folder: Path, about: dict[str, Any]) -> None:
    try:
        with replaced(folder / NAME) as beside:
            beside.write_text(json.dumps(about) + "\n", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--folder {folder}: cannot be written: {error.strerror}") from None


def runs(folder: Path, number: int) -> list[Path]:
    """The runs of a machine that have a journal, the oldest first."""
    base = folder / MACHINES
    names = [base / str(number), *(base / f"{number}-{again}" for again in range(2, 100))]
    return [path for path in names if (path / JOURNAL).is_file()]


def place(folder: Path, number: int) -> tuple[Path, bool]:
    """(run, whether it goes on) of a machine's job, where that job is.

    Raises:
        ValueError: there is no room for another run.
    """
    known = runs(folder, number)
    for path in reversed(known):
        if _goes_on(path):
            return path, True
    base = folder / MACHINES
    for name in (str(number), *(f"{number}-{again}" for again in range(2, 100))):
        path = base / name
        if not path.exists() or not any(path.iterdir()):
            return path, False
    raise ValueError(f"machine {number} has begun a hundred runs")


def _goes_on(path: Path) -> bool:
    try:
        journal = read(path / JOURNAL, verbatim=True)
    except NotAJournalError:
        return False
    here = system.fingerprint_beside(journal.run["machine"])
    return bool(journal.cases) and journal.run["fingerprint"] == here


def progress(path: Path) -> tuple[int, int]:
    """How many values a run's journal has so far, and is to have: one of a case in a process.

    Read as bytes, since it is asked again and again while the journals grow. Cases without a number
    have none to come; the second number is 0 where there is no plan yet.
    """
    have = without = cases = processes = 0
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError),
        (path / JOURNAL).open("rb") as file,
    ):
        for line in file:
            if OUTCOME in line:
                have += any(text in line for text in FIRST)
                without += DONE not in line
            elif any(kind in line for kind in PLAN):
                record = json.loads(line)
                cases = len(record.get("cases", ())) or cases
                processes = int(record["processes"])
    total = max(0, cases - without) * processes
    return min(have, total), total


def values(folder: Path, number: int) -> str:
    """How many values of a machine have come home, in words."""
    have = sum(progress(run)[0] for run in runs(folder, number))
    return f"{have:,} value{'s' * (have != 1)}"


def newest(folder: Path, number: int) -> Journal | None:
    """What the last run of a machine has measured, or None."""
    return next(readable(reversed(runs(folder, number))), None)


def readable(paths: Iterable[Path]) -> Iterator[Journal]:
    """The journals of runs, but of those that were killed before they had one."""
    for path in paths:
        with contextlib.suppress(NotAJournalError):
            yield read(path / JOURNAL)


def strangers(journals: Mapping[int, Journal]) -> dict[int, str]:
    """Machine -> why its rows are not of the same thing as most machines' rows.

    What more than half of them have is right. Where none is, the first machine's rows are kept,
    and it is said that nobody knows which are right.
    """
    seen: dict[str, dict[int, str]] = {}
    for number, journal in journals.items():
        for what, value in _hashes(journal):
            seen.setdefault(what, {})[number] = value
    found: dict[int, str] = {}
    for what, values in seen.items():
        right, count = Counter(values.values()).most_common(1)[0]
        most = 2 * count > len(values)
        first = next(number for number, value in values.items() if value == right)
        for number, value in values.items():
            if value != right:
                told = (
                    f"of most machines {right}"
                    if most
                    else (f"of machine {first} {right}: which of them is right is not known")
                )
                found.setdefault(number, f"{what} is {value}, and {told}")
    return found


def _hashes(journal: Journal) -> Iterator[tuple[str, str]]:
    for record in journal.implementations:
        if record.get("source_sha256"):
            yield f"the code of {record['name']}", str(record["source_sha256"])
    for workload, value in journal.inputs.items():
        yield f"the hash of the inputs of {workload}", value
