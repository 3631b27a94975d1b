"""First calls: what they give is for the judge, and how long they take for the report."""

from collections.abc import Callable
from typing import Any

from samegrad.benchmarks.cases.case import PRODUCTS
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.spec import Tree

Message = dict[str, Any]
# What each operation gives, as `comparison.judge` names it.
NAMES = {
    "forward": ("outputs",),
    "loss_and_grad": ("loss with the gradient", "grads"),
    "train_step": ("loss of the step", "updated"),
}


class Gates:
    """The first calls of one workload in one process, one of each operation.

    Attributes:
        placed: the workload on its device.
        first_ns, compile_ns: operation -> duration of its first call, and of compiling within it.
        products: the matrix products of a step, once they have been called.
    """

    def __init__(self, placed: Placed, ours: bool = True) -> None:
        """Nothing is called yet.

        Args:
            ours: whether it is a registered implementation: what its results are is known.
        """
        self.placed, self.implementation = placed, placed.implementation
        self.looks = not ours and not isinstance(placed.implementation, OwnCalls)
        self.first_ns: dict[str, int] = {}
        self.compile_ns: dict[str, int] = {}
        self.products: Products | None = None

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

        results = self._first(operation, call)
        if self.looks and (
            fault := self.placed.look(operation, results[0] if operation == "forward" else results)
        ):
            raise AssertionError(fault)
        given = implementation.to_numpy(results)
        return shown(implementation, spec, dict(zip(NAMES[operation], given, strict=True)))

    def _products(self) -> Tree:
        """Products of random factors."""
        self.products = products = Products.of_call(
            self.implementation, self.placed.workload, "train_step", self.placed.device
        )
        results = self._first(PRODUCTS, products.call)
        self.compile_ns[PRODUCTS] = 0  # their first call is shown as a whole
        return {PRODUCTS: [self.implementation.to_numpy(product) for product in results]}

    def _first(self, operation: str, call: Callable[[], Tree]) -> Tree:
        """The result of a call, whose time is kept."""
        compiled = self.implementation.capabilities.compilations()[1]
        result, first_ns = timer.timed(call, self.implementation.synchronize)
        now_compiled = self.implementation.capabilities.compilations()[1]
        self.first_ns[operation], self.compile_ns[operation] = first_ns, now_compiled - compiled
        return result


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
