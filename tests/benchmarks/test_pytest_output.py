"""`samegrad benchmark` shows its own progress; what pytest shows comes when somebody asks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.pytest_output import ASKED, MOST_REASONS, without_number
from samegrad.benchmarks.records import rows
from tests.helpers import planted
from tests.helpers.reports import laptop, report_of

PYTESTS = ("test session starts", "collected", "passed", "skipped", "[100%]", "KeyboardInterrupt")
QUICK = ("--preset", "hello", "--time", "5", "--implementation")


def benchmark(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """The command, in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "samegrad", "benchmark", *options, "--output", str(folder / "run")],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_run_shows_nothing_of_pytest_and_why_rows_have_no_number(tmp_path: Path) -> None:
    """A wrong file's rows have their reason in a line, and cost the exit status."""
    path = tmp_path / "wrong.py"
    path.write_text(planted.RIGHT.replace("        delta = delta / n\n", ""))
    started = benchmark(tmp_path, *QUICK, str(path), "-k", "digits and float64")
    shown, _ = started.communicate()

    assert 1 == started.returncode, shown
    assert [] == [word for word in PYTESTS if word in shown]
    assert "first" in shown and "\nwrong: wrong, 2 rows: " in shown.replace("1 row: ", "2 rows: ")
    assert shown.splitlines()[-1].startswith("report: ")


def test_expression_that_fits_no_case_is_said(tmp_path: Path) -> None:
    """Of the preset's cases; pytest alone would end without a word."""
    started = benchmark(tmp_path, *QUICK, "numpy", "-k", "nowhere")
    shown, _ = started.communicate()

    assert 2 == started.returncode and not (tmp_path / "run").exists()
    assert shown.splitlines()[-1].startswith("samegrad: -k or -m leaves none of the cases")


def test_run_without_a_usable_number_saves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own line, and without a warning of pytest-benchmark's."""
    monkeypatch.setenv(system.SHARED, "2 runs")
    started = benchmark(tmp_path, *QUICK, "numpy", "-k", "train_step", "--benchmark-json=a.json")
    shown, _ = started.communicate()

    assert 1 == started.returncode and "Warning" not in shown, shown
    assert "unusable); the exit status is 1; no row is there to be saved\nreport: " in shown


def test_interrupt_is_one_line(tmp_path: Path) -> None:
    """And how to go on."""
    journal = tmp_path / "run" / "journal.jsonl"
    started = benchmark(tmp_path, "--preset", "hello", "--implementation", "numpy")
    while started.poll() is None:
        if journal.exists() and '"outcome"' in journal.read_text():
            break
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    shown, _ = started.communicate()

    assert 130 == started.returncode, shown
    assert "interrupted" in shown.splitlines() and "to go on: " in shown
    assert [] == [word for word in PYTESTS if word in shown]


@pytest.mark.parametrize(
    ("option", "asks"),
    [("-v", True), ("-rs", True), ("--collect-only", True), ("--tb=short", True),
     ("--benchmark-sort=name", True), ("-k", False), ("--resume=run", False), ("-x", False),
     ("--benchmark-json=x", False), ("--retry-failed", False)],
)  # fmt: skip
def test_what_asks_pytest_for_something(option: str, asks: bool) -> None:
    """Options that select, and those of ours, do not."""
    assert asks == (ASKED.fullmatch(option) is not None)


def test_reasons_are_told_once_and_failures_first(tmp_path: Path) -> None:
    """Rows with a number say nothing; of many reasons, some."""
    report = report_of(laptop(tmp_path / "j"))
    found = list(rows.rows(report.journals[0]))
    without = [row for row in found if row.status != "ok"]

    lines = without_number([*found, *found])

    assert without and 0 < len(lines) <= MOST_REASONS + 1
    statuses = [line.split(":")[0] for line in lines]
    assert statuses == sorted(statuses, key=lambda s: s in ("skipped", "unavailable"))
    assert [] == without_number(row for row in found if row.status == "ok")
