"""What comes into the archive: journals and summaries, however many, each once.

Read in several processes, a bounded number at a time; what is refused is a line.
"""

import errno
import gc
import multiprocessing
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from samegrad.benchmarks.records import fleets
from samegrad.benchmarks.records.journal import read
from samegrad.benchmarks.records.lines import why
from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.texts import clean, shortened
from samegrad.reports.archive import checking, files, form, store, withdrawing
from samegrad.reports.archive import summary as summaries
from samegrad.reports.archive.beginnings import agree
from samegrad.reports.archive.store import Known
from samegrad.reports.archive.summary import Content, Summary
from samegrad.reports.archive.withdrawing import Withdrawal
from samegrad.reports.data import loading

JOURNAL = "journal.jsonl"
CUT_OFF = "is cut off in the middle; it was left out"  # as an older version may be
GROUP = 2000  # places that are read before what came of them is written
PART_ROWS = 400_000  # in one part
PART_RUNS = 10_000  # in one part: until it is written, each takes 25 kB, however few its rows
LITTLE = 2**24  # bytes that are read in this process: starting others takes two seconds
MOST_PROCESSES = 8
ADDED, NEWER, THERE, OLDER, REFUSED = "added", "newer version", "there already", "older", "refused"
WITHDRAWN = "withdrawn before"
BY_JOURNAL = "there by a summary alone and now by its journal"
ONCE_MORE = "added once more"
TAKEN = (ADDED, NEWER, BY_JOURNAL, ONCE_MORE)

Withdrawals = Mapping[str, Sequence[Withdrawal]]  # run id -> what was withdrawn of it


