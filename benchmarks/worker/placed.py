"""A workload in a worker process: its batches on the device, and the loops over its calls."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, combinations, count, islice
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.draws import Draw, most_calls, parts, weights
from samegrad.benchmarks.cases.inputs import Inputs
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import threads, timer
from samegrad.benchmarks.clock.calls import (
    MOST_HELD,
    Several,
    copied,
    most_pending,
    repeated,
)
from samegrad.benchmarks.worker import arrays
from samegrad.benchmarks.worker.compilers import compilations
from samegrad.benchmarks.worker.subject import Draws, Seen
from samegrad.benchmarks.worker.transfers import Batch, Pageable, Ways
from samegrad.implementations.checking.problems import targets
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import Array, Params, Tree

Start = Callable[[int], Tree]  # calls -> what a block starts from: `timer.Work.start`
Run = Callable[[int, Tree], Tree]  # calls, start -> what they gave: `timer.Work.run`
# How somebody's file may refuse a network: one for a single shape raises whatever a product or a
# test of its own does.
REFUSALS = (NotImplementedError, ValueError, AssertionError, IndexError, KeyError, TypeError)
INDEPENDENT = ("forward", "loss_and_grad")  # operations whose calls start from nothing
# What somebody's own code may compute while it places weights, of a block: nobody who places them,
# and does nothing else, comes near it.
PREPARED_SHARE = 0.1


@dataclass(frozen=True)
class Unplaced:
    """What a block starts from where weights are placed inside the clock."""

    calls: int


def _ours(function: Any) -> bool:
    """Whether a function is of samegrad's implementations, by the module whose names it uses."""
    names = getattr(function, "__globals__", {})
    name = names.get("__name__", "")
    module = sys.modules.get(name)
    ours = name.startswith("samegrad.implementations.") or name == __name__
    return ours and module is not None and vars(module) is names


def _loaded(loader: Any, each: int, chain: list[list[Batch]]) -> Iterator[Iterator[Batch]]:
    """The parts of a chain, their batches as a loader gives them that is made for each call."""
    steps = [batch for part in chain for batch in part]
    calls = (loader(steps[first : first + each]) for first in range(0, len(steps), each))
    batches = (batch for call in calls for batch in call)
    for part in chain:
        yield islice(batches, len(part))
    next(batches, None)  # the last one's end: its workers stop within their call


