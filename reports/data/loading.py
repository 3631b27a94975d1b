"""Journals from anywhere, however many, as the data of one report."""

import gc
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, first, read
from samegrad.benchmarks.records.schema import Record
from samegrad.reports.data.report import Report, Source, flat, frame, labels, report, to_csv

MOST_RUNS = 12  # that a report shows side by side
MOST_WARNINGS = 20  # that are printed; a broken file may have one for each of its lines
MOST_PROCESSES = 8  # that read journals


def paths(places: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The journals that are meant: a file, the one in a folder, or all below a folder."""
    return [path for place in places for path in _below(Path(place))]


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir() or (path / "journal.jsonl").is_file():
        yield path / "journal.jsonl" if path.is_dir() else path
        return
    yield from sorted(path.rglob("journal.jsonl")) or [path / "journal.jsonl"]


def load(journals: Sequence[Path]) -> Report:
    """Read journals; one that cannot be read is left out with a warning.

    Up to MOST_RUNS are all shown; of more, the newest of each machine.

    Raises:
        NotAJournalError: none of them can be read.
    """
    return _few(journals) if len(journals) <= MOST_RUNS else _many(journals)


def _few(files: Sequence[Path]) -> Report:
    journals, warnings = [], []
    for path in files:
        try:
            journals.append(read(path))
        except NotAJournalError as error:
            if len(files) == 1:
                raise
            warnings.append(f"{error}; it was left out")
    warnings += [line for journal in journals for line in journal.warnings]
    if not journals:
        raise NotAJournalError("; ".join(warnings))
    return report(joined(journals), _notes(warnings), shortened(warnings))


def joined(journals: Iterable[Journal]) -> list[Journal]:
    """Journals that are parts of one measurement as one: same machine, same commit, other cases.

    So a slow implementation can be measured apart, and shown beside the others.
    """
    whole: list[Journal] = []
    for journal in journals:
        fitting = next((other for other in whole if _parts_of_one(other, journal)), None)
        if fitting is None:
            whole.append(journal)
        else:
            _join(fitting, journal)
    return whole


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
    known = {(record["name"], record["device"]) for record in whole.implementations}
    whole.implementations += [
        record for record in part.implementations if (record["name"], record["device"]) not in known
    ]
    whole.sources |= part.sources
    whole.inputs |= part.inputs
    whole.memory |= part.memory
    for name in ("cases", "ceilings", "outcomes", "loaded", "parity", "pictures"):
        getattr(whole, name).extend(getattr(part, name))
    whole.complete = whole.complete and part.complete


def _many(files: Sequence[Path]) -> Report:
    """Those that are shown are read here, the others one at a time in several processes."""
    heads = [_head(path) for path in files]
    warnings = [f"{head}; it was left out" for head in heads if isinstance(head, str)]
    runs = [head for head in heads if not isinstance(head, str)]
    if not runs:
        raise NotAJournalError(warnings[0])
    kept = [path for path, head in zip(files, heads, strict=True) if not isinstance(head, str)]
    names, shown = labels(runs), sorted(newest(runs))
    others = [i for i in range(len(kept)) if i not in shown]
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    # Not forked: the libraries of this process have threads.
    context = multiprocessing.get_context("spawn")
    # Without the garbage collector, which would search millions of small objects: none of them is
    # part of a cycle.
    gc.disable()
    try:
        with ProcessPoolExecutor(processes, mp_context=context, initializer=gc.disable) as pool:
            results_of = pool.map(
                _rows, [kept[i] for i in others], [names[i] for i in others], chunksize=8
            )
            made = report([read(kept[i]) for i in shown])
            parts = dict(zip(others, results_of, strict=True))
    finally:
        gc.enable()
    for number, source in zip(shown, made.sources, strict=True):
        rows = made.rows[made.rows.source == source.label].assign(source=names[number])
        parts[number] = (rows, _csv(rows), source.journal.warnings)
    in_order = [parts[number] for number in range(len(kept))]
    warnings += [line for _, _, lines in in_order for line in lines]
    frames = [rows for rows, _, _ in in_order]
    note = (
        f"{len(runs)} runs; the newest of each machine is shown here ({len(shown)}), all rows are "
        "in results.csv."
    )
    return replace(
        made,
        all_rows=pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True),
        notes=[note, *_notes(warnings)],
        warnings=shortened(warnings),
        csv=[text for _, text, _ in in_order],
    )


def _head(path: Path) -> Record | str:
    """The first record of a journal, or why it cannot be read."""
    try:
        return first(path)
    except NotAJournalError as error:
        return str(error)


def _rows(path: Path, label: str) -> tuple[pd.DataFrame, str, list[str]]:
    """The rows of one journal, the same as CSV without titles, and what could not be read."""
    journal = read(path)
    rows = frame([Source(label, journal, results.rows(journal))])
    return rows, _csv(rows), journal.warnings


def _csv(rows: pd.DataFrame) -> str:
    return to_csv(flat(rows), header=False) if len(rows) else ""


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


def shortened(warnings: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    if len(warnings) <= MOST_WARNINGS:
        return list(warnings)
    return [*warnings[:MOST_WARNINGS], f"and {len(warnings) - MOST_WARNINGS:,} more like these"]


def _notes(warnings: Sequence[str]) -> list[str]:
    if not warnings:
        return []
    return [f"Not all of the journals could be read: {len(warnings):,} things were left out, "
            f"the first: {warnings[0]}."]  # fmt: skip
