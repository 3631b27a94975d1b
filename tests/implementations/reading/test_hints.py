"""Hints pin what cannot be guessed."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main
from samegrad.implementations.checking.objects import lines as explaining
from samegrad.implementations.reading import files
from samegrad.implementations.reading.hints import HELP, NAMES, X_WORDS, Y_WORDS, Hints, parse
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


@pytest.mark.parametrize("name", ["", ":thing"])
def test_what_is_verified_is_not_replaced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own JUnit file."""
    file = tmp_path / "thing.py"
    file.write_text(THING)

    assert 2 == main(["verify", f"{file}{name}", "--junit", str(file)])
    assert THING == file.read_text() and "would replace" in capsys.readouterr().err


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
    texts = {
        "ends.py": "import os\n\n\nclass A:\n    def __init__(self):\n        os._exit(1)\n\n"
        "    def forward(self, X): ...\n\n    def backward(self, X): ...\n",
        "wrong.py": "".join(f"# samegrad: {line}\n" for line in LINES)
        + THING.replace("(1 - self.h ** 2)", "1"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    junit = tmp_path / "junit.xml"

    status = main(["verify", *(str(tmp_path / n) for n in texts), "--junit", str(junit)])

    assert 1 == status
    shown = capsys.readouterr().out
    assert "ends.py: NOT CHECKED" in shown and "wrong.py: DISAGREES" in shown
    assert 'tests="2" failures="1" errors="0" skipped="1"' in junit.read_text()


EPSILON = """
# samegrad: net = Net()
# samegrad: X = np.eye(4)
# samegrad: y = np.arange(4)
# samegrad: loss = net.cost(X, y)
# samegrad: backward = net.slopes(X, y)
import numpy as np


class Net:
    def __init__(self):
        self.W = np.random.randn(4, 4)

    def out(self, X):
        e = np.exp(X @ self.W)
        return e / e.sum(axis=1, keepdims=True)

    def cost(self, X, y):
        return -np.log(self.out(X)[np.arange(len(X)), y] + 1e-5).sum()

    def slopes(self, X, y):
        return X.T @ (self.out(X) - np.eye(4)[y])
"""


@pytest.mark.parametrize(
    ("options", "status"),
    [((), 0), (("--strict",), 1), (("--strict", "--allow", "epsilon-in-log"), 0)],
)
def test_notes_fail_under_strict_unless_they_are_allowed(
    options: tuple[str, ...], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In JUnit's file and the exit status alike; --json has the note with its code."""
    monkeypatch.setattr(files, "_in_child", _here)
    file, junit = tmp_path / "mine.py", tmp_path / "junit.xml"
    file.write_text(EPSILON)

    found = main(["verify", str(file), "--json", "--junit", str(junit), *options])

    assert status == found
    (shown,) = json.loads(capsys.readouterr().out)
    assert ("agrees", ["epsilon-in-log"]) == (shown["verdict"], [n["code"] for n in shown["notes"]])
    assert f'failures="{status}"' in junit.read_text()


def test_disagreement_is_told_once_and_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a summary below."""
    monkeypatch.setattr(files, "_in_child", _here)
    monkeypatch.setattr(explaining, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "mine.py"
    file.write_text(EPSILON.replace("X.T @ (", "X.T @ (0.5 + "))

    main(["verify", str(file)])

    shown = capsys.readouterr().out
    assert 1 == shown.replace("\n", " ").count("is not the gradient of")
    assert [] == [line for line in shown.splitlines() if len(line) > 80]
    assert "1 verified: 1 disagrees" == shown.splitlines()[-1]


def _here(where: str, of: str, hints: Sequence[str], *_: object) -> Any:
    """What the child answers, without one."""
    return read_here(where, of, hints), "reading", None


@pytest.mark.parametrize(
    "line",
    ["net", "size = 3", "loss = (", "X = sideways up", f"net = {'-' * 99_999}1",
     f"net = {'+'.join(['1'] * 9_999)}"],
    ids=lambda line: line[:16],
)  # fmt: skip
def test_hint_that_is_none_is_refused(line: str) -> None:
    """With what is accepted."""
    with pytest.raises(ValueError, match="hint"):
        parse([line])


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("loss = net.badnes(X, y)", "has no attribute 'badnes' (did you mean badness?)"),
        ("loss = net.qq(X, y)", "has no attribute 'qq'; it has badness, go, push"),
        ("net = Thimg(4, 3)", "name 'Thimg' is not defined (did you mean Thing?)"),
        ("X = colums", "(did you mean columns?); X is an expression, or one of: rows, columns"),
        ("rate = nothing", "NameError: name 'nothing' is not defined"),
    ],
)
def test_hint_that_fails_is_named_with_what_may_be_meant(
    hint: str, said: str, tmp_path: Path
) -> None:
    """It is not dropped, and nothing else is judged in its place."""
    file = tmp_path / "thing.py"
    file.write_text(THING)
    hints = [*(line for line in LINES[::2] if line.split()[0] != hint.split()[0]), hint]

    report = read_here(file, hints=hints)

    assert "not checked" == report.verdict
    assert report.reason.startswith(f"hint {hint}: ") and said in report.reason, report


def test_every_hint_is_in_help_and_docs() -> None:
    """With its words."""
    table = (ROOT / "implementations" / "README.md").read_text().split("| hint |")[1]
    words = [*NAMES, *X_WORDS, *Y_WORDS]

    assert [] == [word for word in words if f"`{word}`" not in table.partition("\n\n")[0]]
    assert [] == [word for word in words if not re.search(rf"\b{word}\b", HELP)]
    with pytest.raises(ValueError, match="did you mean loss"):
        parse(["los = 1"])


def test_words_of_x_and_y_are_forms() -> None:
    """Others are expressions."""
    hints = parse(["X = columns", "y = one-hot"])

    assert ("columns", "same") == (hints.x_form, hints.y_form)
    assert Hints() == parse([])
