"""Every message names commands that exist in the form that is running."""

import ast
import re
import sys
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.contract import commands

# What is typed differs between a checkout and an install, so only one module may know it.
TYPED = re.compile(r"tox -e|pytest --benchmark|python -m (samegrad|benchmarks|reports)|pip install")
WORDS = re.compile("tox|pytest|python|pip")  # a file with none of them, as most, has no command
KNOWS = "implementations/contract/commands.py"
SOURCES = [
    path
    for folder in ("benchmarks", "implementations", "reports", "samegrad")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "results" not in path.parts and path != ROOT / KNOWS
]


def messages(text: str) -> list[str]:
    """The texts of a source that are no docstrings."""
    nodes = list(ast.walk(ast.parse(text)))
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_messages_leave_commands_to_one_module(path: Path) -> None:
    """No literal of a command outside it."""
    text = path.read_text()
    literals = messages(text) if WORDS.search(text) else []

    assert [] == [literal for literal in literals if TYPED.search(literal)]


def test_literals_of_commands_are_noticed() -> None:
    """Also in an f-string; a docstring may say what it likes."""
    source = 'def f(x):\n    """tox -e tests"""\n    raise ValueError(f"{x}: pip install torch")\n'

    assert [": pip install torch"] == [t for t in messages(source) if TYPED.search(t)]


@pytest.mark.parametrize(
    ("script", "on_path", "expected"),
    [
        (True, True, "samegrad verify 'my file.py'"),
        (True, False, "env/bin/samegrad verify 'my file.py'"),
        (False, True, "python -m samegrad verify 'my file.py'"),
        (False, False, "env/bin/python -m samegrad verify 'my file.py'"),
    ],
)
def test_command_starts_the_interpreter_that_runs(
    script: bool, on_path: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the shortest name that does: the script, then `python -m`."""
    programs = tmp_path / "env" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "samegrad"):
        if name == "python" or script:
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(programs) if on_path else str(tmp_path))

    assert expected == commands.command("verify", "my file.py")


@pytest.mark.parametrize("interpreter", ["python3.11", "python"])
def test_installed_script_is_named_whatever_the_interpreter_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interpreter: str
) -> None:
    """What follows the dot of python3.11 is a version, not a suffix."""
    (tmp_path / "samegrad").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / interpreter))

    assert f"{tmp_path / 'samegrad'} verify" == commands.command("verify")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (
            "samegrad benchmark --layers 8-2 -k 'a and b'",
            "--layers 8-2 -k 'a and b' --wait-quiet 9",
        ),
        ("samegrad benchmark --output out --device cpu", "samegrad benchmark --device cpu --wait-"),
        ("pytest --benchmark --output=a --wait-quiet=60", "pytest --benchmark --wait-quiet 9"),
        ("a --wait-quiet 60 b\nc", "a b --wait-quiet 9 && c --wait-quiet 9"),
        ("", "benchmark --wait-quiet 9"),
        ("unknown", "benchmark --wait-quiet 9"),
        ("a 'b", "benchmark --wait-quiet 9"),
    ],
)
def test_command_is_shown_again_as_it_was_started(typed: str, shown: str) -> None:
    """With all of its options but its folder, and another one; or that of a run."""
    made = commands.again(typed, "--wait-quiet", "9")

    assert shown in made and made.count("--wait-quiet") == made.count("&&") + 1
    assert "--output" not in made and "'b" not in made
