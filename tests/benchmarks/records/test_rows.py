"""Nothing that was measured is lost, and nothing that is no journal is read as one."""

import json
import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.workload import TRAINING
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.journal import Journal, JournalWriter, NotAJournalError
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.benchmarks.records.quality import UNUSABLE, Quality
from samegrad.benchmarks.records.schema import FAILED
from tests.helpers.journals import CASE, ok, old_case, plan_record, run_record, write


def test_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    """Two processes of one case become one row with two medians."""
    with closing(JournalWriter(tmp_path / "run" / "journal.jsonl")) as writer:
        for record in (run_record(), plan_record(CASE), ok(0), ok(1, 3000)):
            writer.append(record)
        writer.append({"record": "run_complete"})

    journal = read_journal(tmp_path / "run" / "journal.jsonl")

    assert journal.complete and [] == journal.warnings
    (row,) = rows.rows(journal)
    assert (CASE, "ok", (1e-6, 3e-6), 6) == (row.case, row.status, row.process_medians, row.blocks)
    assert row.median_seconds == pytest.approx(3**0.5 * 1e-6)
    assert row.first_call_seconds == 5e-6


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([ok(0)], "1.00 us a call (noisy: no interval: 1 process, 5 give one)"),
        (
            [ok(process, 1000 + process) for process in range(5)],
            "1.00 us a call, 1.00 us to 1.00 us (good)",
        ),
        (
            [ok(0, status="crashed", reason="NameError (mine.py:3)")],
            "crashed: NameError (mine.py:3)",
        ),
    ],
)
def test_row_is_shown_in_one_line(outcomes: list[Any], said: str, tmp_path: Path) -> None:
    """In a terminal and a notebook, to who has called `samegrad.measure`."""
    journal = read_journal(write(tmp_path / "j", run_record(), plan_record(CASE), *outcomes))
    shown: list[str] = []

    (row,) = rows.rows(journal)
    row._repr_pretty_(SimpleNamespace(text=shown.append), False)

    assert [str(row)] == shown and 1 == len(str(row).splitlines())
    assert str(row).endswith(f": {said}")
    assert str(row).startswith(f"{CASE.implementation} on cpu, {CASE.operation} of ")


def test_line_that_was_cut_off_costs_itself_only(tmp_path: Path) -> None:
    """A warning, and every other row is kept."""
    path = write(
        tmp_path / "j", run_record(), plan_record(CASE), ok(0), tail=json.dumps(ok(1))[:100]
    )

    journal = read_journal(path)

    assert ["ok"] == [row.status for row in rows.rows(journal)]
    (warning,) = journal.warnings
    assert "line 4 is cut off in the middle; it was left out" in warning
    assert not journal.complete


@pytest.mark.parametrize(
    "line",
    [
        "[1, 2]",
        '"text"',
        "{}",
        '{"record": "outcome"}',
        '{"record": "surprise"}',
        json.dumps(ok(0, elapsed_ns=-5)),
        json.dumps(ok(0, elapsed_ns=[])),
        json.dumps(ok(0, calls=0)),
        json.dumps(ok(0, status="excellent")),
        json.dumps(ok(0) | {"case": {"workload": {}}}),
        "\x00\x00",
    ],
)
def test_line_that_is_no_record_is_left_out_with_a_warning(tmp_path: Path, line: str) -> None:
    """Whatever stands in a foreign line, the other rows are read."""
    path = write(tmp_path / "j", run_record(), plan_record(CASE), tail=line + "\n")
    with path.open("a") as file:
        file.write(json.dumps(ok(1)) + "\n")

    journal = read_journal(path)

    assert 1 == len(journal.warnings)
    assert ["ok"] == [row.status for row in rows.rows(journal)]


