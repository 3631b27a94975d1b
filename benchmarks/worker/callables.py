"""The callables that are timed: loops over calls of a case, with batches that rotate."""

from collections.abc import Callable

import numpy as np

from samegrad.benchmarks.cases.case import PRODUCTS, Case
from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.worker.gates import LEARNING_RATE, Gates
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import Tree


def work(case: Case, gates: Gates) -> timer.Work:
    """What is timed for a case.

    Args:
        gates: of its workload, which the case has passed.
    """
    placed, implementation = gates.placed, gates.implementation
    spec, device = case.spec, case.device
    if case.operation == PRODUCTS:
        assert gates.products is not None  # its gate has made them
        return gates.products.work()
    end_to_end = case.transfer == "end_to_end"
    batches = placed.host if end_to_end else placed.batches
    # An epoch of its own is one call, or a few; its batches are on the device.
    at_once = None if end_to_end else implementation.capabilities.epoch
    if case.operation == "epoch":
        steps = case.workload.examples // case.workload.batch_size
        batches = [batches[i % len(batches)] for i in range(steps)]
        has_rest = len(placed.rest[1]) > 0
        if has_rest:
            rest = placed.place(*placed.rest)
            batches.append(placed.rest if end_to_end else rest)
        if at_once is not None:  # first calls compile
            implementation.synchronize(at_once(spec, *placed.start(), batches, LEARNING_RATE))
        elif has_rest:
            params, state = placed.start()
            implementation.train_step(spec, params, state, rest[0], rest[1], LEARNING_RATE)

    itemsize = np.dtype(spec.dtype).itemsize
    function: Callable[..., Tree]
    if case.operation == "forward":
        function, arguments = implementation.forward, 1  # X
        result_bytes = case.workload.batch_size * spec.layer_sizes[-1] * itemsize
    else:
        function, arguments = implementation.loss_and_grad, 2  # X, y
        result_bytes = spec.parameters * itemsize
    consumes = case.operation in ("train_step", "epoch")
    kept = placed.start(consumes)

    def independent(i: int) -> Tree:
        batch = batches[i % len(batches)]
        if end_to_end:
            batch = placed.place(*batch)
        result = function(spec, kept[0], *batch[:arguments])
        if end_to_end:  # outputs, or the loss
            implementation.to_numpy(result if arguments == 1 else result[0])
        return result

    def train(calls: int, start: Tree) -> Tree:
        params, state = start
        for i in range(calls):
            X, y = batches[i % len(batches)]
            if end_to_end:
                X, y = placed.place(X, y)
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
        run = timer.repeated(independent, implementation.synchronize, result_bytes)
    return timer.Work(
        start=placed.start if consumes else lambda: kept,
        run=run,
        synchronize=implementation.synchronize,
        fetch=lambda result: implementation.to_numpy(_loss(case, result)),
        events=implementation.capabilities.events(device),
        compilations=lambda: implementation.capabilities.compilations()[0],
        collects=implementation.capabilities.leaves_cycles,
    )


def number(implementation: Implementation, case: Case, result: Tree) -> float:
    """A number that is finite only if what was timed computed something finite."""
    last = _loss(case, result)
    if case.operation == "forward":
        last = result[-1]
    elif case.operation == PRODUCTS:
        last = result[-1][-1]
    return float(np.sum(implementation.to_numpy(last)))


def _loss(case: Case, result: Tree) -> Tree:
    """The last loss of a block; a block of forward passes or products has none."""
    if case.operation in ("forward", PRODUCTS):
        return None
    return result[-1][0] if case.operation == "loss_and_grad" else result[2]
