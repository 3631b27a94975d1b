"""Probes: a few fixed calls, timed before any row is, by which the times of rows are predicted."""

import contextlib
from collections.abc import Callable
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import PRODUCTS, MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker import loaded
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import REFUSALS, Placed
from samegrad.implementations.contract.adapter import Implementation

Message = dict[str, Any]
BLOCKS = 12  # the best one counts: others on the machine only add to a time


def answer(request: Message, send: Callable[[Message], object]) -> None:
    """Answer a request "probe": the seconds of each of its cases that the implementation has."""
    implementation = loaded.load(request["implementation"])
    for number, case in enumerate(map(Case.from_dict, request["cases"])):
        send({"begin": number})
        with contextlib.suppress(*REFUSALS):
            send({"probe": number, "seconds": seconds(implementation, case)})


def seconds(implementation: Implementation, case: Case) -> float:
    """Of a call, in the best of some short blocks.

    Raises:
        Exception: one of REFUSALS, it does not have such a network or operation.
    """
    work = _work(implementation, case)
    timer.block(work, 1)  # compiles
    target = timer.block_ns(case.device) // 2
    blocks = timer.measure(work, target, 0, least=BLOCKS)
    return min(blocks.elapsed_ns) / blocks.calls / 1e9


def _work(implementation: Implementation, case: Case) -> timer.Work:
    workload, device = case.workload, case.device
    assert isinstance(workload, MLPWorkload)
    if case.operation == PRODUCTS:
        return Products.of_call(implementation, workload, "loss_and_grad", device).work()
    return Placed.random(workload, implementation, device).work(case.operation)
