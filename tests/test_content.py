"""What a report says: its sentences, its code, its figures' data; and what hostile journals do."""

import csv
import gzip
import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from benchmarks import cases
from benchmarks.environment import ROOT
from benchmarks.journal import LONGEST_LINE, NotAJournalError
from benchmarks.journal import read as read_journal
from implementations import MLPSpec
from reports import content, listing, loading, page, render, saving, summary, tables
from tests.test_report import (
    CUDA,
    F64,
    NUMPY,
    SCALAR,
    TORCH,
    laptop,
    server,
    several,
    without_scripts,
)
from tests.test_results import ok, plan_record, run_record, write

COMPLETE = {"record": "run_complete"}
JAX = replace(NUMPY, implementation="jax")


def sized(case: Any, batch: int) -> Any:
    """The case at another batch size."""
    return replace(case, problem=replace(case.problem, batch_size=batch))


def swept(path: Path) -> Path:
    """jax is fastest up to 32, then numpy; at 128 they are alike."""
    times = {8: (50, 20), 32: (60, 40), 128: (100, 101), 512: (300, 600)}
    planned, records = [], []
    for batch, microseconds in times.items():
        for case, value in zip((NUMPY, JAX), microseconds, strict=True):
            planned.append(sized(case, batch))
            records += several(planned[-1], value)
    return write(path, run_record(), plan_record(*planned), *records, COMPLETE)


def sentences(*paths: Path) -> str:
    """The summary of journals."""
    journals = [read_journal(path) for path in paths]
    return "\n".join(summary.sentences(tables.all_rows(journals), journals))


def test_summary_says_which_is_fastest_at_which_batch(tmp_path: Path) -> None:
    """Neighbouring sizes with the same answer are one; what cannot be told apart is not."""
    said = sentences(swept(tmp_path / "j"))

    assert (
        "The fastest training step of 64-32-10: jax (batch 8 to 32), numpy or jax (batch 128), "
        'numpy (batch 512). "Or": their times cannot be told apart.' in said
    )


def test_summary_says_what_vectorisation_brings_and_what_small_differences_are_worth(
    tmp_path: Path,
) -> None:
    """60 times for numpy, 20 for torch; intervals of 3 %."""
    said = sentences(laptop(tmp_path / "j"))

    assert (
        "Times faster than looped Python (training step, float64): numpy 60.0, torch 20.0" in said
    )
    assert "half of the rows have a 95 % interval within +-2 %" in said


def test_summary_says_from_which_batch_a_gpu_pays(tmp_path: Path) -> None:
    """End to end, on another machine: not at 32, then from 128 on."""
    end_to_end = replace(CUDA, transfer="end_to_end")
    cpu, gpu, planned, placed = [], [], [], []
    for batch, slow, fast in ((32, 100, 200), (128, 400, 210), (512, 1600, 220)):
        planned.append(sized(TORCH, batch))
        placed.append(sized(end_to_end, batch))
        cpu += several(planned[-1], slow)
        gpu += several(placed[-1], fast)
    one = write(tmp_path / "a", run_record(), plan_record(*planned), *cpu, COMPLETE)
    machine = run_record()["machine"] | {"gpu": "NVIDIA Test 9000, 580"}
    about: Any = run_record(machine=machine, fingerprint="beef", run="r2")
    two = write(tmp_path / "b", about, plan_record(*placed), *gpu, COMPLETE)

    said = sentences(one, two)

    assert "A GPU pays for 64-32-10, the batch's way to it included" in said
    assert "torch: from batch 128, up to 7.27 times" in said
    assert "NVIDIA Test 9000 [beef] against the CPU of Test CPU" in said


