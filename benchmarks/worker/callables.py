"""The callables that are timed: loops over calls of a case, with batches that rotate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from samegrad.benchmarks.cases.case import PRODUCTS, Case
from samegrad.benchmarks.cases.inputs import Inputs
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker import ceilings
from samegrad.benchmarks.worker.ceilings import repeated
from samegrad.benchmarks.worker.gates import Products
from samegrad.implementations.checking.comparison import Comparison
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.trees import Tree

LEARNING_RATE = 0.01  # of the timed steps: too small to leave the neighbourhood of the start


@dataclass
class Placed:
    """One problem in this process: its inputs on the device, and what its gates have found.

    Attributes:
        given: as read; without the reference's results once other problems have begun.
        host, batches: batches in the host's memory, and on the device.
        rest: the smaller last batch of an epoch, in the host's memory.
        gates: operation -> verdict.
        heedless: operation -> how it ignores its arguments, or "".
        first_ns, compile_ns: operation -> of its first call.
        products: the matrix products of a step, where they are timed alone.
    """

    given: Inputs
    host: list[Any]
    batches: list[Any]
    rest: Any
    gates: dict[str, Comparison] = field(default_factory=dict)
    heedless: dict[str, str] = field(default_factory=dict)
    first_ns: dict[str, int] = field(default_factory=dict)
    compile_ns: dict[str, int] = field(default_factory=dict)
    products: Products | None = None


def of(
    case: Case,
    implementation: Implementation,
    here: Placed,
    fresh: Callable[..., tuple[Tree, Tree]],
    compilations: Callable[[], int],
) -> timer.Work:
    """What is timed for a case.

    Args:
        fresh: gives params and state (no state where it is told so).
        compilations: how many functions have been compiled so far.
    """
    spec, device = case.spec, case.device
    if case.operation == PRODUCTS:
        assert here.products is not None  # its gate has made them
        return ceilings.product_work(implementation, *here.products.given)
    end_to_end = case.transfer == "end_to_end"
    batches = here.host if end_to_end else here.batches
    place: Callable[..., Tree] = implementation.batch_from_numpy
    # An epoch of its own is one call, or a few; its batches are on the device.
    at_once = None if end_to_end else implementation.capabilities.epoch
    if case.operation == "epoch":
        steps = case.workload.examples // case.workload.batch_size
        batches = [batches[i % len(batches)] for i in range(steps)]
        if len(here.rest[1]):
            rest = place(spec, *here.rest, device)
            batches.append(here.rest if end_to_end else rest)
        if at_once is not None:  # first calls compile
            implementation.synchronize(at_once(spec, *fresh(), batches, LEARNING_RATE))
        elif len(here.rest[1]):
            params, state = fresh()
            implementation.train_step(spec, params, state, rest[0], rest[1], LEARNING_RATE)

    itemsize = np.dtype(spec.dtype).itemsize
    function: Callable[..., Tree]
    if case.operation == "forward":
        function, given = implementation.forward, 1  # X
        result_bytes = case.workload.batch_size * spec.layer_sizes[-1] * itemsize
    else:
        function, given = implementation.loss_and_grad, 2  # X, y
        result_bytes = spec.parameters * itemsize
    consumes = case.operation in ("train_step", "epoch")
    kept = fresh(consumes)

    def independent(i: int) -> Tree:
        batch = batches[i % len(batches)]
        if end_to_end:
            batch = place(spec, *batch, device)
        found = function(spec, kept[0], *batch[:given])
        if end_to_end:  # outputs, or the loss
            implementation.to_numpy(found if given == 1 else found[0])
        return found

    def train(calls: int, start: Tree) -> Tree:
        params, state = start
        for i in range(calls):
            X, y = batches[i % len(batches)]
            if end_to_end:
                X, y = place(spec, X, y, device)
            params, state, loss = implementation.train_step(
                spec, params, state, X, y, LEARNING_RATE
            )
            if end_to_end:
                implementation.to_numpy(loss)
        return params, state, loss

    def epoch(calls: int, start: Tree) -> Tree:
        if at_once is None:
            return train(calls * len(batches), start)
        params, state = start
        for _ in range(calls):
            params, state, loss = at_once(spec, params, state, batches, LEARNING_RATE)
        return params, state, loss

    run: Callable[[int, Tree], Tree]
    if consumes:
        run = train if case.operation == "train_step" else epoch
    else:
        run = repeated(independent, implementation.synchronize, result_bytes)
    return timer.Work(
        start=fresh if consumes else lambda: kept,
        run=run,
        synchronize=implementation.synchronize,
        fetch=lambda result: implementation.to_numpy(_loss(case, result)),
        events=implementation.capabilities.events(device),
        compilations=compilations,
        collects=implementation.capabilities.leaves_cycles,
    )


def number(implementation: Implementation, case: Case, result: Tree) -> float:
    """A number that is finite only if what was timed computed something finite."""
    found = _loss(case, result)
    if case.operation == "forward":
        found = result[-1]
    elif case.operation == PRODUCTS:
        found = result[-1][-1]
    return float(np.sum(implementation.to_numpy(found)))


def _loss(case: Case, result: Tree) -> Tree:
    """The last loss of a block; a block of forward passes or products has none."""
    if case.operation in ("forward", PRODUCTS):
        return None
    return result[-1][0] if case.operation == "loss_and_grad" else result[2]
