"""The journal of a run, written and read.

JSON lines (their form: `schema`, JOURNAL.md), appended to and fsync'd one record at a time, so
that whatever kills a run costs at most the record being written.
"""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import PRODUCTS
from samegrad.benchmarks.records import schema, states, upgrade
from samegrad.benchmarks.records.lines import cleaned, decoded, may_be_unclean, why
from samegrad.benchmarks.records.named_cases import UNUSABLE, NamedCases, case_of
from samegrad.benchmarks.records.schema import JUDGED, OK, SCHEMA, Record
from samegrad.implementations.contract.commands import command
from samegrad.implementations.contract.files import ordinary
from samegrad.implementations.contract.texts import shortened

LONGEST_LINE = 64 * 2**20  # bytes; a picture takes some hundred thousand
MOST_UNUSABLE = 1000  # lines of a file; what has more of them is not read to its end
# Kinds of records that a journal keeps as they are -> their list.
LISTS = {
    "implementation": "implementations",
    "ceiling": "ceilings",
    "cpu_speed": "cpu_speeds",
    "parity": "parity",
    "picture": "pictures",
}


class NotAJournalError(ValueError):
    """The file is no journal, or one that this version cannot read."""


class JournalWriter:
    """Appends records to a journal; each is on the disk when `append` returns."""

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Create the journal, or open it again and cut off a last line that was not finished.

        Raises:
            FileExistsError: it is there already (without `resume`).
            ValueError: another process is writing it.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what could not be written must not be tried again when the file closes.
        self._file = path.open("r+b" if resume else "xb", buffering=0)
        self._lock()
        self.saved = 0
        self._lines: list[bytes] = []  # a copy: somebody may remove the file, or cut it
        if resume:
            text = path.read_bytes()
            self.saved = text.count(b'"record": "outcome"')
            self._lines.append(text[: text.rfind(b"\n") + 1])
            self._file.truncate(len(self._lines[0]))
            self._file.seek(0, os.SEEK_END)

    def append(self, record: Record) -> None:
        """Check one record, write it and wait until the disk has it.

        A file that somebody removed, replaced or cut meanwhile is left to them, and the journal
        goes on whole in a new folder beside the old one: `path` is another one then.

        Raises:
            ValueError: it has not the form that the schema says; nothing is written.
            OSError: the disk is full, or the like; the message says what was saved before. The
                file holds whole records still.
        """
        line = (json.dumps(schema.check(record), allow_nan=False) + "\n").encode()
        data, began = memoryview(line), self._file.tell()
        try:
            if not self._is_ours(began):
                self._begin_anew()
                began = self._file.tell()
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(began)
            raise OSError(
                error.errno,
                f"{error.strerror}; {self.saved} outcomes are saved: make room, then "
                f"{command('benchmark', f'--resume={self.path.parent}')}",
                str(self.path),
            ) from None
        self._lines.append(line)
        self.saved += record["record"] == "outcome"

    def _is_ours(self, size: int) -> bool:
        """Whether the path still is the file that was opened, and as long as it was left."""
        try:
            own = os.fstat(self._file.fileno())
            return os.path.samestat(self.path.stat(), own) and own.st_size == size
        except OSError:
            return False

    def _begin_anew(self) -> None:
        """Another file with everything that was written so far.

        Raises:
            OSError: there is no room for it.
        """
        # Names have 255 bytes at most; mkdtemp adds eight letters.
        name = os.fsdecode(os.fsencode(self.path.parent.name or "run")[:200]) + "-"
        error: OSError | None = None
        for folder in (lambda: self.path.resolve().parents[1], Path.cwd, tempfile.gettempdir):
            try:  # the current folder may be gone, too
                path = Path(tempfile.mkdtemp(prefix=name, dir=folder())) / self.path.name
                file = path.open("xb", buffering=0)
                break
            except OSError as refused:
                error = refused
        else:
            raise OSError(errno.EIO, f"it was removed, and nothing else can be written ({error})")
        data = memoryview(b"".join(self._lines))
        while data:
            data = data[file.write(data) :]
        self._file.close()
        self._file, self.path = file, path
        self._lock()

    def close(self) -> None:
        """Leave the journal; the lock goes with it."""
        self._file.close()

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: `--resume` of a run that still runs is not noticed
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ValueError(f"{self.path}: another process is writing this run") from None


