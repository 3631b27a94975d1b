"""What is wrong in a journal, or meant to do harm, does none: the rest is read and shown."""

import csv
import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records.journal import LONGEST_LINE, MOST_UNUSABLE, NotAJournalError
from samegrad.benchmarks.records.journal import read as read_journal
from samegrad.cli import main
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.reports.charts import chart, explanation, growth, learning, speed
from samegrad.reports.data.report import report
from samegrad.reports.document import page
from samegrad.reports.render import document, render
from tests.helpers.journals import old_record, plan_record, run_record, write
from tests.helpers.reports import (
    F64,
    NUMPY,
    SCALAR,
    TORCH,
    laptop,
    ours,
    server,
    several,
    sourced,
    without_scripts,
)


def test_long_texts_are_cut(tmp_path: Path) -> None:
    """A reason of a million characters costs a line, not a page."""
    case = replace(NUMPY, implementation="n" * 10_000)
    record = {"record": "outcome", "case": TORCH.to_dict(), "status": "crashed"}
    path = write(
        tmp_path / "j", run_record(), plan_record(case, TORCH), *several(case, 50),
        record | {"reason": "x" * 1_000_000},
    )  # fmt: skip
    render([path], tmp_path / "out")

    assert (tmp_path / "out" / "index.html").stat().st_size < 2_000_000
    assert "(1,000,000 characters)" in (tmp_path / "out" / "report.md").read_text()


HOSTILE = (
    "</script><script>alert(1)</script>\"' onload='x' <img src=x onerror=alert(1)>"
    "[link](javascript:alert(1)) ../../../etc/passwd",
    "| a | b |\n## heading\n```\n$\\frac{1}{0$ {{ made }} {% raw %}",
    "=cmd|' /C calc'!A0 \u540d\u524d \u202e\x00\x07 \U0001f600",
)


@pytest.mark.parametrize("evil", HOSTILE)
def test_no_text_of_a_journal_does_anything(tmp_path: Path, evil: str) -> None:
    """In names, reasons, facts, sources, paths, commits, commands: it is shown and inert."""
    problem = replace(F64, name=evil)
    case = replace(NUMPY, implementation=evil, workload=problem)
    other = replace(case, device=evil, implementation="numpy")
    machine = dict.fromkeys(("cpu", "cores", "gpu", "commit", evil), evil)
    about = run_record(machine=machine, run=evil, preset=evil, command=evil, fingerprint=evil,
                       started=evil)  # fmt: skip
    path = write(
        tmp_path / "j",
        about,
        {"record": "source", "path": evil, "sha256": "aa", "text": evil},
        {"record": "implementation", "name": evil, "device": "cpu", "status": "ok",
         "reason": evil, "facts": {evil: evil}, "files": {evil: "aa"}},
        plan_record(case, other, TORCH),
        *several(case, 50),
        *[dict(o, gate={"name": evil, "error": 1e-7, "bound": 1e-5}) for o in several(other, 70)],
        {"record": "outcome", "case": TORCH.to_dict(), "status": "crashed", "reason": evil},
    )  # fmt: skip

    render([path], tmp_path / "out")

    html = without_scripts(tmp_path / "out" / "index.html")
    assert 0 == len(re.findall(r"<script>alert|<img src=x|onload='x'", html))
    figures = html.count("<figure")
    assert 2 + figures == len(re.findall(r"<script", html))  # ours, samples; data
    for path in (tmp_path / "out").rglob("*.csv"):
        for line in csv.reader(io.StringIO(path.read_text(), newline="")):
            assert not any(cell.startswith(("=", "@")) for cell in line), path
    markdown = (tmp_path / "out" / "report.md").read_text()
    outside = re.sub(r"^(`{3,}).*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside and "<img" not in outside
    assert "\n## heading" not in outside and not re.search(r"(?<!\\)\]\(javascript", outside)


def mutated(value: Any, chance: random.Random) -> Any:
    """The same with something wrong in it, somewhere."""
    wrong: list[Any] = [None, -1, 0, 10**400, 1.5, True, "x", [], {}, [[]], {"a": 1}, "9" * 50]
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        return {**value, key: mutated(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(value[place], chance), *value[place + 1 :]]
    return chance.choice(wrong)


def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every function that draws a chart return None."""
    for module in (explanation, growth, learning, speed):
        for name, function in vars(module).items():
            if str(getattr(function, "__annotations__", {}).get("return")).find("Chart") >= 0:
                monkeypatch.setattr(module, name, lambda *_: None)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_wrong_in_a_journal_the_rest_is_read(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random damage to the lines of a good journal: a report all the same, or one clear error."""
    chance = random.Random(seed)
    texts = ours("numpy")
    lines = sourced(tmp_path / "s", texts).read_text().splitlines()
    lines += laptop(tmp_path / "l").read_text().splitlines()[1:]
    if seed % 2:
        lines = [json.dumps(old_record(json.loads(line))) for line in lines]
    for _ in range(6):
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(mutated(json.loads(lines[place]), chance))
    (tmp_path / "j").write_text("\n".join(lines) + "\n")

    try:
        journal = read_journal(tmp_path / "j")
    except NotAJournalError:
        return
    if seed % 10:  # charts take most of the time: they are drawn in some of the reports
        undrawn(monkeypatch)
    made = document(report([journal]))
    chart.save(made.charts, tmp_path)

    assert page.markdown(made) and page.html(made, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b'{"record": "outcome", "a": NaN}',
        b'{"record": "ceiling", "value": 1e999}',
        b"\xff\xfe\x00garbage",
        b'{"record": "parity", "losses": [Infinity]}',
        b'{"record": "run_complete", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"a": ' * 900 + b"1" + b"}" * 900,
    ],
)
def test_line_that_no_parser_likes_is_left_out(tmp_path: Path, line: bytes) -> None:
    """Nesting without end, numbers that are none, bytes that are no text."""
    path = laptop(tmp_path / "j")
    path.write_bytes(path.read_bytes() + line + b"\n")

    journal = read_journal(path)

    (warning,) = journal.warnings
    assert "is not usable" in warning and len(warning) < 400


def test_run_that_is_nested_too_deep_hides_no_other_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever reads a folder of runs says of one that it is none, and reads the others."""
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        laptop(tmp_path / name / "journal.jsonl")
    path = tmp_path / "bad" / "journal.jsonl"
    deep = '{"x": ' + "[" * 900 + "]" * 900 + ", "
    path.write_text(path.read_text().replace("{", deep, 1))

    assert 0 == main(["runs", "list", "--runs", str(tmp_path)])
    assert "good" in capsys.readouterr().out
    assert 1 == main(["advise", "--layers", "3-2", "--runs", str(tmp_path)])
    assert 2 == main(["compare", str(path.parent), str(tmp_path / "good")])
    assert "not a samegrad journal" in capsys.readouterr().err


def test_line_without_end_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sparse file of a terabyte, which costs nothing, it would be looked for for hours."""
    monkeypatch.setattr("samegrad.benchmarks.records.journal.LONGEST_LINE", 10_000)
    path = laptop(tmp_path / "j")
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"".join(rest[:-1]))
    alone = read_journal(path)
    with path.open("ab") as file:
        file.write(b"x" * 35_000)
        file.truncate(2**40)

    journal = read_journal(path)

    assert len(alone.outcomes) == len(journal.outcomes) and not journal.complete
    assert "is longer than 10,000 bytes; neither it nor what follows" in journal.warnings[-1]
    with pytest.raises(NotAJournalError, match="is longer than 10,000 bytes"):
        read_journal(path, verbatim=True)
    assert LONGEST_LINE >= 2**20


