"""A run that is ended from outside, once it has rows: nothing is lost, doubled or left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from tests.helpers.no_figures import NO_FIGURES

RUN = [
    *("--preset", "full", "--time", "60", "--device", "cpu", "--implementation", "numpy"),
    *("-k", "digits and float64", "--output", "run", *NO_FIGURES),
]
TAG = "SAMEGRAD_TEST_OF_KILLS"
ENDED = 130


def outcomes(folder: Path) -> list[tuple[str, int, int, str]]:
    """(case, process, repetition, status) of each outcome in the journal of its run, in order."""
    journal = folder / "run" / "journal.jsonl"
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    records = [record for record in map(json.loads, lines) if record["record"] == "outcome"]
    return [
        (json.dumps(r["case"]), r.get("process", -1), r.get("repetition", -1), r["status"])
        for r in records
    ]


def complete(folder: Path) -> bool:
    """Whether the run came to its end."""
    return b'"run_complete"' in (folder / "run" / "journal.jsonl").read_bytes()


def left(folder: Path) -> tuple[set[str], list[str]]:
    """(scratch folders, processes) of what was started there; the latter have a while to end."""
    mark, deadline = f"{TAG}={folder}".encode(), time.monotonic() + 20
    while True:
        alive = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                dead = path.joinpath("stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                if not dead and mark in path.joinpath("environ").read_bytes().split(b"\0"):
                    alive.append(path.joinpath("cmdline").read_text())
            except OSError:
                continue
        if not alive or time.monotonic() > deadline:
            made = (folder / "tmp").glob("samegrad-*")
            return {path.name for path in made if path.is_dir()}, alive
        time.sleep(0.2)


def ended_by(folder: Path, number: int, arguments: list[str], more: int, seconds: float) -> int:
    """The exit status of a benchmark that gets a signal, so many seconds after so many rows."""
    (folder / "tmp").mkdir(exist_ok=True)
    known = len(outcomes(folder))
    printed = folder / "printed"
    with printed.open("w") as output:
        run = subprocess.Popen(
            [sys.executable, "-m", "samegrad", "benchmark", *arguments],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder / "tmp"), TAG: str(folder)}
            | {"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + 120
    while run.poll() is None and len(outcomes(folder)) < known + more:
        assert time.monotonic() < deadline, printed.read_text()
        time.sleep(0.02)
    time.sleep(seconds)
    run.send_signal(number)
    run.wait(120)
    assert "Traceback" not in printed.read_text()
    assert "INTERNALERROR" not in printed.read_text()
    return run.returncode


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "name", ["SIGTERM", *(pytest.param(n, marks=pytest.mark.full) for n in ("SIGHUP", "SIGINT"))]
)
def test_run_that_is_told_to_end_leaves_no_folder(name: str, tmp_path: Path) -> None:
    """What was measured is in the journal and in a report of a part."""
    assert ENDED == ended_by(tmp_path, getattr(signal, name), RUN, 2, 0.1)

    assert (set(), []) == left(tmp_path)
    assert len(outcomes(tmp_path)) >= 2
    assert "PARTIAL" in (tmp_path / "run" / "index.html").read_text()


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_run_that_is_killed_again_and_again_loses_and_doubles_no_row(tmp_path: Path) -> None:
    """At ten moments between its rows, and resumed each time; only kill -9 leaves its folder."""
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    signals = [signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGHUP, signal.SIGINT] * 2
    rng.shuffle(signals)
    arguments, known, folders = RUN, list[tuple[str, int, int, str]](), set[str]()
    for number in signals:
        ended_by(tmp_path, number, arguments, rng.randint(1, 6), rng.uniform(0, 1.5))
        now, (made, alive) = outcomes(tmp_path), left(tmp_path)

        assert ([], known) == (alive, now[: len(known)]), seed
        assert number == signal.SIGKILL or made <= folders, seed  # a run removes what is left
        known, folders = now, made
        arguments = ["--resume", "run"]
        if complete(tmp_path):
            break
    if not complete(tmp_path):
        # 1: on a busy machine no row may be usable, though all are there.
        assert ended_by(tmp_path, 0, arguments, 10**6, 0.0) in (0, 1)
        assert complete(tmp_path)
    now = outcomes(tmp_path)
    assert known == now[: len(known)], seed
    assert {"ok"} == {status for *_, status in now}, seed
    assert {1} == set(Counter(where[:3] for where in now).values()), seed