def test_crossover_figure_shows_both_machines(tmp_path: Path) -> None:
    """A laptop's CPU rows and a server's GPU rows, each named, in the figure and in its data."""
    end_to_end = replace(CUDA, transfer="end_to_end")
    machine = run_record()["machine"] | {"cpu": "Server CPU", "gpu": "NVIDIA Test 9000, 580"}
    about: Any = run_record(machine=machine, fingerprint="beef", run="r2")
    cpu, gpu = [sized(TORCH, 2**i) for i in (5, 7, 9)], [sized(end_to_end, 2**i) for i in (5, 7, 9)]
    one = [o for case, us in zip(cpu, (100, 400, 1600), strict=True) for o in several(case, us)]
    two = [o for case, us in zip(gpu, (200, 210, 220), strict=True) for o in several(case, us)]
    paths = [
        write(tmp_path / "a", run_record(), plan_record(*cpu), *one, COMPLETE),
        write(tmp_path / "b", about, plan_record(*gpu), *two, COMPLETE),
    ]
    render(paths, tmp_path / "out")

    drawn = pd.read_csv(tmp_path / "out" / "figures" / "batch_size.csv")
    assert {
        "torch cpu (float64), Test CPU, 2 cores [f00d]",
        "torch cuda end to end (float64), Server CPU, 2 cores, NVIDIA Test 9000 [beef]",
    } == set(drawn.series)
    assert {32, 128, 512} == set(drawn.x)
    page_text = (tmp_path / "out" / "report.md").read_text()
    assert "overtakes between 32 and 128" in page_text


def test_profile_counts_how_often_each_is_near_the_fastest(tmp_path: Path) -> None:
    """jax is the fastest in 2 of 4 cases and within 2.5 times in 4; what crashed never counts."""
    path = swept(tmp_path / "j")
    crashed = [sized(TORCH, batch) for batch in (8, 32)]
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(
        plan_record(*[sized(c, b) for b in (8, 32, 128, 512) for c in (NUMPY, JAX)], *crashed)
    )
    for case in crashed:
        outcome = {"record": "outcome", "case": cases.to_json(case), "status": "crashed"}
        lines.append(json.dumps(outcome | {"reason": "SIGSEGV"}))
    extra = replace(sized(NUMPY, 8), operation="forward")
    other = replace(extra, implementation="jax")
    plan = json.loads(lines[1])
    plan["cases"] += [cases.to_json(extra), cases.to_json(other)]
    lines[1] = json.dumps(plan)
    lines += [json.dumps(o) for o in [*several(extra, 10), *several(other, 30)]]
    path.write_text("\n".join(lines) + "\n")
    render([path], tmp_path / "out")

    found = pd.read_csv(tmp_path / "out" / "figures" / "profile.csv")

    def share(name: str, factor: float) -> float:
        part = found[(found.series == name) & (found.x <= factor * (1 + 1e-6))]
        return float(part.y.iloc[-1])

    assert 40 == pytest.approx(share("jax cpu", 1))  # batch 8, 32 of train_step; of five cases
    assert 100 == pytest.approx(share("jax cpu", 3.01))
    assert 0 == share("torch cpu", 100)


def test_summary_of_one_process_claims_no_certainty(tmp_path: Path) -> None:
    """It says that there are no intervals."""
    path = write(tmp_path / "j", run_record(), plan_record(NUMPY), *several(NUMPY, 50, 1))

    assert "Fewer than 5 processes: no intervals" in sentences(path)


def test_summary_says_how_near_the_machines_limit_and_why(tmp_path: Path) -> None:
    """Half of the ceiling, and what most of the time goes to."""
    rate = NUMPY.flops / 100e-6
    ceiling = {
        "record": "ceiling", "quantity": "gemm", "implementation": "numpy", "device": "cpu",
        "threads": "all", "kernel": "", "arithmetic": "float64", "value": 2 * rate, "process": 0,
    }  # fmt: skip
    small, large = sized(NUMPY, 8), sized(NUMPY, 32)
    parts = {"products_ns": 70_000, "empty_ns": 10_000}
    records = [ok(p, 100_000, large, **parts) for p in range(5)]
    records += [ok(p, 100_000, small, products_ns=1000, empty_ns=90_000) for p in range(5)]
    path = write(
        tmp_path / "j", run_record(schema=2), plan_record(small, large), ceiling, *records, COMPLETE
    )

    said = sentences(path)

    assert "numpy 50 % (64-32-10, batch 32; 70 % of the time is matrix products)" in said
    assert "and 12 % (64-32-10, batch 8; 90 % of the time is dispatch and Python)" in said


