"""The child process of `selftest`: checks of the clock on a real network's steps."""

import statistics
import time
import timeit
from dataclasses import asdict
from typing import Any

import numpy as np

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.selftest import checks
from samegrad.implementations.checking import processes
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
SPEC, BATCH = MLPSpec((784, 128, 64, 10)), 32
INJECTED_NS = 200_000
REPETITIONS = 15


def main() -> None:
    """Answer one request."""
    processes.serve(answer)


def busy_wait(nanoseconds: int) -> None:
    """Wait without sleeping: a sleep is 3 % too long."""
    deadline = time.perf_counter_ns() + nanoseconds
    while time.perf_counter_ns() < deadline:
        pass


def answer(request: Message, send: Any) -> None:
    """The checks that were asked for, with an implementation on a device."""
    implementation: Any = registry.load(request["implementation"])
    device = request["device"]
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((BATCH, 784), np.float32), rng.integers(0, 10, BATCH)
    batch = implementation.batch_from_numpy(SPEC, X, y, device)
    start_params = init_params(SPEC)
    kept = implementation.params_from_numpy(SPEC, start_params, device)

    def fresh(_: int) -> Tree:
        params = implementation.params_from_numpy(SPEC, start_params, device)
        return params, implementation.init_state(SPEC, params)

    def chain(calls: int, start: Tree) -> Tree:
        params, state = start
        for _ in range(calls):
            params, state, loss = implementation.train_step(SPEC, params, state, *batch, 0.01)
        return params, state, loss

    def gradient(_: int = 0) -> Tree:
        return implementation.loss_and_grad(SPEC, kept, *batch)

    def waited() -> None:
        implementation.synchronize(gradient())

    events = implementation.capabilities.events(device)
    steps = timer.Work(fresh, chain, implementation.synchronize, events=events)
    timer.warm_up(steps, 0.5)
    clock = time.perf_counter_ns
    for name in request["checks"]:
        send({"begin": name})
        if name == "injected":
            check = checks.injected_delay(waited, busy_wait, INJECTED_NS, clock)
        elif name == "linearity":
            check = checks.linearity(steps, clock)
        elif name == "timeit":
            check = _side_by_side("timeit", waited, lambda: _timeit(waited))
        elif name == "events":
            check = _events(steps)
        else:
            check = _side_by_side(name, waited, lambda: _torchs_timer(waited))
        send({"check": asdict(check)})


def _side_by_side(name: str, call: Any, other: Any) -> checks.Check:
    """Our clock and another one, alternating."""
    ours, theirs = [], []
    for _ in range(REPETITIONS):
        blocks = timer.measure(timer.work_of(call), timer.CPU_BLOCK_NS, 5e7)
        ours.append(blocks.per_call_ns)
        theirs.append(other())
    return checks.side_by_side(name, ours, theirs)


def _timeit(call: Any) -> float:
    clock = timeit.Timer(call)
    number, _ = clock.autorange()
    number = max(1, number // 20)
    return 1e9 * statistics.median(clock.repeat(9, number)) / number


def _torchs_timer(call: Any) -> float:
    from torch.utils.benchmark import Timer

    timer = Timer("call()", globals={"call": call})
    return 1e9 * timer.blocked_autorange(min_run_time=0.3).median


def _events(steps: timer.Work) -> checks.Check:
    blocks = timer.measure(steps, timer.GPU_BLOCK_NS, 3e8)
    ours = [ns / blocks.calls for ns in blocks.elapsed_ns]
    theirs = [ns / blocks.calls for ns in blocks.event_ns]
    return checks.side_by_side("CUDA events", ours, theirs)