@dataclass
class Journal:
    """What one journal holds.

    Attributes:
        run: its first record.
        implementations: what each of them can do.
        sources: SHA-256 -> (path, text).
        cases: every case of the run.
        processes: how many processes per case there are to be.
        probes: what fixed calls took that are no rows.
        predictions: case id -> seconds of a call, as they were predicted before any was measured.
        inputs: workload -> hash of its weights and examples.
        ceilings: what machine and libraries can do at most.
        cpu_speeds: how fast the machine itself was, from request to request.
        states: what else the machine did; outcomes since the last one have its share as "others".
        tried_again: case id -> the outcome with what was wrong before it was tried again.
        memory: case id -> its record.
        proofs: case id -> the records of its blocks that have been proved.
        loaded, parity, pictures: of a training run, its records of inputs and of these kinds.
        complete: whether the run came to its end.
        warnings: one line for each line of the file that could not be used, and one for the rows of
            NumPy with other OpenBLAS kernels that schemas 2 to 4 had.
    """

    run: Record
    implementations: list[Record] = field(default_factory=list)
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    processes: int = 0
    probes: list[tuple[Case, float]] = field(default_factory=list)
    predictions: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    ceilings: list[Record] = field(default_factory=list)
    cpu_speeds: list[Record] = field(default_factory=list)
    states: list[Record] = field(default_factory=list)
    tried_again: dict[str, Record] = field(default_factory=dict)
    memory: dict[str, Record] = field(default_factory=dict)
    proofs: dict[str, list[Record]] = field(default_factory=dict)
    loaded: list[Record] = field(default_factory=list)
    parity: list[Record] = field(default_factory=list)
    pictures: list[Record] = field(default_factory=list)
    complete: bool = False
    warnings: list[str] = field(default_factory=list)
    _outcomes: dict[int, tuple[Case, Record]] = field(default_factory=dict)  # by their numbers
    _numbers: dict[str, list[int]] = field(default_factory=dict)  # case id -> of its outcomes
    _next: int = 0  # number of an outcome
    _looked: int = 0  # number of the first that the last state did not see
    _ended: bool = False  # and nobody has resumed it since

    @property
    def outcomes(self) -> list[tuple[Case, Record]]:
        """(case, record) in the order of the file, less what was tried again."""
        return list(self._outcomes.values())

    def add(self, record: Record) -> None:
        """Take in one record, which has been checked.

        Raises:
            ValueError, KeyError, TypeError: a case in it is none.
        """
        kind = record["record"]
        if kind in LISTS:
            getattr(self, LISTS[kind]).append(record)
        elif kind == "source":
            self.sources[record["sha256"]] = (record["path"], record["text"])
        elif kind in ("cases", "processes"):
            self.cases = [case_of(data) for data in record.get("cases", ())] or self.cases
            self.processes = record["processes"]
        elif kind == "probe":
            self.probes.append((case_of(record["case"]), record["seconds"]))
        elif kind == "predictions":
            if any(outcome["status"] == OK for _, outcome in self.outcomes):
                raise ValueError("predicted after a measurement")
            self.predictions = record["seconds"]
        elif kind == "inputs":
            self.inputs[record["workload"]] = record["sha256"]
            if "seconds" in record:
                self.loaded.append(record)
        elif kind == "outcome":
            case = case_of(record["case"])
            self._outcomes[self._next] = case, record
            self._numbers.setdefault(case.id, []).append(self._next)
            self._next += 1
        elif kind == "state":
            self._add_state(record)
        elif kind == "memory":
            self.memory[case_of(record["case"]).id] = record
        elif kind == "proof":
            self.proofs.setdefault(case_of(record["case"]).id, []).append(record)
        elif kind == "retry":
            for name in record["cases"]:
                self._try_again(name)
            self.complete = False
        elif kind == "resumed":
            self._ended = False
        elif kind == "run_complete":
            if self._ended:
                raise ValueError("the run had come to its end before")
            self.complete = self._ended = True

    def _try_again(self, name: str) -> None:
        """The failures of a case no longer count; where it was judged, nothing of it does.

        What a process had measured before it died stands. Of a case whose results were wrong once,
        earlier ones may have been so, too: one that happened to be proved would speak for it.
        """
        known = {number: self._outcomes[number][1] for number in self._numbers.get(name, ())}
        judged = [record for record in known.values() if record["status"] in JUDGED]
        if judged:
            self.tried_again[name] = judged[-1]
            self.proofs.pop(name, None)
        for number, record in known.items():
            if judged or record["status"] != OK:
                del self._outcomes[number]
        self._numbers[name] = [number for number in known if number in self._outcomes]

    def _add_state(self, state: Record) -> None:
        """What others took while the outcomes since the last state were measured is theirs, too."""
        self.states.append(state)
        if state["when"] == "during" and "others" in state:
            share = states.taken(state)
            for number in range(self._looked, self._next):
                if number in self._outcomes:
                    self._outcomes[number][1]["others"] = share
        self._looked = self._next

    def needs_proof(self, case: Case) -> bool:
        """Whether blocks of a case count only with proofs: since schema 6, products excepted."""
        settings = self.run.get("settings") or {}
        return settings.get("proofs") is True and case.operation != PRODUCTS

    def most_flops(self) -> dict[tuple[str, str, str], float]:
        """(device, threads, arithmetic) -> FLOP/s that are known to be possible.

        The cores' own multiply-adds, or the best matrix product of any library.
        """
        best: dict[tuple[str, str, str], float] = {}
        for record in self.ceilings:
            if record["quantity"] in ("peak", "gemm"):
                key = (record["device"], record["threads"], record["arithmetic"])
                best[key] = max(best.get(key, 0.0), record["value"])
        return best

    def _ceilings(self, *where: str) -> Iterator[float]:
        for record in self.ceilings:
            known = record["quantity"], record["device"], record["threads"], record["arithmetic"]
            if known == where:
                yield record["value"]

    def most(self, quantity: str, device: str, threads: str, dtype: str = "") -> float | None:
        """The most of all libraries and moments, such as bytes per second of "bandwidth"."""
        return max(self._ceilings(quantity, device, threads, dtype), default=None)

    def least(self, quantity: str, device: str, threads: str, dtype: str = "") -> float | None:
        """The least of all moments, such as seconds of a "call"."""
        return min(self._ceilings(quantity, device, threads, dtype), default=None)


