"""What the time of a call consists of: matrix products, dispatch and Python, transfers.

The products are timed on their own; dispatch and Python are the same call on a network of width 1,
in which nothing is left to compute.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import costs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.costs import Shape
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.placed import Placed
from samegrad.benchmarks.worker.products import Products
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import DType, MLPSpec, Tree

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
        self.target_ns = (timer.CPU_BLOCK_NS if device == "cpu" else timer.GPU_BLOCK_NS) / 2
        self._measured: dict[Any, float] = {}

    def of(self, case: Case) -> Message:
        """products_ns and empty_ns of one call of the case, as far as they can be measured."""
        spec, steps = case.spec, case.calls_per_epoch
        times: Message = {}
        if self.implementation.capabilities.products is not None:
            one = self._products_ns(spec, case.operation, case.workload.batch_size)
            times["products_ns"] = steps * one
        operation = "train_step" if case.operation == "epoch" else case.operation
        with contextlib.suppress(NotImplementedError):  # somebody's network may refuse width 1
            times["empty_ns"] = steps * self._empty_ns(spec, operation)
        return times

    def _products_ns(self, spec: MLPSpec, operation: str, batch_size: int) -> float:
        kind = "forward" if operation == "forward" else "loss_and_grad"
        key = (spec.layer_sizes, spec.dtype, kind, batch_size)
        if key not in self._measured:
            rate = self.rates.get(spec.dtype)
            predicted = 1e9 * costs.flops(spec, kind, batch_size) / rate if rate else 0.0
            if predicted > LONG_NS:
                self._measured[key] = predicted
            else:
                whole = self._time(costs.products(spec, kind, batch_size), spec.dtype)
                tiny = self._overhead(len(spec.layer_sizes), spec.dtype, kind)
                self._measured[key] = max(0.0, whole - tiny)
        return self._measured[key]

    def _overhead(self, depth: int, dtype: DType, kind: str) -> float:
        """Nanoseconds of calling the library for as many products of numbers."""
        key = (depth, dtype, kind)
        if key not in self._measured:
            shapes = costs.products(MLPSpec((1,) * depth), kind, 1)
            self._measured[key] = self._time(shapes, dtype)
        return self._measured[key]

    def _time(self, shapes: list[tuple[str, Shape, Shape]], dtype: DType) -> float:
        products = Products.place(self.implementation, shapes, self.device, dtype).work()
        timer.block(products, 1)
        return timer.measure(products, int(self.target_ns), 0).per_call_ns

    def _empty_ns(self, spec: MLPSpec, operation: str) -> float:
        tiny = replace(spec, layer_sizes=(1,) * len(spec.layer_sizes))
        key = (tiny, operation)
        if key not in self._measured:
            self._measured[key] = self._time_empty(tiny, operation)
        return self._measured[key]

    def _time_empty(self, spec: MLPSpec, operation: str) -> float:
        implementation, device = self.implementation, self.device
        y = np.zeros(1, np.int64) if spec.loss == "cross_entropy" else np.zeros((1, 1), spec.dtype)
        X, y = implementation.batch_from_numpy(spec, np.ones((1, 1), spec.dtype), y, device)
        initial = init_params(spec)

        def start() -> Tree:
            params = implementation.params_from_numpy(spec, initial, device)
            if operation != "train_step":
                return params
            return params, implementation.init_state(spec, params)

        def train(calls: int, start: Tree) -> Tree:
            params, state = start
            for _ in range(calls):
                params, state, loss = implementation.train_step(spec, params, state, X, y, 0.01)
            return params, state, loss

        kept = start()
        function: Callable[..., Tree] = getattr(implementation, operation)
        batch = (X,) if operation == "forward" else (X, y)
        run: Callable[[int, Tree], Tree] = train
        if operation != "train_step":
            run = timer.repeated(
                lambda _: function(spec, kept, *batch), implementation.synchronize, 8
            )
        collects = implementation.capabilities.leaves_cycles
        empty = timer.Work(start, run, implementation.synchronize, collects=collects)
        timer.block(empty, 1)
        return timer.measure(empty, int(self.target_ns), 0).per_call_ns


def transfers(case: Case, placed: Placed, result: Tree) -> Message:
    """transfer_in_ns of a batch to the device, transfer_out_ns of what the operation gives."""
    implementation = placed.implementation
    output: Tree = result[0] if case.operation in ("train_step", "epoch") else result[-1]
    return {
        "transfer_in_ns": _least_ns(
            lambda: placed.place(*placed.host[0]), implementation.synchronize
        ),
        "transfer_out_ns": _least_ns(lambda: implementation.to_numpy(output), lambda _: None),
    }


def _least_ns(call: Callable[[], Tree], synchronize: Callable[[Tree], None]) -> int:
    """The least of three calls; of fewer where they are long."""
    times: list[int] = []
    while len(times) < 3 and sum(times) < TRANSFER_NS:
        times.append(timer.timed(call, synchronize)[1])
    return min(times)
