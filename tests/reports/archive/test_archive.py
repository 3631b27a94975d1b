"""The archive: what is added, once, and what stays whole whatever happens."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import pyarrow.parquet as pq

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import read
from samegrad.cli import main
from samegrad.reports.archive import adding, checking, files, form, store
from samegrad.reports.archive import summary as summaries
from samegrad.reports.render import render
from tests.helpers.archives import journal, records, simulated, write_simulated
from tests.helpers.hostile import TEXTS, WORDS, poisoned
from tests.helpers.journals import write


def asked(archive: Path, query: str) -> list[tuple[Any, ...]]:
    """The answer to a query."""
    with store.opened(archive) as connection:
        return store.select(connection, query).fetchall()


def count(archive: Path, table: str = "rows") -> int:
    """Lines of a table."""
    return int(asked(archive, f"SELECT count(*) FROM {table}")[0][0])


@pytest.mark.quick
def test_rows_are_those_of_the_journal(tmp_path: Path) -> None:
    """With a value per process, quality, error, and the hashes of machine, code and inputs."""
    path = journal(tmp_path / "run")

    result = adding.add(tmp_path / "a", [path])

    assert {adding.ADDED: 1} == result.counts and 3 == result.rows and [] == result.lines
    rows = asked(
        tmp_path / "a",
        "SELECT case_id, seconds, process_seconds, quality, gradient_error, fingerprint, code, "
        "inputs, complete FROM rows ORDER BY seconds",
    )
    made = summaries.summary(read(path), summaries.content(path))
    assert ["numpy", "jax", "numpy"] == [case.split("-")[4] for case, *_ in rows]
    for row, other in zip(rows, made.rows, strict=True):
        assert (other["case_id"], other["seconds"], other["process_seconds"]) == row[:3]
        assert ("good", 1e-7, made.run["fingerprint"], other["code"], "1" * 12, True) == row[3:]


@pytest.mark.quick
def test_a_run_is_there_once(tmp_path: Path) -> None:
    """Added twice, from two places, in one command or in several."""
    first, again = journal(tmp_path / "one"), journal(tmp_path / "two")

    counts = [adding.add(tmp_path / "a", places).counts for places in ([first, again], [again])]

    assert [{adding.ADDED: 1, adding.THERE: 1}, {adding.THERE: 1}] == counts
    assert 3 == count(tmp_path / "a") == count(tmp_path / "a", "parts")


def test_a_newer_version_supersedes_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """A run that went on; its older version, added again later, does not come back."""
    lines = records()
    half = write(tmp_path / "half.jsonl", *lines[:-6])
    whole = write(tmp_path / "whole.jsonl", *lines)
    archive = tmp_path / "a"

    before = adding.add(archive, [half])
    files = {path: path.read_bytes() for path in archive.iterdir()}
    after = adding.add(archive, [whole])
    late = adding.add(archive, [half])

    assert [{adding.ADDED: 1}, {adding.NEWER: 1}, {adding.OLDER: 1}] == [
        result.counts for result in (before, after, late)
    ]
    assert files == {path: path.read_bytes() for path in files}
    assert [(True, 1)] == asked(archive, "SELECT complete, count(*) FROM runs GROUP BY ALL")
    assert 3 == count(archive) and 6 == count(archive, "parts")


def test_a_journal_that_does_not_go_on_as_before_is_refused(tmp_path: Path) -> None:
    """The same first line, and another past; or as long and another one."""
    lines = records()
    changed = json.loads(json.dumps(lines))
    changed[-3]["elapsed_ns"] = [7] * 3
    as_long = json.loads(json.dumps(lines))
    as_long[-3]["elapsed_ns"] = [ns + 1 for ns in as_long[-3]["elapsed_ns"]]
    archive = tmp_path / "a"
    adding.add(archive, [journal(tmp_path / "one", *lines)])

    longer = adding.add(archive, [journal(tmp_path / "b", *changed, {"record": "run_complete"})])
    same = adding.add(archive, [journal(tmp_path / "c", *as_long)])

    assert {adding.REFUSED: 1} == longer.counts == same.counts
    assert "does not go on as the journal that is there" in longer.lines[0]
    assert "as long as the journal that is there" in same.lines[0]
    assert 3 == count(archive, "parts")


def test_versions_in_one_command_must_go_on_from_each_other(tmp_path: Path) -> None:
    """In whatever order: the one that came first is taken, and the other is named."""
    lines = records()
    damaged = json.loads(json.dumps(lines))
    damaged[-3]["elapsed_ns"] = [ns + 1 for ns in damaged[-3]["elapsed_ns"]]
    true = journal(tmp_path / "true", *lines)
    as_long = journal(tmp_path / "as_long", *damaged)
    longer = journal(tmp_path / "longer", *damaged, {"record": "resumed", "at": "later"})
    more = journal(tmp_path / "more", *lines, {"record": "resumed", "at": "later"})
    pairs = [(true, longer), (longer, true), (true, as_long), (true, more), (more, true)]

    results = [adding.add(tmp_path / str(n), pair) for n, pair in enumerate(pairs)]

    refused = {adding.ADDED: 1, adding.REFUSED: 1}
    goes_on = [{adding.ADDED: 1, adding.NEWER: 1}, {adding.ADDED: 1, adding.OLDER: 1}]
    assert [refused] * 3 + goes_on == [result.counts for result in results]
    for (first, second), result in zip(pairs[:3], results, strict=False):
        (line,) = result.lines
        assert line.startswith(f"{second}: ") and f"; {first} was added; if this one is" in line
        assert f" archive withdraw {summaries.content(first).run_id} --archive=" in line


def test_shorter_journal_that_is_damaged_is_no_older_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A last line that is cut off is all that an older one may lack."""
    path = journal(tmp_path / "run")
    data = path.read_bytes()
    adding.add(tmp_path / "a", [path])
    half, middle = tmp_path / "half.jsonl", tmp_path / "middle.jsonl"
    half.write_bytes(data[:-200])
    middle.write_bytes(data.replace(b'{"record": "outcome", ', b'{"record": "outc', 1))

    result = adding.add(tmp_path / "a", [half, middle])

    assert {adding.OLDER: 1, adding.REFUSED: 1} == result.counts
    (line,) = result.lines
    assert "not the beginning of the longer one that is there" in line and str(middle) in line
    capsys.readouterr()
    assert 1 == main(["archive", "check", str(middle)])
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith(f"{middle}: ") and 1 == line.count(str(middle))