def read(path: Path, *, verbatim: bool = False) -> Journal:
    """Read a journal; lines that cannot be used are left out, each with a warning.

    Args:
        verbatim: for who goes on with the run; otherwise texts are clean, but those of sources.

    Raises:
        NotAJournalError: the file cannot be read, does not begin like a journal, is of a newer
            schema, or, if it is to go on, is not read to its end.
    """
    lines = _lines(path)
    first_line = _first(path, next(lines))
    journal = Journal(first_line if verbatim else cleaned(first_line))
    old = journal.run["schema"] < upgrade.PRESENT_WORDS
    other_kernels: set[tuple[str, str]] = set()
    cases = NamedCases()
    for number, line in enumerate(lines, start=2):
        end = f"is longer than {LONGEST_LINE:,} bytes" if len(line) > LONGEST_LINE else ""
        try:
            if end:
                raise ValueError(end)
            unclean = may_be_unclean(line)
            record = _checked(decoded(line) if unclean else cases.decoded(line), old)
            if unclean and not verbatim:
                record = cleaned(record)
            kept = upgrade.without_other_kernels(record, other_kernels) if old else record
            if record["record"] == "run":
                end = "begins another run"  # whose machine and cases are others
            elif kept is not None:
                journal.add(kept)
        except UNUSABLE as error:
            cut = not line.endswith(b"\n") and not end
            what = "cut off in the middle" if cut else f"not usable ({shortened(why(error), 80)})"
            journal.warnings.append(f"{path}: line {number} is {what}; it was left out")
            end = end or "is one of too many" * (len(journal.warnings) == MOST_UNUSABLE)
        if end:
            end = f"{path}: line {number} {end}; neither it nor what follows it is read"
            if verbatim:
                raise NotAJournalError(end)
            journal.warnings.append(end)
            break
    if other_kernels:
        said = "rows with other OpenBLAS kernels, from an older version, were left out"
        journal.warnings.append(f"{path}: {len(other_kernels)} {said}")
    return journal


def first(path: Path) -> Record:
    """The first record of a journal: what ran where.

    Raises:
        NotAJournalError: as `read`.
    """
    return cleaned(_first(path, next(_lines(path))))


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, at least one; of a line that is too long its beginning, and no more."""
    try:
        with ordinary(path).open("rb") as file:
            line = file.readline(LONGEST_LINE + 1)
            if not line:
                raise NotAJournalError(f"{path}: the file is empty, not a journal")
            while line:
                yield line
                if len(line) > LONGEST_LINE:  # of a sparse file its end may be hours away
                    return
                line = file.readline(LONGEST_LINE + 1)
    except OSError as error:
        raise NotAJournalError(f"{path}: cannot be read: {error.strerror}") from None


def _first(path: Path, line: bytes) -> Record:
    try:
        if len(line) > LONGEST_LINE:
            raise ValueError
        run = decoded(line)
        if run["record"] != "run":
            raise ValueError
        newer = run["schema"] > SCHEMA
        if not newer:
            run = _checked(run, run["schema"] < upgrade.PRESENT_WORDS)
    except UNUSABLE:
        raise NotAJournalError(
            f"{path}: not a samegrad journal; give a journal.jsonl that `{command('benchmark')}` "
            "wrote (what pytest-benchmark saved: `pytest-benchmark compare`)"
        ) from None
    if newer:
        said = f"written in schema {run['schema']}, this version reads up to {SCHEMA}"
        raise NotAJournalError(f"{path}: {said}; update samegrad")
    return run


def _checked(record: Any, old: bool) -> Record:
    """A record in the present words, if it has the form that the schema says."""
    return schema.check(upgrade.record(record) if old else record)