def sourced(path: Path, texts: dict[str, str]) -> Path:
    """A journal that holds the sources of its implementations."""
    records: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(texts.items()):
        sha = f"{number:012x}"
        file = f"implementations/mlp_{name}.py"
        records.append({"record": "source", "path": file, "sha256": sha, "text": text})
        records.append(
            {"record": "implementation", "name": name, "device": "cpu", "status": "ok",
             "reason": "", "files": {file: sha}}
        )  # fmt: skip
    planned = [replace(NUMPY, implementation=name) for name in texts]
    outcomes = [o for i, c in enumerate(planned) for o in several(c, 100.0 * (i + 1))]
    return write(path, run_record(schema=2), *records, plan_record(*planned), *outcomes, COMPLETE)


def ours(*names: str) -> dict[str, str]:
    """The sources of this checkout."""
    return {n: (ROOT / "implementations" / f"mlp_{n}.py").read_text() for n in names}


def test_idioms_stand_side_by_side_with_their_equations_in_line(tmp_path: Path) -> None:
    """Every line of both functions once and in order; F1 beside F1, B2 beside B2."""
    texts = ours("scalar", "numpy", "torch", "jax")
    journals = [read_journal(sourced(tmp_path / "j", texts))]

    forward, gradient = listing.listings(journals)

    assert ("scalar", "numpy", "torch", "jax") == forward.names == gradient.names
    for place, text in enumerate(texts.values()):
        shown = "\n".join(line.texts[place] for line in forward.lines if line.texts[place])
        signature, body = listing.split(text, "forward")
        assert f"{signature}\n{body}" == shown
    tags = [line.tag for line in forward.lines]
    assert tags.index("F1") < tags.index("F2") < tags.index("F3")
    for tag in ("F1", "F2", "F3"):
        (line,) = [line for line in forward.lines if line.tag == tag]
        assert all(tag in text for text in line.texts), line
    b2 = [line for line in gradient.lines if line.tag == "B2"]
    assert any(line.texts[0] and line.texts[1] and not line.texts[3] for line in b2)


def test_lines_of_code_are_counted_without_comments_and_docstrings() -> None:
    """And a statement on three lines is three."""
    text = '"""Doc."""\n\n# no\nx = 1  # yes\n\n\ndef f(\n    a,\n):\n'
    text += '    """Doc\n    more."""\n    return a\n'

    assert 5 == listing.count(text)
    assert 0 == listing.count("def broken(")


def test_source_of_another_checkout_is_noted(tmp_path: Path) -> None:
    """Changed, missing, or the same."""
    texts = ours("numpy", "jax")
    same = [read_journal(sourced(tmp_path / "a", texts))]
    other = [read_journal(sourced(tmp_path / "b", {**texts, "numpy": "x = 1", "mine": "y = 1"}))]

    assert 1 == len(listing.notes(same))
    said = listing.notes(other)
    assert "This checkout has another implementations/mlp_numpy.py." in said
    assert "This checkout does not have implementations/mlp_mine.py." in said


def test_lines_against_speed(tmp_path: Path) -> None:
    """The fastest has factor 1; the other twice its time."""
    journals = [read_journal(sourced(tmp_path / "j", ours("numpy", "torch")))]
    found = listing.lines_and_speed(tables.all_rows(journals), journals).set_index("implementation")

    assert 1 == pytest.approx(found.factor["numpy"]) and 2 == pytest.approx(found.factor["torch"])
    assert 60 < found.lines["numpy"] < 200


