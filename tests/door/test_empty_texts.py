"""An empty text, such as "$UNSET" gives, means nothing: it is refused wherever it is given."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from samegrad import cli
from samegrad.benchmarks.command_line import OPTIONS
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.cli import main, tree
from samegrad.cli.parser import Parser
from samegrad.implementations.contract.texts import DASHES, EMPTY, OPTIONAL


def given(parser: Parser, before: tuple[str, ...]) -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """What takes a text, whether it is required, and a command line on which that is empty."""
    places = [
        action
        for action in parser._actions
        if not action.option_strings and action.nargs != argparse.PARSER
    ]
    for number, place in enumerate(places):
        about = str(place.metavar), place.required
        yield *about, (*before, *["x"] * number, "")
        if place.nargs is None and number:
            yield *about, (*before, *["x"] * number, "--", "--")
    for flag, action in parser.options().items():
        if action.nargs != 0:
            yield flag, action.required, (*before, flag, "")
            yield flag, action.required, (*before, f"{flag}=")
            yield flag, action.required, (*before, flag, " ")
            yield flag, action.required, (*before, f"{flag}=--")
    for name, inner in parser.named().items():
        yield from given(inner, (*before, name))


@pytest.mark.quick
def test_empty_text_is_refused_by_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option and every argument of the tree; one line that names it, and nothing is read."""
    monkeypatch.setattr(cli, "tree", cache(tree))  # making it is most of a call
    lines = list(given(tree(), ()))

    assert len(lines) > 150
    assert {True, False} == {required for _, required, _ in lines}
    for name, required, arguments in lines:
        assert 2 == main(arguments), arguments
        (line,) = capsys.readouterr().err.splitlines()
        meant = DASHES if arguments[-1].endswith("--") else EMPTY
        meant = meant.removesuffix(OPTIONAL) + OPTIONAL * (not required) + "\n"
        assert name in line and f"{line}\n".endswith(meant), (arguments, line)


@pytest.mark.parametrize("option", [*OPTIONS, None], ids=lambda o: o.name if o else "whole table")
def test_empty_setting_is_refused(
    option: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In pyproject.toml, alone or in a list; of a benchmark and of other commands."""
    from samegrad.benchmarks.command_line import read_settings

    name = getattr(option, "name", "layers")
    for value in ('""', '["numpy", ""]', '" "'):
        text = f"[tool.samegrad]\n{name} = {value}\n"
        (tmp_path / "pyproject.toml").write_text(text)

        with pytest.raises(ValueError, match=EMPTY):
            read_settings(tmp_path, "benchmark", {name: False})
    if option is None:
        (tmp_path / "pyproject.toml").write_text('[tool.samegrad.verify]\nlayers = ""\n')
        monkeypatch.chdir(tmp_path)
        assert 2 == main(["verify", "numpy"])
        assert EMPTY in capsys.readouterr().err


@pytest.mark.parametrize(
    "typed",
    [
        ("--preset", ""),
        ("--resume=",),
        ("-m", ""),
        ("-k", " "),
        ("--benchmark-json=",),
        ("",),
        ("--resume=--",),
        ("--benchmark-json=--",),
    ],
)
@pytest.mark.parametrize("door", ["samegrad benchmark", "pytest --benchmark", "PYTEST_ADDOPTS"])
def test_empty_text_starts_no_benchmark(typed: tuple[str, ...], door: str, tmp_path: Path) -> None:
    """Options of ours and of pytest: without one, -m "" would measure for a quarter of an hour."""
    module = ["samegrad", "benchmark"] if door == "samegrad benchmark" else ["pytest"]
    module += [] if door == "samegrad benchmark" else ["--benchmark"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if door == "PYTEST_ADDOPTS":
        quoted = " ".join(f"'{word}'" for word in typed)
        environment, typed = environment | {"PYTEST_ADDOPTS": quoted}, ()

    done = subprocess.run(
        [sys.executable, "-m", *module, *typed], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode in (2, 4), done.stdout + done.stderr
    assert EMPTY in done.stderr or DASHES in done.stderr, done.stderr
    assert "probing" not in done.stdout


@pytest.mark.parametrize("journals", ["", ["x", ""]])
def test_empty_path_is_no_folder(journals: object) -> None:
    """`render("")` would read and write the current folder."""
    from samegrad import render

    with pytest.raises(ValueError, match=EMPTY):
        render(journals)


def test_empty_path_is_no_run_and_no_output(tmp_path: Path) -> None:
    """Of `compare` and of `render`'s output: both would be the current folder."""
    from samegrad import compare, render

    with pytest.raises(ValueError, match=EMPTY):
        compare("", tmp_path)
    with pytest.raises(ValueError, match=EMPTY):
        render(tmp_path, "")
