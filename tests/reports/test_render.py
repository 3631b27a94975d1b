"""The report shows what the journals hold, no more and no less."""

import csv
import json
import math
import re
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.clock.intervals import interval
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.records import schema
from samegrad.cli import main
from samegrad.reports.data import analysis
from samegrad.reports.data import report as data
from samegrad.reports.data.values import duration
from samegrad.reports.render import render
from tests.helpers.journals import plan_record, run_record, write
from tests.helpers.reports import (
    COMPLETE,
    F64,
    NUMPY,
    TORCH,
    cost_series,
    laptop,
    report_of,
    server,
    several,
    without_number,
    without_scripts,
)


def test_cost_of_differentiation_is_gradient_over_forward_time(tmp_path: Path) -> None:
    """4 passes by reverse mode, 300 by forward mode; what was skipped says so."""
    costs = analysis.differentiation(report_of(cost_series(tmp_path / "j")).rows)

    by_case = {(r.implementation, r.parameters): r for r in costs.itertuples()}
    assert {("numpy", 30), ("numpy", 108), ("dual", 30), ("dual", 108)} == set(by_case)
    assert by_case["numpy", 108].ratio == pytest.approx(4, rel=1e-3)
    assert by_case["dual", 30].ratio == pytest.approx(300, rel=1e-3)
    low, high = by_case["dual", 30].ratio_low, by_case["dual", 30].ratio_high
    assert low < 300 < high
    assert math.isnan(by_case["dual", 108].ratio)
    assert "skipped: predicted 42 s a process" == by_case["dual", 108].reason


