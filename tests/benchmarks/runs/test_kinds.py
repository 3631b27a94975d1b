"""Kinds of runs: each has what a session calls, and a run of speed loads no other one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.records import predictions
from samegrad.benchmarks.runs import session, speed
from samegrad.benchmarks.runs.budget import CostModel
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.options import KINDS, SPEED, load_kind, parse
from samegrad.benchmarks.runs.run import SMALLER
from samegrad.benchmarks.runs.selection import Selection
from samegrad.benchmarks.runs.speed import prepare
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.journals import CASE, plan_record, run_record, write
from tests.helpers.reports import COMPLETE, without_number


@pytest.mark.parametrize("name", KINDS)
def test_kind_has_what_a_session_calls(name: str) -> None:
    """Rows, a budget, and the work; all but speed have options of their own."""
    kind = load_kind(name)

    own = ("parse",) if name != SPEED else ()
    functions = ("select", "too_long", "prepare", "execute", *own)
    assert all(callable(getattr(kind, function)) for function in functions)


def test_run_of_speed_loads_nothing_of_a_training() -> None:
    """Its session knows the other kinds by their names only."""
    code = (
        "import sys; from samegrad.benchmarks.runs import session; session.load_kind('speed')\n"
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

    assert session.options_now(older) == {"kind": "training", "workload": "xor", "seeds": "2"}
    assert {"preset": "hello"} == session.options_now({"preset": "hello"})
    options = parse(**session.options_now(older))
    assert ("training", ("xor",), 2) == (
        options.kind,
        options.request.tasks,
        options.request.seeds,
    )


@pytest.mark.parametrize(
    ("processes", "time", "expected"),
    [
        (None, None, (1, 20, False, 0.05)),
        ("5", None, (5, 20, True, 0.05)),
        ("2", "100", (2, 100, False, 0.25)),
        ("2", "10", (2, 10, False, 0.05)),
        ("2", "9e8", (2, 9e8, False, 3600.0)),
    ],
)
def test_processes_and_time_replace_those_of_the_preset(
    processes: str | None, time: str | None, expected: tuple[int, float, bool, float]
) -> None:
    """With five processes there are intervals; in more time, rows are repeated more often."""
    options = parse(preset="hello", processes=processes, time=time)

    made, settings, _ = prepare(options, Selection({}), [], 0.0)

    count, limit, intervals, of_a_case = expected
    assert (count, intervals) == (made.processes, made.intervals)
    assert of_a_case == pytest.approx(settings.block_seconds)
    assert settings.seconds == limit - min(12.0, limit / 4)


@pytest.mark.parametrize(
    ("start_seconds", "expected"),
    [
        (1.0, " s"),
        (10.0, "predicted 50 s of 30 s: as predicted, 2 of 5 processes fit, the others are left"),
        (50.0, ": one process of each takes longer, so the limit is exceeded (--time SECONDS)"),
    ],
)
def test_prediction_beyond_the_limit_says_what_becomes_of_it(
    start_seconds: float, expected: str
) -> None:
    """Processes are left out; one of each is run in any case."""
    model = CostModel(1e-4, 0.0, 1e9, start_seconds)
    selection = Selection({"numpy": Capabilities("numpy", "numpy", cost_models={"cpu": model})})
    case = Case(MLPWorkload("mine", MLPSpec((64, 32, 10)), 32, 64), "train_step", "numpy")
    options = parse(preset="standard", processes="5", time="40")

    _, settings, line = prepare(options, selection, [case], 0.0)

    assert 30 == settings.seconds
    late = prepare(options, selection, [case], 1000.0)  # probing took longer than the run may
    assert 0 == late[1].seconds and " s beyond the limit, which is spent: one process" in late[2]
    assert expected in line and line.startswith("1 of 1 rows run, processes per implementation: 5")
    assert (" s" == expected) == line.endswith("s of 30 s")


def test_row_that_a_busy_probe_had_skipped_is_tried_again_where_it_fits_now(
    tmp_path: Path,
) -> None:
    """By what its implementation is found to be now; of a run that ended, if time is given."""
    cases = [
        Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), operation, "numpy")
        for operation in ("forward", "train_step", "epoch")
    ]
    reasons = (
        "predicted 99 s a process (limit 10 s)",
        f"{SMALLER}: it",
        "predicted 12 s a process",
    )
    skipped = [without_number(c, "skipped", r) for c, r in zip(cases, reasons, strict=True)]
    about = {"settings": {"seconds": 9, "block_seconds": 0.1}, "options": {"preset": "hello"}}
    run = run_record(**about, fingerprint=system.fingerprint_beside(run_record()["machine"]))
    path = write(tmp_path / "journal.jsonl", run, plan_record(*cases), *skipped, COMPLETE)
    fast = Capabilities("numpy", "numpy", cost_models={"cpu": CostModel(1e-6, 0.0, 1e9, 0.1)})
    slow = replace(fast, cost_models={"cpu": CostModel(99.0, 0.0, 1e9, 0.1)})
    kind = load_kind(SPEED)

    with pytest.raises(ValueError, match="nothing is left to measure: it came to its end"):
        session.load(str(path), retry_failed=False)
    rest = session.load(str(path), False, {"time": "60", "wait_quiet": "5"})

    assert (60.0, 5.0) == (rest.settings.seconds, rest.options.wait_quiet)
    assert 60.0 == rest.options.limit_seconds  # which an import heeds
    again = rest.again(kind, {"numpy": fast}, failures=False)
    assert [cases[0].id, cases[2].id] == again
    assert [] == rest.again(kind, {"numpy": slow}, failures=False)
    assert [c.id for c in cases] == rest.again(kind, {"numpy": fast}, failures=True)
    assert [] == rest.again(kind, {"numpy": Capabilities("numpy", "numpy")}, failures=True)
    assert [] != session.load(str(path), retry_failed=True).skipped()
    with pytest.raises(ValueError, match="--time 'soon' is not accepted"):
        session.load(str(path), False, {"time": "soon"})


def test_rest_of_a_run_of_trainings_is_given_no_time(tmp_path: Path) -> None:
    """It has no limit."""
    about = {"settings": {"seconds": None, "block_seconds": 0.0}, "options": {"kind": "training"}}
    run = run_record(**about, fingerprint=system.fingerprint_beside(run_record()["machine"]))
    path = write(tmp_path / "journal.jsonl", run, plan_record(CASE))

    with pytest.raises(ValueError, match="--time: a run of trainings has no limit"):
        session.load(str(path), False, {"time": "60"})


def test_rest_of_a_run_predicts_nothing_once_something_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its proof may be missing, so that the row is measured again; a journal would refuse it."""
    asked: list[str] = []
    monkeypatch.setattr(speed, "_measure_peak", lambda *_: asked.append("peak"))
    monkeypatch.setattr(predictions, "predictions", lambda *_: {})
    for status in ("ok", "skipped"):
        journal = SimpleNamespace(outcomes=[(CASE, {"status": status})], predictions={})
        settings = SimpleNamespace(ceilings=True)
        run: Any = SimpleNamespace(journal=journal, settings=settings, seconds=600.0, running=[])
        speed._predict(run, tmp_path)

    assert ["peak"] == asked  # of the second
