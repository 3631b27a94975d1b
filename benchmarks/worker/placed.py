"""A workload in a worker process: its batches on the device, and the loops over its calls."""

from collections.abc import Callable

import numpy as np

from samegrad.benchmarks.cases.case import PRODUCTS, MLPWorkload
from samegrad.benchmarks.cases.inputs import Inputs
from samegrad.benchmarks.clock import timer
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Array, Params, Tree

Batch = tuple[Array, Array]
Run = Callable[[int, Tree], Tree]  # calls, start -> what they gave: `timer.Work.run`
# How somebody's file may refuse a network: one for a single shape raises whatever a product or a
# test of its own does.
REFUSALS = (NotImplementedError, ValueError, AssertionError, IndexError, KeyError, TypeError)
LEARNING_RATE = 0.01  # of the timed steps: too small to leave the neighbourhood of the start


class Placed:
    """A workload with its batches on the device of one implementation.

    Attributes:
        workload, implementation, device, inputs: what is where.
        host, batches: batches in the host's memory, and on the device.
        rest: the smaller last batch of an epoch, in the host's memory.
    """

    def __init__(
        self, workload: MLPWorkload, implementation: Implementation, device: str, inputs: Inputs
    ) -> None:
        """Place the batches."""
        self.workload, self.implementation, self.device = workload, implementation, device
        self.spec, self.inputs = workload.spec, inputs
        size, X, y = workload.batch_size, inputs.X, inputs.y
        whole = len(X) // size
        self.host: list[Batch] = [
            (X[i * size : (i + 1) * size], y[i * size : (i + 1) * size]) for i in range(whole)
        ]
        rest = workload.examples % size
        start = whole * size if len(X) == workload.examples else 0
        self.rest: Batch = X[start : start + rest], y[start : start + rest]
        self.batches = [self.place(*batch) for batch in self.host]

    @classmethod
    def random(cls, workload: MLPWorkload, implementation: Implementation, device: str) -> "Placed":
        """A network with one random batch, for what is no case."""
        spec, rng = workload.spec, np.random.default_rng(0)
        X = rng.standard_normal((workload.batch_size, spec.layer_sizes[0])).astype(spec.dtype)
        y = targets(spec, workload.batch_size, rng)
        return cls(workload, implementation, device, Inputs(init_params(spec), X, y, None))

    def place(self, X: Array, y: Array) -> Batch:
        """A batch on the device."""
        return self.implementation.batch_from_numpy(self.spec, X, y, self.device)

    def start(self, with_state: bool = True, params: Params | None = None) -> tuple[Tree, Tree]:
        """Params on the device and the optimiser's state, the initial ones or others.

        A file without an update rule has no state, and needs none where it is not asked for.
        """
        tree = self.inputs.params if params is None else params
        placed = self.implementation.params_from_numpy(self.spec, tree, self.device)
        return placed, self.implementation.init_state(self.spec, placed) if with_state else None

    def work(self, operation: str, transfer: str = "resident") -> timer.Work:
        """What is timed of an operation: calls of it, with batches that rotate."""
        implementation = self.implementation
        end_to_end = transfer == "end_to_end"
        batches = self.host if end_to_end else self.batches
        kept = None  # what every block starts from, where no call consumes it
        if operation in ("forward", "loss_and_grad"):
            kept = self.start(with_state=False)
            run = self._independent_calls(operation, kept[0], batches, end_to_end)
        elif operation == "train_step":
            run = self._steps(batches, end_to_end)
        else:
            run = self._epochs(batches, end_to_end)

        def fetch(result: Tree) -> None:
            if operation != "forward":  # whose outputs are no number
                implementation.to_numpy(last_result(operation, result))

        return timer.Work(
            start=self.start if kept is None else lambda: kept,
            run=run,
            synchronize=implementation.synchronize,
            fetch=fetch,
            events=implementation.capabilities.events(self.device),
            compilations=lambda: implementation.capabilities.compilations()[0],
            collects=implementation.capabilities.leaves_cycles,
        )

    def _independent_calls(
        self, operation: str, params: Params, batches: list[Batch], end_to_end: bool
    ) -> Run:
        """A loop over forward passes or gradients."""
        implementation, spec = self.implementation, self.spec
        function: Callable[..., Tree]
        if operation == "forward":
            function, arguments = implementation.forward, 1  # X
            entries = self.workload.batch_size * spec.layer_sizes[-1]
        else:
            function, arguments = implementation.loss_and_grad, 2  # X, y
            entries = spec.parameters

        def call(i: int) -> Tree:
            batch = batches[i % len(batches)]
            if end_to_end:
                batch = self.place(*batch)
            result = function(spec, params, *batch[:arguments])
            if end_to_end:  # outputs, or the loss
                implementation.to_numpy(result if arguments == 1 else result[0])
            return result

        result_bytes = entries * np.dtype(spec.dtype).itemsize
        return timer.repeated(call, implementation.synchronize, result_bytes)

    def _steps(self, batches: list[Batch], end_to_end: bool) -> Run:
        """A chain of training steps."""
        implementation, spec = self.implementation, self.spec

        def run(calls: int, start: Tree) -> Tree:
            params, state = start
            for i in range(calls):
                X, y = batches[i % len(batches)]
                if end_to_end:
                    X, y = self.place(X, y)
                params, state, loss = implementation.train_step(
                    spec, params, state, X, y, LEARNING_RATE
                )
                if end_to_end:
                    implementation.to_numpy(loss)
            return params, state, loss

        return run

    def _epochs(self, batches: list[Batch], end_to_end: bool) -> Run:
        """A chain of epochs; what compiles for the smaller last batch is called once before."""
        implementation, spec = self.implementation, self.spec
        whole = self.workload.examples // self.workload.batch_size
        batches = [batches[i % len(batches)] for i in range(whole)]
        if has_rest := len(self.rest[1]) > 0:
            rest = self.place(*self.rest)
            batches.append(self.rest if end_to_end else rest)
        # An epoch of its own is one call, or a few; its batches are on the device.
        at_once = None if end_to_end else implementation.capabilities.epoch
        if at_once is None:
            if has_rest:
                params, state = self.start()
                implementation.train_step(spec, params, state, *rest, LEARNING_RATE)
            steps = self._steps(batches, end_to_end)
            return lambda calls, start: steps(calls * len(batches), start)
        implementation.synchronize(at_once(spec, *self.start(), batches, LEARNING_RATE))

        def run(calls: int, start: Tree) -> Tree:
            params, state = start
            for _ in range(calls):
                params, state, loss = at_once(spec, params, state, batches, LEARNING_RATE)
            return params, state, loss

        return run


def last_result(operation: str, result: Tree) -> Tree:
    """What the last call of a block gave: outputs, a product, or the loss."""
    if operation == "forward":
        return result[-1]
    if operation == PRODUCTS:
        return result[-1][-1]
    return result[-1][0] if operation == "loss_and_grad" else result[2]