def test_figure_data_is_what_is_drawn() -> None:
    """Lines, error bars, bars on an axis of names, an image; not the lines at the edge."""
    figure, (a, b, c) = plt.subplots(1, 3)
    a.errorbar([1, 2], [3, 4], yerr=[[1, 1], [2, 2]], label="one")
    a.plot([1.5], [0.9], "x", transform=a.get_xaxis_transform())
    b.barh([0, 1], [5, 6], label="two")
    b.set_yticks([0, 1], ["first", "second"])
    c.imshow([[1, 2], [3, 4]])
    a.set_title("A")

    found = saving.data(figure)
    plt.close(figure)

    one = found[found.panel == "A"]
    assert [[1, 3, 2, 5], [2, 4, 3, 6]] == one[["x", "y", "low", "high"]].to_numpy().tolist()
    two = found[found.series == "two"]
    assert [("first", 5), ("second", 6)] == list(zip(two.y, two.x, strict=True))
    assert [1, 2, 3, 4] == found[found.series == "image"].value.tolist()


def test_figure_data_of_regions_and_points() -> None:
    """The cells of a mesh by their centres, the points of a cloud; not the colour bar."""
    figure, axes = plt.subplots()
    mesh = axes.pcolormesh([0, 1], [0, 1], [[1, 2], [3, 4]])
    figure.colorbar(mesh)
    axes.scatter([0.5], [0.25], label="class 1")

    found = saving.data(figure)
    plt.close(figure)

    cells = found[found.series == "image"][["x", "y", "value"]]
    assert [[0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 1, 4]] == cells.to_numpy().tolist()
    assert [0.5, 0.25] == found[found.series == "class 1"][["x", "y"]].to_numpy()[0].tolist()
    assert 5 == len(found)


