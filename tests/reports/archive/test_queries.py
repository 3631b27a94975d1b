"""Questions to an archive: history with its steps, machines beside each other, SQL that reads."""

import csv
import io
import itertools
import math
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb", reason="the extra archive is not installed")
pytest.importorskip("pyarrow", reason="the extra archive is not installed")

import duckdb
import pyarrow as pa

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main
from samegrad.implementations.contract.texts import shortened
from samegrad.reports.archive import adding, files, queries, store, tables
from samegrad.reports.archive.queries import Filters
from tests.helpers.archives import CASES, journal, records
from tests.helpers.journals import ok

FASTER_MACHINE = {"cpu": "Faster CPU"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a machine, of which the last is 1.3 times slower; one of another machine."""
    folder = tmp_path_factory.mktemp("archive")
    newer = {"versions": '{"numpy": "2.5.0"}', "commit": "def"}
    places = [
        journal(folder / "1", name="first", day=1),
        journal(folder / "2", name="second", day=2, times=1.01),
        journal(folder / "3", name="third", day=3, times=1.3, **newer),
        journal(folder / "4", name="other", day=2, times=0.5, **FASTER_MACHINE),
    ]
    adding.add(folder / "archive", places)
    return folder / "archive"


def history(archive: Path, *filters: Any, **options: Any) -> list[queries.Series]:
    """Series of an archive."""
    with store.opened(archive) as connection:
        return queries.history(connection, Filters(*filters), **options)[0]


@pytest.mark.quick
def test_a_step_is_marked_where_the_intervals_bear_it_out(archive: Path) -> None:
    """1.3 times is one, with what else changed; 1 % is none."""
    series = history(archive)

    assert 3 == len(series)
    for one in series:
        assert ["first", "second", "third"] == [point.run for point in one.points]
        quiet, step = one.steps
        assert not quiet.certain and () == quiet.reasons
        assert step.certain and "SLOWER" == step.change.verdict
        assert 1.3 / 1.01 == pytest.approx(step.change.value, rel=1e-3)
        assert ("commit abc -> def", "numpy 2.4.6 -> 2.5.0") == step.reasons


@pytest.mark.parametrize("most", [1, 4, 30])
@pytest.mark.parametrize(("longest", "share"), [(2, 0.7), (4, 0.6), (5, 0.8), (6, 0.95)])
def test_series_are_those_of_the_largest_jumps_in_their_order(
    longest: int, share: float, most: int
) -> None:
    """As counted here run by run, whatever the number of runs, and where intervals are missing."""
    drawn, runs, rows = random.Random(longest), list[Any](), list[Any]()
    for machine in (f"m{n}" for n in range(8)):
        for number in range(drawn.randint(1, longest)):
            runs.append({"fingerprint": machine})
            for case in (f"c{n}" for n in range(6)):
                drift = 1.15**number  # each jump is far less than all of them together
                value = drift if case < "c3" else drawn.choice([1.0, 1.03, drawn.uniform(1, 1.3)])
                known = drawn.random() < share
                if case == "c5" and number == 1:
                    value, known = 10.0, False  # far off, and neither jump to it nor from it counts
                point = dict.fromkeys(queries.POINT, "") | {
                    "fingerprint": machine, "case_id": case, "started": f"2026-01-0{number + 1}",
                    "seconds": value, "seconds_low": value if known else None,
                    "process_seconds": [value], "cpu_speed_ns": 1.0, "status": "ok",
                    "machine_too_busy": False,
                }  # fmt: skip
                rows += [point] * (drawn.random() < 0.9)
    jumps = dict[tuple[str, str], float]()
    by_case = sorted(rows, key=lambda p: (p["case_id"], p["fingerprint"], p["started"]))
    for key, one in itertools.groupby(by_case, lambda p: (p["case_id"], p["fingerprint"])):
        pairs = [*itertools.pairwise(one)]
        both = [(a, b) for a, b in pairs if a["seconds_low"] and b["seconds_low"]]
        jump = (abs(math.log(b["seconds"]) - math.log(a["seconds"])) for a, b in both)
        jumps |= {key: max(jump, default=-1.0)} if pairs else {}
    largest = sorted(jumps, key=lambda key: (-round(jumps[key], 12), key))
    made = {"runs": pa.Table.from_pylist(runs), "rows": pa.Table.from_pylist(rows)}

    with duckdb.connect() as connection:
        for name, table in made.items():
            connection.register(name, table)
        series, count = queries.history(connection, Filters(), most=most)
        _, steps = queries.history(connection, Filters(), most=most, only_steps=True)

    found = [(one.points[0].case_id, one.points[0].fingerprint) for one in series]
    assert (len(jumps), sum(jump > math.log(1.05) for jump in jumps.values())) == (count, steps)
    assert [jumps[key] for key in largest[:most]] == pytest.approx([jumps[key] for key in found])
    assert set(found) <= set(jumps) and len(set(found)) == min(most, len(jumps))


def test_questions_do_not_wait_for_pandas(archive: Path) -> None:
    """Half a second, in a process that asks one question in less."""
    code = """if True:
        import sys
        from samegrad.cli import main
        place = f"--archive={sys.argv[1]}"
        for command in (["query", "SELECT 1"], ["query", "--withdrawn"], ["history"], ["compare"]):
            main(["archive", *command, place])
        main(["advise", "--layers=784-1024-10", "--batch-size=64", place])
        print({"pandas", "scipy.optimize"} & set(sys.modules))"""

    done = subprocess.run(
        [sys.executable, "-c", code, str(archive)], capture_output=True, text=True, cwd=ROOT
    )

    assert "set()" == done.stdout.splitlines()[-1] and "Training step" in done.stdout, done.stderr


def test_without_intervals_there_is_no_step(tmp_path: Path) -> None:
    """Three processes bear nothing out; nor does a machine that was itself slower."""
    for number, times in enumerate((1.0, 2.0)):
        path = journal(tmp_path / f"w{number}", name=f"w{number}", day=1 + number, times=times)
        text = [line for line in path.read_text().splitlines() if '"process": 4' not in line]
        path.write_text("\n".join(text) + "\n")
    slow = [
        {"record": "cpu_speed", "process": 0, "work": "loop", "elapsed_ns": 1000 * (1 + number)}
        for number in range(2)
    ]
    for number, speed in enumerate(slow):
        lines = records(f"s{number}", 5 + number, 1.0 + number, cpu="Slower CPU")
        journal(tmp_path / f"s{number}", *lines[:-1], *[speed] * 10, lines[-1])
    adding.add(tmp_path / "a", adding.places([tmp_path]))

    series = history(tmp_path / "a")

    assert 6 == len(series)
    assert [] == [one for one in series for step in one.steps if step.certain]
    assert [] == history(tmp_path / "a", only_steps=True)


def test_filters_choose_by_words_and_machines(archive: Path) -> None:
    """All words of a case, in any order; a fingerprint's beginning or a machine's words."""
    assert ["digits-train_step-batch32-float32-jax-cpu"] == [
        one.points[0].case_id for one in history(archive, "JAX train_step")
    ]
    assert [] == history(archive, "", ("Faster",)) == history(archive, "' OR 1 = 1 --")
    assert 3 == len(history(archive, "", ("Test CPU",)))


def test_every_case_is_spread_over_machines(archive: Path) -> None:
    """The newest value of each machine."""
    with store.opened(archive) as connection:
        (first, *_), count = (spreads := queries.spread(connection, Filters())), len(spreads)

    assert 3 == count and 2 == first.machines
    assert first.fastest_machine.startswith("Faster CPU")
    assert 1.3 / 0.5 == pytest.approx(first.slowest / first.fastest, rel=1e-3)


def test_machines_stand_beside_each_other(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ratio with its verdict where code and inputs are the same, else what differs."""
    place = journal(tmp_path / "5", name="code", text="x = 3\n", cpu="Third CPU")
    archive = shutil.copytree(archive, tmp_path / "archive")
    adding.add(archive, [place])
    with store.opened(archive) as connection:
        known = {words: one for one, words, *_ in queries.machines(connection, Filters())}
    test, faster, third = (
        next(one for words, one in known.items() if name in words)
        for name in ("Test CPU", "Faster CPU", "Third CPU")
    )

    assert 0 == main(["archive", "compare", test, faster, third, "--archive", str(archive)])

    heads, *lines = capsys.readouterr().out.splitlines()
    assert 3 == heads.count(" CPU, 2 cores [") and 3 == len(lines)
    for line in lines:
        assert "FASTER 0.385 (0.37" in line and "code differs" in line


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["compare", "f", "e"], 2, "machine"),
        (["compare", "Test CPU"], 2, "give 2 to 12 machines"),
        (["compare", "nowhere", "Test"], 2, "'nowhere' is no machine of this archive"),
        (["compare", "CPU", "Test"], 2, "machines; there are: "),
        (["compare", "--case", "nothing"], 1, "--case 'nothing': no case that two machines"),
        (["history", "--case", "nothing"], 1, "--case 'nothing': no case that a machine"),
        (["history", "--machine", "2dead"], 2, "'2dead' is no machine of this archive; there are"),
        (["history", "--steps"], 0, ""),
        (["compare"], 0, ""),
    ],
)
def test_statuses(
    arguments: list[str], status: int, words: str, archive: Path, capsys: Any
) -> None:
    """0 with an answer, 1 without one, 2 for what cannot be meant."""
    assert status == main(["archive", *arguments, "--archive", str(archive)])

    assert words in capsys.readouterr().err


