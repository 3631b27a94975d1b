"""Journals from anywhere, however many: all their rows, and those that a report shows in full."""

import gc
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from samegrad.benchmarks.machine.system import cores
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, first, read
from samegrad.benchmarks.records.schema import Record
from samegrad.reports.data import tables
from samegrad.reports.document.sections import MOST_RUNS

MOST_WARNINGS = 20  # that are printed; a broken file may have one for each of its lines


class NoParquetError(ValueError):
    """Parquet was asked for, and what writes it is not installed."""


@dataclass(frozen=True)
class Loaded:
    """What was found.

    Attributes:
        rows: all rows of all journals.
        shown: the journals that a report shows in full: all of up to MOST_RUNS, else the newest
            of each machine.
        rows_shown: their rows.
        said: what a reader must know of the choice and of what could not be read.
        warnings: one line for each thing that could not be read.
        parts: of many journals, the rows of each as CSV, written where they were read.
    """

    rows: pd.DataFrame
    shown: list[Journal]
    rows_shown: pd.DataFrame
    said: list[str]
    warnings: list[str]
    parts: list[str] = field(default_factory=list)

    def write_csv(self, path: Path) -> None:
        """All rows as `results.csv`."""
        if not self.parts:
            tables.to_csv(self.rows, path)
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            tables.to_csv(self.rows.head(0), file)
            file.writelines(self.parts)


def load(journals: Sequence[Path]) -> Loaded:
    """Read journals; one that cannot be read is left out with a warning.

    Raises:
        NotAJournalError: none of them can be read.
    """
    if len(journals) <= MOST_RUNS:
        return _all(journals)
    return _many(journals)


def _all(journals: Sequence[Path]) -> Loaded:
    found, warnings = [], []
    for path in journals:
        try:
            found.append(read(path))
        except NotAJournalError as error:
            if len(journals) == 1:
                raise
            warnings.append(f"{error}; it was left out")
    warnings += [line for journal in found for line in journal.warnings]
    if not found:
        raise NotAJournalError("; ".join(warnings))
    found = joined(found)
    rows = tables.all_rows(found)
    return Loaded(rows, found, rows, _said(warnings), brief(warnings))


def joined(journals: Iterable[Journal]) -> list[Journal]:
    """Journals that are parts of one measurement as one: same machine, same commit, other cases.

    So a slow implementation can be measured apart, and shown beside the others.
    """
    found: list[Journal] = []
    for journal in journals:
        whole = next((other for other in found if _parts_of_one(other, journal)), None)
        if whole is None:
            found.append(journal)
        else:
            _join(whole, journal)
    return found


def _parts_of_one(one: Journal, other: Journal) -> bool:
    facts = [
        (j.run["fingerprint"], j.run["machine"].get("commit"), j.run.get("intervals", True))
        for j in (one, other)
    ]
    if facts[0] != facts[1] or facts[0][1] in (None, "unknown"):
        return False
    cases = [{case.id for case in j.cases} for j in (one, other)]
    return bool(cases[0] and cases[1]) and cases[0].isdisjoint(cases[1])


def _join(whole: Journal, part: Journal) -> None:
    """Add the records of a part; names and commands of both are kept."""
    run = dict(whole.run)
    run["run"] = f"{run['run']} and {part.run['run']}"
    commands = [str(r.get("command", "unknown")) for r in (run, part.run)]
    whole.run = run | {"command": "\n".join(commands)}
    there = {(record["name"], record["device"]) for record in whole.implementations}
    whole.implementations += [
        record for record in part.implementations if (record["name"], record["device"]) not in there
    ]
    whole.sources |= part.sources
    whole.inputs |= part.inputs
    whole.memory |= part.memory
    for name in ("cases", "ceilings", "outcomes", "loaded", "parity", "pictures"):
        getattr(whole, name).extend(getattr(part, name))
    whole.complete = whole.complete and part.complete


def _many(journals: Sequence[Path]) -> Loaded:
    """In as many processes as there are cores, one journal at a time in each."""
    heads = [_head(path) for path in journals]
    warnings = [f"{head}; it was left out" for head in heads if isinstance(head, str)]
    runs = [head for head in heads if not isinstance(head, str)]
    if not runs:
        raise NotAJournalError(warnings[0])
    kept = [path for path, head in zip(journals, heads, strict=True) if not isinstance(head, str)]
    frames, parts = [], []
    # Not forked: the libraries of this process have threads.
    context = multiprocessing.get_context("spawn")
    # Without the garbage collector, which would look through millions of small objects: none of
    # them is part of a cycle.
    gc.disable()
    try:
        with ProcessPoolExecutor(cores(), mp_context=context, initializer=gc.disable) as pool:
            for frame, part, lines in pool.map(_one, kept, tables.labels(runs), chunksize=8):
                frames.append(frame)
                parts.append(part)
                warnings += lines
    finally:
        gc.enable()
    rows = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    shown = [read(kept[i]) for i in sorted(newest(runs))]
    said = (
        f"{len(runs)} runs; the newest of each machine is shown here ({len(shown)}), all rows are "
        "in results.csv."
    )
    rows_shown = tables.all_rows(shown)
    said_all = [said, *_said(warnings)]
    return Loaded(rows, shown, rows_shown, said_all, brief(warnings), parts)


def _head(path: Path) -> Record | str:
    """The first record of a journal, or why there is none."""
    try:
        return first(path)
    except NotAJournalError as error:
        return str(error)


def _one(path: Path, label: str) -> tuple[pd.DataFrame, str, list[str]]:
    """The rows of one journal, the same as CSV without titles, and what could not be read."""
    journal = read(path)
    frame = tables.all_rows([journal])
    frame["source"] = label
    text = tables.to_csv(frame, header=False) if len(frame) else ""
    return frame, text, journal.warnings


def newest(runs: Sequence[Record]) -> list[int]:
    """Of each machine the last run, the machines with the latest runs first."""
    last: dict[str, int] = {}
    for number, run in enumerate(runs):
        machine = run["fingerprint"]
        known = last.get(machine)
        if known is None or str(run.get("started", "")) >= str(runs[known].get("started", "")):
            last[machine] = number
    order = sorted(last.values(), key=lambda i: str(runs[i].get("started", "")), reverse=True)
    return order[:MOST_RUNS]


def brief(warnings: Sequence[str]) -> list[str]:
    """The first of them, and how many there are."""
    if len(warnings) <= MOST_WARNINGS:
        return list(warnings)
    return [*warnings[:MOST_WARNINGS], f"and {len(warnings) - MOST_WARNINGS:,} more like these"]


def _said(warnings: Sequence[str]) -> list[str]:
    if not warnings:
        return []
    return [f"Not all of the journals could be read: {len(warnings):,} things were left out, "
            f"the first: {warnings[0]}."]  # fmt: skip


def paths(given: Iterable[str]) -> list[Path]:
    """The journals that are meant: a file, the one in a folder, or all below a folder."""
    return [path for name in given for path in _below(Path(name))]


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir() or (path / "journal.jsonl").is_file():
        yield path / "journal.jsonl" if path.is_dir() else path
        return
    found = sorted(path.rglob("journal.jsonl"))
    yield from found or [path / "journal.jsonl"]
