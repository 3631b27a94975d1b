"""Hints pin what cannot be guessed."""

from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.checking.objects import lines as explaining
from samegrad.implementations.reading.hints import Hints, parse
from tests.helpers.read_here import read_here

THING = """
import numpy as np


class Thing:
    def __init__(self, a, b):
        self.q = np.random.randn(a, 5)
        self.r = np.random.randn(5, b)

    def go(self, X):
        self.h = np.tanh(X @ self.q)
        return self.h @ self.r

    def badness(self, X, y):
        return 3 * ((self.go(X) - y) ** 2).sum()

    def push(self, X, y):
        d = 6 * (self.go(X) - y)
        return self.h.T @ d, X.T @ (d @ self.r.T * (1 - self.h ** 2))
"""
LINES = ("net = Thing(4, 3)", "loss = net.badness(X, y)", "backward = net.push(X, y)")


@pytest.mark.parametrize(("fault", "verdict"), [("", "agrees"), ("(1 - self.h ** 2)", "disagrees")])
def test_hints_in_a_file_pin_its_reading(
    fault: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class whose names say nothing."""
    monkeypatch.setattr(explaining, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "thing.py"
    lines = "".join(f"# samegrad: {line}\n" for line in LINES)
    file.write_text(lines + (THING.replace(fault, "(1 - self.h)") if fault else THING))

    assert verdict == read_here(file).verdict


def test_hints_of_the_command_line_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with --hint; the verdict also goes to a JUnit file."""
    file, junit = tmp_path / "thing.py", tmp_path / "junit.xml"
    file.write_text(THING)

    hints = [word for line in LINES for word in ("--hint", line)]
    status = main(["verify", str(file), *hints, "--junit", str(junit)])

    assert 0 == status
    assert "thing.py: AGREES" in capsys.readouterr().out
    assert 'tests="1" failures="0"' in junit.read_text()


def test_one_file_that_fails_does_not_end_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 for one that disagrees, with all in the JUnit file."""
    files = {
        "ends.py": "import os\n\n\nclass A:\n    def __init__(self):\n        os._exit(1)\n\n"
        "    def forward(self, X): ...\n\n    def backward(self, X): ...\n",
        "wrong.py": "".join(f"# samegrad: {line}\n" for line in LINES)
        + THING.replace("(1 - self.h ** 2)", "1"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    junit = tmp_path / "junit.xml"

    status = main(["verify", *(str(tmp_path / n) for n in files), "--junit", str(junit)])

    assert 1 == status
    shown = capsys.readouterr().out
    assert "ends.py: NOT CHECKED" in shown and "wrong.py: DISAGREES" in shown
    assert 'tests="2" failures="1" errors="0" skipped="1"' in junit.read_text()


@pytest.mark.parametrize("line", ["net", "size = 3", "loss = (", "X = sideways up"])
def test_hint_that_is_none_is_refused(line: str) -> None:
    """With what is accepted."""
    with pytest.raises(ValueError, match="hint"):
        parse([line])


def test_words_of_x_and_y_are_forms() -> None:
    """Others are expressions."""
    hints = parse(["X = columns", "y = one-hot"])

    assert ("columns", "same") == (hints.x_form, hints.y_form)
    assert Hints() == parse([])
