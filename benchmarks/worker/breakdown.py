"""What the time of a call consists of: matrix products, dispatch and Python, transfers.

The products are timed on their own; dispatch and Python are the same call on a network of width 1,
in which nothing is left to compute.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import REFUSALS, Placed
from samegrad.benchmarks.worker.transfers import Pageable
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
LONG_NS = 100_000_000  # products longer than this are not run again, but computed from the rate
TRANSFER_NS = 100_000_000  # likewise a transfer, to see its minimum


class Breakdown:
    """The parts of the calls of one worker process, each measured once."""

    def __init__(
        self, implementation: Implementation, device: str, rates: Mapping[str, float]
    ) -> None:
        """Nothing is measured yet.

        Args:
            rates: dtype -> FLOP/s, from the ceilings.
        """
        self.implementation, self.device, self.rates = implementation, device, rates
        self.target_ns = timer.block_ns(device) // 2
        self._measured: dict[tuple[str, MLPWorkload, str], float] = {}

    def of(self, case: Case) -> Message:
        """products_ns and empty_ns of one call of the case, as far as they can be measured."""
        size, steps = case.workload.batch_size, case.calls_per_epoch
        times: Message = {}
        if self.implementation.capabilities.products is not None:
            operation = "forward" if case.operation == "forward" else "loss_and_grad"
            batch = MLPWorkload("batch", case.spec, size, size)
            times["products_ns"] = steps * self._once(self._products_ns, batch, operation)
        operation = "train_step" if case.operation == "epoch" else case.operation
        with contextlib.suppress(*REFUSALS):  # somebody's network may refuse width 1
            times["empty_ns"] = steps * self._once(self._call_ns, _empty(case.spec), operation)
        return times

    def _once(
        self,
        measure: Callable[[MLPWorkload, str], float],
        workload: MLPWorkload,
        operation: str,
    ) -> float:
        key = (measure.__name__, workload, operation)
        if key not in self._measured:
            self._measured[key] = measure(workload, operation)
        return self._measured[key]

    def _products_ns(self, workload: MLPWorkload, operation: str) -> float:
        """The products of a call, less what calling the library for products of numbers takes."""
        rate = self.rates.get(workload.dtype)
        predicted = 1e9 * workload.flops(operation) / rate if rate else 0.0
        if predicted > LONG_NS:
            return predicted
        overhead = self._once(self._library_ns, _empty(workload.spec), operation)
        return max(0.0, self._library_ns(workload, operation) - overhead)

    def _library_ns(self, workload: MLPWorkload, operation: str) -> float:
        """The products of a call by the library."""
        products = Products.of_call(self.implementation, workload, operation, self.device)
        return self._time(products.work())

    def _call_ns(self, workload: MLPWorkload, operation: str) -> float:
        """A whole call."""
        placed = Placed.random(workload, self.implementation, self.device)
        return self._time(placed.work(operation))

    def _time(self, work: timer.Work) -> float:
        timer.block(work, 1)
        return timer.measure(work, self.target_ns, 0).per_call_ns


def _empty(spec: MLPSpec) -> MLPWorkload:
    """The same network with every layer of width 1, and one example."""
    return MLPWorkload("empty", replace(spec, layer_sizes=(1,) * len(spec.layer_sizes)), 1, 1)


def transfers(case: Case, placed: Placed, result: Tree) -> Message:
    """transfer_in_ns of a batch to the device, transfer_out_ns of what the operation gives."""
    implementation = placed.implementation
    output: Tree = result[-1] if case.operation in ("train_step", "epoch") else result  # params
    pageable = Pageable(implementation, placed.device)
    return {
        "transfer_in_ns": _least_ns(
            lambda: pageable.copy(*placed.host[0]), implementation.synchronize
        ),
        "transfer_out_ns": _least_ns(lambda: implementation.to_numpy(output), lambda _: None),
    }


def _least_ns(call: Callable[[], Tree], synchronize: Callable[[Tree], None]) -> int:
    """The least of three calls; of fewer where they are long."""
    times: list[int] = []
    while len(times) < 3 and sum(times) < TRANSFER_NS:
        times.append(timer.timed(call, synchronize)[1])
    return min(times)