def places(texts: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The journals that are meant, and the summaries that lie without theirs.

    Raises:
        ValueError: a place is an empty text.
    """
    return loading.paths(texts, (JOURNAL, summaries.NAME))


class Taken(NamedTuple):
    """What came of one place.

    Attributes:
        outcome: one of TAKEN, THERE, OLDER, WITHDRAWN or REFUSED.
        content: of its journal, but of what was refused.
        rows: as columns, of TAKEN.
        lines: why it was refused, or what of it was left out.
        in_its_way: the run of which the archive has another version, for which it was refused.
    """

    outcome: str
    content: Content | None = None
    rows: pa.RecordBatch | None = None
    lines: tuple[str, ...] = ()
    in_its_way: str = ""


class OtherVersionError(ValueError):
    """It contradicts the version that the archive has of its run."""

    def __init__(self, run_id: str, said: str) -> None:
        """The run, and what does not agree."""
        super().__init__(said)
        self.run_id = run_id


@dataclass
class Added:
    """What came of all of them: outcome -> how many; rows; lines; parts of no use."""

    counts: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    lines: list[str] = field(default_factory=list)
    damaged: int = 0


def add(folder: Path, places: Sequence[Path], *, again: bool = False) -> Added:
    """Add runs to an archive, which is made where there is none.

    Args:
        places: journals, or summaries of journals.
        again: whether what is there already is added once more, and hides what is there; and what
            was withdrawn is, too.

    Raises:
        ArchiveError: the folder holds something else.
        OSError: the disk is full, or the like: what was written before is there, and whole.
    """
    result = Added()
    known = store.known(folder, result.lines.append)
    result.damaged = len(result.lines)
    withdrawn = withdrawing.known(folder)
    if again:  # as if all were of an older form, and nothing withdrawn
        known = {run_id: one._replace(form=0) for run_id, one in known.items()}
        withdrawn = {}
    here: dict[str, Path] = {}  # run id -> where what was added of it now came from
    refused: list[str] = []
    waiting: list[pa.RecordBatch] = []
    rows = 0  # of these

    def flush() -> None:
        nonlocal rows
        if waiting:
            files.write(folder, waiting)
            result.rows += rows
            waiting.clear()
            rows = 0

    for place, taken in zip(places, _read(places, known, withdrawn), strict=True):
        if taken.content is not None and (before := here.get(taken.content.run_id)) is not None:
            taken = _again(place, taken, before, known[taken.content.run_id])
        result.counts[taken.outcome] = result.counts.get(taken.outcome, 0) + 1
        lines = refused if taken.outcome == REFUSED else result.lines
        lines += taken.lines
        if taken.in_its_way:
            lines[-1] += _take_out(folder, taken.in_its_way)
        if taken.rows is not None and taken.content is not None:
            content = taken.content
            known[content.run_id] = Known(
                content.size, content.sha256, form.FORM, content.beginnings,
                place.name == summaries.NAME,
            )  # fmt: skip
            here[content.run_id] = place
            waiting.append(taken.rows)
            rows += len(taken.rows)
            if rows >= PART_ROWS or len(waiting) >= PART_RUNS:
                flush()
    flush()
    result.lines[:0] = refused
    result.lines += map(clean, fleets.lacking(places))
    return result


def _again(place: Path, taken: Taken, before: Path, known: Known) -> Taken:
    """The same, by what was added of this run since the others began: it may lie in two places.

    Args:
        before: where that came from.
        known: what it was.
    """
    content = taken.content
    if content is None:
        return taken
    as_long = content.size == known.size and content.sha256 != known.sha256  # and another one
    outcome = REFUSED if as_long else standing(content, known)
    if not agree(content.beginnings, known.beginnings):
        outcome = REFUSED
    if outcome == THERE and known.from_summary and place.name != summaries.NAME:
        return taken._replace(outcome=BY_JOURNAL)
    if outcome != REFUSED and summaries.NAME in (place.name, before.name):  # no journal to look at
        return taken._replace(outcome=outcome) if outcome == NEWER else Taken(outcome, content)
    try:
        if outcome == NEWER and summaries.begins_with(place, known.size, known.sha256):
            return taken._replace(outcome=outcome)
        if outcome == OLDER and not summaries.begins_with(before, content.size, content.sha256):
            outcome = REFUSED
    except OSError:
        outcome = REFUSED
    if outcome in (NEWER, REFUSED):
        said = f"it and {before} say that they are of the same run, and neither begins the other"
        line = clean(f"{place}: {said}; {before} was added")
        return Taken(REFUSED, lines=(line,), in_its_way=content.run_id)
    return Taken(outcome, content)


def _read(
    places: Sequence[Path], known: dict[str, Known], withdrawn: Withdrawals
) -> Iterator[Taken]:
    known = dict(known)  # as it is now, in this process as in others
    if len(places) < 2 or sum(map(_size, places)) < LITTLE:
        yield from (_taken(place, known, withdrawn) for place in places)
        return
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    context = multiprocessing.get_context("spawn")  # the libraries of this process have threads
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(known, withdrawn)
    ) as pool:
        for start in range(0, len(places), GROUP):
            group = places[start : start + GROUP]
            size = max(1, min(32, len(group) // 8))
            for taken, data in pool.map(_taken_there, group, chunksize=size):
                rows = pa.ipc.read_record_batch(data, files.SCHEMA) if data else None
                yield taken._replace(rows=rows)


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:  # which is said when it is read
        return 0


_KNOWN: dict[str, Known] = {}  # in a process that reads
_WITHDRAWN: dict[str, Sequence[Withdrawal]] = {}  # there, too


def _begin(known: dict[str, Known], withdrawn: Withdrawals) -> None:
    gc.disable()  # it would search millions of small objects, of which none is part of a cycle
    _KNOWN.update(known)
    _WITHDRAWN.update(withdrawn)


def _taken_there(place: Path) -> tuple[Taken, bytes]:
    """Rows beside it as Arrow sends them: pickled, a run's columns cost more than its rows."""
    taken = _taken(place, _KNOWN, _WITHDRAWN)
    data = taken.rows.serialize().to_pybytes() if taken.rows is not None else b""
    return taken._replace(rows=None), data


def _taken(place: Path, known: dict[str, Known], withdrawn: Withdrawals) -> Taken:
    """What comes of one place; whatever is wrong with it is a line."""
    try:
        return _of(place, known, withdrawn)
    except FileNotFoundError:
        return Taken(REFUSED, lines=(clean(f"{meant(place)}: {_nothing(place)}"),))
    except Exception as error:  # a place may hold anything
        said = getattr(error, "strerror", None) or why(error) or type(error).__name__
        text = said if str(place) in said else f"{place}: {said}"
        text = shortened(clean(" ".join(text.split())), 400)
        return Taken(REFUSED, lines=(text,), in_its_way=getattr(error, "run_id", ""))


def _take_out(folder: Path, run_id: str) -> str:
    """What is to be done where a version is in the way of the right one."""
    typed = command("archive", "withdraw", run_id, f"--archive={folder}", "--reason=TEXT")
    return f"; if this one is right, take that one out and add it again: `{typed}`"


def meant(place: Path) -> Path:
    """What somebody has named: where no journal is, the folder."""
    folder = place.parent
    return folder if place.name == JOURNAL and folder.is_dir() and not place.exists() else place


def _nothing(place: Path) -> str:
    """What is said of a journal that is not there."""
    if (folder := meant(place)) == place:
        return os.strerror(errno.ENOENT)
    if (folder / fleets.NAME).is_file():
        return "a fleet in which no machine has begun its run"
    return f"no run there, nor in a folder below it (no {JOURNAL}, no {summaries.NAME})"


def _of(place: Path, known: dict[str, Known], withdrawn: Withdrawals) -> Taken:
    lines: tuple[str, ...] = ()
    made = summaries.read(place) if place.name == summaries.NAME else None
    journal, content = (None, made.content) if made else (place, summaries.content(place))
    before = known.get(content.run_id)
    for one in withdrawn.get(content.run_id, ()):
        if said := _withdrawn(journal, content, before, one):
            return Taken(WITHDRAWN, lines=(clean(f"{place}: {said}"),))
    outcome = standing(content, before)
    if outcome == THERE and before is not None and before.from_summary and journal is not None:
        outcome = BY_JOURNAL
    if before is not None and outcome in (NEWER, OLDER):
        _has_its_past(journal, content, before, outcome)
    if outcome not in TAKEN:
        return Taken(outcome, content)
    if made is None:
        made, lines = _summarised(place, content)
    if not made.rows:
        raise ValueError("it has no rows")
    copy = {
        "added": datetime.now(UTC).isoformat(timespec="microseconds"),
        "entry": secrets.randbits(62),
        "from_summary": journal is None,
    }
    return Taken(outcome, content, files.batch(made.run | copy, made.rows), lines)


def _withdrawn(
    journal: Path | None, content: Content, before: Known | None, one: Withdrawal
) -> str:
    """Why a version is not added after a withdrawal, or "" where it is another one.

    A shorter one may be what was right of the one that was withdrawn. Of what was added again since
    nothing is held against those that go on from it.
    """
    own = one.journal_bytes, one.journal_sha256
    newer = before is None or before.size < one.journal_bytes
    if content.sha256 == one.journal_sha256:
        what = "" if before is not None and before.sha256 == content.sha256 else "this version"
    elif journal and newer and content.size > own[0]:
        what = "what it goes on from" * summaries.begins_with(journal, *own)
    else:
        what = ""
    if not what:
        return ""
    return f"{what} was withdrawn on {one.withdrawn_at[:10]} ({one.reason}); --again adds it"


def _has_its_past(journal: Path | None, content: Content, before: Known, outcome: str) -> None:
    """Raise ValueError if a version is not the beginning of what is there of its run, or goes on.

    Args:
        journal: None of a summary that came alone.
    """
    if outcome == NEWER and journal is not None:
        if not summaries.begins_with(journal, before.size, before.sha256):
            said = "it does not go on as the journal that is there of this run did"
            raise OtherVersionError(content.run_id, said)
        return
    if journal is not None:
        _as_it_was(journal)
    if not agree(content.beginnings, before.beginnings):
        what = "longer" if outcome == OLDER else "shorter"
        said = f"it has another past than the {what} journal that is there of this run"
        raise OtherVersionError(content.run_id, said)


def standing(content: Content, before: Known | None) -> str:
    """Whether a journal is new, goes on, is there, or is older than what is there.

    Raises:
        OtherVersionError: it is as long as what is there of this run, and says something else.
    """
    if before is None:
        return ADDED
    if content.size < before.size:
        return OLDER
    if content.size > before.size:
        return NEWER
    if content.sha256 != before.sha256:
        said = "it is as long as the journal that is there of this run, and another one"
        raise OtherVersionError(content.run_id, said)
    if before.form == 0:  # as `add` has it where what is there is to be added once more
        return ONCE_MORE
    return THERE if before.form >= form.FORM else NEWER


def _as_it_was(place: Path) -> None:
    """Raise ValueError if a journal cannot be the beginning of the one that is there of its run.

    Of that one hashes alone are known: else only what is wrong with this one is seen.
    """
    journal = read(place)
    lines = [line for line in journal.warnings if line.startswith(f"{place}: line ")]
    whole = (line for line in lines if not line.endswith(CUT_OFF))
    for wrong in (*whole, *checking.untrue(journal)):
        wrong = wrong.removeprefix(f"{place}: ")
        said = "it is not the beginning of the longer one that is there, which stays"
        raise ValueError(f"{said}: {wrong}")


def _summarised(place: Path, content: Content) -> tuple[Summary, tuple[str, ...]]:
    """The summary of a journal, made from it whatever lies beside it, and what was left out."""
    journal = read(place)
    wrong = next(checking.untrue(journal), None)
    if wrong is not None:
        raise ValueError(f"it contradicts itself: {wrong}")
    made = summaries.summary(journal, content)
    summaries.check(made)
    left_out = journal.warnings[:1]
    more = f" (and {len(journal.warnings) - 1} lines more)" if len(journal.warnings) > 1 else ""
    return made, tuple(f"warning: {line}{more}" for line in left_out)


def faults(place: Path) -> list[str]:
    """Why a run may not be published, a line each; none if it may.

    Its summary, where one lies beside it, is made again and must be the same.
    """
    try:
        if place.name == summaries.NAME:
            raise ValueError("a summary without its journal, by which it could be checked")
        content = summaries.content(place)
        journal = read(place)
        if wrong := list(checking.untrue(journal)):
            return wrong
        made = summaries.summary(journal, content)
        summaries.check(made)
        found = checking.unfit(journal, made.rows)
        beside = place.with_name(summaries.NAME)
        stated = summaries.read(beside) if beside.is_file() else made
        newest = stated.run["form"] == form.FORM  # else `add` takes none of it
        if newest and (names := summaries.differs(stated, made)):
            found.append(f"{beside.name} is not of this journal: {', '.join(names)}")
        return found
    except FileNotFoundError:
        return [_nothing(place)]
    except (ValueError, OSError, ArithmeticError) as error:
        return [str(getattr(error, "strerror", None) or why(error))]