def test_rows_with_other_kernels_of_an_older_version_are_left_out(tmp_path: Path) -> None:
    """Cases, outcomes, memory, ceilings; one warning counts the rows. An empty kernel is none."""
    plain, tuned = old_case(CASE, kernel=""), old_case(CASE, kernel="SkylakeX")
    ceiling = {
        "record": "ceiling", "quantity": "gemm", "implementation": "numpy", "device": "cpu",
        "threads": "all", "arithmetic": "float32", "process": 0,
    }  # fmt: skip
    memory = {"record": "memory", "status": "ok", "reason": "", "host_bytes": 1}
    path = write(
        tmp_path / "j",
        run_record(schema=4),
        {"record": "plan", "cases": [plain, tuned], "processes": 2},
        ceiling | {"kernel": "", "value": 1e11},
        ceiling | {"kernel": "SkylakeX", "value": 2e11},
        *(ok(p, 100_000) | {"case": plain} for p in range(2)),
        *(ok(p, 50_000) | {"case": tuned} for p in range(2)),
        memory | {"case": plain},
        memory | {"case": tuned, "host_bytes": 2},
        {"record": "run_complete"},
    )

    journal = read_journal(path)

    (row,) = rows.rows(journal)
    assert (CASE, "ok", 1) == (row.case, row.status, row.host_bytes)
    assert row.median_seconds == pytest.approx(1e-4) and row.ceiling == 1e11
    (warning,) = journal.warnings
    assert warning.endswith(
        "j: 1 rows with other OpenBLAS kernels, from an older version, were left out"
    )
    path.write_text(path.read_text() + json.dumps(ok(2) | {"case": plain | {"kernel": 3}}) + "\n")
    assert "a case's names must be texts" in read_journal(path).warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("name,time\nnumpy,1\n", "not a samegrad journal"),
        ('{"benchmarks": []}\n', "not a samegrad journal"),
        ("[]\n", "not a samegrad journal"),
        (
            json.dumps(run_record(schema=99)) + "\n",
            "written in schema 99, this version reads up to 6",
        ),
    ],
)
def test_file_that_is_no_journal_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    """So is one of a newer schema."""
    (tmp_path / "j").write_text(text)

    with pytest.raises(NotAJournalError, match=message) as caught:
        read_journal(tmp_path / "j")

    assert "\n" not in str(caught.value)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the system's word for it."""
    with pytest.raises(NotAJournalError, match="No such file"):
        read_journal(tmp_path / "nothing")


@pytest.mark.parametrize("status", FAILED)
def test_one_failed_process_fails_its_row(tmp_path: Path, status: str) -> None:
    """The number of the other process is not shown."""
    bad = {"record": "outcome", "case": CASE.to_dict(), "process": 1, "status": status}
    path = write(tmp_path / "j", run_record(), plan_record(CASE), ok(0), bad | {"reason": "why"})

    (row,) = rows.rows(read_journal(path))

    assert (status, "process 2: why", None) == (row.status, row.reason, row.median_seconds)


def test_planned_case_without_an_outcome_is_a_row(tmp_path: Path) -> None:
    """A run that ended early says what it did not come to."""
    later = replace(CASE, implementation="jax")
    path = write(tmp_path / "j", run_record(), plan_record(CASE, later), ok(0))

    statuses = [row.status for row in rows.rows(read_journal(path))]

    assert ["ok", "not_run"] == statuses


def test_killed_writer_leaves_every_record_that_it_had_appended(tmp_path: Path) -> None:
    """SIGKILL right after append: the record is on the disk."""
    code = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from samegrad.benchmarks.records.journal import JournalWriter
        writer = JournalWriter(Path(sys.argv[1]))
        writer.append({"record": "run", "schema": 1, "run": "r", "machine": {}, "fingerprint": "f"})
        writer.append({"record": "run_complete"})
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    path = tmp_path / "journal.jsonl"

    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)

    assert -signal.SIGKILL == done.returncode
    assert read_journal(path).complete


def test_two_runs_never_share_a_journal(tmp_path: Path) -> None:
    """The second writer is refused."""
    with (
        closing(JournalWriter(tmp_path / "journal.jsonl")),
        pytest.raises(FileExistsError),
    ):
        JournalWriter(tmp_path / "journal.jsonl")


def test_least_disturbed_repetition_of_a_process_counts() -> None:
    """Its median block."""
    journal = Journal(run_record())
    for record in (
        plan_record(CASE),
        ok(0, 1500),
        ok(0, 1000, repetition=1),
        ok(0, 2000, repetition=2),
    ):
        journal.add(record)

    (row,) = rows.rows(journal)

    assert ((1e-6,), 9) == (row.process_medians, row.blocks)


def test_least_disturbed_tenth_counts() -> None:
    """Of up to ten repetitions the least; of more, accidents below it do not."""
    rising = [float(n) for n in range(1, 31)]

    assert 1.0 == rows.undisturbed(rising[:1]) == rows.undisturbed(rising[:10][::-1])
    assert [2.0, 2.0, 3.0] == [rows.undisturbed(rising[:n]) for n in (11, 20, 30)]


@pytest.mark.parametrize("share", [80, 50, 100])
def test_row_that_the_host_holds_up_says_so(share: int) -> None:
    """Where the GPU's own clock counts less than the wall's."""
    journal = Journal(run_record())
    for record in (plan_record(CASE), *(ok(p, event_ns=[100 * share] * 3) for p in range(5))):
        journal.add(record)

    (row,) = rows.rows(journal)

    said = (
        () if share == 100 else (f"host-bound: the GPU's own clock counts {share} % of the time",)
    )
    assert ("good", said) == (row.quality.level, row.remarks)


def test_rows_of_different_code_machine_or_inputs_say_what_differs() -> None:
    """By its name and in words; unknown is not equal."""
    row = rows.Row(CASE, "ok", "", (1e-6,), code="aa", inputs="ii")
    run, other = {"fingerprint": "f"}, {"fingerprint": "g"}

    assert {} == rows.differences(row, row, run, run)
    assert {"code": "its code differs (aa, bb)"} == rows.differences(
        row, replace(row, code="bb"), run, run
    )
    assert {"machine": "its machine differs (f, g)"} == rows.differences(row, row, run, other)
    assert {"inputs": "its inputs are not known"} == rows.differences(
        row, replace(row, inputs="unknown"), run, run
    )


