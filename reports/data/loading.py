"""Journals from anywhere, however many, as the data of one report."""

import gc
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pandas as pd

from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, first, read
from samegrad.benchmarks.records.schema import Record
from samegrad.implementations.contract.files import named
from samegrad.implementations.contract.texts import say
from samegrad.reports.data.files import flat, to_csv
from samegrad.reports.data.report import Report, Source, frame, labels, report

MOST_RUNS = 12  # that a report shows side by side
MOST_WARNINGS = 20  # that are printed; a broken file may have one for each of its lines
MOST_PROCESSES = 8  # that read journals
SECONDS = 5.0  # of a search, after which it says where it is, again and again
NO_FILES = {"dev", "proc", "sys"}  # folders of the root that show the system, and hold no run


class VanishedError(NotAJournalError):
    """Every journal was removed or renamed, perhaps while it was read."""


def paths(
    places: Iterable[str | os.PathLike[str]], names: Sequence[str] = ("journal.jsonl",)
) -> list[Path]:
    """The journals that are meant: a file, the one in a folder, or all below a folder.

    Args:
        names: of files; of each folder the first of them that is there.

    Raises:
        ValueError: a place is an empty text.
    """
    return [path for place in [named("journals", place) for place in places]
            for path in _journals(place, names)]  # fmt: skip


def _journals(path: Path, names: Sequence[str]) -> list[Path]:
    if not path.is_dir():
        return [path]
    own = next((path / name for name in names if (path / name).is_file()), None)
    return [own] if own is not None else sorted(_below(path, names)) or [path / names[0]]


def _below(top: Path, names: Sequence[str]) -> Iterator[Path]:
    """The journals below a folder; no link is followed, and what vanishes meanwhile is left out."""
    lost: list[OSError] = []
    said = time.monotonic()
    for count, (folder, folders, files) in enumerate(os.walk(top, onerror=lost.append), 1):
        if count == 1 and top.resolve() == Path(os.sep):
            folders[:] = [name for name in folders if name not in NO_FILES]
        if one := next((name for name in names if name in files), None):
            yield Path(folder) / one
        if time.monotonic() - said > SECONDS:
            say(f"searching {top} for runs: {count:,} folders so far, now {folder}", error=True)
            said = time.monotonic()
    if lost:
        more = f", and {len(lost) - 1:,} more like it" if len(lost) > 1 else ""
        what = f"{lost[0].filename or top}: cannot be searched: {lost[0].strerror}"
        say(f"warning: {what}; it was left out{more}", error=True)


def load(journals: Sequence[Path]) -> Report:
    """Read journals; one that cannot be read is left out with a warning.

    Up to MOST_RUNS are all shown; of more, the newest of each machine.

    Raises:
        VanishedError: none of them is there by now.
        NotAJournalError: none of them can be read.
    """
    try:
        made = _few(journals) if len(journals) <= MOST_RUNS else _many(journals)
    except NotAJournalError as error:
        if not any(path.exists() for path in journals):
            raise VanishedError(str(error)) from None
        raise
    count, notes = len(made.warnings), list(made.notes)
    if not count:
        return made
    notes.append(
        f"Not all of the journals could be read: {count:,} things were left out, the first: "
        f"{made.warnings[0]}."
    )
    shown = made.warnings[:MOST_WARNINGS]
    if count > MOST_WARNINGS:
        shown.append(f"and {count - MOST_WARNINGS:,} more like these")
    return replace(made, notes=notes, warnings=shown)


def _few(files: Sequence[Path]) -> Report:
    warnings: list[str] = []
    journals = [read(files[0])] if len(files) == 1 else list(_readable(files, warnings).values())
    if not journals:
        raise NotAJournalError("; ".join(warnings))
    warnings += [line for journal in journals for line in journal.warnings]
    return replace(report(joined(journals)), warnings=warnings)


def _readable(files: Sequence[Path], warnings: list[str]) -> dict[Path, Journal]:
    """The journals that can be read, and a warning of each of the others."""
    journals = {}
    for path in files:
        try:
            journals[path] = read(path)
        except NotAJournalError as error:
            warnings.append(f"{error}; it was left out")
    return journals


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
    whole.proofs |= part.proofs
    whole.tried_again |= part.tried_again
    for name in ("cases", "ceilings", "states", "loaded", "parity", "pictures"):
        getattr(whole, name).extend(getattr(part, name))
    for _, outcome in part.outcomes:
        whole.add(outcome)
    whole.complete = whole.complete and part.complete


def _many(files: Sequence[Path]) -> Report:
    """Those that are shown are read here, the others one at a time in several processes."""
    kept, runs, warnings = [], [], []
    for path in files:
        try:
            runs.append(first(path))
            kept.append(path)
        except NotAJournalError as error:
            warnings.append(f"{error}; it was left out")
    if not runs:
        raise NotAJournalError(warnings[0])
    names, shown = labels(runs), newest(runs)
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
            whole = _readable([kept[i] for i in shown], warnings)
            made = report(list(whole.values()))
            parts = dict(zip(others, results_of, strict=True))
    except BrokenProcessPool:
        raise NotAJournalError(
            f"a process that read some of the {len(kept)} journals was ended, perhaps because they "
            "need more memory than there is; give fewer of them"
        ) from None
    finally:
        gc.enable()
    shown = [number for number in shown if kept[number] in whole]
    for number, source in zip(shown, made.sources, strict=True):
        rows = made.rows[made.rows.source == source.label].assign(source=names[number])
        parts[number] = (rows, _csv(rows), source.journal.warnings)
    in_order = [parts[number] for number in sorted(parts)]
    warnings += [line for _, _, lines in in_order for line in lines]
    frames = [rows for rows, _, _ in in_order]
    note = (
        f"{len(runs)} runs; the newest of each machine is shown here ({len(shown)}), all rows are "
        "in results.csv."
    )
    return replace(
        made,
        all_rows=pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True),
        notes=[note],
        warnings=warnings,
        csv=[text for _, text, _ in in_order],
    )


def _rows(path: Path, label: str) -> tuple[pd.DataFrame, str, list[str]]:
    """The rows of one journal, the same as CSV without titles, and what could not be read."""
    warnings: list[str] = []
    journals = _readable([path], warnings).values()  # it was there when its first line was read
    rows = frame([Source(label, journal, results.rows(journal)) for journal in journals])
    return rows, _csv(rows), [*warnings, *(w for journal in journals for w in journal.warnings)]


def _csv(rows: pd.DataFrame) -> str:
    return to_csv(flat(rows), header=False) if len(rows) else ""


def newest(runs: Sequence[Record]) -> list[int]:
    """The number of the last run of each machine; those of the latest machines, if many."""
    started = [str(run.get("started", "")) for run in runs]
    table = pd.DataFrame({"machine": [run["fingerprint"] for run in runs], "started": started})
    last = table.sort_values("started", kind="stable").drop_duplicates("machine", keep="last")
    return sorted(last.index[-MOST_RUNS:])
