"""Journals from anywhere, however many: all their rows, and those that a report shows in full."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.environment import cores
from benchmarks.journal import Journal, NotAJournalError, read
from benchmarks.schema import Record
from reports import tables
from reports.sections import MOST_RUNS

MOST_WARNINGS = 20  # that are printed; a broken file may have one for each of its lines


class NoParquetError(ValueError):
    """Parquet was asked for, and what writes it is not installed."""


@dataclass(frozen=True)
class Loaded:
    """What was found.

    Attributes:
        runs: the first record of every journal, in the order given.
        rows: all rows of all journals.
        shown: the journals that a report shows in full: all of up to MOST_RUNS, else the newest
            of each machine.
        rows_shown: their rows.
        said: what a reader must know of the choice and of what could not be read.
        warnings: one line for each thing that could not be read.
    """

    runs: list[Record]
    rows: pd.DataFrame
    shown: list[Journal]
    rows_shown: pd.DataFrame
    said: list[str]
    warnings: list[str]


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
    rows = tables.all_rows(found)
    runs = [journal.run for journal in found]
    return Loaded(runs, rows, found, rows, _said(warnings), brief(warnings))


def _many(journals: Sequence[Path]) -> Loaded:
    """In as many processes as there are cores, one journal at a time in each."""
    frames, runs, warnings, kept = [], [], [], []
    # Not forked: the libraries of this process have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores(), mp_context=context) as pool:
        for path, result in zip(journals, pool.map(_one, journals, chunksize=8), strict=True):
            if isinstance(result, str):
                warnings.append(f"{result}; it was left out")
                continue
            run, frame, lines = result
            runs.append(run)
            frames.append(frame)
            kept.append(path)
            warnings += lines
    if not runs:
        raise NotAJournalError(warnings[0])
    for frame, label in zip(frames, tables.labels(runs), strict=True):
        frame["source"] = label
    rows = pd.concat(frames, ignore_index=True)
    chosen = sorted(newest(runs))
    shown = [read(kept[i]) for i in chosen]
    said = (
        f"{len(runs)} runs; the newest of each machine is shown here ({len(shown)}), all rows are "
        "in results.csv, and their course has a chapter of its own."
    )
    return Loaded(
        runs, rows, shown, tables.all_rows(shown), [said, *_said(warnings)], brief(warnings)
    )


def _one(path: Path) -> tuple[Record, pd.DataFrame, list[str]] | str:
    """The rows of one journal, or why it has none."""
    try:
        journal = read(path)
    except NotAJournalError as error:
        return str(error)
    return journal.run, tables.all_rows([journal]), journal.warnings


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
