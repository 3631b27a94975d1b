"""The summary of a run: what the archive keeps of a journal.

`summary.json` lies beside the journal of a run whose report was written, and is a hundredth of it.
The archive takes one that came alone; where the journal is, it makes its own.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.records.lines import cleaned, decoded, may_be_unclean, why
from samegrad.benchmarks.records.named_cases import UNUSABLE
from samegrad.implementations.contract.files import ordinary, replaced
from samegrad.implementations.contract.texts import shortened
from samegrad.reports.archive import beginnings, form
from samegrad.reports.archive.beginnings import Beginnings
from samegrad.reports.archive.checking import impossible
from samegrad.reports.data.report import Source, machine_label, record

NAME = "summary.json"
BLOCK = 2**20  # bytes that are read at a time
MOST_BYTES = 2**28  # of a summary; a row takes some 1,500
HASHES = {"run_id": 16, "journal_sha256": 64}  # how many digits they have
LEAST_CPU_SPEEDS = results.LEAST_CPU_SPEEDS


@dataclass(frozen=True)
class Content:
    """What of a journal's file was read.

    Attributes:
        run_id: hash of its first line, which stays when the run goes on.
        size: bytes of its whole lines.
        sha256: of these.
        beginnings: hashes of beginnings of them (`beginnings`), "" where they are not known.
    """

    run_id: str
    size: int
    sha256: str
    beginnings: str = ""


@dataclass(frozen=True)
class Summary:
    """One version of one run: the columns that its rows share, and those of each row."""

    run: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def content(self) -> Content:
        """The journal that it is of."""
        run = self.run
        known = run["run_id"], run["journal_bytes"], run["journal_sha256"]
        return Content(*known, run["beginnings"] or "")


def content(path: Path) -> Content:
    """What a journal's file holds, without reading its records.

    Raises:
        OSError: it cannot be read.
    """
    running, whole, size = Beginnings(), hashlib.sha256(), 0
    with ordinary(path).open("rb") as file:
        first = block = file.readline(BLOCK)
        while block:  # never a line: one may be as long as the disk is large
            end = block.rfind(b"\n") + 1
            running.update(block[:end])
            if end:
                whole, size = running.whole.copy(), running.size
            running.update(block[end:])
            block = file.read(BLOCK)
    run_id = hashlib.sha256(first.strip()).hexdigest()[:16]
    return Content(run_id, size, whole.hexdigest(), running.text(size))


def begins_with(path: Path, size: int, sha256: str) -> bool:
    """Whether the first bytes of a file have a hash."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (data := file.read(min(size, BLOCK))):
            whole.update(data)
            size -= len(data)
    return size == 0 and whole.hexdigest() == sha256


def summary(journal: Journal, read: Content, rows: Sequence[results.Row] | None = None) -> Summary:
    """What is kept of a journal.

    Args:
        read: what its file held.
        rows: its rows, if somebody has computed them.
    """
    facts = journal.run["machine"]
    speeds = [one["elapsed_ns"] for one in journal.cpu_speeds]
    works = {one["work"] for one in journal.cpu_speeds}
    steady = len(works) == 1 and len(speeds) >= LEAST_CPU_SPEEDS
    texts = {name: _text(facts.get(name)) for name in ("cpu", "gpu", "system", "architecture")}
    run = {
        "run_id": read.run_id,
        "journal_bytes": read.size,
        "journal_sha256": read.sha256,
        "beginnings": read.beginnings,
        "form": form.FORM,
        "run": journal.run["run"],
        "started": journal.run.get("started", ""),
        "complete": journal.complete,
        "preset": journal.run.get("preset", ""),
        "commit": _text(facts.get("commit")),
        "fingerprint": journal.run["fingerprint"],
        "machine": machine_label(journal.run),
        **texts,
        "cores": int(cores) if (cores := str(facts.get("cores"))).isdecimal() else None,
        "python": _text(facts.get("python")),
        "versions": _text(facts.get("versions", "{}")),
        "machine_too_busy": states.run_too_busy(journal.states),
        "cpu_speed_ns": results.undisturbed(speeds) if steady else None,
        "cpu_speed_work": works.pop() if steady else "",
    }
    source = Source("", journal, results.rows(journal) if rows is None else list(rows))
    return Summary(run, [_row(source, row) for row in source.rows])


def _row(source: Source, row: results.Row) -> dict[str, Any]:
    made = record(source, row)
    made |= {"case_id": row.case.id, "process_seconds": list(made.pop("process_medians"))}
    return {name: _finite(made[name]) for name in form.ROW}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)


def write(made: Summary, path: Path) -> None:
    """Write a summary, whole or not at all."""
    with replaced(path) as beside:
        text = json.dumps({"run": made.run, "rows": made.rows}, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Summary:
    """The summary in a file, checked by itself.

    Raises:
        ValueError: it is none, or says what cannot be; the message names the file.
        OSError: it cannot be read.
    """
    with ordinary(path).open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        tree = decoded(data)
        if may_be_unclean(data):
            tree = cleaned(tree)
        older = [name for name, since in form.SINCE.items() if tree["run"]["form"] < since]
        run = dict.fromkeys(name for name in older if name in form.RUN)
        missing = dict.fromkeys(name for name in older if name in form.ROW)
        made = Summary({**run, **tree["run"]}, [{**missing, **row} for row in tree["rows"]])
        check(made)
    except UNUSABLE as error:
        reason = f"no summary of a run that can be used ({shortened(why(error), 250)})"
        raise ValueError(f"{path}: {reason}") from None
    return made


def check(made: Summary) -> None:
    """Raise ValueError if a summary has another form, or a row says what cannot be."""
    if made.run["form"] > form.FORM:
        raise ValueError(f"form {made.run['form']}, not up to {form.FORM}; update samegrad")
    for name in form.RUN:
        _check(name, [made.run[name]])
    for name, digits in HASHES.items():
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", made.run[name]):
            raise ValueError(f"{name} {made.run[name]!r:.40} is not {digits} hexadecimal digits")
    said = made.run["beginnings"]
    if said is not None and not beginnings.FORM.fullmatch(said):
        raise ValueError(f"beginnings {said!r:.40} are not as they must be")
    of_row = itemgetter(*form.ROW)
    for name, values in zip(form.ROW, zip(*map(of_row, made.rows), strict=True), strict=False):
        _check(name, values)
    for columns, one in ((form.RUN, made.run), *((form.ROW, row) for row in made.rows)):
        if len(one) > len(columns):  # each of which was found
            raise ValueError(f"{min(one.keys() - columns):.60} is no column of form {form.FORM}")
    if wrong := impossible(made.run, made.rows):
        raise ValueError(wrong)


def _check(name: str, values: Sequence[Any]) -> None:
    form.check(name, values)
    if name in form.NEEDED and None in values:
        raise ValueError(f"{name} is missing")


def differs(made: Summary, other: Summary) -> list[str]:
    """The columns in which a summary is not what another says, which was made anew."""
    wrong = [name for name in form.RUN if made.run[name] != other.run[name]]
    if len(made.rows) != len(other.rows):
        return [*wrong, "rows"]
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    pairs = list(zip(made.rows, other.rows, strict=True))
    return wrong + [n for n in form.ROW if any(a[n] != b[n] for a, b in pairs)]