@pytest.mark.parametrize("together", [False, True])
def test_journal_corrects_what_a_false_summary_has_brought(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which came alone; the older rows stay and are hidden, and that summary hides no others."""
    path, archive = journal(tmp_path / "run"), tmp_path / "a"
    made = summaries.summary(read(path), summaries.content(path))
    for row in made.rows:
        row["remarks"] = "from the summary"
    alone = tmp_path / "alone" / summaries.NAME
    alone.parent.mkdir()
    summaries.write(made, alone)
    monkeypatch.setattr(adding, "LITTLE", 0)  # in other processes, too
    pairs = [[alone, path]] if together else [[alone], [path]]

    *_, last = [adding.add(archive, pair) for pair in pairs]

    assert {adding.BY_JOURNAL: 1} | ({adding.ADDED: 1} if together else {}) == last.counts
    assert [("",)] == asked(archive, "SELECT DISTINCT remarks FROM rows")
    assert 3 == count(archive) and 6 == count(archive, "parts")
    for place in (alone, path):
        assert {adding.THERE: 1} == adding.add(archive, [place]).counts
        assert {adding.ONCE_MORE: 1} == adding.add(archive, [place], again=True).counts
        assert [("", False)] == asked(archive, "SELECT DISTINCT remarks, from_summary FROM rows")


def test_refused_runs_are_said_before_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of which a list may be cut."""
    for number in range(25):
        path = journal(tmp_path / f"{number:02}", name=f"r{number}")
        path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "99").mkdir()
    (tmp_path / "99" / "journal.jsonl").write_text("my notes\n")

    assert 1 == main(["archive", "add", str(tmp_path), f"--archive={tmp_path / 'a'}"])

    first, *_, last = capsys.readouterr().err.splitlines()
    assert "not a samegrad journal" in first and "and 6 more like these" == last


