"""Kinds of runs: each has what a session calls, and a run of speed loads no other one."""

import subprocess
import sys

import pytest

from samegrad.benchmarks.machine.system import ROOT
from samegrad.benchmarks.runs import kinds, resume
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.selection import Selection
from samegrad.benchmarks.runs.speed import prepare


@pytest.mark.parametrize("name", kinds.KINDS)
def test_kind_has_what_a_session_calls(name: str) -> None:
    """Rows, a budget, and the work; all but speed have options of their own."""
    kind = kinds.load(name)

    functions = ("select", "prepare", "execute", *(("parse",) if name != kinds.SPEED else ()))
    assert all(callable(getattr(kind, function)) for function in functions)


def test_run_of_speed_loads_nothing_of_a_training() -> None:
    """Its session knows the other kinds by their names only."""
    code = (
        "import sys; from samegrad.benchmarks.runs import session, kinds; kinds.load('speed')\n"
        "print(*(name for name in sys.modules if name.startswith('samegrad.benchmarks.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = done.stdout.split()
    assert "samegrad.benchmarks.runs.scheduler" in loaded
    assert [] == [name for name in loaded if ".training" in name or ".worker." in name]


def test_options_of_an_older_journal_name_the_kind() -> None:
    """They had an option "training" instead; the others stay."""
    older = {"training": "yes", "workload": "xor", "seeds": "2"}

    assert resume._arguments(older) == {"kind": "training", "workload": "xor", "seeds": "2"}
    assert {"preset": "hello"} == resume._arguments({"preset": "hello"})
    options = parse(**resume._arguments(older))
    assert ("training", ("xor",), 2) == (
        options.kind,
        options.request.tasks,
        options.request.seeds,
    )


@pytest.mark.parametrize(
    ("processes", "time", "expected"),
    [(None, None, (1, 20, False)), ("5", None, (5, 20, True)), ("2", "100", (2, 100, False))],
)
def test_processes_and_time_replace_those_of_the_preset(
    processes: str | None, time: str | None, expected: tuple[int, int, bool]
) -> None:
    """And with five processes there are intervals."""
    options = parse(preset="hello", processes=processes, time=time)

    made, settings, _ = prepare(options, Selection({}), [], 0.0)

    count, limit, intervals = expected
    assert (count, intervals) == (made.processes, made.intervals)
    assert settings.seconds == limit - min(12.0, limit / 4)
