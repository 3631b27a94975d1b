"""Withdrawals: what was wrong counts no longer, stays to be seen, and can be made good."""

import csv
import io
import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import pyarrow as pa
import pyarrow.parquet as pq

from samegrad.benchmarks.records.journal import read
from samegrad.cli import main
from samegrad.reports.archive import adding, files, merging, store, withdrawing
from samegrad.reports.archive import summary as summaries
from tests.helpers.archives import journal, records, rewritten
from tests.helpers.hostile import TEXTS

MORE = {"record": "resumed", "at": "later"}


def changed(at: int = -3) -> list[dict[str, Any]]:
    """The records of a run, in one of which a block took a little longer."""
    lines: list[dict[str, Any]] = json.loads(json.dumps(records()))
    lines[at]["elapsed_ns"] = [ns + 1 for ns in lines[at]["elapsed_ns"]]
    return lines


@pytest.fixture
def right(tmp_path: Path) -> Path:
    """A journal as it was written."""
    return journal(tmp_path / "right", *records())


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A longer one of the same run, which does not go on from it."""
    return journal(tmp_path / "wrong", *changed(), MORE)


def run_id(path: Path) -> str:
    """Of a journal."""
    return summaries.content(path).run_id


def asked(archive: Path, query: str) -> list[tuple[Any, ...]]:
    """The answer to a query."""
    with store.opened(archive) as connection:
        return store.select(connection, query).fetchall()


def counts(archive: Path) -> tuple[int, ...]:
    """Lines of each table."""
    tables = ("rows", "runs", "parts", "withdrawn")
    return tuple(asked(archive, f"SELECT count(*) FROM {name}")[0][0] for name in tables)


def withdraw(archive: Path, text: str, reason: str = "a bit of its disk was lost") -> int:
    """The command."""
    return main(["archive", "withdraw", text, f"--reason={reason}", f"--archive={archive}"])


@pytest.mark.quick
def test_wrong_version_is_taken_out_and_the_right_one_is_added(
    right: Path, wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is deleted; the reason stays; every question says that something was left out."""
    archive, ident = tmp_path / "a", run_id(right)
    adding.add(archive, [wrong])
    files = {path: path.read_bytes() for path in archive.iterdir()}
    (line,) = adding.add(archive, [right]).lines
    assert "has another past than the longer journal" in line
    typed = shlex.split(line.split("`")[1])
    assert ["withdraw", ident, f"--archive={archive}", "--reason=TEXT"] == typed[-4:]

    assert 0 == withdraw(archive, ident[:6])

    said = capsys.readouterr()
    assert said.out.startswith(f"{ident} (r1 of 2026-01-01 on ") and "" == said.err
    own = summaries.content(wrong)
    version = f"{own.sha256[:16]} ({own.size:,} bytes of journal, complete, 3 rows)"
    assert said.out.endswith(f": {version} is withdrawn; none of it is left\n")
    assert files == {path: path.read_bytes() for path in files}
    assert (0, 0, 3, 3) == counts(archive)
    for command in (["history"], ["compare"], ["query", "FROM rows"]):
        assert main(["archive", *command, f"--archive={archive}"]) in (0, 1)
        note = "left out: 1 withdrawn version of a run; query --withdrawn shows why"
        assert note in capsys.readouterr().err
    assert 0 == main(["archive", "query", "--withdrawn", "--csv", f"--archive={archive}"])
    (shown,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (ident, "r1", "3") == (shown["run_id"], shown["run"], shown["rows"])
    assert "a bit of its disk was lost" == shown["reason"] and shown["withdrawn_at"]

    assert {adding.ADDED: 1} == adding.add(archive, [right]).counts
    assert (3, 1, 6, 3) == counts(archive)
    made = summaries.summary(read(right), summaries.content(right))
    assert {row["seconds"] for row in made.rows} == {
        value for (value,) in asked(archive, "SELECT seconds FROM rows")
    }


def test_version_before_counts_again_and_is_not_taken_by_mistake(
    right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typed twice, or by two people: the second is told, and what is meant has a hash."""
    archive, ident = tmp_path / "a", run_id(right)
    adding.add(archive, [right])
    longer = journal(tmp_path / "longer", *records(), MORE)
    adding.add(archive, [longer])
    assert 0 == withdraw(archive, "r1")
    before = summaries.content(right).sha256[:16]
    said = capsys.readouterr().out
    assert f"is withdrawn; of this run {before} (" in said and said.endswith(" counts\n")
    assert [(summaries.content(right).size,)] == asked(archive, "SELECT journal_bytes FROM runs")

    assert 2 == withdraw(archive, "r1")
    (line,) = capsys.readouterr().err.splitlines()
    assert ident in line and line.endswith(f"give its journal_sha256, {before}")
    assert 2 == withdraw(archive, str(longer))
    assert "already: a bit of its disk was lost" in capsys.readouterr().err
    assert (3, 1, 6, 3) == counts(archive)

    assert 0 == withdraw(archive, before)
    assert 2 == withdraw(archive, ident)
    assert "was withdrawn on " in capsys.readouterr().err
    assert (0, 0, 6, 6) == counts(archive)


def test_older_version_that_was_withdrawn_is_no_hindrance(
    right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It had not counted anyway, which is said; the newest is still what is meant."""
    archive = tmp_path / "a"
    for path in (right, journal(tmp_path / "longer", *records(), MORE)):
        adding.add(archive, [path])
    assert 0 == withdraw(archive, str(right))
    assert capsys.readouterr().out.endswith(" counts, as before\n")
    assert (3, 1, 6, 3) == counts(archive)

    assert 0 == withdraw(archive, "r1")

    assert (0, 0, 6, 6) == counts(archive)


def test_what_was_withdrawn_comes_back_by_again_alone(
    wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does what goes on from it; once it is back, that does."""
    archive = tmp_path / "a"
    on = journal(tmp_path / "on", *changed(), MORE, MORE)
    adding.add(archive, [wrong])
    assert 0 == withdraw(archive, str(wrong.parent))
    command = ["archive", "add", str(wrong), str(on), f"--archive={archive}"]

    assert 0 == main(command)

    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert "this version was withdrawn on " in first and "; --again adds it" in first
    assert "what it goes on from was withdrawn on " in second and str(on) in second
    assert "2 withdrawn before; 0 rows written" in said.out
    assert (0, 0, 3, 3) == counts(archive)

    assert 0 == main([*command[:3], "--again", f"--archive={archive}"])
    assert (3, 1, 6, 3) == counts(archive)
    capsys.readouterr()
    assert 0 == main(["archive", "query", "--withdrawn", f"--archive={archive}"])
    typed = capsys.readouterr().err.split("`")[1]
    assert 0 == main(["archive", *shlex.split(typed)[-3:], "--csv"])
    assert "a bit of its disk was lost" in capsys.readouterr().out
    assert 0 == main(["archive", "query", "SELECT 1", f"--archive={archive}"])
    assert "" == capsys.readouterr().err
    assert {adding.THERE: 1, adding.NEWER: 1} == adding.add(archive, [wrong, on]).counts
    assert (3, 1, 9, 3) == counts(archive)
    for path in (on, wrong):
        assert 0 == withdraw(archive, summaries.content(path).sha256[:9], "and again")
    assert (0, 0, 9, 9) == counts(archive)
    reasons = asked(archive, f"SELECT reason, rows FROM ({withdrawing.LEFT_OUT})")
    assert [("and again", 3)] * 2 == reasons  # of each version the last one


def test_right_version_that_is_as_long_is_added(tmp_path: Path) -> None:
    """As of a bit that was lost; the damaged one is no hindrance and does not come back."""
    archive = tmp_path / "a"
    good = journal(tmp_path / "g", *records())
    lines = [*map(json.loads, good.read_text().splitlines())]
    lines[-3]["elapsed_ns"] = [ns + 1 for ns in lines[-3]["elapsed_ns"]]
    damaged = journal(tmp_path / "d", *lines)
    assert good.stat().st_size == damaged.stat().st_size
    adding.add(archive, [damaged])
    (line,) = adding.add(archive, [good]).lines
    assert "as long as the journal that is there" in line and "archive withdraw" in line

    assert 0 == withdraw(archive, str(damaged))

    assert {adding.ADDED: 1} == adding.add(archive, [good]).counts
    assert {adding.WITHDRAWN: 1} == adding.add(archive, [damaged]).counts
    assert (3, 1, 6, 3) == counts(archive)


# ---- a shorter version ----


def test_shorter_version_with_another_past_is_refused(
    right: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing in it contradicts itself; as a journal, as a summary, in one command, too."""
    places = {"longer": journal(tmp_path / "longer", *records(), MORE), "right": right}
    places["other"] = journal(tmp_path / "other", *changed(6)[:-1])
    for name, path in list(places.items()):
        made = summaries.summary(read(path), summaries.content(path))
        alone = tmp_path / f"{name} alone" / summaries.NAME
        alone.parent.mkdir()
        summaries.write(made, alone)
        places[f"{name} alone"] = alone
    for longer in ("longer", "longer alone"):
        archive = tmp_path / f"archive of {longer}"
        adding.add(archive, [places[longer]])
        for shorter in ("other", "other alone"):
            result = adding.add(archive, [places[shorter]])
            assert {adding.REFUSED: 1} == result.counts
            assert "has another past than the longer journal" in result.lines[0]
            both = adding.add(tmp_path / f"{longer} {shorter}", [places[longer], places[shorter]])
            assert {adding.ADDED: 1, adding.REFUSED: 1} == both.counts
        for shorter in ("right", "right alone"):
            assert {adding.OLDER: 1} == adding.add(archive, [places[shorter]]).counts
    later = adding.add(tmp_path / "b", [places["other"]])
    later = adding.add(tmp_path / "b", [places["longer alone"]])
    assert {adding.REFUSED: 1} == later.counts and "than the shorter journal" in later.lines[0]

    monkeypatch.setattr(adding, "agree", lambda *_: True)

    assert {adding.OLDER: 1} == adding.add(archive, [places["other"]]).counts


def test_archive_of_an_older_version_knows_no_beginnings(right: Path, tmp_path: Path) -> None:
    """What is shorter is held to itself alone there."""
    archive = tmp_path / "a"
    adding.add(archive, [journal(tmp_path / "longer", *records(), MORE)])
    (part,) = files.parts(archive)
    rewritten(part, pq.read_table(part).drop_columns(["beginnings"]))

    assert {adding.OLDER: 1} == adding.add(archive, [right]).counts


# ---- what cannot be meant, full disks, damage ----


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("nothing", "x", "'nothing': no such run is there"),
        ("0123456789abcdef", "x", "no such run is there; give a journal, a run's name, or at"),
        ("same", "x", "'same' means 2 runs; give more of a run_id: "),
        ("caf\udce9", "x", "no such run is there"),
        ("", "x", "RUN: "),
        ("same", " \n", "--reason: "),
        ("same", "x" * 301, "--reason: more than 300 characters"),
        ("JOURNAL", "x", "the archive has not this version of the run RUN_ID, but VERSION ("),
        ("OTHER", "x", "the archive has none of this run"),
        ("/nowhere/journal.jsonl", "x", "there is no such file, and no run of the archive"),
        ("/", "x", "no run is there, and no run of the archive has this name"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    text: str, reason: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is withdrawn."""
    for number in (1, 2):
        adding.add(tmp_path / "a", [journal(tmp_path / str(number), name="same", day=number)])
    places = {"JOURNAL": journal(tmp_path / "3", *records("same", 1), MORE)}
    places["OTHER"] = journal(tmp_path / "4", name="another")
    before = sorted((tmp_path / "a").iterdir())

    assert 2 == withdraw(tmp_path / "a", str(places.get(text, text)), reason)

    (line,) = capsys.readouterr().err.splitlines()
    there = summaries.content(tmp_path / "1" / "journal.jsonl")
    assert words.replace("RUN_ID", there.run_id).replace("VERSION", there.sha256[:16]) in line
    if "such run" in line:
        assert 0 == main(["archive", *shlex.split(line.split("`")[1])[-3:]])
    assert before == sorted((tmp_path / "a").iterdir())


def test_without_a_reason_or_an_archive_or_beside_another_it_is_one_line(
    right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who withdraws at the same time as somebody else is told so."""
    archive = tmp_path / "a"
    adding.add(archive, [right])
    assert 2 == main(["archive", "withdraw", "r1", f"--archive={archive}"])
    assert "--reason" in capsys.readouterr().err
    assert 2 == withdraw(tmp_path / "nowhere", "r1")
    assert "no archive with results there" in capsys.readouterr().err
    assert 2 == main(["archive", "withdraw", "r1", "r2", "--reason=x", f"--archive={archive}"])
    assert "r2: one RUN at a time can be withdrawn" in capsys.readouterr().err
    assert 0 == main(["archive", "query", "--withdrawn", f"--archive={archive}"])
    assert "nothing is withdrawn" == capsys.readouterr().err.strip()
    for query in ([], ["FROM rows", "--withdrawn"]):
        assert 2 == main(["archive", "query", *query, f"--archive={archive}"])
        assert "give one SELECT, or --withdrawn without one" in capsys.readouterr().err

    with merging.alone(archive):
        assert 2 == withdraw(archive, "r1")

    (line,) = capsys.readouterr().err.splitlines()
    assert "another merge or withdrawal is under way; try again" in line
    assert (3, 1, 3, 0) == counts(archive)


def test_full_disk_leaves_everything_as_it_was(
    right: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; once there is room it is withdrawn."""
    archive = tmp_path / "a"
    adding.add(archive, [right])
    before = sorted(archive.iterdir())

    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert 2 == withdraw(archive, "r1")

    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line and str(archive) in line
    assert before == sorted(archive.iterdir())
    assert 0 == withdraw(archive, "r1")


@pytest.mark.parametrize("what", ["cut", "columns", "page"])
def test_withdrawal_that_is_damaged_is_said_and_the_rest_answers(
    what: str, right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it took out counts again; to withdraw it again helps."""
    archive = tmp_path / "a"
    adding.add(archive, [right])
    assert 0 == withdraw(archive, "r1")
    (path,) = archive.glob(f"{files.WITHDRAWN}*")
    data = path.read_bytes()
    path.unlink()
    if what == "cut":
        path.write_bytes(data[:-50])
    elif what == "columns":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"entry": [1]}), sink)
        path = files.named_by_hash(archive, sink.getvalue(), path.name[10:26], files.WITHDRAWN)
    else:
        sink = pa.BufferOutputStream()
        pq.write_table(pq.read_table(pa.BufferReader(data)), sink, use_dictionary=False)
        data = sink.getvalue().to_pybytes()
        start = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(0)
        at = start.data_page_offset
        data = data[:at] + b"\xff" * 8 + data[at + 8 :]
        path = files.named_by_hash(archive, data, path.name[10:26], files.WITHDRAWN)
    capsys.readouterr()

    assert 1 == main(["archive", "query", "SELECT count(*) FROM rows", f"--archive={archive}"])

    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert str(path) in line and "left out" in line and "3" in said.out
    assert 1 == withdraw(archive, "r1")
    path.unlink()
    assert (0, 0, 3, 3) == counts(archive)


def test_merged_parts_stay_withdrawn_and_merging_is_possible(right: Path, tmp_path: Path) -> None:
    """The copies are known by their numbers, wherever they lie."""
    archive = tmp_path / "a"
    for path in (right, journal(tmp_path / "2", name="r2"), journal(tmp_path / "3", name="r3")):
        adding.add(archive, [path])
    assert 0 == withdraw(archive, "r2")
    before = counts(archive)

    assert (3, 1) == merging.merge(archive)

    assert (6, 2, 9, 3) == before == counts(archive)
    assert {adding.WITHDRAWN: 1} == adding.add(archive, [tmp_path / "2" / "journal.jsonl"]).counts


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_reasons_are_texts(
    text: str, right: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal, in a file and on a page."""
    archive, pages = tmp_path / "a", tmp_path / "pages"
    adding.add(archive, [right, journal(tmp_path / "2", name="r2", cpu="Other CPU")])

    assert 0 == withdraw(archive, "r1", f"x {TEXTS[text][:40]}")

    assert 0 == main(["archive", "query", "--withdrawn", f"--archive={archive}"])
    assert "\x1b" not in capsys.readouterr().out
    assert 0 == main(["site", str(pages), f"--archive={archive}"])
    assert "\x1b" not in (pages / "machines.html").read_text("utf-8")
    assert ET.fromstring((pages / "feed.xml").read_bytes()) is not None


def test_pages_say_what_was_withdrawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the machines and in the feed; no value of it is on any page."""
    archive, pages = tmp_path / "a", tmp_path / "pages"
    for number in (1, 2):
        adding.add(archive, [journal(tmp_path / str(number), name=f"r{number}", times=number)])
    assert 0 == withdraw(archive, "r2", "its fan stood still")

    assert 0 == main(["site", str(pages), f"--archive={archive}"])

    assert "left out: 1 withdrawn version" in capsys.readouterr().err
    machines = (pages / "machines.html").read_text("utf-8")
    assert "<h2>Withdrawn</h2>" in machines and "its fan stood still" in machines
    assert "1 run on 1 machine, 3 rows; 1 more was withdrawn" in machines
    (case,) = (pages / "cases").glob("*forward*")
    text = case.read_text("utf-8")
    assert 'data-order="0.0003' in text and 'data-order="0.0006' not in text
    entries = ET.fromstring((pages / "feed.xml").read_bytes()).findall(
        "{http://www.w3.org/2005/Atom}entry"
    )
    titles = [entry.findtext("{http://www.w3.org/2005/Atom}title") or "" for entry in entries]
    assert 2 == len(titles) and titles[0].endswith("run r2 of 2026-01-01 withdrawn")
    assert "another version counts" not in machines
    adding.add(archive, [journal(tmp_path / "3", *records("r2", times=2), MORE)])
    assert 0 == main(["archive", "add", "--again", str(tmp_path / "3"), f"--archive={archive}"])
    assert 0 == main(["site", str(pages), f"--archive={archive}"])
    machines = (pages / "machines.html").read_text("utf-8")
    assert "its fan stood still; another version counts" in machines
