"""What a terminal shows: within its width, coloured only where it has colours."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samegrad.implementations.contract.texts import say
from samegrad.reports.data.matrix import matrix
from samegrad.reports.document import page, terminal
from samegrad.reports.render import document
from tests.helpers.journals import plan_record, run_record, write
from tests.helpers.reports import F64, NUMPY, laptop, report_of, several
from tests.reports.data.test_matrix import requests


def shown(path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The matrix of a journal in a terminal that wide."""
    monkeypatch.setenv("COLUMNS", str(width))
    return list(terminal.matrix(matrix(report_of(path))))


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_matrix_keeps_to_the_width(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight implementations: below each other where they do not fit, and none is lost.

    A single one needs the name of a case and a time, which 20 columns do not hold.
    """
    cases = [replace(NUMPY, implementation=f"mine{number}") for number in range(8)]
    records = [o for i, case in enumerate(cases) for o in several(case, 100.0 * (i + 1))]
    path = write(tmp_path / "j", run_record(), plan_record(*cases), *records)

    lines = shown(path, width, monkeypatch)

    assert max(map(len, lines)) <= max(width, 40)
    for case in cases:
        assert 1 == sum(case.implementation in line.split() for line in lines)
    assert (1 if width == 200 else 2) <= sum("train_step" in line for line in lines)


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "colours"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_for_terminals_that_have_them(
    stream: Any, environment: dict[str, str], colours: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The best in green; without colours, the mark alone."""
    lines = shown(laptop(tmp_path / "j"), 80, monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)

    for line in lines:
        say(line)

    printed = stream.getvalue()
    assert colours == ("\x1b[1;32m102 us 1.0*\x1b[0m" in printed) == ("\x1b" in printed)
    assert colours or "102 us 1.0*" in printed


def test_thousands_of_lines_are_for_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets some, and how many more there are."""
    cases = [replace(NUMPY, workload=replace(F64, batch_size=size)) for size in range(1, 200)]
    path = write(tmp_path / "j", run_record(), plan_record(*cases))

    lines = shown(path, 80, monkeypatch)

    assert len(lines) < 200 and "and 49 more lines, in the report" == lines[-1]


def test_latency_stands_below_throughput_in_every_form(tmp_path: Path) -> None:
    """Terminal, Markdown and page: who is the fastest in a row, and by single calls."""
    report = requests(tmp_path / "j", numpy=(39, 40), jax=(15.8, 168))

    shown = list(terminal.matrix(matrix(report)))
    made = document(report)
    text, whole = page.markdown(made), page.html(replace(made, chapters=[], first=None), tmp_path)

    row, single = shown[-2:]
    assert row.split() == ["forward", "1", "39.8", "us", "1.0", "16.1", "us", "0.41*"]
    assert single.split()[2:] == ["single", "(p50)", "40.0", "us", "1.0*", "168", "us", "4.2"]
    (line,) = [line for line in text.splitlines() if "forward 1, single (p50)" in line]
    assert ["**40.0 us** (1.0)", "168 us (4.2)"] == [c.strip() for c in line.split("|")[2:4]]
    assert '<th scope="row">forward 1, single (p50)</th>' in whole
    assert "single (p50): calls one at a time" in " ".join(" ".join(shown).split())
