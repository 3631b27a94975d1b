"""Gates: no number without an agreement.

What is timed must first agree with the reference, on the callable that is timed, in the process in
which it is timed: that spares the time of what is wrong. The proof is what the timed blocks have
given (`samegrad.benchmarks.judge.blocks`). Products stand on NumPy's in float64.
"""

from collections.abc import Callable, Mapping

import numpy as np

from samegrad.benchmarks.cases.case import PRODUCTS, Case
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import Batch, Placed
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import PRECISIONS, Comparison, TensorCheck
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.spec import Params, Tree, map_tree

# What each operation gives, as `comparison.judge` names it.
NAMES = {
    "forward": ("outputs",),
    "loss_and_grad": ("loss with the gradient", "grads"),
    "train_step": ("loss of the step", "updated"),
}


class Gates:
    """The gates of one workload in one process; each operation is judged once.

    Attributes:
        placed: the workload on its device.
        verdicts: operation -> how its results compare with what they must be.
        first_ns, compile_ns: operation -> duration of its first call, and of compiling within it.
        products: the matrix products of a step, once their gate has been asked for.
    """

    def __init__(self, placed: Placed, precision: str, thorough: bool, ours: bool = True) -> None:
        """Nothing is called yet.

        Args:
            precision: "ieee", "tf32" or "bfloat16".
            thorough: whether it is also found out in how many digits an operation computes: one
                process of a run does.
            ours: whether it is a registered implementation: what its results are is known.
        """
        self.looks = not ours and not isinstance(placed.implementation, OwnCalls)
        self.placed, self.precision, self.thorough = placed, precision, thorough
        self.implementation, self.spec = placed.implementation, placed.spec
        # Declared for products in fewer digits; none for IEEE's.
        self.bounds: Mapping[str, float] | None = None
        if precision != "ieee":
            self.bounds = {self.spec.dtype: PRECISIONS[precision]}
        self.verdicts: dict[str, Comparison] = {}
        self.first_ns: dict[str, int] = {}
        self.compile_ns: dict[str, int] = {}
        self.products: Products | None = None

    def verdict(self, case: Case) -> Comparison:
        """The verdict on everything that must agree before the case is timed."""
        for operation in case.gated:
            if operation not in self.verdicts:
                self.verdicts[operation] = self._judge(operation)
        return Comparison(sum((self.verdicts[name].tensors for name in case.gated), ()))

    def _judge(self, operation: str) -> Comparison:
        """Call an operation for the first time, and compare what it gives."""
        if operation == PRODUCTS:
            return self._judge_products()
        assert self.placed.inputs.expected is not None  # gates come before all repetitions
        expected = Expected(**self.placed.inputs.expected)
        own = self._by_convention(self.placed.inputs.params, 0, expected.learning_rate)
        expected = own or expected
        spec, params, batch = self.spec, self.placed.inputs.params, self.placed.batches[0]
        results = self._results(operation, params, batch, expected.learning_rate)
        accuracy = self.implementation.capabilities.accuracy(spec)
        tree = next((key for key in ("grads", "updated") if key in results), None)
        if tree is None:
            return comparison.judge(spec, expected, results, accuracy, self.bounds)
        reference = getattr(expected, tree)
        before = params if tree == "updated" else map_tree(np.zeros_like, expected.grads)
        if self.precision != "ieee":  # what fewer digits changed `before` into, in the norm
            others = {key: result for key, result in results.items() if key != tree}
            exact = comparison.judge(spec, expected, others, accuracy, self.bounds)
            name = "d{}" if tree == "grads" else "{} after a step"
            norms = comparison.in_norm(
                reference, results[tree], before, spec.dtype, self.precision, name
            )
            return Comparison(exact.tensors + norms.tensors)
        verdict = comparison.judge(spec, expected, results, accuracy, self.bounds)
        if not self.thorough or not verdict.agrees:
            return verdict
        share = comparison.in_more_digits(reference, results[tree], before)
        if share is None:
            return verdict
        reason = f"computed in more digits than {spec.dtype}: {100 * share:.0f} % of its "
        reason += "entries are correctly rounded"
        fault = TensorCheck(operation, None, comparison.bound(spec.dtype), reason)
        return Comparison((*verdict.tensors, fault))

    def _judge_products(self) -> Comparison:
        """Products of random factors against NumPy's."""
        products = Products.of_call(
            self.implementation, self.placed.workload, "train_step", self.placed.device
        )
        results = self._first(PRODUCTS, products.call)
        self.compile_ns[PRODUCTS] = 0  # their first call is shown as a whole
        self.products = products
        arrays = [self.implementation.to_numpy(product) for product in results]
        return products.judge(arrays, self.spec.dtype, self.bounds)

    def _results(
        self, operation: str, params: Params, batch: Batch, learning_rate: float
    ) -> dict[str, Tree]:
        """What an operation gives, as NumPy trees by the names that `comparison.judge` knows."""
        implementation, spec = self.implementation, self.spec
        placed, state = self.placed.start(operation == "train_step", params)
        implementation.synchronize((placed, state, batch))
        X, y = batch

        def call() -> Tree:
            if operation == "forward":
                return (implementation.forward(spec, placed, X),)
            if operation == "loss_and_grad":
                return implementation.loss_and_grad(spec, placed, X, y)
            new, _, loss = implementation.train_step(spec, placed, state, X, y, learning_rate)
            return loss, new  # the state is the implementation's own affair

        results = self._first(operation, call)
        if self.looks and (
            fault := self.placed.look(operation, results[0] if operation == "forward" else results)
        ):
            raise AssertionError(fault)
        given = dict(zip(NAMES[operation], implementation.to_numpy(results), strict=True))
        if not isinstance(implementation, OwnCalls):
            return given
        return {n: tree for n, tree in given.items() if n in implementation.shows(spec)}

    def _by_convention(self, params: Params, batch: int, rate: float) -> Expected | None:
        """What must come out of a batch by a convention of its own; None where it keeps to ours."""
        if not isinstance(self.implementation, OwnCalls):
            return None
        expected: Expected = self.implementation.expected(
            self.spec, params, *self.placed.host[batch], rate
        )
        return expected

    def _first(self, operation: str, call: Callable[[], Tree]) -> Tree:
        """The result of a call; if it is the first one of an operation, its time is kept."""
        compiled = self.implementation.capabilities.compilations()[1]
        result, first_ns = timer.timed(call, self.implementation.synchronize)
        now_compiled = self.implementation.capabilities.compilations()[1]
        self.first_ns.setdefault(operation, first_ns)
        self.compile_ns.setdefault(operation, now_compiled - compiled)
        return result
