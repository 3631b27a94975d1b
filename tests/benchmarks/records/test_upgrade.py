"""Journals of older schemas are read in the words of the present one."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload, Series
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows, schema, upgrade
from samegrad.benchmarks.records.journal import Journal, JournalWriter
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import CASE, ok, old_case, old_record, plan_record, run_record, write

WIDE = replace(
    CASE, workload=MLPWorkload("width16", MLPSpec((784, 16, 16, 10)), 8, 60, Series("width", 16))
)
RECORDS: list[dict[str, Any]] = [
    run_record(),
    plan_record(CASE, WIDE),
    {"record": "inputs", "workload": CASE.workload.id, "sha256": "0123456789ab", "seconds": 0.1},
    {"record": "processes", "processes": 1},
    {"record": "cpu_speed", "process": 0, "work": "SHA-256", "elapsed_ns": 300_000},
    ok(0, 1000, repetition=0, breakdown_spent_ns=5),
    ok(0, 2000, WIDE, repetition=0),
    {"record": "memory", "case": CASE.to_dict(), "status": "ok", "reason": "", "host_bytes": 7},
    {"record": "run_complete", "seconds": 3.0},
]


def test_record_is_checked_once_when_written_and_once_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine records: nine checks for the journal and the run's own memory of it, nine to read."""
    checked: list[Any] = []
    check = schema.check

    def counted(record: Any) -> Any:
        checked.append(record)
        return check(record)

    monkeypatch.setattr(schema, "check", counted)
    journal = Journal(RECORDS[0])
    with closing(JournalWriter(tmp_path / "journal.jsonl")) as writer:
        for record in RECORDS:
            writer.append(record)
            journal.add(record)
    assert 9 == len(RECORDS) == len(checked)

    rows.rows(journal)
    rows.rows(read_journal(tmp_path / "journal.jsonl"))

    assert 18 == len(checked)


def test_old_words_are_read_as_the_present_ones(tmp_path: Path) -> None:
    """Kinds, fields and cases; everything after the reader is the same."""
    new = read_journal(write(tmp_path / "new", *RECORDS))
    old = read_journal(write(tmp_path / "old", *map(old_record, RECORDS)))

    assert [] == old.warnings == new.warnings
    assert rows.rows(new) == rows.rows(old)
    for name in ("cases", "processes", "inputs", "cpu_speeds", "loaded", "complete"):
        assert getattr(new, name) == getattr(old, name), name
    (outcome,) = [record for case, record in old.outcomes if case == CASE]
    assert (0, 5) == (outcome["repetition"], outcome["breakdown_spent_ns"])


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("width256", Series("width", 256)),
        ("depth8", Series("depth", 8)),
        ("cost74", Series("cost", 74)),
        ("mnist", None),
        ("width", None),
        ("own-8x2", None),
        ("width" + 20 * "9", None),
    ],
)
def test_number_in_an_old_name_becomes_a_field(name: str, series: Series | None) -> None:
    """Of the three series that older journals have, and of no other name."""
    case = replace(CASE, workload=MLPWorkload(name, MLPSpec((3, 2)), 4, 8))

    read = Case.from_dict(upgrade.case(old_case(case)))

    assert (name, series) == (read.workload.name, read.workload.series)


@pytest.mark.parametrize("kind", ["cases", "processes", "cpu_speed"])
def test_present_word_in_an_old_journal_is_no_record(kind: str, tmp_path: Path) -> None:
    """It came later, so it is somebody's mistake."""
    record = next(record for record in RECORDS if record["record"] == kind)
    path = write(tmp_path / "j", old_record(RECORDS[0]), record)

    (warning,) = read_journal(path).warnings

    assert f"record '{kind}' is not known" in warning


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("plan", {"block_seconds": "x"}),
        ("outcome", {"cpu_ns": []}),
        ("ceiling", {"kernel": 3}),
    ],
)
def test_wrong_value_of_a_field_that_is_gone_spoils_its_record(
    kind: str, changes: dict[str, Any]
) -> None:
    """As it did in the version that wrote it."""
    with pytest.raises(ValueError, match=f"{kind}: {next(iter(changes))} must be a"):
        upgrade.record({"record": kind, **changes})


@pytest.mark.parametrize("wrong", [[[1, 2, 3]], ["ab"], 3])
@pytest.mark.parametrize("kind", ["problem", "workload"])
def test_workload_that_is_no_object_is_said_in_our_words(
    kind: str, wrong: Any, tmp_path: Path
) -> None:
    """Of a list Python would make an object, or say why it cannot."""
    about = run_record(**({"schema": 4} if kind == "problem" else {}))
    case = {**CASE.to_dict(), kind: wrong}
    if kind == "problem":
        del case["workload"]
    path = write(tmp_path / "j", about, ok(0) | {"case": case})

    (warning,) = read_journal(path).warnings

    assert "a value is of another kind than it must be" in warning


def test_committed_journals_are_read_to_the_last_line() -> None:
    """Of every schema so far; the rows with other kernels are all that is left out."""
    paths = sorted((ROOT / "reports" / "results").rglob("journal.jsonl"))
    schemas = set()
    for path in paths:
        journal = read_journal(path)
        schemas.add(journal.run["schema"])
        assert all("other OpenBLAS kernels" in warning for warning in journal.warnings), path
        assert len(journal.cases) == len(rows.rows(journal)) > 0

    assert schemas and max(schemas) <= schema.SCHEMA
    assert {json.loads(path.read_text().partition("\n")[0])["schema"] for path in paths} == schemas