def test_second_run_in_a_file_is_said_and_not_mixed_with_the_first(tmp_path: Path) -> None:
    """Its cases would replace those of the first, and its rows be of another machine."""
    both = laptop(tmp_path / "j").read_bytes() + server(tmp_path / "k").read_bytes()
    (tmp_path / "both").write_bytes(both)

    journal = read_journal(tmp_path / "both")

    alone = read_journal(tmp_path / "j")
    assert (alone.cases, len(alone.outcomes)) == (journal.cases, len(journal.outcomes))
    (warning,) = journal.warnings
    assert "begins another run" in warning
    with pytest.raises(NotAJournalError, match="begins another run"):
        read_journal(tmp_path / "both", verbatim=True)


def test_lines_without_number_end_the_reading(tmp_path: Path) -> None:
    """200 kB of an archive may hold 2**28 empty lines."""
    path = laptop(tmp_path / "j")
    path.write_bytes(path.read_bytes() + b"\n" * 10_000)

    journal = read_journal(path)

    assert journal.complete
    assert MOST_UNUSABLE + 1 == len(journal.warnings)
    assert "too many" in journal.warnings[-1]


@pytest.mark.usefixtures("no_figures")
def test_one_bad_journal_among_good_ones_is_named(tmp_path: Path) -> None:
    """The others are in the report, and the report says that one is not."""
    (tmp_path / "bad").write_text("no journal")
    lines = render(
        [laptop(tmp_path / "a"), tmp_path / "bad", server(tmp_path / "b")], tmp_path / "o"
    ).lines

    assert any("bad" in line and line.startswith("warning:") for line in lines)
    html = (tmp_path / "o" / "index.html").read_text()
    assert "Test CPU" in html and "Server CPU" in html and "not a samegrad journal" in html


def test_spec_of_every_case_is_checked_when_read() -> None:
    """Names that are no texts and sizes that are no sizes."""
    data = SCALAR.to_dict()
    for wrong in (
        {**data, "device": 3},
        {**data, "operation": "guess"},
        {**data, "precision": "half"},
        {**data, "workload": {**data["workload"], "batch_size": -1}},
        {**data, "workload": {**data["workload"], "examples": 10**30}},
        {**data, "workload": {**data["workload"], "name": ["a"]}},
    ):
        with pytest.raises(ValueError, match=r"case|operation"):
            Case.from_dict(wrong)
    assert MLPSpec((64, 32, 10), dtype="float64") == Case.from_dict(data).spec