class Placed:
    """A workload with its batches on the device of one implementation.

    Attributes:
        workload, implementation, device, inputs: what is where.
        host, batches: batches in the host's memory, and on the device.
        overwrites, held: operations whose results overwrite those of calls before; all that were
            tried out for it.
        converts: operations whose results are of types that may compute when they are asked.
        prepares: operations for which so much is computed while weights are placed that it belongs
            to the calls.
        own_placing, own_state, own_waiting: whether somebody's own code places weights, makes the
            optimiser's state, and waits.
    """

    def __init__(
        self, workload: MLPWorkload, implementation: Implementation, device: str, inputs: Inputs
    ) -> None:
        """Place the batches."""
        self.workload, self.implementation, self.device = workload, implementation, device
        self.spec = workload.spec
        self.hold(inputs)
        self.overwrites, self.held = set[str](), set[str]()
        self.converts, self.prepares = set[str](), set[str]()
        self._ways = Ways(implementation, device)
        backend, model = implementation.backend, implementation.model
        self.own_placing = not all(map(_ours, (backend.place, backend.place_params)))
        self.own_waiting = not _ours(backend.synchronize)
        self.own_state = not _ours(getattr(model, "init_state", _ours))
        self._placing_ns: list[int] = []  # CPU time, of the last blocks
        self._once = ""  # the operation for which much was computed the last time

    @classmethod
    def random(cls, workload: MLPWorkload, implementation: Implementation, device: str) -> "Placed":
        """A network with one random batch, for what is no case."""
        spec, rng = workload.spec, np.random.default_rng(0)
        X = rng.standard_normal((workload.batch_size, spec.layer_sizes[0])).astype(spec.dtype)
        y = targets(spec, workload.batch_size, rng)
        return cls(workload, implementation, device, Inputs(init_params(spec), X, y))

    def hold(self, inputs: Inputs) -> None:
        """Place its batches, at first or once more."""
        self.inputs, self.host = inputs, inputs.batches(self.workload.batch_size)
        self.batches = [self.place(*batch) for batch in self.host]

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

    def work(
        self, operation: str, transfer: str = "resident", draw: Draw | None = None
    ) -> timer.Work:
        """What is timed of an operation: calls of it, on weights and batches as drawn."""
        implementation, draws = self.implementation, Draws(draw or Draw())
        way, independent = self._ways[transfer], operation in INDEPENDENT
        if independent:
            start, run = self._independent_calls(operation, draws, way)
        elif operation == "train_step":
            batches = self._on_its_side(way)
            start, run = self._steps(
                draws, way, 1, lambda n, d: [batches[b] for b in d.batches(n, len(batches))]
            )
        else:
            start, run = self._epochs(draws, way)
        if self.own_placing or self.own_waiting or (self.own_state and not independent):
            start, run = self._counted(operation, start, run)

        def synchronize(result: Tree) -> None:
            if isinstance(result, Several):
                implementation.synchronize(result.last)
            elif not isinstance(result, Unplaced):
                implementation.synchronize(result[:3] if isinstance(result, tuple) else result)

        def fetch(result: Tree) -> Seen:
            number, passed = 0, list[Params]()
            if isinstance(result, Several):
                number, result = self._one(operation, result)
            else:
                params, _, loss, passed = result
                result = loss, params
                if "train_step" not in self.converts:
                    implementation.to_numpy(loss)  # whatever type it is of
            return Seen(number, draws.now.block, result, passed, arrays.seen(result))

        return timer.Work(
            start=start,
            run=run,
            synchronize=synchronize,
            fetch=fetch,
            # Somebody's own waiting might take as long as it wants to.
            copies=None if self.own_waiting else partial(copied, arrays.copies),
            events=implementation.capabilities.events(self.device),
            compilations=partial(compilations, implementation),
            collects=implementation.capabilities.leaves_cycles,
            most_calls=most_calls(self.inputs.params, len(self.host)) if independent else 2**62,
        )

    def requests(self, draw: Draw) -> timer.Work:
        """Forward passes of which each is waited for: weights stay, examples are new ones."""
        implementation, spec, numbers = self.implementation, self.spec, count()
        params, _ = self.start(with_state=False, params=draw.params(self.inputs.params))
        host, y = self.host[0]

        def run(_: int, X: Tree) -> Tree:
            outputs = implementation.forward(spec, params, X)
            return implementation.to_numpy(outputs) if "forward" in self.converts else outputs

        return timer.Work(
            start=lambda _: self.place(draw.request(host, next(numbers)), y)[0],
            run=run,
            synchronize=implementation.synchronize,
        )

    def _counted(self, operation: str, start: Start, run: Run) -> tuple[Start, Run]:
        """A loop whose weights are placed by somebody's own code: before it, unless that computes.

        Gradients could be made as soon as there are weights.
        """
        if operation in self.prepares:
            return Unplaced, lambda calls, _: run(calls, start(calls))
        self._placing_ns = []

        def measured(calls: int) -> Tree:
            self._began_ns = threads.cpu_time()
            placed = start(calls)
            self.implementation.synchronize(placed)
            self._placing_ns.append(threads.cpu_time() - self._began_ns)
            return placed

        return measured, run

    def prepared(self, operation: str, elapsed_ns: list[int]) -> bool:
        """Whether blocks must be timed again, as much was computed while weights were placed.

        Once may be an accident; what comes twice belongs to the calls from then on.

        Args:
            operation, elapsed_ns: of the last blocks.
        """
        placing = zip(self._placing_ns[-len(elapsed_ns) :], elapsed_ns, strict=False)
        if not any(spent > PREPARED_SHARE * elapsed for spent, elapsed in placing):
            self._once = ""
            return False
        if self._once == operation:
            self.prepares.add(operation)
        self._once, self._placing_ns = operation, []
        return True

    def _one(self, operation: str, several: Several) -> tuple[int, Tree]:
        """Number and result of the call that is looked at."""
        if operation in self.overwrites:
            return several.before + len(several.last) - 1, several.last[-1]
        return several.any()

    def look(self, operation: str, result: Tree) -> str:
        """See how results of an operation are to be looked at, by the first; why not at all, or "".

        What is of no framework's own type, or holds other numbers than it is converted to, may be
        computed when it is converted: that belongs to the call.
        """
        given, converted = arrays.numbers(result), self.implementation.to_numpy(result)
        if not arrays.unchanged(given, arrays.numbers(result)):
            return "its arrays change when they are converted to NumPy"
        if not arrays.known(result) or not arrays.same_numbers(given, [*arrays.leaves(converted)]):
            self.converts.add(operation)
        return ""

    def overwritten(self, operation: str, several: Several) -> bool:
        """Whether results share their memory, which is noted: then the last one is looked at."""
        if operation in self.overwrites or several.before + len(several.last) < 2:
            return False
        kept = [*([several.one[1]] if several.one else []), *several.last]
        if several.one and operation not in self.held:  # a ring of buffers may come round later
            self.held.add(operation)
            calls = min(several.before, MOST_HELD)
            start, run = self._independent_calls(operation, Draws(Draw()), None, calls)
            kept += run(calls, start(calls)).last
        places = [set(arrays.places(result)) for result in kept]
        if not any(a & b for a, b in combinations(places, 2)):
            return False
        self.overwrites.add(operation)
        return True

    def _on_its_side(self, way: Pageable | None) -> list[Batch]:
        """Whole batches, on the device or in the host's memory."""
        return way.host(self.host) if way else self.batches

    def _independent_calls(
        self, operation: str, draws: Draws, way: Pageable | None, most: int | None = None
    ) -> tuple[Start, Run]:
        """A loop over forward passes or gradients, of which `most` are kept at once."""
        implementation, spec, given = self.implementation, self.spec, self.inputs.params
        forward = operation == "forward"
        function: Callable[..., Tree] = (
            implementation.forward if forward else implementation.loss_and_grad
        )
        taken = 2 if forward else 3  # params, X; and y
        batches = self._on_its_side(way)

        def start(calls: int) -> list[tuple[Tree, ...]]:
            draw, count = draws.next(), weights(given, calls, len(batches))
            pairs = draw.pairs(calls, len(batches), count)
            drawn = [draw.params(given, number) for number in range(count)]
            self._began_ns = threads.cpu_time() if self.own_placing else 0
            placed = [self.start(with_state=False, params=params)[0] for params in drawn]
            arguments = [(placed[w], *batches[b]) for w, b in pairs]
            return arguments if way else [each[:taken] for each in arguments]

        def call(start: list[tuple[Tree, ...]], i: int) -> Tree:
            return function(spec, *start[i])

        def converted(start: list[tuple[Tree, ...]], i: int) -> Tree:
            return implementation.to_numpy(function(spec, *start[i]))

        if way:

            def from_host_to_host(start: list[tuple[Tree, ...]], i: int) -> Tree:
                params, X, y = start[i]
                result = function(spec, params, *way.copy(X, y)[: taken - 1])
                implementation.to_numpy(result if forward else result[0])  # outputs, or the loss
                return result

            call = from_host_to_host
        elif operation in self.converts:
            call = converted
        size = self.workload.batch_size * spec.layer_sizes[-1] if forward else spec.parameters
        most = most or most_pending(size * np.dtype(spec.dtype).itemsize, self.device)
        # Each must be there before the next one begins; or could be made together with others.
        if operation in self.overwrites or (self.own_waiting and self.device == "cpu"):
            most = 1
        return start, repeated(call, implementation.synchronize, most)

    def _steps(
        self,
        draws: Draws,
        way: Pageable | None,
        each: int,
        batches_of: Callable[[int, Draw], list[Batch]],
        make: Callable[..., Tree] | None = None,
        load: Callable[[list[list[Batch]]], Iterable[Any]] = iter,
    ) -> tuple[Start, Run]:
        """A chain of training steps.

        Args:
            each: steps of a call.
            batches_of: calls, draw -> the batch of each step.
            make: makes the steps on some batches, one after the other where it is None.
            load: parts of the chain -> the same, as somebody's loader gives their batches.
        """
        implementation, spec = self.implementation, self.spec
        rate = implementation.backend.rate(draws.now.learning_rate, self.device)

        def start(calls: int) -> list[Any]:
            draw = draws.next()
            params, state = self.start(params=draw.params(self.inputs.params))
            return [params, state, self._parts(batches_of(calls, draw), each)]

        def run(_: int, start: list[Any]) -> Tree:
            params, state, chain = start
            start.clear()  # or the first weights would live on beside those of each step
            passed, loss = list[Params](), None
            for number, batches in enumerate(load(chain)):
                if number:
                    passed.append(implementation.to_numpy(params))
                if make:
                    for first in range(0, len(batches), each):
                        some = batches[first : first + each]
                        params, state, loss = make(spec, params, state, some, rate)
                    continue
                for X, y in batches:
                    if way:
                        X, y = way.copy(X, y)
                    params, state, loss = implementation.train_step(spec, params, state, X, y, rate)
                    if way:
                        implementation.to_numpy(loss)
            if "train_step" in self.converts:
                params, loss = implementation.to_numpy((params, loss))
            return params, state, loss, passed

        return start, run

    def _parts(self, batches: list[Batch], each: int) -> list[list[Batch]]:
        """The steps of a chain in parts."""
        calls = len(batches) // each
        ends = list(accumulate(parts(self.spec, self.workload.batch_size, each, calls)))
        return [batches[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def _epochs(self, draws: Draws, way: Pageable | None) -> tuple[Start, Run]:
        """A chain of epochs."""
        batches = way.host(self.inputs.epoch(self.workload)) if way else self._epoch
        whole = self.workload.examples // self.workload.batch_size

        def ordered(draw: Draw) -> list[Batch]:
            return [batches[b] for b in draw.epoch(whole, len(batches) > whole)]

        # An epoch of its own is one call, or a few; its batches are on the device.
        at_once = None if way else self.implementation.capabilities.epoch
        loader = self.implementation.capabilities.loader
        load = iter if loader is None else partial(_loaded, loader, len(batches))
        return self._steps(
            draws,
            way,
            len(batches),
            lambda calls, draw: ordered(draw) * calls,
            at_once,
            load,
        )

    @cached_property
    def _epoch(self) -> list[Batch]:
        """The batches of an epoch on the device; what compiles for them is called once."""
        whole = self.workload.examples // self.workload.batch_size
        last = [self.place(*batch) for batch in self.inputs.epoch(self.workload)[whole:]]
        batches = [self.batches[i % len(self.batches)] for i in range(whole)] + last
        rate = self.implementation.backend.rate(Draw().learning_rate, self.device)
        at_once = self.implementation.capabilities.epoch
        if at_once is not None:
            for part in {len(part): part for part in self._parts(batches, len(batches))}.values():
                self.implementation.synchronize(at_once(self.spec, *self.start(), part, rate))
        elif last:
            self.implementation.train_step(self.spec, *self.start(), *last[0], rate)
        return batches