def test_figure_data_of_dates_at_some_places_are_numbers() -> None:
    """A place without a name of its own is not given its neighbour's; a log axis has numbers."""
    figure, (a, b) = plt.subplots(1, 2)
    a.plot([0, 1, 2, 3], [1, 2, 3, 4])
    a.set_xticks([0, 3], ["Monday", "Thursday"])
    b.bar(["p", "q"], [10, 100])
    b.set_yscale("log")

    found = saving.data(figure)
    plt.close(figure)

    assert [0, 1, 2, 3, "p", "q"] == found.x.tolist()
    assert [10, 100] == found.y.tolist()[4:]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("97.4 us", 97.4e-6),
        ("1,230 s", 1230),
        ("6.12 ms (float64)", 6.12e-3),
        ("95.0 us to 101 us", 95e-6),
        ("12 KiB", 12288),
        ("1.2e-07 (dW1)", 1.2e-7),
        ("-3 %", -3),
        ("64-32-10", None),
        ("skipped", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_cells_sort_by_their_number(text: str, value: float | None) -> None:
    """In the unit's base; layers are no number."""
    assert value == pytest.approx(page.order(text)) if value else page.order(text) is None


def test_long_texts_are_cut(tmp_path: Path) -> None:
    """A reason of a million characters costs a line, not a page."""
    case = replace(NUMPY, implementation="n" * 10_000)
    record = {"record": "outcome", "case": cases.to_json(TORCH), "status": "crashed"}
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
    problem = replace(F64, workload=evil)
    case = replace(NUMPY, implementation=evil, problem=problem)
    other = replace(case, device=evil, implementation="numpy")
    machine = dict.fromkeys(("cpu", "cores", "gpu", "commit", evil), evil)
    about = run_record(machine=machine, run=evil, preset=evil, command=evil, fingerprint=evil,
                       started=evil, schema=2)  # fmt: skip
    path = write(
        tmp_path / "j",
        about,
        {"record": "source", "path": evil, "sha256": "aa", "text": evil},
        {"record": "implementation", "name": evil, "device": "cpu", "status": "ok",
         "reason": evil, "facts": {evil: evil}, "files": {evil: "aa"}},
        plan_record(case, other, TORCH),
        *several(case, 50),
        *[dict(o, gate={"name": evil, "error": 1e-7, "bound": 1e-5}) for o in several(other, 70)],
        {"record": "outcome", "case": cases.to_json(TORCH), "status": "crashed", "reason": evil},
    )  # fmt: skip

    render([path], tmp_path / "out")

    html = without_scripts(tmp_path / "out" / "index.html")
    assert 0 == len(re.findall(r"<script>alert|<img src=x|onload='x'", html))
    figures = html.count("<figure")
    assert 3 + 2 * figures == len(re.findall(r"<script", html))  # library, ours, samples; data
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


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_wrong_in_a_journal_the_rest_is_read(tmp_path: Path, seed: int) -> None:
    """Random damage to the lines of a good journal: a report all the same, or one clear error."""
    chance = random.Random(seed)
    texts = ours("numpy")
    lines = sourced(tmp_path / "s", texts).read_text().splitlines()
    lines += laptop(tmp_path / "l").read_text().splitlines()[1:]
    for _ in range(6):
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(mutated(json.loads(lines[place]), chance))
    (tmp_path / "j").write_text("\n".join(lines) + "\n")

    try:
        journal = read_journal(tmp_path / "j")
    except NotAJournalError:
        return
    rows = tables.all_rows([journal])
    made = content.content([journal], rows, {})
    (tmp_path / "figures").mkdir()

    assert page.markdown(made) and page.html(made, tmp_path / "figures")


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b'{"record": "outcome", "a": NaN}',
        b'{"record": "ceiling", "value": 1e999}',
        b"\xff\xfe\x00garbage",
        b'{"record": "parity", "losses": [Infinity]}',
    ],
)
def test_line_that_no_parser_likes_is_left_out(tmp_path: Path, line: bytes) -> None:
    """Nesting without end, numbers that are none, bytes that are no text."""
    path = laptop(tmp_path / "j")
    path.write_bytes(path.read_bytes() + line + b"\n")

    journal = read_journal(path)

    (warning,) = journal.warnings
    assert "is not usable" in warning and len(warning) < 400


