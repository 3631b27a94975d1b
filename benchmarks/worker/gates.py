"""A network in a worker process: its first calls, and what the judge is told of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import PASSED, Draw
from samegrad.benchmarks.cases.workload import PRODUCTS, MLPWorkload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.clock.calls import Several
from samegrad.benchmarks.worker.breakdown import Breakdown, transfers
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import INDEPENDENT, Placed
from samegrad.benchmarks.worker.subject import Seen, Subject
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.spec import Params, Tree

Message = dict[str, Any]
# Bytes of inputs that a workload keeps while others are computed, and while its process waits.
# Wider networks are read again: of many processes that wait, each would hold them several times.
KEPT_BYTES = 32 * 2**20
HELD = ("inputs", "host", "batches", "_epoch")  # of `Placed`
# What each operation gives, as `comparison.judge` names it.
NAMES = {
    "forward": ("outputs",),
    "loss_and_grad": ("loss with the gradient", "grads"),
    "train_step": ("loss of the step", "updated"),
}


class Gates(Subject):
    """The first calls of one workload in one process, one of each operation.

    Attributes:
        placed: the workload on its device.
        products: the matrix products of a step, once they have been called.
    """

    def __init__(self, placed: Placed, ours: bool = True, directory: Path | None = None) -> None:
        """Nothing is called yet.

        Args:
            ours: whether it is a registered implementation: what its results are is known.
            directory: where its inputs can be read again; None: they are kept.
        """
        super().__init__(placed.implementation)
        self.directory = directory
        self.placed = placed
        self.looks = not ours and not isinstance(placed.implementation, OwnCalls)
        self.products: Products | None = None

    @classmethod
    def read(
        cls,
        workload: MLPWorkload,
        implementation: Implementation,
        device: str,
        directory: Path,
        ours: bool,
    ) -> "Gates":
        """A workload that is read and placed."""
        placed = Placed(workload, implementation, device, inputs.load(directory, workload))
        if isinstance(implementation, OwnCalls):
            placed.overwrites |= set(INDEPENDENT)
            return cls(placed, ours)  # the file's own objects hold what is placed
        return cls(placed, ours, directory)

    def release(self) -> None:
        """Let go of inputs that are large, on the host and on the device."""
        held = vars(self.placed)
        if self.directory is None or "inputs" not in held:
            return
        if sum(array.nbytes for array in self.placed.inputs.hashed().values()) > KEPT_BYTES:
            self.products = None
            for name in HELD:
                held.pop(name, None)

    def enter(self) -> None:
        """Read and place the inputs again."""
        if self.directory is None or "inputs" in vars(self.placed):
            return
        self.placed.hold(inputs.load(self.directory, self.placed.workload))
        if PRODUCTS in self.first_ns:
            self.products = self._random_products()

    @property
    def scale(self) -> float:
        """Of the learning rates."""
        return self.placed.inputs.scale

    def work(self, operation: str, transfer: str, draw: Draw) -> timer.Work:
        """What is timed of an operation."""
        if operation == PRODUCTS and self.products is not None:
            return self.products.work()
        return self.placed.work(operation, transfer, draw)

    def requests(self, draw: Draw) -> timer.Work:
        """Forward passes, one by one."""
        return self.placed.requests(draw)

    def named(self, operation: str, results: Tree, passed: list[Params]) -> Mapping[str, Tree]:
        """What a block gave, as `comparison.judge` names it."""
        names = NAMES[operation]
        given = dict(zip(names, results if len(names) > 1 else (results,), strict=True))
        given = shown(self.implementation, self.placed.spec, given)
        return given | ({PASSED: passed} if passed else {})

    def about(self) -> Message:
        """Bounds and conventions."""
        return about(self.implementation, self.placed.spec)

    def again(self, operation: str, blocks: timer.Blocks) -> bool:
        """Whether results share their memory, or placing weights computes: on other weights."""
        if blocks.last_seen is None:  # products, into arrays of their own
            return False
        result, placed = blocks.last_result, self.placed
        shared = isinstance(result, Several) and placed.overwritten(operation, result)
        return shared or placed.prepared(operation, blocks.elapsed_ns)

    def explained(self, case: Case, breakdown: Breakdown, seen: Seen | None) -> Message:
        """Products, dispatch and transfers; of products alone there is nothing to tell."""
        if seen is None:
            return {}
        return {**breakdown.of(case), **transfers(case, self.placed, seen.result)}

    def results(self, operation: str) -> Tree:
        """What the first call of an operation gives, as NumPy trees by the judge's names."""
        if operation == PRODUCTS:
            return self._products()
        implementation, spec, inputs = self.implementation, self.placed.spec, self.placed.inputs
        placed, state = self.placed.start(operation == "train_step")
        X, y = batch = self.placed.batches[0]
        implementation.synchronize((placed, state, batch))

        def call() -> Tree:
            if operation == "forward":
                return (implementation.forward(spec, placed, X),)
            if operation == "loss_and_grad":
                return implementation.loss_and_grad(spec, placed, X, y)
            new, _, loss = implementation.train_step(spec, placed, state, X, y, inputs.rate)
            return loss, new  # the state is the implementation's own affair

        results = self.first(operation, call)
        if self.looks and (
            fault := self.placed.look(operation, results[0] if operation == "forward" else results)
        ):
            raise AssertionError(fault)
        given = implementation.to_numpy(results)
        return shown(implementation, spec, dict(zip(NAMES[operation], given, strict=True)))

    def _products(self) -> Tree:
        """Products of random factors."""
        self.products = products = self._random_products()
        results = self.first(PRODUCTS, products.call)
        self.compile_ns[PRODUCTS] = 0  # their first call is shown as a whole
        return {PRODUCTS: [self.implementation.to_numpy(product) for product in results]}

    def _random_products(self) -> Products:
        workload, device = self.placed.workload, self.placed.device
        return Products.of_call(self.implementation, workload, "train_step", device)


def shown(implementation: Any, spec: Any, results: dict[str, Tree]) -> dict[str, Tree]:
    """Of some results those that can be compared: all, but for a file in nobody's dialect."""
    if not isinstance(implementation, OwnCalls):
        return results
    return {name: tree for name, tree in results.items() if name in implementation.shows(spec)}


def about(implementation: Any, spec: Any) -> Message:
    """What the judge needs to know of whose results they are."""
    known: Message = {"accuracy": implementation.capabilities.accuracy(spec)}
    if isinstance(implementation, OwnCalls):
        known["convention"] = implementation.convention(spec)
        known["said"] = implementation.conventions(spec)
    return known
