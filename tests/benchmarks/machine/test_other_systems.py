"""Systems without the calls of Linux: nothing fails, and what cannot be read is unknown.

The calls are taken away here; the systems themselves (macOS, Windows) are untested.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records.journal import JournalWriter, read
from samegrad.benchmarks.runs import directories, interpreter
from samegrad.benchmarks.runs.options import parse
from samegrad.implementations.checking import processes
from samegrad.implementations.contract.files import exclusive

CALLS = ("sched_getaffinity", "sched_setaffinity", "sysconf", "getloadavg", "killpg")
# What a process of such a system lacks from its start.
SITE = f"""
import os, signal, sys
for name in {CALLS!r}:
    if hasattr(os, name):
        delattr(os, name)
sys.modules["fcntl"] = None
"""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of Linux, no file of /proc and /sys, no command."""
    for name in CALLS:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(system, "text", lambda _: system.UNKNOWN)
    monkeypatch.setattr(system, "output", lambda *_: "")
    monkeypatch.setitem(sys.modules, "fcntl", None)  # its import fails


@pytest.mark.usefixtures("bare")
def test_machine_is_described_by_texts() -> None:
    """Unknown where nothing says it; a fingerprint there is all the same."""
    facts = system.machine()

    assert facts == json.loads(json.dumps(facts))
    assert all(isinstance(value, str) and value for value in facts.values())
    unknown = ("cpu_flags", "governor", "load", "memory_gib", "cpu_quota")
    assert {"unknown"} == {facts[name] for name in unknown}
    assert "none" == facts["gpu"] and 12 == len(system.fingerprint(facts))


@pytest.mark.usefixtures("bare")
def test_cores_are_all_of_the_machine() -> None:
    """No process is bound to any of them."""
    assert os.cpu_count() == system.cores() == system.thread_count("all")
    assert 1 == system.thread_count("1")
    assert system.affinity("1") is None


@pytest.mark.usefixtures("bare")
def test_what_is_lost_to_others_is_unknown() -> None:
    """And no interference is reported."""
    assert (None, None, None) == (system.stolen(), system.busy(), system.waiting())
    assert {} == system.interference(system.moment(), system.moment())
    assert system.resident_memory(os.getpid()) is None


def test_seconds_of_cores_need_the_length_of_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with /proc and without sysconf."""
    monkeypatch.setattr(system, "text", lambda _: "cpu  100 0 50 900 0 0 0 30 0 0")
    monkeypatch.setattr(system, "configured", lambda _: 100)

    assert (0.3, 10.8) == pytest.approx(system.stolen())
    assert 1.5 == system.busy()
    monkeypatch.setattr(system, "configured", lambda _: None)
    assert (None, None) == (system.stolen(), system.busy())


@pytest.mark.parametrize("error", [TypeError, OSError, AttributeError])
def test_peak_memory_is_unknown_without_the_c_library(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows no library has the name None."""

    def refuse(_: object) -> Any:
        raise error

    def no_file(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(Path, "write_text", no_file)

    assert system.reset_peak_memory() is None


@pytest.mark.usefixtures("bare")
def test_runs_are_neither_noticed_nor_locked(tmp_path: Path) -> None:
    """What holds a lock elsewhere goes on without one."""
    with directories.noticed() as first, directories.noticed() as second:
        assert (True, True) == (first, second)
    with exclusive(tmp_path / "turn") as give_up:
        give_up()
    run = {"record": "run", "schema": 2, "run": "r", "machine": {}, "fingerprint": "f"}
    with contextlib.closing(JournalWriter(tmp_path / "journal.jsonl")) as writer:
        writer.append(run)
    assert "r" == read(tmp_path / "journal.jsonl").run["run"]


def test_child_ends_without_process_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Itself at least; what it has started ends with its input."""
    child = processes.Child([sys.executable, "-c", "input()"], os.environ)
    monkeypatch.delattr(os, "killpg")

    child.close()

    assert child.process.returncode != 0


def test_request_to_a_child_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe is a broken one, or on Windows an invalid argument."""
    with processes.Child([sys.executable, "-c", ""], os.environ) as child:
        child.process.wait(30)
        assert child.process.stdin is not None

        def refuse(_: bytes) -> int:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(child.process.stdin, "write", refuse)
        child.send({"role": "any"})

        assert processes.Exit("crashed", "exit status 0 before its work was done") == child.receive(
            lambda _: None, 30
        )


def test_case_is_measured_in_processes_without_these_calls(tmp_path: Path) -> None:
    """Parent and children, from their start; a file in a folder with a space in its name."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    mine = tmp_path / "my networks" / "my mlp.py"
    mine.parent.mkdir()
    mine.write_text("from samegrad.implementations.mlp_numpy import *\n")
    code = (
        "import os, sys, samegrad\n"
        "assert not hasattr(os, 'sched_getaffinity') and not hasattr(os, 'killpg')\n"
        "spec = samegrad.MLPSpec((6, 5, 3))\n"
        "row = samegrad.measure(sys.argv[1], spec, batch_size=8, threads=1, block_seconds=0.01)\n"
        "print(row.status, row.reason)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(mine)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert "ok" == done.stdout.strip(), done.stderr


def test_paths_with_drive_letters_and_spaces_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of interpreters and implementations, joined by ','; a name may hold '='."""
    monkeypatch.chdir(tmp_path)
    names = (r"C:\my networks\my mlp.py", r"C:\x=y\mlp.py")
    python = r"C:\Program Files\Python\python.exe"
    for name in (*names, python):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            Path(name).touch(exist_ok=False)

    monkeypatch.setattr(interpreter, "why_not", lambda _: "")  # it is none

    options = parse(
        implementation=f"numpy, {names[0]},{names[1]}",
        python=f"numpy={python},{names[1]}={python}",
    )

    assert ("numpy", *names) == options.implementations
    assert {"numpy": python, names[1]: python} == options.interpreters
    again = parse(**options.arguments)  # as --resume does, from any folder
    assert {"numpy", str(Path(names[1]).resolve())} == set(again.interpreters)
