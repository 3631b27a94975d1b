"""The worker's side of a row: place the inputs, gate, time.

No number without an agreement: what is timed must first agree with the reference, on the callable
that is timed, in the process in which it is timed.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import PRODUCTS, Case, MLPWorkload, Workload
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.machine import counters, process_environment
from samegrad.benchmarks.worker import callables, gates
from samegrad.benchmarks.worker.callables import LEARNING_RATE, Placed
from samegrad.benchmarks.worker.ceilings import Parts
from samegrad.benchmarks.worker.gates import Products
from samegrad.implementations.checking import comparison
from samegrad.implementations.checking.comparison import PRECISIONS, Comparison, TensorCheck
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Tree, map_tree

Message = dict[str, Any]
# A call that takes longer is not made once more to see whether it heeds its arguments.
OTHER_BATCH_NS = 250_000_000
# Before a turn's first block. OpenBLAS's threads look for more work for a while before they sleep,
# on cores that are another library's by then, be they of another process or of the gate, which
# computes in NumPy: 60 ms of SciPy's products took 112 ms right after a norm of 4 million numbers,
# 90 ms after a rest of 0.05 s, 61 ms after 0.1 s; torch's and JAX's took 1.3 to 1.4 times as long.
# Half of that is enough for later turns: which cases come first in them is left to chance.
SETTLE_SECONDS, SETTLE_AGAIN_SECONDS = 0.1, 0.05
TRANSFER_NS = 100_000_000  # likewise a transfer, to see its minimum


class Bench:
    """What one process keeps between cases: its problems, placed, and how its cases are timed."""

    def __init__(self, implementation: Implementation, request: Message) -> None:
        self.implementation = implementation
        self.device: str = request["device"]
        self.precision: str = request["precision"]
        self.threads: str = request["threads"]
        self.directory = Path(request["directory"])
        self.settle_seconds: float = max(request["warm_up_seconds"], SETTLE_SECONDS)
        self.target_ns = timer.CPU_BLOCK_NS if self.device == "cpu" else timer.GPU_BLOCK_NS
        # What a program does with other arguments, and in how many digits, is looked at once a run.
        self.thorough: bool = request["process"] == 0
        self.problem: MLPWorkload | None = None
        self.known: dict[MLPWorkload, Placed] = {}
        self.seen: dict[str, tuple[int, float]] = {}  # case -> calls per block, ns per call
        self.visits: dict[str, list[timer.Blocks]] = {}  # case -> its blocks
        self.works: dict[str, timer.Work] = {}  # case -> what is timed, once it has been gated
        self.parts: Parts | None = None  # where this process measures them, too

    def gate(self, case: Case) -> Message | None:
        """Why a case must not be timed; None where it agrees."""
        self._take(case.workload)
        checked = self._gated(case)
        if not checked.agrees:
            return {"status": "wrong", "reason": checked.reason}
        if self.precision != "ieee" and not comparison.rounds(checked.tensors):
            reason = f"precision {self.precision} has no effect: products are IEEE float32"
            return {"status": "unavailable", "reason": reason}
        self.works[case.id] = self._work(case)
        return None

    def begin_turn(self, blocks: Mapping[str, Sequence[float]]) -> None:
        """Others may have had the machine: the next blocks are preceded by some that settle it.

        Args:
            blocks: case -> calls in a block and seconds per call, where other processes know them.
        """
        self.settle_seconds = max(self.settle_seconds, SETTLE_AGAIN_SECONDS)
        for name, (calls, seconds) in blocks.items():
            self.seen.setdefault(name, (int(calls), 1e9 * seconds))

    def visit(self, case: Case) -> Message:
        """A block of a case that has passed its gate: its outcome at this visit."""
        self._take(case.workload)
        timed, operation = self.works[case.id], case.gated[-1]
        first_ns = self.here.first_ns[operation] - self.here.compile_ns[operation]
        calls, per_call_ns = self.seen.get(case.id, (0, first_ns))
        self._settle(timed, per_call_ns)
        before = counters.moment()
        blocks = None
        if calls:
            blocks = timer.again(timed, calls, warm=per_call_ns < timer.LONG * self.target_ns)
        if blocks is None or min(blocks.elapsed_ns) < self.target_ns / 2:
            blocks = timer.measure(timed, self.target_ns, 0, least=1, seen_ns=first_ns)
        self.seen[case.id] = blocks.calls, blocks.per_call_ns
        found = self._judged(case, timed, blocks, before)
        if found["status"] != "ok" or len(self.visits[case.id]) > 1:
            return found
        fault = self._heedless(case, blocks.per_call_ns)
        if fault:
            return {"status": "wrong", "reason": fault}
        return {
            **found,
            "first_call_ns": self.here.first_ns.get(case.operation),
            "compile_ns": self.here.compile_ns.get(case.operation) or None,
            **self._parts(case, blocks.last_result),
        }

    def _settle(self, timed: timer.Work, call_ns: float) -> None:
        """Once a turn: clocks up, caches filled, and threads of others asleep by the end of it."""
        if call_ns < self.settle_seconds * 1e9:
            timer.warm_up(timed, self.settle_seconds)
        elif self.settle_seconds:
            time.sleep(min(self.settle_seconds, SETTLE_SECONDS))
        self.settle_seconds = 0.0

    def _judged(
        self, case: Case, timed: timer.Work, blocks: timer.Blocks, before: counters.Moment
    ) -> Message:
        """What the blocks are worth: a refusal, or their times."""
        after = counters.moment()
        threads = process_environment.thread_count(self.threads) if self.device == "cpu" else None
        earlier = self.visits.setdefault(case.id, [])
        refusal = blocks.refusal(threads, earlier)
        earlier.append(replace(blocks, last_result=None))
        if refusal is None and self.device == "cuda" and counters.gpu_throttling():
            refusal = "rejected", counters.gpu_throttling()
        if refusal is None and not math.isfinite(
            callables.number(self.implementation, case, blocks.last_result)
        ):
            refusal = "rejected", "the timed calls gave results that are not finite"
        if refusal is not None:
            return dict(zip(("status", "reason"), refusal, strict=True))
        worst = self._gated(case).worst
        assert worst is not None
        return {
            "status": "ok",
            "reason": "",
            "calls": blocks.calls,
            "elapsed_ns": blocks.elapsed_ns,
            "residual_ns": blocks.residual_ns,
            "event_ns": blocks.event_ns if timed.events is not None else [],
            "busy_ns": blocks.busy_ns,
            **counters.interference(before, after),
            "gate": {"name": worst.name, "error": worst.error or 0.0, "bound": worst.bound},
        }

    def _parts(self, case: Case, result: Tree) -> Message:
        """Beside the time of a call what it consists of, in the processes that look at it."""
        if self.parts is None or case.operation == PRODUCTS:
            return {}

        def measured() -> Message:
            assert self.parts is not None
            return {**self.parts.of(case), **self._transfers(case, result)}

        found, spent_ns = timer.timed(measured, lambda _: None)
        return {**found, "breakdown_spent_ns": spent_ns}

    def call(self, case: Case, times: int) -> None:
        """Calls of the case without a clock, for who looks at something else (its memory)."""
        self._take(case.workload)
        timed = self._work(case)
        self.implementation.synchronize(timed.run(times, timed.start()))

    @property
    def _problem(self) -> MLPWorkload:
        assert self.problem is not None
        return self.problem

    @property
    def here(self) -> Placed:
        """The present problem."""
        return self.known[self._problem]

    def _take(self, problem: Workload) -> None:
        """Make a problem the present one; at first, read its inputs and place them."""
        assert isinstance(problem, MLPWorkload)
        if problem == self.problem:
            return
        if self.problem is not None:  # its gates are done: the largest part of it can go
            self.here.given = replace(self.here.given, expected=None)
        self.problem = None  # should placing fail, the next case tries again
        if problem not in self.known:
            self.known[problem] = self._placed(problem)
        self.problem, self.spec = problem, problem.spec

    def _placed(self, problem: MLPWorkload) -> Placed:
        given = inputs.load(self.directory, problem)
        size, spec = problem.batch_size, problem.spec
        whole = len(given.X) // size
        host = [
            (given.X[i * size : (i + 1) * size], given.y[i * size : (i + 1) * size])
            for i in range(whole)
        ]
        rest = problem.examples % size
        start = whole * size if len(given.X) == problem.examples else 0
        host_rest = (given.X[start : start + rest], given.y[start : start + rest])
        return Placed(given, host, [self._place(spec, *batch) for batch in host], host_rest)

    def _place(self, spec: MLPSpec, X: Any, y: Any) -> Any:
        return self.implementation.batch_from_numpy(spec, X, y, self.device)

    def _fresh(self, with_state: bool = True) -> tuple[Tree, Tree]:
        """Params and state; a file without an update rule has no state, and needs none."""
        params = self.implementation.params_from_numpy(
            self.spec, self.here.given.params, self.device
        )
        return params, self.implementation.init_state(self.spec, params) if with_state else None

    def _gated(self, case: Case) -> Comparison:
        """The verdict on everything that must agree before the case is timed."""
        gated = case.gated
        if case.operation == "epoch" and self.implementation.capabilities.epoch is not None:
            gated = (*gated, "epoch")
        unseen = [operation for operation in gated if operation not in self.here.gates]
        for operation in unseen:
            self.here.gates[operation] = self._gate(operation)
        return Comparison(sum((self.here.gates[operation].tensors for operation in gated), ()))

    def _gate_of_products(self) -> Comparison:
        products = Products.of(self.implementation, self._problem, self.device)
        found, first_ns = timer.timed(
            lambda: products.call(self.implementation), self.implementation.synchronize
        )
        self.here.products = products
        self.here.first_ns[PRODUCTS], self.here.compile_ns[PRODUCTS] = first_ns, 0
        results = [self.implementation.to_numpy(product) for product in found]
        return products.judged(results, self.spec.dtype, self._bounds(self.spec))

    def _gate_of_epoch(self) -> Comparison:
        return gates.epoch(
            self.implementation,
            self.spec,
            self._fresh,
            self.here.batches,
            LEARNING_RATE,
            self._bounds(self.spec),
        )

    def _gate(self, operation: str) -> Comparison:
        """Call an operation on the gate's batch, and judge it."""
        if operation == PRODUCTS:
            return self._gate_of_products()
        if operation == "epoch":
            return self._gate_of_epoch()
        implementation, spec, stored = self.implementation, self.spec, self.here.given.expected
        assert stored is not None  # gates are of first visits
        reference = Expected(**stored)
        params, state = self._fresh(operation == "train_step")
        implementation.synchronize((params, state, self.here.batches[0]))
        compiled = self._compilations()[1]
        found, first_ns = timer.timed(
            lambda: self._call(
                operation, params, state, self.here.batches[0], reference.learning_rate
            ),
            implementation.synchronize,
        )
        self.here.first_ns[operation] = first_ns
        self.here.compile_ns[operation] = self._compilations()[1] - compiled
        named = self._named(operation, found)
        accuracy = comparison.declared(implementation, spec)
        before = self.here.given.params if "updated" in named else _zeros(reference.grads)
        tree = next((key for key in ("grads", "updated") if key in named), None)
        ieee = self.precision == "ieee"
        held = {key: found for key, found in named.items() if ieee or key != tree}
        verdict = comparison.judge(spec, reference, held, accuracy, self._bounds(spec))
        if tree is not None and not ieee:
            label = "d{}" if tree == "grads" else "{} after a step"
            expected, precision = getattr(reference, tree), self.precision
            norms = comparison.in_norm(expected, named[tree], before, spec.dtype, precision, label)
            verdict = Comparison(verdict.tensors + norms.tensors)
        if not self.thorough or not verdict.agrees:
            return verdict
        share = None
        if self.precision == "ieee" and tree is not None:
            share = comparison.in_more_digits(getattr(reference, tree), named[tree], before)
        if share is not None:
            reason = f"computed in more digits than {spec.dtype}: {100 * share:.0f} % of its "
            reason += "entries are correctly rounded"
            fault = TensorCheck(operation, None, comparison.bound(spec.dtype), reason)
            verdict = Comparison((*verdict.tensors, fault))
        return verdict

    def _heedless(self, case: Case, per_call_ns: float) -> str:
        """Why the timed operation does not heed its arguments, which is looked at once a run.

        Only now is it known how long a call takes: a first call says nothing, if it compiles.
        """
        operation, other, known = case.gated[-1], self.here.given.other, self.here.heedless
        if case.operation == "epoch":
            per_call_ns /= -(-case.workload.examples // case.workload.batch_size)
        quick = per_call_ns < OTHER_BATCH_NS and operation != PRODUCTS
        if self.thorough and operation not in known and other and quick:
            known[operation] = self._other(operation, *other).reason
        return known.get(operation, "")

    def _other(self, operation: str, loss: float, outputs: Any) -> Comparison:
        """The operation with other arguments: what is folded into the timed code shows."""
        implementation, spec = self.implementation, self.spec
        negated = map_tree(np.negative, self.here.given.params)
        params = implementation.params_from_numpy(spec, negated, self.device)
        state = implementation.init_state(spec, params) if operation == "train_step" else None
        found = self._call(operation, params, state, self.here.batches[1], LEARNING_RATE)
        named = self._named(operation, found)
        key = next(iter(named))
        name = f"{'outputs' if key == 'outputs' else 'loss'} of another batch and other weights"
        reference = outputs if key == "outputs" else loss
        return comparison.compare(
            reference, named[key], spec.dtype, name=name, accuracy=self._bounds(spec)
        )

    def _bounds(self, spec: MLPSpec) -> dict[str, float] | None:
        """What is declared for products in fewer digits; none for IEEE's."""
        return None if self.precision == "ieee" else {spec.dtype: PRECISIONS[self.precision]}

    def _call(
        self, operation: str, params: Tree, state: Tree, batch: Any, learning_rate: float
    ) -> Tree:
        implementation, spec, (X, y) = self.implementation, self.spec, batch
        if operation == "forward":
            return implementation.forward(spec, params, X)
        if operation == "loss_and_grad":
            return implementation.loss_and_grad(spec, params, X, y)
        params, _, loss = implementation.train_step(spec, params, state, X, y, learning_rate)
        return loss, params  # the state is the implementation's own affair

    def _named(self, operation: str, found: Tree) -> dict[str, Tree]:
        """Results as `comparison.judge` names them."""
        results = self.implementation.to_numpy(found)
        if operation == "forward":
            return {"outputs": results}
        if operation == "loss_and_grad":
            return {"loss with the gradient": results[0], "grads": results[1]}
        return {"loss of the step": results[0], "updated": results[1]}

    def _compilations(self) -> tuple[int, int]:
        return self.implementation.capabilities.compilations()

    def _work(self, case: Case) -> timer.Work:
        """The timed callables."""
        return callables.of(
            case, self.implementation, self.here, self._fresh, lambda: self._compilations()[0]
        )

    def _transfers(self, case: Case, result: Tree) -> Message:
        """A batch to the device, and what the operation gives to the host's memory."""
        implementation, least = self.implementation, {}
        what: Tree = result[0] if case.operation in ("train_step", "epoch") else result[-1]
        for name, call in (
            ("transfer_in_ns", lambda: self._place(self.spec, *self.here.host[0])),
            ("transfer_out_ns", lambda: implementation.to_numpy(what)),
        ):
            found: list[int] = []
            while len(found) < 3 and sum(found) < TRANSFER_NS:
                wait = implementation.synchronize if name == "transfer_in_ns" else lambda _: None
                found.append(timer.timed(call, wait)[1])
            least[name] = min(found)
        return least


def _zeros(tree: Tree) -> Tree:
    return map_tree(np.zeros_like, tree)
