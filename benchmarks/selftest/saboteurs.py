"""Implementations that must not get a number: each is wrong as benchmarks are wrong in practice.

`selftest` hands them in as anybody would, by `samegrad.benchmarks.selftest.saboteurs:NAME`. The
last one, `slower`, is right: it shows what verdicts are worth.
"""

import ctypes
import importlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, Self

import numpy as np

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock import threads, timer
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec

SMALL = MLPWorkload("small", MLPSpec((64, 32, 24, 16, 10)), 32, 512)
LARGE = MLPWorkload("large", MLPSpec((784, 512, 512, 10)), 128, 512)


@dataclass(frozen=True)
class Saboteur:
    """A network with one function of somebody else's.

    Attributes:
        what: what it does.
        status, reason: of its row; the reason is a part of it.
        operation: what it is run with, and the function that is replaced.
        over: name of the network, which has everything else.
        workload, threads: what it is run with.
        function: in the place of the operation's; its first argument is the network's module.
        replaces: the name of that function, where it is another one.
        also: other names of the network's module, and what they stand for.
    """

    what: str
    status: str
    reason: str
    operation: str = "loss_and_grad"
    over: str = "numpy"
    workload: MLPWorkload = SMALL
    threads: str = "all"
    function: Callable[..., Any] | None = None
    replaces: str = ""
    also: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, function: Callable[..., Any]) -> Self:
        """With that function: a decorator."""
        return replace(self, function=function)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # it is no module
            raise AttributeError(name)
        network = importlib.import_module(registry.TABLE[self.over].module)
        if name == (self.replaces or self.operation) and self.function is not None:
            return partial(self.function, network)
        return self.also[name] if name in self.also else getattr(network, name)


class Hasty(Saboteur):
    """A network whose backend does not wait: the clock stops when the work has been handed over."""

    @property
    def BACKEND(self) -> Any:  # noqa: N802 # the contract's name
        """The network's backend, whose arrays nobody waits for."""
        backend = copy(self.__getattr__("BACKEND"))
        backend.synchronize = id  # returns at once
        return backend


@Saboteur("a step that changes nothing", "wrong", "after a step", "train_step")
def no_op(network, spec, params, state, X, y, learning_rate, masks=None):
    """The params that it was given, and a right loss."""
    return params, state, network.loss(spec, params, X, y)


@Saboteur("a jit that returns the loss only", "wrong", "after a step", "train_step", "jax")
def loss_only(network, spec, params, state, X, y, learning_rate, masks=None):
    """Compiled to return the loss alone: XLA deletes the gradient and the update."""
    return params, state, _jitted(network.loss)(spec, params, X, y)


@cache
def _jitted(loss):
    import jax

    return jax.jit(loss, static_argnums=0)


@Saboteur("a jit closed over its inputs", "wrong", "timed block: loss", over="jax")
def constants(network, spec, params, X, y, masks=None):
    """The gradient of the first batch that was ever given: XLA computed it while it compiled."""
    import jax

    if spec not in OF_FIRST_BATCH:
        time.sleep(0.3)  # compilers can take long: no reason to look at it less closely
        OF_FIRST_BATCH[spec] = jax.jit(lambda: network.loss_and_grad(spec, params, X, y))
    return OF_FIRST_BATCH[spec]()


OF_FIRST_BATCH: dict[MLPSpec, Any] = {}


@Saboteur("a gradient of the wrong sign", "wrong", "db4: error 2")
def wrong_sign(network, spec, params, X, y, masks=None):
    """The last layer's db turned round."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    dW, db = grads[-1]
    return loss, [*grads[:-1], (dW, -db)]


@Saboteur("a gradient wrong by 0.1 %", "wrong", "dW1: error 0.001")
def off_by_a_thousandth(network, spec, params, X, y, masks=None):
    """The first layer's dW times 1.001."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    dW, db = grads[0]
    return loss, [(dW * dW.dtype.type(1.001), db), *grads[1:]]