def lie(what: str) -> list[dict[str, Any]]:
    """A run in which one thing is not as it says."""
    lines: list[dict[str, Any]] = json.loads(json.dumps(records()))
    by_kind = {line["record"]: line for line in lines}
    if what == "machine":
        by_kind["run"]["machine"]["cpu"] = "Another CPU"
    elif what == "source":
        by_kind["source"]["text"] = "x = 2\n"
    elif what == "sources":
        by_kind["implementation"]["source_sha256"] = "2" * 12
        for line in lines:
            if line["record"] == "outcome":
                line["source_sha256"] = "2" * 12
    elif what == "code":
        by_kind["outcome"]["source_sha256"] = "2" * 12
    elif what == "inputs":
        by_kind["outcome"]["inputs_sha256"] = "2" * 12
    elif what == "gate":
        by_kind["outcome"]["gate"]["error"] = 1.0
    elif what == "bound":
        by_kind["outcome"]["gate"] |= {"error": 1.0, "bound": 1e9}
    elif what == "proof":
        proof = {"record": "proof", "case": by_kind["outcome"]["case"], "process": 0}
        proof |= {"repetition": 0, "name": "dW1", "error": 1.0, "bound": 1e-5, "spent_ns": 1}
        lines.insert(-1, proof)
    elif what in ("yesterday", "9999-12-31T23:59:59+00:00"):
        by_kind["run"]["started"] = what
    elif what == "twice":
        lines = [line | {"repetition": 0} if "process" in line else line for line in lines]
        lines[-1:-1] = [line for line in lines if line["record"] == "outcome"][:1]
    elif what in ("clock", "late"):
        for line in lines:
            if line["record"] == "outcome":
                none, own = [0] * 3, line["elapsed_ns"]
                outer = [ns // 2 if what == "clock" else 2 * ns + 10**9 for ns in own]
                line |= dict.fromkeys(checking.LISTS, none) | {"elapsed_ns": own}
                line["outer_ns"] = outer
    elif what == "lengths":
        by_kind["outcome"] |= {name: [1] for name in checking.LISTS} | {"elapsed_ns": [1, 2]}
    return lines


LIES = {
    "machine": "its machine's fingerprint is not that of its machine's facts",
    "source": "the text of a.py does not have its hash",
    "sources": "its sources do not have their hash",
    "code": "its code (222222222222) is not what the journal lists",
    "inputs": "its inputs (222222222222) are not those of its workload",
    "gate": "its gate was not passed: dW1: error 1.0, bound 1e-05",
    "bound": "its gate was not passed: dW1: error 1.0, bound 1000000000.0",
    "proof": "a proof says that its block was wrong",
    "yesterday": "started 'yesterday' is no time in ISO 8601",
    "9999-12-31T23:59:59+00:00": "is in the future",
    "twice": "repetition 0 of process 0 is there twice",
    "clock": "in process 0: its clock says",
    "late": "in process 0: its clock says",
    "lengths": "lists of its blocks are not of the same length",
}


@pytest.mark.parametrize("what", LIES)
def test_a_journal_that_lies_is_one_line(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `add` and by `check`; the others are added."""
    lying, good = journal(tmp_path / "lie", *lie(what)), journal(tmp_path / "good", name="good")
    archive = str(tmp_path / "a")

    assert 1 == main(["archive", "add", str(lying), str(good), "--archive", archive])

    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert LIES[what] in line and str(lying) in line
    assert "1 refused, 1 added; 3 rows written" in said.out
    assert 3 == count(tmp_path / "a")
    assert 1 == main(["archive", "check", str(lying)])
    assert LIES[what] in capsys.readouterr().err


def stretched(lines: list[dict[str, Any]], times: int) -> None:
    """The blocks of the first case say that they had so many times as many calls."""
    first = next(line for line in lines if line["record"] == "outcome")["case"]
    for line in lines:
        if line["record"] == "outcome" and line["case"] == first:
            line["calls"] *= times


def late(lines: list[dict[str, Any]]) -> None:
    """All blocks took 5 ms more than they say, which of three in a process alone is no proof."""
    for line in lines:
        if line["record"] == "outcome":
            own = line["elapsed_ns"]
            line |= dict.fromkeys(checking.LISTS, [0] * 3) | {"elapsed_ns": own}
            line["outer_ns"] = [ns + ns // 5 + 5_000_000 for ns in own]


IMPOSSIBLE: dict[str, Any] = {
    "32.9 GFLOP/s": lambda lines: stretched(lines, 10),
    "no such machine has 8e+03": lambda lines: stretched(lines, 10_000),
    "none takes less than 1e-09 s": lambda lines: stretched(lines, 10**8),
    "-numpy-cpu: its clock says 1.0": late,
    "it is not in the list of cases": lambda lines: lines[-2]["case"].update(threads="1"),
    "run: a text of 100,000 characters; at most 10,000": lambda lines: lines[0].update(
        run="y" * 100_000
    ),
    "started 0001-01-01T00:00:00+14:00 is before 2020": lambda lines: lines[0].update(
        started="0001-01-01T00:00:00+14:00"
    ),
    "warning: the run had come to its end before": lambda lines: lines.append(lines[-1]),
    "warning: seconds must be a number from 0 on": lambda lines: lines[-1].update(seconds=-1),
}


def test_what_no_machine_can_have_measured_is_a_line_each(tmp_path: Path) -> None:
    """Refused, or of a line that says it, left out."""
    places = []
    for number, change in enumerate(IMPOSSIBLE.values()):
        lines: list[dict[str, Any]] = json.loads(json.dumps(records(f"r{number}", 1 + number)))
        change(lines)
        places.append(journal(tmp_path / str(number), *lines))

    result = adding.add(tmp_path / "a", places)

    fine, *others = IMPOSSIBLE
    assert {adding.ADDED: 3, adding.REFUSED: 6} == result.counts, result.lines
    for words, line in zip(others, result.lines, strict=True):
        assert ("warning: " in words) == line.startswith("warning: ")
        assert words.removeprefix("warning: ") in line and len(line) < 400
    assert not [line for line in result.lines if fine in line]


def test_rules_for_runs_of_others_are_said_to_be_such(tmp_path: Path) -> None:
    """What is unusable may be right; of what is wrong nothing of the kind is said."""
    lines = records()
    lines[0]["machine"]["shared"] = "2 runs of a fleet for tests"

    *faults, last = adding.faults(journal(tmp_path / "1", *lines[:-1]))

    shared = "its machine was shared: 2 runs of a fleet for tests"
    assert ["the run did not come to its end", shared, "no row has a number"] == faults[:3]
    assert faults[3].endswith(" and 2 more rows: its number is unusable") and checking.TRUE == last
    assert checking.TRUE not in adding.faults(journal(tmp_path / "2", *lie("gate")))


def test_what_is_no_run_is_a_line_each(tmp_path: Path) -> None:
    """Half a file is what it has; the rest is refused, and says why."""
    good = journal(tmp_path / "good")
    half = tmp_path / "half.jsonl"
    half.write_bytes(journal(tmp_path / "h", name="h").read_bytes()[:-200])
    nothing, text = tmp_path / "empty.jsonl", tmp_path / "text.jsonl"
    nothing.touch()
    text.write_text("my notes\n")
    bare = write(tmp_path / "bare.jsonl", records("bare")[0])
    places = [good, half, nothing, text, tmp_path / "nowhere", tmp_path, bare]

    result = adding.add(tmp_path / "a", places)

    assert {adding.ADDED: 2, adding.REFUSED: 5} == result.counts
    expected = ("empty", "not a samegrad journal", "No such file", "it is no ordinary file",
                "it has no rows", "is cut off in the middle")  # fmt: skip
    for line, words in zip(result.lines, expected, strict=True):
        assert words in line and str(tmp_path) in line and "\n" not in line
    assert [(2, 6)] == asked(tmp_path / "a", "SELECT count(DISTINCT run_id), count(*) FROM rows")


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_texts_are_texts(text: str, tmp_path: Path) -> None:
    """In every field that may hold any; they come back clean."""
    kept = WORDS | {
        "threads",
        "started",
        "path",
        "source_sha256",
        "inputs_sha256",
        "workload",
        "fingerprint",
    }
    lines = [poisoned(line, TEXTS[text], kept) for line in records()]
    lines[0]["fingerprint"] = records()[0]["fingerprint"]
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    archive = tmp_path / "a"

    result = adding.add(archive, [path])

    (line,) = result.lines  # the facts of its machine are others, so it is another machine
    assert "fingerprint" in line and "\x1b" not in line
    about = json.loads(path.read_text().splitlines()[0])
    clean = read(path).run["machine"]
    about["fingerprint"] = system.fingerprint(clean)
    path.write_text("".join(json.dumps(line) + "\n" for line in [about, *lines[1:]]))
    result = adding.add(archive, [path])
    assert {adding.ADDED: 1} == result.counts, result.lines
    for row in asked(archive, "SELECT * FROM rows"):
        assert not any("\x1b" in value for value in row if isinstance(value, str))


# ---- summaries ----


@pytest.mark.usefixtures("no_figures")
def test_summary_is_written_with_the_report_of_a_run(tmp_path: Path) -> None:
    """Beside its journal, and it is what is archived; of several runs, or elsewhere, none is."""
    path, other = journal(tmp_path / "run"), journal(tmp_path / "other", name="r2")

    render([path, other], tmp_path / "both")
    render(path, tmp_path / "elsewhere")
    assert [] == list(tmp_path.rglob(summaries.NAME))
    render(tmp_path / "run")

    (beside,) = tmp_path.rglob(summaries.NAME)
    assert path.with_name(summaries.NAME) == beside
    made = summaries.summary(read(path), summaries.content(path))
    assert made == summaries.read(beside)
    assert [] == adding.faults(path)


def test_summary_beside_a_journal_is_passed_over(tmp_path: Path) -> None:
    """However well it fits: `check` makes it again, too, and finds one that lies."""
    path = journal(tmp_path / "run")
    made = summaries.summary(read(path), summaries.content(path))
    beside = path.with_name(summaries.NAME)
    summaries.write(made, beside)
    assert made == summaries.read(beside)
    assert [] == adding.faults(path)

    for row in made.rows:
        row["remarks"] = "from the summary"
    summaries.write(made, beside)
    adding.add(tmp_path / "a", [path])
    with path.open("a") as file:
        file.write('{"record": "resumed", "at": "later"}\n')
    adding.add(tmp_path / "b", [path])

    for name in ("a", "b"):
        assert [("",)] == asked(tmp_path / name, "SELECT DISTINCT remarks FROM rows")
    assert [
        "summary.json is not of this journal: journal_bytes, journal_sha256, beginnings, remarks"
    ] == (adding.faults(path))


def test_summary_of_an_older_form_lacks_columns(tmp_path: Path) -> None:
    """They are empty, and nothing else is; beside its journal it is not taken, and is no fault."""
    made = simulated(1, 0, 1, rows=3)
    made.run["form"] = 1
    for row in made.rows:
        del row["ranks"]
    (tmp_path / "alone").mkdir()
    summaries.write(made, tmp_path / "alone" / summaries.NAME)
    path = journal(tmp_path / "run")
    summaries.write(made, path.with_name(summaries.NAME))

    result = adding.add(tmp_path / "a", adding.places([tmp_path]))

    assert {adding.ADDED: 2} == result.counts and [] == result.lines
    known = asked(tmp_path / "a", "SELECT DISTINCT form, ranks FROM rows ORDER BY form")
    assert [(1, None), (form.FORM, 1)] == known
    assert [] == adding.faults(path)


def timed(row: dict[str, Any], seconds: float) -> None:
    """Let a row say that all of its processes took as long."""
    row |= dict.fromkeys(("seconds", "seconds_low", "seconds_high"), seconds)
    row |= {"process_seconds": [seconds] * 5, "processes": 5, "limit_seconds": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.rows[0].update(seconds=1.0), "not the mean of its processes' values"),
        (lambda s: s.rows[0].update(seconds="1"), "seconds: '1' is no number"),
        (lambda s: s.rows[0].update(seconds=True), "seconds: True is no number"),
        (lambda s: s.rows[0].update(process_seconds=[]), "its processes have no values"),
        (
            lambda s: s.rows[0].update(process_seconds=["a"]),
            "a list of something else than numbers",
        ),
        (lambda s: s.rows[0].update(seconds_low=9.0), "its interval does not hold its time"),
        (lambda s: s.rows[0].update(gradient_error=1.0), "its gate was not passed"),
        (lambda s: s.rows[0].update(status="fine"), "status 'fine' is not known"),
        (lambda s: s.rows[0].update(status="wrong"), "a number beside a status that has none"),
        (lambda s: s.rows.append(s.rows[0]), "is there twice"),
        (lambda s: s.rows[0].pop("code"), "'code' is missing, or not known"),
        (lambda s: s.run.update(form=99), f"form 99, not up to {form.FORM}; update samegrad"),
        (lambda s: s.run.update(run_id=None), "run_id is missing"),
        (lambda s: s.run.update(run_id="zz; DROP"), "is not 16 hexadecimal digits"),
        (lambda s: s.run.update(journal_sha256="0"), "is not 64 hexadecimal digits"),
        (lambda s: s.run.update(started="yesterday"), "is no time in ISO 8601"),
        (lambda s: s.rows[0].update(limit_seconds=9e9), "below its limit"),
        (lambda s: s.rows[0].update(implementation=None), "implementation is missing"),
        (lambda s: s.run.update(journal_bytes=2**80), "a number is too large"),
        (lambda s: s.run.update(foo=1), f"foo is no column of form {form.FORM}"),
        (lambda s: s.rows[1].update(bar=1), f"bar is no column of form {form.FORM}"),
        (lambda s: s.run.update(machine="Cray, 4 cores [1234]"), "not what is said of it beside"),
        (lambda s: s.run.update(cpu="Cray"), "is not what is said of it beside"),
        (lambda s: s.run.update(cores=3), "is not what is said of it beside"),
        (lambda s: s.run.update(gpu="NVIDIA H100"), "is not what is said of it beside"),
        (lambda s: s.run.update(cores=-4), "cores: -4 is no number from 1 on"),
        (lambda s: s.run.update(fingerprint="../../evil"), "is not 12 hexadecimal digits"),
        (lambda s: s.run.update(run="y" * 20_000), "run: a text of 20,000 characters"),
        (lambda s: s.rows[0].update(first_call_seconds=-1), "is no number from 0 on"),
        (lambda s: s.rows[0].update(batch_size=1), "its columns are of another case"),
        (lambda s: s.rows[0].update(implementation="x"), "its columns are of another case"),
        (lambda s: s.rows[0].update(ranks=2), "its columns are of another case"),
        (lambda s: s.rows[0].update(dtype="float999"), "dtype 'float999' is none of float64"),
        (lambda s: s.rows[0].update(threads="-3"), "threads '-3' is neither all nor a number"),
        (lambda s: s.rows[0].update(layers="a-b"), "layers 'a-b' are no sizes"),
        (lambda s: s.rows[0].update(layers="9-9"), "are not those of its layers"),
        (
            lambda s: s.rows[0].update(seconds_low=None, seconds_high=None, quality="good"),
            "quality 'good' without an interval",
        ),
        (lambda s: timed(s.rows[0], 1e-300), "a call of 1e-300 s: none takes less than 1e-09 s"),
        (lambda s: timed(s.rows[0], 1e300), "or more than 1e+09 s"),
        (lambda s: timed(s.rows[0], 1e-9), "faster than possible: "),
    ],
)
def test_summary_that_cannot_be_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    """In one line, and nothing of it is added."""
    made = simulated(1, 0, 1, rows=3)
    change(made)
    summaries.write(made, tmp_path / summaries.NAME)

    result = adding.add(tmp_path / "a", adding.places([tmp_path]))

    assert {adding.REFUSED: 1} == result.counts
    (line,) = result.lines
    assert any(word in line for word in words.split("|"))
    assert [] == files.parts(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON from character 2 on"),
        ("[]", "a value is of another kind than it must be"),
        ('{"run": {"form": 1}, "rows": [3]}', "a value is of another kind than it must be"),
        ('{"run": {"form": 1}}', "'rows' is missing, or not known"),
        ("9" * 5000, "a number is too large"),
        ("[" * 100 + "]" * 100, "more than 32 lists or tables lie in each other"),
    ],
)
def test_what_is_no_summary_is_refused_in_plain_words(
    text: str, words: str, tmp_path: Path
) -> None:
    """Not in Python's."""
    path = tmp_path / summaries.NAME
    path.write_text(text)

    (line,) = adding.add(tmp_path / "a", [path]).lines

    assert f"{path}: no summary of a run that can be used ({words})" == line


def test_many_small_runs_in_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by several processes; each once, a broken one is a line."""
    monkeypatch.setattr(adding, "LITTLE", 0)
    write_simulated(tmp_path / "runs", machines=40, runs=2, rows=2)
    (tmp_path / "runs" / "000" / "000007-1" / summaries.NAME).write_text("{")

    result = adding.add(tmp_path / "a", adding.places([tmp_path / "runs"]))

    assert {adding.ADDED: 79, adding.REFUSED: 1} == result.counts and 1 == len(result.lines)
    assert 158 == count(tmp_path / "a") and 1 == len(files.parts(tmp_path / "a"))


@pytest.mark.parametrize(
    ("bound", "most", "parts"), [("PART_ROWS", 6, [2, 2, 1]), ("PART_RUNS", 4, [4, 1])]
)
def test_a_part_holds_no_more_than_fits_in_memory(
    bound: str, most: int, parts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows a run has: a hundred thousand runs of one row are no single part."""
    monkeypatch.setattr(adding, bound, most)
    places = [journal(tmp_path / str(number), name=f"r{number}") for number in range(5)]

    result = adding.add(tmp_path / "a", places)

    written = [
        pq.read_table(path).column("run_id").unique() for path in files.parts(tmp_path / "a")
    ]
    assert sorted(parts) == sorted(map(len, written))
    assert 15 == result.rows == count(tmp_path / "a") and 5 == count(tmp_path / "a", "runs")


# ---- two at once, a full disk ----


def command(*arguments: str) -> "subprocess.Popen[str]":
    """`python -m samegrad archive ...`, begun."""
    return subprocess.Popen(
        # No module's code is kept that a full disk has cut.
        [sys.executable, "-B", "-m", "samegrad", "archive", *arguments],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_folder_without_runs_is_named_and_that_of_a_fleet_has_its_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal in it that nobody has named is not what is missing."""
    fleet, nothing = tmp_path / "fleet", tmp_path / "nothing"
    for folder in (fleet, nothing):
        folder.mkdir()
    (fleet / "fleet.json").write_text("{}")
    (fleet / "jobs").mkdir()

    result = adding.add(tmp_path / "a", adding.places([fleet, nothing]))

    assert {adding.REFUSED: 2} == result.counts
    first, second = result.lines
    empty = f"{fleet}: a fleet in which no machine has begun its run"
    assert empty == first
    assert 1 == main(["archive", "check", str(fleet)])
    assert empty == capsys.readouterr().err.strip()
    assert second.startswith(f"{nothing}: no run there, nor in a folder below it")
    for number in ("1", "2", "2-2"):
        journal(fleet / "machines" / number, name=f"fleet-{number}")
    result = adding.add(tmp_path / "a", adding.places([fleet]))
    assert {adding.ADDED: 3} == result.counts and [] == result.lines


def test_machine_of_a_fleet_without_a_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused nothing for that; a summary without its journal is a run, too."""
    (fleet := tmp_path / "fleet").mkdir()
    (fleet / "fleet.json").write_text('{"machines": 4}')
    made = [journal(fleet / "machines" / one, name=one, day=int(one)) for one in ("1", "3")]
    summaries.write(
        summaries.summary(read(made[1]), summaries.content(made[1])),
        made[1].parent / summaries.NAME,
    )
    made[1].unlink()
    monkeypatch.chdir(fleet)

    for place in (fleet, Path()):
        result = adding.add(tmp_path / place.name / "a", adding.places([place]))

        assert {adding.ADDED: 2} == result.counts
        assert [f"{place}: no run of machines 2, 4 of this fleet is there"] == result.lines


def test_path_of_one_part_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`journal.jsonl` in its own folder; and the folder as `.`, where it is there already."""
    made = journal(tmp_path / "run", name="own", day=1)
    monkeypatch.chdir(made.parent)

    added = adding.add(tmp_path / "a", adding.places([Path(made.name)]))
    again = adding.add(tmp_path / "a", adding.places([Path()]))

    assert ({adding.ADDED: 1}, []) == (added.counts, added.lines)
    assert ({adding.THERE: 1}, []) == (again.counts, again.lines)


def test_two_who_add_at_the_same_time_both_succeed(tmp_path: Path) -> None:
    """The same runs, too: each row is there once."""
    for number in range(3):
        journal(tmp_path / "runs" / str(number), name=f"r{number}")

    children = [
        command("add", str(tmp_path / "runs"), "--archive", str(tmp_path / "a")) for _ in range(2)
    ]

    for child in children:
        out, err = child.communicate(timeout=120)
        assert (0, "") == (child.returncode, err), out
    assert 9 == count(tmp_path / "a") and 3 == count(tmp_path / "a", "runs")


def test_a_copy_from_who_added_at_the_same_time_is_hidden(tmp_path: Path) -> None:
    """Neither knew of the other's."""
    path = journal(tmp_path / "run")
    for _ in range(2):
        taken = adding._taken(path, {}, {})
        assert taken.rows is not None
        files.write(tmp_path / "a", [taken.rows])

    assert 6 == count(tmp_path / "a", "parts")
    assert 3 == count(tmp_path / "a") and 1 == count(tmp_path / "a", "runs")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of Linux")
def test_a_full_disk_is_one_line_and_leaves_the_archive_whole(tmp_path: Path) -> None:
    """No file may grow beyond a kilobyte, which stands for it."""
    adding.add(tmp_path / "a", [journal(tmp_path / "one")])
    before = sorted((tmp_path / "a").iterdir())
    journal(tmp_path / "two", name="r2")

    child = command("add", str(tmp_path / "two"), "--archive", str(tmp_path / "a"))
    # While it imports: between fork and exec, JAX in this process would warn of deadlocks.
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (1024, 1024))
    out, err = child.communicate(timeout=120)

    assert 2 == child.returncode, out + err
    (line,) = err.splitlines()
    assert "File too large" in line and str(tmp_path / "a") in line
    assert before == sorted((tmp_path / "a").iterdir())
    assert 3 == count(tmp_path / "a")


# ---- what an archive is not ----


def test_a_folder_without_results_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not there, empty, a file, a part that is cut off."""
    adding.add(tmp_path / "a", [journal(tmp_path / "run")])
    (part,) = files.parts(tmp_path / "a")
    part.write_bytes(part.read_bytes()[:-100])
    (tmp_path / "file").touch()
    expected = {
        "nowhere": "no archive with results there",
        ".": "no archive with results there",
        "file": "a file, where the archive's folder should be",
        "a": "none of the archive's parts can be read: ",
    }

    for name, words in expected.items():
        assert 2 == main(["archive", "query", "FROM rows", "--archive", str(tmp_path / name)])
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def flipped(path: Path) -> None:
    """One bit, of a number perhaps."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def piped(path: Path) -> None:
    """A pipe in its place."""
    path.unlink()
    os.mkfifo(path)


def linked(path: Path, place: str) -> None:
    """A link in its place."""
    path.unlink()
    path.symlink_to(place)


DAMAGES: dict[str, Any] = {
    "if its name alone was changed, let that end with -": flipped,
    "it is damaged, ": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "it is damaged, and": lambda path: path.write_bytes(b""),
    "its name says no hash, and it has ": lambda path: path.rename(
        path.with_name("rows-o.parquet")
    ),
    "it is no ordinary file": piped,
    "it is damaged, and left out": lambda path: linked(path, "/etc/passwd"),
    "No such file or directory": lambda path: linked(path, "nowhere"),
    "a copy of": lambda path: shutil.copyfile(path, path.with_name("rows-0.parquet")),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_a_part_that_is_damaged_is_a_line_and_the_rest_is_read(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By every command; what was in it can be added again."""
    archive, runs = tmp_path / "a", [journal(tmp_path / str(n), name=f"r{n}") for n in (1, 2)]
    for run in runs:
        adding.add(archive, [run])
    DAMAGES[words](files.parts(archive)[0])
    left = 2 if words == "a copy of" else 1

    assert 1 == main(["archive", "query", "SELECT count(*) FROM rows", f"--archive={archive}"])
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert words in line and str(archive) in line and str(3 * left) in said.out
    for again in ("history", "compare"):
        assert 1 == main(["archive", again, f"--archive={archive}"])
        assert words in capsys.readouterr().err
    result = adding.add(archive, runs)
    assert 2 - left == result.counts.get(adding.ADDED, 0) and words in result.lines[0]
    assert 6 == count(archive)
    assert 1 == main(["archive", "add", str(runs[1]), f"--archive={archive}"])
    assert words in capsys.readouterr().err


def test_parts_whose_names_were_swapped_are_both_read(tmp_path: Path) -> None:
    """What is in them is what was written."""
    for number in (1, 2):
        adding.add(tmp_path / "a", [journal(tmp_path / str(number), name=f"r{number}")])
    one, two = files.parts(tmp_path / "a")
    one.rename(tmp_path / "x")
    two.rename(one)
    (tmp_path / "x").rename(two)

    assert 6 == count(tmp_path / "a") and [] == files.readable(tmp_path / "a").lines


def test_of_two_alike_the_part_counts_whose_name_agrees(tmp_path: Path) -> None:
    """Also where the other comes first; of that alone it is said what its name should be."""
    adding.add(tmp_path / "a", [journal(tmp_path / "run")])
    (right,) = files.parts(tmp_path / "a")
    wrong = right.with_name(f"rows-20200101-000000-{'2' * 16}.parquet")
    shutil.copyfile(right, wrong)

    both = files.readable(tmp_path / "a")
    right.unlink()
    alone = files.readable(tmp_path / "a")

    copy = f"{wrong}: a copy of {right.name}, under a name that says another hash; it is left out"
    assert ([right], [copy]) == ([*both.paths.values()], both.lines)
    (line,), own = alone.lines, right.name[-24:]
    assert line.startswith(f"{wrong}: its name says the hash {'2' * 16}, and it has {own[:16]}: if")
    assert f"let that end with -{own} again; else it is damaged" in line and not alone.paths


def test_content_of_a_journal_is_that_of_its_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they are; a line as long as the disk is large is not held."""
    path = tmp_path / "journal.jsonl"
    for size in (1, 7, 2**20):
        monkeypatch.setattr(summaries, "BLOCK", size)
        for text in (b"", b"a\nbcd\n", b"a\nbcd", b"\n\n", b"x" * 20 + b"\n" + b"y" * 20):
            path.write_bytes(text)
            whole = text[: text.rfind(b"\n") + 1]
            assert (len(whole), hashlib.sha256(whole).hexdigest()) == summaries_of(path)
    os.truncate(path, 2**26)

    tracemalloc.start()
    try:
        summaries_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2**24


def summaries_of(path: Path) -> tuple[int, str]:
    """Size and hash of what is read of a journal."""
    content = summaries.content(path)
    return content.size, content.sha256


def test_table_of_columns_says_what_each_is() -> None:
    """Which the documents and the checks are made from."""
    assert set(form.COLUMNS) == set(files.SCHEMA.names)
    assert all(column.meaning and column.kind in files.TYPES for column in form.COLUMNS.values())


PAGE = ROOT / "docs" / "archive.md"


def columns() -> str:
    """The table of the page."""
    lines = ["| column | kind | what it is |", "|---|---|---|"]
    shown = {name: column for name, column in form.COLUMNS.items() if name != "entry"}
    lines += [f"| `{name}` | {kind} | {meaning} |" for name, (kind, meaning) in shown.items()]
    return "\n".join(lines)


def test_page_has_the_columns() -> None:
    """As they are: paste what `columns` gives."""
    text = PAGE.read_text()
    shown = text.partition("<!-- columns:begin -->\n")[2].partition("\n<!-- columns:end -->")[0]

    assert columns() == shown
