"""The journal's duties one by one: on the disk, whole, locked, and read as it was written."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import Journal, JournalWriter, NotAJournalError, read
from samegrad.benchmarks.records.schema import JUDGED, SCHEMA
from samegrad.benchmarks.runs import session
from tests.helpers.journals import CASE, ok, plan_record, run_record, write


def test_record_is_on_the_disk_when_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written and fsync'd, each one, in that order."""
    lengths: list[int] = []
    real = os.fsync

    def fsync(number: int) -> None:
        real(number)
        lengths.append(os.fstat(number).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    expected = []
    with closing(JournalWriter(tmp_path / "j")) as writer:
        for record in (run_record(), plan_record(CASE), ok(0)):
            writer.append(record)
            expected.append((tmp_path / "j").stat().st_size)

    assert expected == lengths


class Slow:
    """A file that takes a few bytes at a time, and at some time no more."""

    def __init__(self, file: Any, room: float) -> None:
        self.file, self.room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> int:
        """Of at most 10 bytes."""
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        self.room -= 10
        return int(self.file.write(data[:10]))


def test_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Where the system takes a part of it, the rest follows; a full disk leaves no part."""
    path = tmp_path / "j"
    with closing(JournalWriter(path)) as writer:
        writer._file = Slow(writer._file, float("inf"))  # type: ignore[assignment] # a stand-in
        for record in (run_record(), plan_record(CASE), ok(0)):
            writer.append(record)
        whole = path.read_bytes()
        writer._file = Slow(writer._file, 30)  # type: ignore[assignment] # a stand-in
        with pytest.raises(OSError, match="No space left on device; 1 outcomes are saved"):
            writer.append(ok(1))

    assert whole == path.read_bytes()
    assert [] == read(path).warnings and 1 == len(read(path).outcomes)


def test_record_without_its_form_is_not_written(tmp_path: Path) -> None:
    """Nor one with a number that is none."""
    with closing(JournalWriter(tmp_path / "j")) as writer:
        for wrong in ({"record": "surprise"}, ok(0, calls=0), ok(0, steal=float("nan"))):
            with pytest.raises(ValueError):
                writer.append(wrong)

    assert b"" == (tmp_path / "j").read_bytes()


def test_journal_that_goes_on_counts_what_it_has_and_drops_half_a_line(tmp_path: Path) -> None:
    """Another process cannot write it meanwhile; a new one never overwrites it."""
    path = write(tmp_path / "j", run_record(), plan_record(CASE), ok(0), ok(1), tail='{"rec')
    with closing(JournalWriter(path, resume=True)) as writer:
        assert 2 == writer.saved
        with pytest.raises(ValueError, match="another process is writing this run"):
            JournalWriter(path, resume=True)
        writer.append(ok(2))
        assert 3 == writer.saved
    with pytest.raises(FileExistsError):
        JournalWriter(path)

    assert 3 == len(read(path).outcomes) and [] == read(path).warnings


def test_retry_forgets_failures_of_its_cases_and_nothing_else() -> None:
    """What a case has measured in other processes counts still; the run is not complete."""
    other = {**CASE.to_dict(), "implementation": "jax"}
    failed = {"record": "outcome", "status": "crashed", "reason": "why", "process": 1}
    journal = Journal(run_record())
    for record in (
        plan_record(CASE), ok(0), {**failed, "case": CASE.to_dict()}, {**failed, "case": other},
        {"record": "run_complete"}, {"record": "retry", "cases": [CASE.id]},
    ):  # fmt: skip
        journal.add(record)

    assert [("numpy", "ok"), ("jax", "crashed")] == [
        (case.implementation, outcome["status"]) for case, outcome in journal.outcomes
    ]
    assert not journal.complete


@pytest.mark.parametrize("status", JUDGED)
def test_retry_of_what_was_judged_measures_it_anew(status: str) -> None:
    """Earlier repetitions may have been as wrong, and one that is proved would speak for them."""
    wrong = {"record": "outcome", "status": status, "reason": "why", "case": CASE.to_dict()}
    journal = Journal({**run_record(), "settings": {"proofs": True}})
    proof = {"record": "proof", "case": CASE.to_dict(), "process": 0, "repetition": 0}
    proof |= {"name": "dW1", "error": 0.0, "bound": 1.0, "spent_ns": 1}
    for record in (
        plan_record(CASE), ok(0, repetition=0), proof, wrong,
        {"record": "retry", "cases": [CASE.id, "x"]}, {"record": "run_complete"},
    ):  # fmt: skip
        journal.add(record)

    assert [] == journal.outcomes and {} == journal.proofs
    (row,) = rows.rows(journal)
    assert (status, "why (and not measured again)") == (row.status, row.reason)
    assert [CASE.id] == session.Resumed(Path(), journal, None, None).failed()

    journal.add(ok(0, repetition=0))
    journal.add(proof)
    (row,) = rows.rows(journal)
    assert "ok" == row.status and (f"tried again; before, {status}: why",) == row.remarks


def test_state_belongs_to_what_was_measured_since_the_last_also_after_a_retry() -> None:
    """Numbers of outcomes stay as they are."""
    failed = {"record": "outcome", "status": "crashed", "reason": "", "case": CASE.to_dict()}
    journal = Journal(run_record())
    about = {"record": "state", "when": "during", "seconds": 1.0, "cores": 2}
    for record in (
        plan_record(CASE), ok(0), failed, {**about, "others": 0.0},
        {"record": "retry", "cases": [CASE.id]}, ok(1), {**about, "others": 1.0},
    ):  # fmt: skip
        journal.add(record)

    assert [0.0, 1.0] == [outcome["others"] > 0 for _, outcome in journal.outcomes]


def test_ceilings_are_the_most_that_was_reached_there() -> None:
    """Of all libraries and moments, for the device and threads that are asked for."""
    journal = Journal(run_record())
    where = {"record": "ceiling", "implementation": "numpy", "process": 0, "arithmetic": "float32"}
    for quantity, device, threads, value in (
        ("gemm", "cpu", "all", 2e9), ("gemm", "cpu", "all", 3e9), ("gemm", "cpu", "all", 1e9),
        ("gemm", "cuda", "all", 9e9), ("bandwidth", "cpu", "all", 5e9),
        ("bandwidth", "cpu", "all", 4e9), ("bandwidth", "cuda", "all", 8e9),
        ("bandwidth", "cpu", "1", 7e9), ("transfer_in", "cpu", "all", 6e9),
    ):  # fmt: skip
        about = {"quantity": quantity, "device": device, "threads": threads, "value": value}
        journal.add({**where, **about})

    assert {("cpu", "all", "float32"): 3e9, ("cuda", "all", "float32"): 9e9} == journal.most_flops()
    assert 5e9 == journal.most("bandwidth", "cpu", "all", "float32")
    assert journal.least("bandwidth", "cpu", "all", "float32") < 5e9
    assert journal.most("bandwidth", "cpu", "2", "float32") is None


def test_number_of_processes_is_the_last_that_was_decided() -> None:
    """After each process it may become smaller."""
    journal = Journal(run_record())
    for record in (plan_record(CASE), {"record": "processes", "processes": 1}):
        journal.add(record)

    assert 1 == journal.processes


def test_what_is_no_json_or_newer_is_not_read(tmp_path: Path) -> None:
    """NaN is none; each line that is left out has a warning."""
    path = write(tmp_path / "j", run_record(), plan_record(CASE), ok(0))
    path.write_text(path.read_text() + '{"record": "processes", "processes": NaN}\n')
    (warning,) = read(path).warnings
    assert "line 4 is not usable (NaN is no number of JSON)" in warning

    with pytest.raises(NotAJournalError, match="update samegrad"):
        read(write(tmp_path / "newer", run_record(schema=SCHEMA + 1)))