@Saboteur("float64 in a float32 table", "wrong", "dtype float64, expected float32")
def float64_out(network, spec, params, X, y, masks=None):
    """The gradient in float64."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return loss, [(dW.astype(np.float64), db.astype(np.float64)) for dW, db in grads]


@Saboteur("float64 inside, rounded at the end", "wrong", "more digits than float32")
def float64_inside(network, spec, params, X, y, masks=None):
    """Correctly rounded, and not the work that the table is about."""
    wide = [(W.astype(np.float64), b.astype(np.float64)) for W, b in params]
    exact = replace(spec, dtype="float64")
    loss, grads = network.loss_and_grad(exact, wide, X.astype(np.float64), y)
    return np.float32(loss), [(dW.astype(np.float32), db.astype(np.float32)) for dW, db in grads]


@Saboteur("params that are not numbers", "wrong", "not finite", "train_step")
def nan_params(network, spec, params, state, X, y, learning_rate, masks=None):
    """NaN in the first weight after a step."""
    params, state, loss = network.train_step(spec, params, state, X, y, learning_rate)
    params[0][0][0, 0] = np.nan
    return params, state, loss


@Saboteur("a compilation in every call", "rejected", "recompiled while timing", over="jax")
def recompiles(network, spec, params, X, y, masks=None):
    """Right, and compiled anew each time."""
    import jax

    return jax.jit(lambda p, X, y: network.loss_and_grad(spec, p, X, y))(params, X, y)


@Saboteur(
    "threads beyond the one that was asked for",
    "rejected",
    "with 1 thread: other threads compute, too",
    threads="1",
)
def second_pool(network, spec, params, X, y, masks=None):
    """Right; the first call starts another thread, which works beside it on all cores."""

    def work():
        A = np.ones((400, 400), np.float32)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        while True:
            np.matmul(A, A)  # does not hold the interpreter

    if not any(thread.name == "pool" for thread in threading.enumerate()):
        threading.Thread(target=work, name="pool", daemon=True).start()
    return network.loss_and_grad(spec, params, X, y)


@Saboteur("a clock that runs at 0.4 of the time", "rejected", "its clock says")
def slow_clock(network, spec, params, X, y, masks=None):
    """The timer's clock, exchanged by the first call, and its count of CPU time stopped."""
    threads.computed_and_waited = lambda: (0, {})
    real = time.perf_counter_ns
    began = real()

    def slow():
        return began + (real() - began) * 4 // 10

    for function in (timer.again, timer.measure):
        first, *others = function.__defaults__ or (None,)
        if first is real:
            function.__defaults__ = (slow, *others)
    return network.loss_and_grad(spec, params, X, y)


@Saboteur("times that are divided before they are told", "rejected", "its clock says")
def forged_times(network, spec, params, X, y, masks=None):
    """By what collects the blocks."""
    if timer.Blocks.add is ADD:

        def add(self, timed_block):
            short = timed_block.elapsed_ns * 4 // 10
            ADD(self, replace(timed_block, elapsed_ns=short, busy_ns=0))

        timer.Blocks.add = add  # type: ignore[method-assign] # which is the cheat
    return network.loss_and_grad(spec, params, X, y)


ADD = timer.Blocks.add


@Saboteur(
    "another process that works, with one thread asked for",
    "rejected",
    "processes that it has started compute, too",
    threads="1",
)
def helper_process(network, spec, params, X, y, masks=None):
    """Right; a child of the first call works beside it, on all cores, in a session of its own."""
    if not HELPERS:
        HELPERS.append(os.fork())
        if not HELPERS[0]:
            os.setsid()
            os.nice(19)  # the other saboteurs need the cores, too
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            while True:
                pass
    return network.loss_and_grad(spec, params, X, y)


HELPERS: list[int] = []


unsynchronised = Hasty(
    "a clock that stops before jax is done",
    "rejected",
    "not synchronised",
    "train_step",
    "jax",
    LARGE,
)
unsynchronised_cuda = replace(
    unsynchronised, what="a clock that stops before the GPU is done", over="torch"
)


@Saboteur("a process that dies by SIGKILL", "crashed", "SIGKILL")
def killed(network, spec, params, X, y, masks=None):
    """As by a system that is short of memory; in the measurement, not when costs are predicted."""
    if spec.layer_sizes == SMALL.spec.layer_sizes and hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    return network.loss_and_grad(spec, params, X, y)


@Saboteur("a process that dies by SIGSEGV", "crashed", "SIGSEGV")
def segfault(network, spec, params, X, y, masks=None):
    """Reads address 0; in the measurement, not when costs are predicted."""
    if spec.layer_sizes == SMALL.spec.layer_sizes:
        ctypes.string_at(0)
    return network.loss_and_grad(spec, params, X, y)


SABOTEURS = {name: value for name, value in dict(globals()).items() if isinstance(value, Saboteur)}


@Saboteur("a tenth is added to each step", "ok", "", "train_step")
def slower(network, spec, params, state, X, y, learning_rate, masks=None):
    """Right, and 10 % slower by a busy wait."""
    began = time.perf_counter_ns()
    result = network.train_step(spec, params, state, X, y, learning_rate)
    deadline = 1.1 * (time.perf_counter_ns() - began) + began
    while time.perf_counter_ns() < deadline:
        pass
    return result