def test_report_shows_the_cost_of_differentiation(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As a figure and as a table; a report without such rows has neither."""
    render([cost_series(tmp_path / "j")], tmp_path / "with")
    request.getfixturevalue("no_figures")
    render([laptop(tmp_path / "k")], tmp_path / "without")

    for text in ((tmp_path / "with" / name).read_text() for name in ("index.html", "report.md")):
        assert "Cost of differentiation" in text
        assert "gradient / forward" in text and "skipped: predicted 42 s" in text
    assert (tmp_path / "with" / "figures" / "cost_of_differentiation.png").stat().st_size > 5000
    assert "Cost of differentiation" not in (tmp_path / "without" / "report.md").read_text()
    assert not (tmp_path / "without" / "figures" / "cost_of_differentiation.png").exists()


def test_report_has_every_part(tmp_path: Path) -> None:
    """Page, Markdown, CSV, figures as PNG and SVG; the page needs nothing from outside."""
    rendered = render([laptop(tmp_path / "j")], tmp_path / "out")

    out = tmp_path / "out"
    assert out / "index.html" == rendered.page
    assert f"report: {out / 'index.html'}" == rendered.lines[-1]
    page = without_scripts(out / "index.html")
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "http:" not in page and "https:" not in page
    for name in ("time_per_step", "over_looped_python", "gflops", "gradient_error"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
        assert (out / "figures" / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    for text in (page, (out / "report.md").read_text()):
        assert "predicted 42 s a process" in text
        assert "dW1: error 0.001" in text
        assert "Test CPU" in text
        assert "No GPU on this machine" in text
        assert "3 of 5 rows have a number; 1 skipped, 1 wrong." in text
    assert (
        "<code>python -m samegrad advise --layers 64-32-10 --gpu &#34;H100 PCIe&#34;</code>."
        in page
    )


@pytest.mark.usefixtures("no_figures")
def test_rows_of_a_run_are_computed_once_and_its_records_are_checked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is shown of them: rows and labels are data that the report is made from."""
    counts: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(module, name, counted)

    count(results, "rows")
    count(data, "labels")
    count(data, "frame")
    count(schema, "check")
    journals = [laptop(tmp_path / "a"), server(tmp_path / "b")]
    records = sum(len(path.read_text().splitlines()) for path in journals)

    render(journals, tmp_path / "out")

    assert {"rows": 2, "labels": 1, "frame": 1, "check": records} == counts


@pytest.mark.usefixtures("no_figures")
def test_every_number_is_that_of_the_journal(tmp_path: Path) -> None:
    """Recomputed from the raw lines by a script that shares nothing with the report."""
    path = laptop(tmp_path / "j")
    render([path], tmp_path / "out")
    medians: dict[tuple[str, str], list[float]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record.get("status") == "ok":
            key = record["case"]["implementation"], record["case"]["operation"]
            seconds = statistics.median(record["elapsed_ns"]) / record["calls"] / 1e9
            medians.setdefault(key, []).append(seconds)

    with (tmp_path / "out" / "results.csv").open() as file:
        rows = {(r["implementation"], r["operation"]): r for r in csv.DictReader(file)}

    for key, values in medians.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        assert float(rows[key]["seconds"]) == pytest.approx(mean)
        assert float(rows[key]["examples_per_second"]) == pytest.approx(32 / mean)
        sem = statistics.stdev(map(math.log, values)) / math.sqrt(len(values))
        low = mean * math.exp(-2.7764451 * sem)  # Student's t, 4 degrees of freedom, 97.5 %
        assert float(rows[key]["seconds_low"]) == pytest.approx(low)
        weights = 64 * 32 + 32 * 10
        flops = 2 * 32 * (3 * weights - 64 * 32)
        assert float(rows[key]["gflops_per_second"]) == pytest.approx(flops / mean / 1e9)
    assert "" == rows["scalar", "epoch"]["seconds"]


def test_speed_up_over_looped_python_is_formed_in_float64_on_one_machine(tmp_path: Path) -> None:
    """60 times for NumPy; the server has no looped Python, so it has no such ratio."""
    report = report_of(laptop(tmp_path / "a"), server(tmp_path / "b"))

    speed_ups = analysis.over_looped(report.rows)

    by_name = {row.implementation: row for row in speed_ups.itertuples()}
    assert {"numpy", "torch"} == set(by_name)
    assert by_name["numpy"].speed_up == pytest.approx(60, rel=1e-3)
    assert by_name["numpy"].speed_up_low < 60 < by_name["numpy"].speed_up_high


@pytest.mark.usefixtures("no_figures")
def test_machines_merge_and_stay_apart(tmp_path: Path) -> None:
    """A laptop's CPU rows and a server's GPU rows: ratios name both machines."""
    journals = [laptop(tmp_path / "a"), server(tmp_path / "b")]
    render(journals, tmp_path / "out")

    (ratio,) = analysis.gpu_over_cpu(report_of(*journals).rows).itertuples()

    assert ratio.end_to_end_speed_up == pytest.approx(5, rel=1e-3)
    assert ratio.resident_speed_up == pytest.approx(30, rel=1e-3)
    assert "Test CPU" in ratio.cpu and "NVIDIA Test 9000" in ratio.gpu
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Server CPU, 2 cores, NVIDIA Test 9000 [beef]" in page
    assert "Test CPU, 2 cores [f00d]" in page
    assert (tmp_path / "out" / "figures" / "gpu_over_cpu.png").exists()


def test_two_runs_of_one_machine_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """Each row keeps its run."""
    first = laptop(tmp_path / "a")
    second = write(tmp_path / "b", run_record(run="r9"), plan_record(NUMPY), *several(NUMPY, 50))

    rows = report_of(first, second).rows

    numpy_rows = rows[(rows.implementation == "numpy") & (rows.operation == "train_step")]
    assert 2 == numpy_rows.source.nunique()
    assert {"r1", "r9"} == set(numpy_rows.run)


@pytest.mark.usefixtures("no_figures")
def test_partial_run_is_marked(tmp_path: Path) -> None:
    """A journal without its last record, and one whose last line was cut."""
    path = write(tmp_path / "j", run_record(), plan_record(NUMPY, TORCH), *several(NUMPY, 50))
    with path.open("a") as file:
        file.write('{"record": "outco')

    lines = render([path], tmp_path / "out").lines

    assert any("cut off in the middle" in line for line in lines)
    assert any(line.startswith("PARTIAL") for line in lines)
    assert "PARTIAL" in (tmp_path / "out" / "report.md").read_text()
    assert "the run ended before it was measured" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.usefixtures("no_figures")
def test_text_from_a_journal_is_escaped(tmp_path: Path) -> None:
    """An implementation called <script> and a reason with quotes and pipes break nothing."""
    evil = '<script>alert("1|2")</script>'
    case = replace(NUMPY, implementation=evil)
    path = write(
        tmp_path / "j",
        run_record(preset=evil),
        plan_record(case, TORCH),
        *several(case, 50),
        without_number(TORCH, "crashed", evil),
    )

    render([path], tmp_path / "out")

    assert "<script>alert" not in without_scripts(tmp_path / "out" / "index.html")
    assert "<script" not in (tmp_path / "out" / "report.md").read_text()


def test_fewer_than_five_processes_have_no_interval(tmp_path: Path) -> None:
    """Nor has a preset that promises none."""
    few = write(tmp_path / "a", run_record(), plan_record(NUMPY), *several(NUMPY, 50, 4))
    hello = write(
        tmp_path / "b", run_record(intervals=False), plan_record(NUMPY), *several(NUMPY, 50)
    )

    for path in (few, hello):
        (row,) = report_of(path).rows.itertuples()
        assert row.seconds > 0 and math.isnan(row.seconds_low) and math.isnan(row.seconds_high)


def test_interval_covers_the_truth_as_often_as_it_claims() -> None:
    """5 processes that differ by 5 %: 95 % of intervals hold the true time, within 2 %."""
    rng = np.random.default_rng(0)
    samples = np.exp(rng.normal(0, 0.05, (4000, 5)))

    hits = sum(low < 1 < high for low, high in map(interval, samples.tolist()))

    assert 0.93 < hits / 4000 < 0.97


def test_render_command_refuses_what_is_no_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit status 2; so for a directory without a journal."""
    (tmp_path / "j").write_text("no journal")

    for place in (str(tmp_path / "j"), str(tmp_path)):
        assert 2 == main(["render", place])
        printed = capsys.readouterr()
        assert "samegrad render: error: " in printed.err and 1 == printed.err.count("\n")


@pytest.mark.usefixtures("no_figures")
def test_render_command_writes_where_it_is_told(tmp_path: Path) -> None:
    """As a user types it, from another folder; in a process of its own: tests/door/test_forms."""
    journal = laptop(tmp_path / "j")

    assert 0 == main(["render", str(journal), "--output", str(tmp_path / "o")])

    assert (tmp_path / "o" / "index.html").exists()
    assert "60" in (tmp_path / "o" / "report.md").read_text()


def test_empty_plan_renders(tmp_path: Path) -> None:
    """A run that was stopped before its first record still has a page."""
    render([write(tmp_path / "j", run_record())], tmp_path / "out")

    assert "0 of 0 rows" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1234.5, "1,230 s"),
        (1.0, "1.00 s"),
        (0.0974, "97.4 ms"),
        (9.7e-5, "97.0 us"),
        (5e-9, "5.00 ns"),
    ],
)
def test_duration_has_three_digits_and_a_unit(seconds: float, text: str) -> None:
    """Nothing where there is nothing."""
    assert text == duration(seconds)
    assert "" == duration(math.nan)


@pytest.mark.usefixtures("no_figures")
def test_too_many_rows_for_a_page_are_all_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page has the first of them, and every form says so; their archive's summary has all."""
    monkeypatch.setattr(data, "MOST_SHOWN", 3)
    cases = [replace(NUMPY, workload=replace(F64, batch_size=size)) for size in range(11, 16)]
    outcomes = [outcome for case in cases for outcome in several(case, 100, 1)]
    path = write(tmp_path / "journal.jsonl", run_record(), plan_record(*cases), *outcomes, COMPLETE)

    made = render(path)

    said = "5 rows are too many for one page: the first 3 of each run are shown here"
    assert said in " ".join(capsys.readouterr().err.split())
    assert "3 of 3 rows have a number (results.csv has 5)." in made.summary
    for name in ("report.md", "index.html"):
        text = (tmp_path / name).read_text()
        assert said in " ".join(text.split())
        assert "train_step 13" in text and "train_step 14" not in text
    assert 1 + 5 == len((tmp_path / "results.csv").read_text().splitlines())
    assert 5 == len(json.loads((tmp_path / "summary.json").read_text())["rows"])
