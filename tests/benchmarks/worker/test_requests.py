"""Calls one by one: of forward passes of few examples, within a time that nobody notices."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.workload import OPERATIONS, PRODUCTS
from samegrad.benchmarks.clock.timer import work_of
from samegrad.benchmarks.judge.networks import Networks
from samegrad.benchmarks.worker import arrays, gates, measurement
from samegrad.benchmarks.worker.measurement import Bench
from samegrad.benchmarks.worker.subject import Seen
from samegrad.implementations.contract import registry
from tests.helpers.journals import CASE, PROBLEM

PASS = replace(CASE, operation="forward", workload=replace(PROBLEM, batch_size=1))


def asked(case: Any, seconds: float) -> dict[str, Any]:
    """What a bench says of a case whose call takes so long."""
    bench: Any = object.__new__(Bench)
    bench.imported, bench.answers = {"import_ns": 7}, []
    bench.implementation = SimpleNamespace(to_numpy=lambda tree: tree)
    gates: Any = SimpleNamespace(
        requests=lambda _: work_of(lambda: time.sleep(seconds)),
        named=lambda *_: {"outputs": [1.0]},
    )
    said: dict[str, Any] = bench._requests(case, gates, Draw())
    assert len(bench.answers) == len(said.get("request_ns", ()))
    return said


def test_each_call_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as percentiles need, each with its wait; and what loading took."""
    monkeypatch.setattr(measurement, "REQUEST_NS", 10**11)

    said = asked(PASS, 1e-4)

    assert (7, measurement.REQUEST_CALLS) == (said["import_ns"], len(said["request_ns"]))
    assert min(said["request_ns"]) >= 100_000


def test_results_are_kept_from_the_calls_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may write over them: outputs in a buffer that is kept are right."""
    buffer = np.array([1.0, 2.0])
    bench: Any = object.__new__(Bench)
    bench.repetitions, bench.answers = {PASS.id: [None]}, []
    bench.implementation, bench.ours = SimpleNamespace(to_numpy=lambda tree: tree), False
    gates: Any = SimpleNamespace(
        scale=1.0,
        first_ns={},
        compile_ns={},
        fetched=lambda seen: seen.result,
        named=lambda _, results, __: {"outputs": results},
        about=dict,
    )
    seen = Seen(0, 0, buffer, [], arrays.seen(buffer))
    blocks = SimpleNamespace(last_seen=seen)

    def overwritten(*_: Any) -> dict[str, Any]:
        buffer[:] = 0
        return {}

    for name, stand_in in (
        ("_enter", lambda _: gates),
        ("_timed", lambda *_: (blocks, {})),
        ("_outcome", lambda *_: {"status": "ok"}),
        ("_broken_down", lambda *_: {}),
        ("_requests", overwritten),
    ):
        monkeypatch.setattr(bench, name, stand_in, raising=False)

    bench.repeat(PASS, (1, 2))
    results, about = bench.looked

    assert [1.0, 2.0] == results["outputs"].tolist() and not about["changed"]


@pytest.mark.parametrize("operation", [*OPERATIONS, PRODUCTS])
def test_first_repetition_of_each_operation_has_a_time(operation: str, tmp_path: Path) -> None:
    """Of a real bench; of products no block is looked at, as nobody judges them again."""
    case = replace(CASE, operation=operation, implementation="numpy")
    inputs.save(tmp_path, case.workload, Networks.prepare(case.workload, 0)[0])
    request = {"device": "cpu", "threads": "all", "directory": str(tmp_path),
               "warm_up_seconds": 0, "implementation": "numpy",
               "first_calls": str(tmp_path / "first-")}  # fmt: skip
    bench = Bench(registry.load("numpy"), request)
    bench.gate(case)

    said = [bench.repeat(case, (1, 2)) for _ in range(2)]

    assert [("ok", "")] * 2 == [(one["status"], one["reason"]) for one in said]
    assert min(said[0]["elapsed_ns"]) > 0
    assert (operation == PRODUCTS) == (bench.timed[1].last_seen is None)


@pytest.mark.parametrize("operation", ["train_step", PRODUCTS])
def test_wide_networks_are_let_go_while_others_are_computed_and_at_rest(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And read again when they are entered: with the same inputs, and repetitions go on."""
    monkeypatch.setattr(gates, "KEPT_BYTES", 10_000)
    wide = replace(CASE, operation=operation, implementation="numpy")
    narrow = replace(wide, workload=replace(
        PROBLEM, name="narrow", spec=replace(PROBLEM.spec, layer_sizes=(3, 2)), examples=8,
        batch_size=4,
    ))  # fmt: skip
    for case in (wide, narrow):
        inputs.save(tmp_path, case.workload, Networks.prepare(case.workload, 0)[0])
    request = {"device": "cpu", "threads": "all", "directory": str(tmp_path),
               "warm_up_seconds": 0, "implementation": "numpy",
               "first_calls": str(tmp_path / "first-")}  # fmt: skip
    bench = Bench(registry.load("numpy"), request)
    for case in (wide, narrow):
        bench.gate(case)
    subjects: Any = bench.gates
    held = {case.workload.name: vars(subjects[case.workload].placed) for case in (wide, narrow)}
    there = [{name for name in held if "inputs" in held[name]}]

    said = []
    for case in (wide, narrow, wide):
        said.append(bench.repeat(case, (1, 2))["status"])
        there.append({name for name in held if "inputs" in held[name]})
    bench.rest()
    there.append({name for name in held if "inputs" in held[name]})

    wide_name = wide.workload.name
    assert ["ok"] * 3 == said
    assert [
        {"narrow"},
        {"narrow", wide_name},
        {"narrow"},
        {"narrow", wide_name},
        {"narrow"},
    ] == there
    assert bench.timed is None and subjects[wide.workload].products is None


def test_slow_calls_end_when_their_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at least."""
    monkeypatch.setattr(measurement, "REQUEST_NS", 5_000_000)

    assert 1 == len(asked(PASS, 0.01)["request_ns"])


@pytest.mark.parametrize("case", [CASE, replace(PASS, workload=replace(PROBLEM, batch_size=33))])
def test_others_are_no_requests(case: Any) -> None:
    """Training steps, and batches that nobody waits for alone."""
    assert {} == asked(case, 0.0)
