"""Options of pytest that write: what a run reads is never replaced."""

import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks import plugin
from samegrad.benchmarks.foreign import spare_inputs
from samegrad.cli import main

OURS = "--benchmark --implementation numpy,./c.py --resume old --data-dir data"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an implementation, a run, weights, and links to them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    for name in ("c.py", "w.npz", "old/journal.jsonl", "plain"):
        (tmp_path / name).write_text("kept")
    (tmp_path / "link.xml").symlink_to("c.py")
    return tmp_path


@pytest.mark.parametrize(
    "typed",
    [
        "--log-file=c.py",
        "--log-file ./c.py",
        "--junit-xml=link.xml",
        "--debug=c.py",
        "--debug c.py",
        "-o log_file=c.py",
        "-olog_file=c.py",
        "--report-log=old/journal.jsonl",
        "--report-log=new/journal.jsonl",
        "--benchmark-json=w.npz",
        "--benchmark-json w.npz",
        "--implementation=./plain:NAME --report-log=plain",
        "--python numpy=plain --html=../" + "{here}/plain",
    ],
)
def test_option_that_names_what_is_read_is_refused(typed: str, here: Path) -> None:
    """However it is written; what it would do with the file nobody knows."""
    typed = typed.format(here=here.name)
    with pytest.raises(pytest.UsageError, match="it would replace"):
        spare_inputs(shlex.split(f"{typed} {OURS}"))
    with pytest.raises(pytest.UsageError, match="it would replace"):
        spare_inputs(shlex.split(f"{OURS} {typed}"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--log-file=old", "cannot be written: Is a directory"),
        ("-o log_file=plain/x", "cannot be written: "),
        ("--log-file=pipe", "a pipe, whose reader would be waited for"),
        ("--junit-xml pipe", "a pipe"),
        ("--benchmark-json=pipe", "a pipe"),
    ],
)
def test_file_that_cannot_be_written_or_hangs_is_refused(
    typed: str, message: str, here: Path
) -> None:
    """Which pytest would say in a traceback, or wait for."""
    os.mkfifo(here / "pipe")
    with pytest.raises(pytest.UsageError, match=message):
        spare_inputs(shlex.split(f"{OURS} {typed}"))


@pytest.mark.parametrize(
    "typed",
    [
        "--log-file=new.py",
        "--junit-xml old/junit.xml",
        "--benchmark-json=plain",
        "-k c.py --output new",
        "-c c.ini --rootdir .",
        "--implementation c.py --implementation=./c.py",
        "--log-file=a\0b",
    ],
)
def test_other_files_may_be_written(typed: str, here: Path) -> None:
    """And what is ours may be read."""
    arguments = shlex.split(f"{OURS} {typed}")
    if "-k" in arguments:
        (here / "c.py").unlink()

    spare_inputs(arguments)


def test_file_is_kept_before_pytest_opens_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """--debug empties its file as soon as the options are read."""
    assert 2 == main(["benchmark", "--implementation", "./c.py", "--debug=c.py"])

    assert "kept" == (here / "c.py").read_text()
    (line,) = [text for text in capfd.readouterr().err.splitlines() if text.strip()]
    assert "ERROR: --debug c.py: it would replace what is read" in line


def test_run_needs_no_capturing() -> None:
    """-p no:capture is pytest's."""
    without: Any = SimpleNamespace(pluginmanager=SimpleNamespace(getplugin=lambda _: None))

    with plugin._uncaptured(without):
        pass


@pytest.mark.parametrize("line", ["train xor --save c.py", "train xor --save plain"])
def test_weights_do_not_take_the_place_of_something_else(
    line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no npz was not written by the same command."""
    assert 2 == main(line.split())

    assert ["kept"] * 2 == [(here / name).read_text() for name in ("c.py", "plain")]
    assert "it is there and holds no weights" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["benchmark", "samegrad.benchmarks.plugin"])
def test_plugins_that_are_needed_are_not_left_out(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without ours, pytest would run whatever tests lie in the folder."""
    (here / "test_theirs.py").write_text("def test_theirs():\n    open('ran', 'w').close()\n")

    for typed in (["-p", f"no:{name}"], [f"-pno:{name}"]):
        assert 2 == main(["benchmark", *typed])
        (line,) = capsys.readouterr().err.splitlines()
        assert f"-p no:{name}: benchmarks need that plugin" in line
    assert not (here / "ran").exists()


PLUGIN = """
import pathlib
pathlib.Path(__file__).with_name("loaded").touch()
def pytest_addoption(parser):
    parser.addoption("--theirs")
def pytest_configure(config):
    if config.getoption("theirs") == "nothing":
        raise LookupError("there is no profile nothing")  # which pytest shows as an INTERNALERROR
"""


@pytest.mark.parametrize("typed", [["--theirs", "nothing"], ["--theirs=nothing"], ["-n2"]])
def test_plugin_that_is_only_installed_takes_no_part(
    typed: list[str], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Its options are none of a benchmark, and one that ended in a traceback is a line; -p asks."""
    about = here / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\ntheirs = their_plugin\n")
    (here / "their_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(here)
    monkeypatch.delitem(sys.modules, "their_plugin", raising=False)

    assert 2 == main(["benchmark", *typed, "--implementation", "nunpy"])
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.strip()]
    said = "side by side" if typed == ["-n2"] else "samegrad, pytest and pytest-benchmark have no"
    assert f"ERROR: {typed[0]}" in line and said in line
    assert not (here / "loaded").exists()

    typed = ["--theirs=else", "-p", "theirs", "--implementation", "nunpy"]
    assert 2 == main(["benchmark", *typed])
    assert "'nunpy' is not known" in capsys.readouterr().err and (here / "loaded").exists()