def test_cases_without_a_step_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were measured, so that none has a step is an answer; without any there is none."""
    places = [journal(tmp_path / f"{n}", name=f"r{n}", day=n) for n in (1, 2)]
    adding.add(tmp_path / "a", places)
    typed = ["archive", "history", "--steps", "--archive", str(tmp_path / "a")]

    assert 0 == main([*typed, "--case", "jax"])

    said = capsys.readouterr()
    assert "" == said.err
    assert "1 such case was measured more than once; none has a step" == said.out.splitlines()[-1]
    assert 1 == main([*typed, "--case", "nothing"])
    assert "--case 'nothing': no case that a machine has" in capsys.readouterr().err


def test_history_is_printed_run_by_run(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Date, value with interval, step, and what changed."""
    assert 0 == main(["archive", "history", "--archive", str(archive), "--case", "jax"])

    head, _, _, third, end = capsys.readouterr().out.splitlines()
    assert head.startswith("digits-train_step-batch32-float32-jax-cpu on Test CPU, 2 cores [")
    assert "2026-01-03T00:00  third" in third and "SLOWER 1.287 (1.2" in third
    assert "commit abc -> def; numpy 2.4.6 -> 2.5.0" in third
    assert "1 case was measured more than once on a machine. 1 step." == end


def test_what_is_cut_says_so() -> None:
    """A cell after a word; a commit is as long as other hashes."""
    old, new = (
        queries.Point(dict.fromkeys(queries.POINT, "") | {"commit": digit * 40}) for digit in "12"
    )

    (cell,) = tables.aligned([["; ".join(["NumPy 2.4.6 -> 2.5.0"] * 9)]])

    assert [f"commit {'1' * 12} -> {'2' * 12}"] == [*queries.reasons(old, new)]
    assert cell.endswith(" -> 2.5.0; NumPy ...") and len(cell) <= tables.WIDEST
    assert "" == shortened("", 9) and "a" * 9 == shortened("a" * 9, 9)
    assert "aaaaa ..." == shortened("a" * 10, 9)


