"""Whose file is timed can write messages of its own: they cost its own row, and nothing else."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.runs import capabilities
from samegrad.benchmarks.runs.scheduler import Scheduler
from samegrad.benchmarks.runs.worker_process import WorkerProcess
from samegrad.implementations.checking import processes
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.forging import FORGES, NETWORK

CASES = [
    Case(MLPWorkload(name, MLPSpec((4, 3)), 8, 16), "loss_and_grad", "mine", "cpu", "all")
    for name in ("one", "two")
]
ONE, TWO = (case.id for case in CASES)
FIRST: dict[str, Any] = {
    "status": "ok",
    "devices": ["cpu"],
    "dtypes": ["float64"],
    "precisions": {},
    "sources": {"mine.py": "x"},
    "files": {"mine.py": "0"},
    "source_sha256": "0",
}
SAMPLE = {"flops": 1e6, "first_ns": 1e6, "warm_ns": 1e5}
DEVICE: dict[str, Any] = {
    "device": "cpu",
    "facts": {},
    "cost_samples": {"networks": [SAMPLE], "passes": 0.0, "form": {}},
}


def told(messages: list[dict[str, Any]]) -> capabilities.Capabilities:
    """What an implementation can do, by its messages."""
    known = capabilities.Capabilities("./mine.py", "mine")
    for message in messages:
        known = capabilities.taken(known, dict(message), 0.1)
    return known


def test_messages_of_what_it_can_do_are_taken_once() -> None:
    """First what it has, then each device."""
    assert {"cpu"} == told([FIRST, DEVICE]).cost_models.keys()


@pytest.mark.parametrize(
    "messages",
    [
        [{"begin": "nope"}],
        [{}],
        [DEVICE],
        [FIRST, FIRST],
        [FIRST, DEVICE, DEVICE],
        [FIRST, DEVICE | {"device": "other"}],
        [FIRST, DEVICE | {"facts": 5}],
        [FIRST, DEVICE | {"cost_samples": {}}],
        [FIRST, {"device": "cpu", "failed": 5}],
        [FIRST, {"device": "cpu", "failed": "x"}, DEVICE],
        [FIRST, DEVICE, {"device": "cpu", "failed": "x"}],
        [FIRST, {"device": "other", "failed": "x"}],
        [{"status": "splendid", "reason": "x"}],
        [{"status": "crashed", "reason": 5}],
        *([FIRST | {name: 5}] for name in FIRST),
        [FIRST | {"devices": [5]}],
        [FIRST | {"sources": {"a": 5}}],
        [FIRST | {"record": 5}],
    ],
)
def test_message_that_says_nothing_of_what_it_can_do_is_none(messages: list[Any]) -> None:
    """Nothing of it gets into a plan or a journal."""
    with pytest.raises(processes.SENSELESS):
        told(messages)


def test_file_that_writes_messages_costs_its_own_row_alone(tmp_path: Path) -> None:
    """The others are timed."""
    mine = tmp_path / "mine.py"
    mine.write_text(f"{NETWORK}{FORGES}forge({json.dumps(FIRST | {'devices': [5]})!r})\n")

    found = capabilities.find(["numpy", str(mine)], ["cpu"], {})

    assert ("", "crashed") == (found["numpy"].reason, found["mine"].status)
    assert "one of its messages makes no sense" in found["mine"].reason


@pytest.mark.parametrize(
    ("messages", "asks_ceilings"),
    [
        ([{"begin": ONE}, {"begin": ONE}], False),
        ([{"begin": "x"}], False),
        ([{"begin": []}], False),
        ([{"begin": "ceilings"}], False),
        ([{"begin": ONE}, {"ceiling": {}}], False),
        ([{"case": ONE, "outcome": {}}], False),
        ([{"begin": ONE}, {"case": TWO, "outcome": {}}], True),
        ([{"begin": ONE}, {"outcome": {}}], True),
        ([{"begin": ONE}, {"case": ONE, "outcome": {}}, {"case": ONE, "outcome": {}}], True),
        ([{"case": ONE, "evidence": {}}], True),
        ([{"begin": ONE}, {"case": ONE, "evidence": {}}], True),
        ([{"block": "begins"}], True),
        ([{"begin": ONE}, {"block": "ended"}], True),
        ([{"begin": ONE}, {"block": "begins"}, {"block": "begins"}], True),
        ([{"begin": ONE}, {"block": "begins"}, {"block": "ended"}, {"block": "ended"}], True),
        ([{"begin": ONE}, {"block": "begins"}, {"block": "rests"}], True),
    ],
)
def test_message_of_a_case_that_was_not_asked_for_is_none(
    messages: list[Any], asks_ceilings: bool
) -> None:
    """Or of one that is done: no row twice, no ceiling by a stranger, no time for nothing."""
    rest = list(messages)

    def receive(on_message: Any, _: float) -> None:
        while rest:
            on_message(rest.pop(0))

    child: Any = SimpleNamespace(
        receive=receive,
        send=lambda request: None,
        working=os.getpid,
        threads=(),
        arrived_ns=9,
        answered_ns=2,
        process=SimpleNamespace(pid=os.getpid()),
    )
    one = WorkerProcess(CASES[0].worker, 0, CASES, child, "mine", Path())
    one.extra = {"ceilings": 0} if asks_ceilings else {}
    one.repeat(CASES, {}, {})

    def on_message(message: dict[str, Any]) -> None:
        by_id = {case.id: case for case in CASES}
        one.current = by_id[message["begin"]] if "begin" in message else None

    with pytest.raises(processes.SENSELESS):
        one.receive(CASES, on_message, 1.0)
    assert [] == rest


@pytest.mark.parametrize(("left", "stays"), [([], True), (CASES[1:], False)])
def test_process_that_waits_too_early_is_not_asked_again(left: list[Case], stays: bool) -> None:
    """A message that it waits, written in the middle of a case, made a run go on for ever."""
    scheduler: Any = object.__new__(Scheduler)
    nothing: Any = SimpleNamespace(blocks=lambda _: {}, seeds=lambda *_: {}, due=False)
    scheduler.repetitions = scheduler.proofs = nothing
    one: Any = SimpleNamespace(process=0, waiting=left, repeat=lambda *_: None)
    scheduler._receive = lambda *_: None

    assert stays == (scheduler._ask(one, CASES) is None)
