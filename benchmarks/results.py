"""The journal and its rows.

A journal is a file of JSON lines, appended to and fsync'd one record at a time, so that whatever
kills a run costs at most the record being written:

    run             first line: schema, run, time, command, preset, machine, fingerprint, commit
    implementation  what the probe of one implementation found, per device
    inputs          hash of the weights and examples of one problem
    plan            every case of the run, and how many processes were planned
    outcome         one case in one process: status, reason, and what was measured
    run_complete    last line; without it the run is partial

An outcome of status "ok" has `calls` (per block), `elapsed_ns`, `residual_ns`, `event_ns` (per
block, nanoseconds), `cpu_ns`, `first_call_ns` and `gate` (the tensor nearest to its bound).
"""

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.cases import Case, from_json

SCHEMA = 1
OK = "ok"
NO_NUMBER = ("skipped", "unavailable")  # said with a reason; not a failure
FAILED = ("wrong", "rejected", "crashed", "timeout", "out_of_memory")
NOT_RUN = "not_run"  # planned, and the run ended before its turn
STATUSES = (OK, *NO_NUMBER, *FAILED)

Record = dict[str, Any]


class NotAJournalError(ValueError):
    """The file is no journal, or one that this version cannot read."""


class JournalWriter:
    """Appends records to a new journal; each is on the disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("x", encoding="utf-8")  # a run never writes into another's journal

    def append(self, record: Record) -> None:
        """Write one record and wait until the disk has it."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


@dataclass
class Journal:
    """What one journal holds.

    Attributes:
        run: its first record.
        implementations: records of the probes.
        cases: every planned case.
        processes: how many processes per implementation were planned.
        inputs: problem -> hash of its weights and examples.
        outcomes: (case, record) in the order of the file.
        complete: whether the run came to its end.
        warnings: one line for each line of the file that could not be used.
    """

    run: Record
    implementations: list[Record] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    processes: int = 0
    inputs: dict[str, str] = field(default_factory=dict)
    outcomes: list[tuple[Case, Record]] = field(default_factory=list)
    complete: bool = False
    warnings: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take in one record.

        Raises:
            ValueError, KeyError, TypeError: it does not have the form that the schema says.
        """
        kind = record["record"]
        if kind == "implementation":
            if not isinstance(record["name"], str) or not isinstance(record["device"], str):
                raise ValueError("an implementation has a name and a device")
            self.implementations.append(record)
        elif kind == "plan":
            self.cases = [from_json(case) for case in record["cases"]]
            self.processes = int(record["processes"])
        elif kind == "inputs":
            self.inputs[str(record["problem"])] = str(record["sha256"])
        elif kind == "outcome":
            if record["status"] not in STATUSES or not isinstance(record["reason"], str):
                raise ValueError(f"status {record['status']!r} or reason is not known")
            if record["status"] == OK:
                _check_measurement(record)
            self.outcomes.append((from_json(record["case"]), record))
        elif kind == "run_complete":
            self.complete = True
        else:
            raise ValueError(f"record {kind!r} is not known")


def read(path: Path) -> Journal:
    """Read a journal; lines that cannot be used are left out, each with a warning.

    Raises:
        NotAJournalError: the file cannot be read, does not begin like a journal, or is of a
            newer schema.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise NotAJournalError(f"{path}: cannot be read: {error.strerror}") from None
    journal: Journal | None = None
    for number, line in enumerate(lines, start=1):
        if journal is None:
            journal = Journal(_first(path, line))
            continue
        try:
            journal.add(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            last = number == len(lines)
            what = "cut off in the middle" if last else f"not usable ({error!r:.80})"
            journal.warnings.append(f"{path}: line {number} is {what}; it was left out")
    if journal is None:
        raise NotAJournalError(f"{path}: the file is empty, not a journal")
    return journal


def _first(path: Path, line: str) -> Record:
    try:
        run = json.loads(line)
        is_run = run["record"] == "run"
        schema = int(run["schema"])
        str(run["run"]), dict(run["machine"]), str(run["fingerprint"])
    except (ValueError, KeyError, TypeError):
        is_run, schema = False, 0
    if not is_run:
        raise NotAJournalError(
            f"{path}: not a samegrad journal; give a journal.jsonl that `pytest --benchmark` wrote"
        )
    if schema > SCHEMA:
        raise NotAJournalError(
            f"{path}: written in schema {schema}, this version reads up to {SCHEMA}; "
            "update samegrad"
        )
    return dict(run)


def _check_measurement(record: Record) -> None:
    elapsed = record["elapsed_ns"]
    if not elapsed or not all(type(ns) is int and ns > 0 for ns in elapsed):
        raise ValueError("elapsed_ns must be positive whole numbers")
    if type(record["calls"]) is not int or record["calls"] < 1:
        raise ValueError("calls must be a positive whole number")
    float(record["gate"]["error"]), float(record["gate"]["bound"])


@dataclass(frozen=True)
class Row:
    """One case of one run, over all of its processes.

    Attributes:
        case: what was timed.
        status: "ok", or why there is no number.
        reason: in words; empty for "ok".
        process_medians: seconds per call, the median of each process.
        blocks: how many blocks, over all processes.
        first_call_seconds: the first call in the first process that measured it (compilation
            included), or None.
        gate: name, error and bound of the tensor nearest to its bound, or None.
    """

    case: Case
    status: str
    reason: str
    process_medians: tuple[float, ...] = ()
    blocks: int = 0
    first_call_seconds: float | None = None
    gate: Record | None = None

    @property
    def median_seconds(self) -> float | None:
        """Per call: the mean of the log of the processes' medians, taken back."""
        if not self.process_medians:
            return None
        return statistics.geometric_mean(self.process_medians)

    @property
    def examples_per_second(self) -> float | None:
        """Examples that pass in a second."""
        return None if self.median_seconds is None else self.case.examples / self.median_seconds

    @property
    def gflops(self) -> float | None:
        """10^9 floating-point operations of the matrix products per second."""
        return None if self.median_seconds is None else self.case.flops / self.median_seconds / 1e9


def rows(journal: Journal) -> list[Row]:
    """Each planned case once, in the order of the plan; one failed process fails its row."""
    found: dict[str, list[Record]] = {}
    for case, record in journal.outcomes:
        found.setdefault(case.id, []).append(record)
    cases = journal.cases or list({case.id: case for case, _ in journal.outcomes}.values())
    return [_row(case, found.get(case.id, ())) for case in cases]


def _row(case: Case, records: Sequence[Record]) -> Row:
    for record in records:
        if record["status"] != OK:
            process = record.get("process")
            where = f"process {process + 1}: " if isinstance(process, int) and process else ""
            return Row(case, record["status"], where + record["reason"])
    if not records:
        return Row(case, NOT_RUN, "the run ended before its turn")
    return Row(
        case,
        OK,
        "",
        tuple(process_median(record) for record in records),
        sum(len(record["elapsed_ns"]) for record in records),
        next((r["first_call_ns"] / 1e9 for r in records if r.get("first_call_ns")), None),
        max((r["gate"] for r in records), key=lambda g: g["error"] / g["bound"]),
    )


def process_median(record: Record) -> float:
    """Seconds per call: the median block of one process."""
    return statistics.median(record["elapsed_ns"]) / record["calls"] / 1e9


def failures(found: Iterable[Row]) -> list[Row]:
    """The rows that make a run fail."""
    return [row for row in found if row.status in FAILED]