def test_row_has_the_least_of_each_part_and_the_gate_nearest_to_its_bound() -> None:
    """Over all processes."""
    near, far = ({"name": name, "error": e, "bound": 1e-5} for name, e in (("W", 9e-6), ("b", 0)))
    journal = Journal(run_record())
    for record in (
        plan_record(CASE),
        ok(0, gate=far, products_ns=300, empty_ns=20),
        ok(1, gate=near, products_ns=200, empty_ns=40),
    ):
        journal.add(record)

    (row,) = rows.rows(journal)

    assert near == row.gate
    assert (200 / 1e9, 20 / 1e9) == (row.products_seconds, row.empty_seconds)


def test_speed_of_the_machine_needs_ten_measurements_of_the_same_work_on_both_sides() -> None:
    """How many times as long the new one took."""

    def measured(count: int, elapsed_ns: int, work: str = "SHA-256") -> Journal:
        made = Journal(run_record())
        record = {"record": "cpu_speed", "process": 0, "work": work, "elapsed_ns": elapsed_ns}
        for _ in range(count):
            made.add(record)
        return made

    assert 1.5 == rows.cpu_speed_change(measured(10, 200), measured(12, 300))
    assert rows.cpu_speed_change(measured(9, 200), measured(12, 300)) is None
    assert rows.cpu_speed_change(measured(10, 200), measured(12, 300, "another")) is None


def test_repetition_counts_by_its_median_block() -> None:
    """One that was disturbed says nothing."""
    assert 1e-9 == rows.call_seconds(ok(0, elapsed_ns=1) | {"elapsed_ns": [10, 10, 900]})


def proof(process: int, repetition: int) -> dict[str, Any]:
    """Of a block."""
    about = {"process": process, "repetition": repetition, "spent_ns": 10**6}
    return {
        "record": "proof",
        "case": CASE.to_dict(),
        **about,
        "name": "W1",
        "error": 0.0,
        "bound": 1,
    }


@pytest.mark.parametrize(
    ("proved", "expected"),
    [
        ([(0, 0)], [3000, 3000]),  # of those that are faster nobody knows
        ([(0, 1)], [2000, 3000, 3000, 2000]),
        ([(1, 1)], [2000, 3000, 3000, 2000]),
        ([(0, 2), (0, 0)], [1000, 2000, 3000, 3000, 2000]),
        ([(7, 0)], []),
        ([], []),
    ],
)
def test_blocks_that_are_faster_than_any_that_is_proved_do_not_count(
    proved: list[tuple[int, int]], expected: list[int]
) -> None:
    """In whichever process that is."""
    records = [ok(0, ns, repetition=n) for n, ns in enumerate((3000, 2000, 1000))]
    records += [ok(1, ns, repetition=n) for n, ns in enumerate((3000, 2000))]

    found = rows.counted(records, [proof(*which) for which in proved])

    assert sorted(expected) == sorted(record["elapsed_ns"][0] // 10 for record in found)


@pytest.mark.parametrize(("proofs", "status"), [(True, "not_run"), (False, "ok"), (None, "ok")])
def test_journals_without_proofs_are_read_as_before(proofs: bool | None, status: str) -> None:
    """Where none were to be had; where they were, a row without one has no number."""
    settings = {} if proofs is None else {"settings": {"proofs": proofs}}
    journal = Journal(run_record(**settings))
    for record in (plan_record(CASE), ok(0)):
        journal.add(record)

    (row,) = rows.rows(journal)
    assert status == row.status
    assert (row.median_seconds is None) == (status != "ok")

    if proofs:
        journal.add(proof(0, 0))  # `ok` has no repetition
        journal.add(ok(0, 500, repetition=0))
        (row,) = rows.rows(journal)
        assert ("ok", 1, 0.001) == (row.status, row.proofs, row.proof_seconds)
        assert (5e-7,) == row.process_medians


def test_run_without_a_usable_number_says_so() -> None:
    """One good row is enough; a training on a busy machine has learned all the same."""
    good = rows.Row(CASE, "ok", "", (1e-6,))
    lost = replace(good, quality=Quality(UNUSABLE, "others took 60 % of the cores"))
    skipped = rows.Row(CASE, "skipped", "predicted 42 s")
    trained = replace(lost, case=replace(CASE, operation=TRAINING))

    for worth in ([], [good, lost], [trained, skipped]):
        assert "" == rows.without_use(worth)
    said = rows.without_use([lost, lost, skipped])
    assert said == "no row has a usable number (2 unusable, 1 skipped); the exit status is 1"
