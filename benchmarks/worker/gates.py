"""Gates: no number without an agreement.

What is timed must first agree with the reference, on the callable that is timed, in the process in
which it is timed. Products and whole epochs stand on NumPy's products in float64, and on steps
that a gate has passed.
"""

from collections.abc import Callable, Mapping

import numpy as np

from samegrad.benchmarks.cases.case import PRODUCTS, Case
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.ceilings import Products
from samegrad.benchmarks.worker.placed import LEARNING_RATE, Batch, Placed
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import PRECISIONS, Comparison, TensorCheck
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.own_calls import OwnCalls
from samegrad.implementations.contract.spec import Params, Tree, map_tree

EPOCH_BATCHES = 4  # of the epoch that is compared with its steps: two, twice, in their order
# A call that takes longer is not made once more to see whether it ignores its arguments.
OTHER_BATCH_NS = 250_000_000
# What each operation gives besides a loss, as `comparison.judge` names it.
SHOWN_BY = {"forward": "outputs", "loss_and_grad": "grads", "train_step": "updated"}


class Gates:
    """The gates of one workload in one process; each operation is judged once.

    Attributes:
        placed: the workload on its device.
        verdicts: operation -> how its results compare with what they must be.
        first_ns, compile_ns: operation -> duration of its first call, and of compiling within it.
        products: the matrix products of a step, once their gate has been asked for.
    """

    def __init__(self, placed: Placed, precision: str, thorough: bool) -> None:
        """Nothing is called yet.

        Args:
            precision: "ieee", "tf32" or "bfloat16".
            thorough: whether it is also found out in how many digits an operation computes, and
                whether it ignores its arguments: one process of a run does.
        """
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
        self._ignored: dict[str, str] = {}  # operation -> how it ignores its arguments, or ""

    def verdict(self, case: Case) -> Comparison:
        """The verdict on everything that must agree before the case is timed."""
        operations = case.gated
        if case.operation == "epoch" and self.implementation.capabilities.epoch is not None:
            operations = (*operations, "epoch")
        for operation in operations:
            if operation not in self.verdicts:
                self.verdicts[operation] = self._judge(operation)
        return Comparison(sum((self.verdicts[name].tensors for name in operations), ()))

    def ignores_arguments(self, case: Case, per_call_ns: float) -> str:
        """How the timed operation ignores its arguments, or "".

        Only a timed call says how long it takes: a first call says nothing, if it compiles.
        """
        operation, other = case.gated[-1], self.placed.inputs.other
        if case.operation == "epoch":
            per_call_ns /= case.calls_per_epoch
        quick = per_call_ns < OTHER_BATCH_NS and operation != PRODUCTS
        if self.thorough and operation not in self._ignored and other and quick:
            verdict = self._judge_other_arguments(operation, *other)
            self._ignored[operation] = verdict.reason if verdict.disagrees else ""
        return self._ignored.get(operation, "")

    def _judge(self, operation: str) -> Comparison:
        """Call an operation for the first time, and compare what it gives."""
        if operation == PRODUCTS:
            return self._judge_products()
        if operation == "epoch":
            return self._judge_epoch()
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

    def _judge_other_arguments(self, operation: str, loss: float, outputs: Tree) -> Comparison:
        """The operation with other arguments: what is folded into the timed code shows."""
        negated = map_tree(np.negative, self.placed.inputs.params)
        results = self._results(operation, negated, self.placed.batches[1], LEARNING_RATE)
        own = self._by_convention(negated, 1, LEARNING_RATE)
        if own is not None:  # whose loss is not computed by the calls that are timed
            key = SHOWN_BY[operation]
            return self._same(f"{key} of another batch and other weights", getattr(own, key),
                              results[key])  # fmt: skip
        key = next(iter(results))
        name, reference = ("outputs", outputs) if key == "outputs" else ("loss", loss)
        return self._same(f"{name} of another batch and other weights", reference, results[key])

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

    def _judge_epoch(self) -> Comparison:
        """An implementation's own epoch against its own steps, which another gate has judged."""
        epoch = self.implementation.capabilities.epoch
        assert epoch is not None
        batches = [self.placed.batches[i % len(self.placed.batches)] for i in range(EPOCH_BATCHES)]
        at_once, _, last_loss = epoch(self.spec, *self.placed.start(), batches, LEARNING_RATE)
        params, state = self.placed.start()
        for X, y in batches:
            params, state, loss = self.implementation.train_step(
                self.spec, params, state, X, y, LEARNING_RATE
            )
        to_numpy = self.implementation.to_numpy
        stepped, loss = comparison.as_float64((to_numpy(params), to_numpy(loss)))
        after = self._same("{} after an epoch", stepped, to_numpy(at_once))
        return Comparison(after.tensors + self._same("loss", loss, to_numpy(last_loss)).tensors)

    def _same(self, name: str, expected: Tree, actual: Tree) -> Comparison:
        return comparison.compare(
            expected, actual, self.spec.dtype, name=name, accuracy=self.bounds
        )

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

        names = {
            "forward": ("outputs",),
            "loss_and_grad": ("loss with the gradient", "grads"),
            "train_step": ("loss of the step", "updated"),
        }[operation]
        results = self._first(operation, call)
        given = dict(zip(names, implementation.to_numpy(results), strict=True))
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
