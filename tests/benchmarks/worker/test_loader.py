"""Epochs whose batches come from somebody's loader: the same steps, and nothing of it lives on."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.draws import Draw
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking.keeper import children
from samegrad.implementations.contract.registry import TABLE, load, names
from samegrad.implementations.contract.spec import MLPSpec

pytest.importorskip("torch", reason="torch is not installed")
# 150 examples make 37 batches of 4 and one of 2; with a hidden layer so wide, parts of 16 steps.
WORKLOAD = MLPWorkload("random", MLPSpec((7, 4100, 3), "tanh"), 4, 150)


def epochs(implementation: Any, calls: int = 2) -> Any:
    """(params after each part, the last loss and params) of so many epochs."""
    placed = Placed(WORKLOAD, implementation, "cpu", draw(WORKLOAD, 0))
    work = placed.work("epoch", draw=Draw(7, scale=placed.inputs.scale))
    params, _, loss, passed = work.run(calls, work.start(calls))
    return passed, implementation.to_numpy((loss, params))


def different(one: Any, other: Any) -> bool:
    """Whether a number differs."""
    if isinstance(one, list | tuple):
        return len(one) != len(other) or any(map(different, one, other))
    return not np.array_equal(one, other)


@pytest.mark.parametrize("name", names("loader"))
def test_loader_gives_the_batches_that_were_drawn(name: str) -> None:
    """In their order, part by part, the smaller one last: bit by bit the numbers of torch."""
    in_a_process_of_its_own(
        f"right, found = epochs(load('torch')), epochs(load('{name}'))\n"
        "assert 5 == len(right[0])  # parts of two epochs of 38 steps, but the last\n"
        "assert not different(right, found)"
    )


def in_a_process_of_its_own(code: str) -> None:
    """Run lines with the names of this module: a process with JAX's threads must not fork."""
    lines = f"from {__name__} import *\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr


def test_loader_in_another_order_gives_other_numbers() -> None:
    """Which the proof of a row compares."""
    implementation = load("torch_loader")
    own = implementation.capabilities.loader
    turned = replace(
        implementation.capabilities, loader=lambda batches: own([*batches[:-1][::-1], batches[-1]])
    )
    wrong = type(implementation)(implementation.model, "wrong")
    wrong.capabilities = turned

    assert different(epochs(load("torch")), epochs(wrong))


def test_workers_end_with_their_epoch() -> None:
    """They are processes of their own while it lasts; then none is left."""
    in_a_process_of_its_own("seen = worker_processes()\nassert len(seen) >= 2, seen")


def worker_processes() -> set[int]:
    """Those that there were in an epoch; they have ended."""
    seen = set[int]()
    implementation = load("torch_loader_2")
    own = implementation.capabilities.loader

    def watched(batches: Any) -> Any:
        for batch in own(batches):
            seen.update(children(os.getpid()))
            yield batch

    watching = type(implementation)(implementation.model, "watched")
    watching.capabilities = replace(implementation.capabilities, loader=watched)
    epochs(watching, 1)
    assert not seen & set(children(os.getpid()))
    return seen


def test_one_row_alone_may_compute_in_other_processes() -> None:
    """See clock/agreement.py."""
    assert {"torch_loader_2": 2} == {n: e.processes for n, e in TABLE.items() if e.processes}