# ---- SQL ----


def test_query_prints_a_table_or_csv(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order that was asked for; a formula is a text to a spreadsheet."""
    query = (
        "SELECT '=1+1' AS formula, run, process_seconds FROM rows ORDER BY started, run, seconds"
    )

    assert 0 == main(["archive", "query", query, "--archive", str(archive)])
    heads, *lines = capsys.readouterr().out.splitlines()
    assert 0 == main(["archive", "query", query + ";", "--csv", "--archive", str(archive)])
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert ["formula", "run", "process_seconds"] == heads.split()
    assert 12 == len(lines)
    assert [line.split()[1] for line in lines] == [row["run"] for row in table]
    assert {"'=1+1"} == {row["formula"] for row in table}
    assert table[0]["process_seconds"].startswith("[0.00")


OTHER_LETTERS = "caf\udce9"  # Latin-1, as it comes from a command line


@pytest.mark.parametrize(
    "typed",
    [
        ("query", f"SELECT '{OTHER_LETTERS}'"),
        ("history", "--case", OTHER_LETTERS),
        ("history", "--machine", OTHER_LETTERS),
        ("compare", OTHER_LETTERS, "Faster"),
    ],
    ids=lambda typed: typed[0],
)
def test_text_that_is_not_utf8_is_one_line(
    typed: tuple[str, ...], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In our words: neither DuckDB nor Python says what it needs."""
    assert 2 == main(["archive", *typed, "--archive", str(archive)])

    (line,) = capsys.readouterr().err.splitlines()
    assert r"caf\udce9" in line and "is not UTF-8" in line


@pytest.mark.parametrize("command", ["query", "add", "merge", "site"])
def test_folder_that_no_query_could_open_is_no_archive(
    command: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is added where nothing could be read."""
    folder = tmp_path / OTHER_LETTERS
    given = {
        "query": ["archive", "query", "FROM rows"],
        "add": ["archive", "add", str(archive.parent / "1")],
        "merge": ["archive", "merge"],
        "site": ["site", str(tmp_path / "s")],
    }

    assert 2 == main([*given[command], "--archive", str(folder)])

    (line,) = capsys.readouterr().err.splitlines()
    assert "needs a name in UTF-8" in line and not folder.exists()


def test_extension_is_neither_installed_nor_loaded_for_a_query(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what is missing, not why it could not be had."""
    query = "SELECT * FROM sqlite_scan('x.db', 't')"

    assert 2 == main(["archive", "query", query, "--archive", str(archive)])

    (line,) = capsys.readouterr().err.splitlines()
    assert "it exists in the sqlite_scanner extension" in line


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "FROM '/etc/passwd'",
        "COPY rows TO 'PART'",
        "WITH x AS (COPY (SELECT 1) TO 'PART') SELECT * FROM x",
        "WITH x AS (INSERT INTO latest SELECT * FROM latest RETURNING *) SELECT * FROM x",
        "SELECT 1) ; COPY (SELECT 1) TO 'PART' ; SELECT (1",
        "SELECT 1; SELECT 2",
        "ATTACH 'PART'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DROP VIEW rows",
        "CREATE TABLE x AS SELECT 1",
        "PRAGMA database_list",
        "SELEC",
        "SELECT \x1b[31m",
        "-- nothing",
        "SELECT nothing FROM rows",
    ],
)
def test_query_reads_the_archive_and_nothing_else(
    query: str, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would read or write another file, or change something, is one line."""
    part = files.parts(archive)[0]
    before = part.read_bytes()

    typed = query.replace("PART", str(part))
    assert 2 == main(["archive", "query", typed, "--archive", str(archive)])

    (line,) = capsys.readouterr().err.splitlines()
    assert "the query is refused" in line or "an archive is only read" in line
    assert "\x1b" not in line
    assert before == part.read_bytes()


def test_a_busy_machine_enters_no_comparison(tmp_path: Path) -> None:
    """Nor does a row that is unusable."""
    state = {"record": "state", "when": "before", "seconds": 1.0, "cores": 2, "others": 1.5}
    for number in range(2):
        lines = records(f"b{number}", 1 + number, cpu="Busy CPU")
        journal(tmp_path / f"b{number}", lines[0], state, *lines[1:])
        wild = [ok(p, 1000 * 3**p, CASES[0]) for p in range(5)]
        lines = records(f"u{number}", 1 + number, cpu="Wild CPU", cases=CASES[:1])
        outcomes = [line for line in lines if line["record"] == "outcome"]
        spread = [a | {"elapsed_ns": b["elapsed_ns"]} for a, b in zip(outcomes, wild, strict=True)]
        others = [line for line in lines if line["record"] != "outcome"]
        journal(tmp_path / f"u{number}", *others[:-1], *spread, others[-1])
    adding.add(tmp_path / "a", adding.places([tmp_path]))

    with store.opened(tmp_path / "a") as connection:
        assert [] == queries.spread(connection, Filters())
        assert ([], 0) == queries.history(connection, Filters())
        statuses = store.select(connection, "SELECT DISTINCT status FROM rows ORDER BY 1")
        assert [("ok",), ("unusable",)] == statuses.fetchall()