def test_line_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out, and what comes after it is read."""
    monkeypatch.setattr("benchmarks.journal.LONGEST_LINE", 10_000)
    path = laptop(tmp_path / "j")
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"x" * 35_000 + b"\n" + b"".join(rest))

    journal = read_journal(path)

    assert journal.complete
    assert "longer than 10,000 bytes" in journal.warnings[0]
    assert LONGEST_LINE >= 2**20


def test_one_bad_journal_among_good_ones_is_named(tmp_path: Path) -> None:
    """The others are in the report, and the report says that one is not."""
    (tmp_path / "bad").write_text("no journal")
    lines = render(
        [laptop(tmp_path / "a"), tmp_path / "bad", server(tmp_path / "b")], tmp_path / "o"
    )

    assert any("bad" in line and line.startswith("warning:") for line in lines)
    html = (tmp_path / "o" / "index.html").read_text()
    assert "Test CPU" in html and "Server CPU" in html and "not a samegrad journal" in html


def test_many_journals_are_merged_and_the_newest_of_each_machine_shown(tmp_path: Path) -> None:
    """All rows in results.csv; the page names its choice, and has the course of the runs."""
    for number in range(14):
        about = run_record(
            run=f"r{number}", started=f"2026-01-{number + 1:02}", fingerprint=f"f{number % 2}"
        )
        write(tmp_path / f"j{number}", about, plan_record(NUMPY), *several(NUMPY, 50 + number),
              COMPLETE)  # fmt: skip
    render([tmp_path / f"j{number}" for number in range(14)], tmp_path / "out")

    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert 14 == len(table) == table.source.nunique()
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "14 runs; the newest of each machine is shown here (2)" in markdown
    assert "Course of the runs" in markdown and "run r13" in markdown and "run r12" in markdown
    assert (tmp_path / "out" / "figures" / "history.png").exists()


def test_parts_of_one_measurement_are_shown_as_one(tmp_path: Path) -> None:
    """Same machine and commit, other cases; not where a case is in both, or the commit differs."""
    one = write(tmp_path / "a", run_record(run="fast"), plan_record(NUMPY), *several(NUMPY, 100),
                COMPLETE)  # fmt: skip
    slow = write(tmp_path / "b", run_record(run="slow", command="pytest -k scalar"),
                 plan_record(SCALAR), *several(SCALAR, 6000), COMPLETE)  # fmt: skip
    later = write(tmp_path / "c", run_record(run="later"), plan_record(NUMPY), *several(NUMPY, 90),
                  COMPLETE)  # fmt: skip
    machine = run_record()["machine"] | {"commit": "def"}
    about: Any = run_record(run="other", machine=machine)
    other = write(tmp_path / "d", about, plan_record(SCALAR), *several(SCALAR, 5000), COMPLETE)

    found = loading.load([one, slow])
    assert 1 == found.rows.source.nunique() and 2 == len(found.rows)
    assert "fast and slow" == found.runs[0]["run"]
    assert "pytest\npytest -k scalar" == found.runs[0]["command"]
    assert 60 == pytest.approx(tables.over_scalar(found.rows).speed_up.iloc[0], rel=1e-3)
    for pair in ([one, later], [one, other]):
        assert 2 == loading.load(pair).rows.source.nunique()


def test_runs_of_one_name_stay_apart() -> None:
    """Two journals called out on one machine are two sources."""
    labels = tables.labels([run_record(run="out")] * 3)

    assert 3 == len(set(labels))


def test_folder_of_runs_is_all_of_its_journals(tmp_path: Path) -> None:
    """And the folder of one run is that one."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        laptop(tmp_path / name / "journal.jsonl")

    assert 2 == len(loading.paths([str(tmp_path)]))
    assert [tmp_path / "a" / "journal.jsonl"] == loading.paths([str(tmp_path / "a")])


def test_parquet_holds_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the library; without it, one line that says what to install."""
    from reports.__main__ import main

    journal = laptop(tmp_path / "j")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        assert 2 == main(["render", str(journal), "--parquet"])
        assert 'pip install "samegrad[parquet]"' in capsys.readouterr().err
        return
    assert 0 == main(["render", str(journal), "--parquet"])
    found = pd.read_parquet(tmp_path / "results.parquet")
    assert 5 == len(found) and np.isfinite(found.seconds).sum() == 3


def test_samples_are_the_blocks_of_the_rows(tmp_path: Path) -> None:
    """In the order of the table; packed and unpacked again."""
    journals = [read_journal(laptop(tmp_path / "j"))]
    made = content.content(journals, tables.all_rows(journals), {})

    assert 3 == len(made.samples)
    assert [[6_060_000.0] * 3] == made.samples[0][1]  # scalar, the second process, its visit
    import base64

    packed = page.packed(json.dumps(made.samples))
    assert made.samples == json.loads(gzip.decompress(base64.b64decode(packed)))


def test_spec_of_every_case_is_checked_when_read() -> None:
    """Names that are no texts and sizes that are no sizes."""
    data = cases.to_json(SCALAR)
    for wrong in (
        {**data, "device": 3},
        {**data, "operation": "guess"},
        {**data, "precision": "half"},
        {**data, "problem": {**data["problem"], "batch_size": -1}},
        {**data, "problem": {**data["problem"], "examples": 10**30}},
        {**data, "problem": {**data["problem"], "workload": ["a"]}},
    ):
        with pytest.raises(ValueError, match=r"case|operation"):
            cases.from_json(wrong)
    assert MLPSpec((64, 32, 10), dtype="float64") == cases.from_json(data).problem.spec
