"""Every command keeps to a terminal of 80 columns, but for what is there to be copied."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import SHOWN, main
from samegrad.implementations.contract import columns
from samegrad.implementations.contract.commands import command

WIDTH = 80
EXAMPLE = str(ROOT / "reports" / "results" / "example")
PEERS = str(ROOT / "reports" / "results" / "peers")


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


def lines_of(*arguments: str) -> Iterator[str]:
    """What a command shows in a terminal of that width."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    terminal, end = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1"}
    child = subprocess.Popen([sys.executable, "-m", "samegrad", *arguments], cwd=ROOT,
                             stdin=end, stdout=end, stderr=end, env=environment)  # fmt: skip
    os.close(end)
    parts = []
    with contextlib.suppress(OSError):  # its end
        while part := os.read(terminal, 2**16):
            parts.append(part)
    os.close(terminal)
    child.wait()
    yield from b"".join(parts).decode().replace("\r\n", "\n").split("\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        *((name, "--help") for name in ("benchmark", "verify", "advise", "versions")),
        *(pytest.param((name, "--help"), marks=pytest.mark.full) for name in SHOWN),
        ("exercise", "list"),
        pytest.param(("results", "list"), marks=pytest.mark.full),
        ("workloads",),
        ("pictures",),
        pytest.param(("compare", EXAMPLE, EXAMPLE), marks=pytest.mark.full),
        ("compare", EXAMPLE, PEERS),
        ("advise", "--layers", "784-256-10", "--runs", EXAMPLE),
        ("verify", "numpy", "--layers", "4-3-2", "--dtype", "float64"),
    ],
    ids=" ".join,
)
def test_terminal_of_80_columns_is_wide_enough(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables fold or come nearer; sentences break. `verify` is in a terminal of the system."""
    if arguments[0] == "verify":
        lines = lines_of(*arguments)
    else:
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("COLUMNS", str(WIDTH))
        monkeypatch.setenv("NO_COLOR", "1")
        assert main(arguments) in (0, 1)
        lines = iter(terminal.getvalue().split("\n"))
    shown = [line.rpartition("\r")[2] for line in lines]
    copied = command().rpartition(" ")[2]  # a command, however it is started here

    assert any(shown)
    assert [] == [line for line in shown if len(line) > WIDTH and copied not in line]


def test_table_folds_its_last_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside itself where there is room, below where there is none; in a pipe not at all."""
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    rows = [("a", "1", "some words that are longer than the line"), ("bb", "22", "x" * 39)]

    shown = list(columns.table(rows, right=(1,)))

    assert "a    1  some words that are longer than" == shown[0]
    assert ["        the line", "bb  22", f"    {'x' * 39}"] == shown[1:]
    monkeypatch.setattr("sys.stdout", None)
    assert 2 == len(list(columns.table(rows)))


def test_commands_are_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there to be copied."""
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    line = f"  {command('render', str(Path('some') / 'folder'))} {'--an-option value ' * 3}"

    assert [line] == list(columns.folded([line]))


def test_command_in_a_sentence_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is longer than a line."""
    monkeypatch.setenv("COLUMNS", "40")

    assert ["Nothing was compared: rerun, or", "  `samegrad benchmark --wait-quiet 600`."] == list(
        columns.sentences(
            ["Nothing was compared: rerun, or `samegrad benchmark --wait-quiet 600`."]
        )
    )
    assert ["See `one --option two --option three", "  --option four`."] == list(
        columns.sentences(["See `one --option two --option three --option four`."])
    )


def test_wide_table_has_its_first_cell_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the others below each other."""
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    name = "a long name that a case has here"
    rows = [(name, "1", "10 us", "one"), ("short", "22", "3 us", "two")]

    assert [] == list(columns.table([]))
    expected = [name, "    1   10 us  one", "short", "    22  3 us   two"]
    assert expected == list(columns.table(rows))
