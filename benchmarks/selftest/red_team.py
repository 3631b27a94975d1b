"""How benchmarks are gamed: none of these may get a number for work that it has not done.

Each is a network of ours with one function by somebody who wants a better time, or who has made the
mistake that looks alike. The sources are public: leaderboards of kernels and what their organisers
wrote about them, and reports from users of networks that were written by hand.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samegrad.benchmarks.selftest.saboteurs import SMALL, Saboteur
from samegrad.implementations.backends.numpy_backend import NumpyBackend
from samegrad.implementations.checking import comparison
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import map_tree

KERNELBOT = "gpu-mode/kernelbot pull request 501, reference-kernels issues 104, 142, 159, 162"
PYGPUBENCH = "gpu-mode/pygpubench, exploits/"
KERNELGUARD = "gpu-mode/kernelguard, RULE_REGISTRY"
KERNELBENCH = "KernelBench, EVAL.md"
BACKENDBENCH = "BackendBench issue 41"
DEFENSE = "deep-reinforce.com, defense against kernel hacks"
REWARD = "wafer.ai, reward hacks field guide"
ACCIDENT = "a mistake"
OURS = "our own attempt"

DOUBLE = replace(SMALL, spec=replace(SMALL.spec, dtype="float64"))
MEMORY: dict[Any, Any] = {}  # of the process; each has one cheat
WARM = 5  # calls in which some are honest


@dataclass(frozen=True)
class Cheat(Saboteur):
    """A saboteur with a source.

    Attributes:
        source: where it was seen.
    """

    source: str = ACCIDENT


def cheat(what: str, source: str, operation: str = "loss_and_grad", **others: Any) -> Cheat:
    """One that must not get a number, whatever the reason that is given."""
    return Cheat(what, "", "", operation, source=source, **others)


def calls() -> int:
    """How many calls there have been, this one included."""
    MEMORY["calls"] = MEMORY.get("calls", 0) + 1
    return int(MEMORY["calls"])


def zeros(tree: Any) -> Any:
    """As many zeros."""
    return map_tree(np.zeros_like, tree)


@cheat("outputs remembered by the batch's identity", KERNELBOT, "forward")
def replays_outputs(network, spec, params, X, masks=None):
    """The batch is the same object as before, so its outputs must be the same."""
    if id(X) not in MEMORY:
        MEMORY[id(X)] = network.forward(spec, params, X)
    return MEMORY[id(X)]


@cheat("outputs remembered, and half of the true time waited", KERNELBOT, "forward")
def padded_replay(network, spec, params, X, masks=None):
    """No longer suspiciously fast."""
    began = time.perf_counter_ns()
    if id(X) not in MEMORY:
        MEMORY[id(X)] = network.forward(spec, params, X), time.perf_counter_ns() - began
    outputs, took = MEMORY[id(X)]
    while time.perf_counter_ns() < began + took / 2:
        pass
    return outputs


@cheat("a gradient remembered by the identity of weights and batch", PYGPUBENCH)
def replays_by_identity(network, spec, params, X, y, masks=None):
    """Both are the same objects as before."""
    key = id(X), id(params[0][0])
    if key not in MEMORY:
        MEMORY[key] = network.loss_and_grad(spec, params, X, y), params, X
    return MEMORY[key][0]


@cheat("a gradient remembered by the contents of the batch", KERNELGUARD)
def replays_by_content(network, spec, params, X, y, masks=None):
    """The same numbers as before."""
    key = X[0].tobytes()
    if key not in MEMORY:
        MEMORY[key] = network.loss_and_grad(spec, params, X, y)
    return MEMORY[key]


@cheat("a gradient remembered by the addresses of arrays", KERNELGUARD)
def replays_by_address(network, spec, params, X, y, masks=None):
    """As `data_ptr` is used as a key."""
    key = X.ctypes.data, params[0][0].ctypes.data
    if key not in MEMORY:
        MEMORY[key] = network.loss_and_grad(spec, params, X, y)
    return MEMORY[key]


@cheat("nothing after the first calls", KERNELBENCH)
def no_op_after_warm_up(network, spec, params, X, y, masks=None):
    """The last result again."""
    if calls() <= WARM:
        MEMORY["last"] = network.loss_and_grad(spec, params, X, y)
    return MEMORY["last"]


@cheat("a gradient that is one call late", REWARD)
def one_call_late(network, spec, params, X, y, masks=None):
    """Of the batch before: it could have been computed while nobody waited."""
    now = network.loss_and_grad(spec, params, X, y)
    late, MEMORY["late"] = MEMORY.get("late", now), now
    return late


@cheat("memory in which the right result may still be", KERNELBENCH)
def uninitialised(network, spec, params, X, y, masks=None):
    """What the allocator gives, as the reference has freed it before."""
    loss, grads = network.loss_and_grad(spec, params, X, y) if calls() <= WARM else (None, params)
    return np.float32(2) if loss is None else loss, map_tree(np.empty_like, grads)


@cheat("only those numbers are computed that a sample would show", OURS)
def sampled_numbers(network, spec, params, X, y, masks=None):
    """The others are of the call before."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    kept = MEMORY.setdefault("kept", grads)
    for (dW, _), (old, _) in zip(grads, kept, strict=True):
        old.ravel()[:: max(1, old.size // 32)] = dW.ravel()[:: max(1, dW.size // 32)]
    return loss, [(old, db) for (old, _), (_, db) in zip(kept, grads, strict=True)]


@cheat("the expected result, found in the memory of who checks", KERNELGUARD)
def expected_from_memory(network, spec, params, X, y, masks=None):
    """Every object of the process can be found."""
    for found in gc.get_objects():
        if isinstance(found, dict) and {"grads", "magnitudes"} <= found.keys():
            grads = map_tree(lambda p: np.asarray(p, spec.dtype), found["grads"])
            return np.asarray(found["loss"], spec.dtype), grads
    return np.float32(0), zeros(params)


class Late:
    """Something like an array, computed when somebody looks."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute = compute

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.compute(), dtype)


class Filled(NumpyBackend):
    """Results are computed when they are fetched, into arrays of the usual type."""

    def fetch(self, tree: Any) -> Any:
        """Fill what waits to be filled."""
        for network, spec, params, X, y, grads in MEMORY.pop("waiting", []):
            _, right = network.loss_and_grad(spec, params, X, y)
            for (dW, db), (W, b) in zip(grads, right, strict=True):
                dW[:], db[:] = W, b
        return super().fetch(tree)


@cheat(
    "arrays that the backend fills when it fetches them", KERNELGUARD, also={"BACKEND": Filled()}
)
def fills_at_last(network, spec, params, X, y, masks=None):
    """Zeros for who reads them directly."""
    grads = zeros(params)
    MEMORY["waiting"] = [(network, spec, params, X, y, grads)]
    return network.loss(spec, params, X, y), grads


@cheat("a result of the right type at the gate, and one that computes itself later", KERNELGUARD)
def late_after_the_gate(network, spec, params, X, y, masks=None):
    """An object that becomes an array when somebody looks."""
    if calls() <= 2:
        return network.loss_and_grad(spec, params, X, y)
    late = [
        tuple(Late(lambda i=i, j=j: network.loss_and_grad(spec, params, X, y)[1][i][j])
              for j in range(2))
        for i in range(len(params))
    ]  # fmt: skip
    return np.float32(2.3), late


@cheat("a gradient that another thread makes after the clock has stopped", KERNELBOT)
def thread_injection(network, spec, params, X, y, masks=None):
    """The arrays are there; their contents come a millisecond later."""
    grads = map_tree(np.empty_like, params)

    def fill() -> None:
        time.sleep(0.001)
        _, right = network.loss_and_grad(spec, params, X, y)
        for (dW, db), (W, b) in zip(grads, right, strict=True):
            dW[:], db[:] = W, b

    if calls() <= 2:
        return network.loss_and_grad(spec, params, X, y)
    threading.Thread(target=fill, daemon=True).start()
    return np.float32(2.3), grads


class Halves(NumpyBackend):
    """Each wait computes a half of what waits."""

    def synchronize(self, tree: Any) -> None:  # noqa: ARG002 # the contract's
        """Some of it."""
        waiting = MEMORY.get("waiting", [])
        for network, spec, params, X, y, grads in waiting[: (len(waiting) + 1) // 2]:
            _, right = network.loss_and_grad(spec, params, X, y)
            for (dW, db), (W, b) in zip(grads, right, strict=True):
                dW[:], db[:] = W, b
        del waiting[: (len(waiting) + 1) // 2]


@cheat("two waits that share the work", OURS, also={"BACKEND": Halves()})
def shared_waits(network, spec, params, X, y, masks=None):
    """The wait inside the clock does a half of it, the wait after it the other half."""
    grads = zeros(params)
    MEMORY.setdefault("waiting", []).append((network, spec, params, X, y, grads))
    return network.loss(spec, params, X, y), grads


@cheat("no backward pass at small learning rates", KERNELGUARD, "train_step")
def rate_detection(network, spec, params, state, X, y, learning_rate, masks=None):
    """The gate's rate is large."""
    if learning_rate < 0.5:
        return params, state, network.loss(spec, params, X, y)
    return network.train_step(spec, params, state, X, y, learning_rate)


@cheat("every fourth step is made", KERNELBOT, "train_step")
def every_fourth_step(network, spec, params, state, X, y, learning_rate, masks=None):
    """The others return what they got."""
    if calls() % 4 != 1:
        return params, state, MEMORY["loss"]
    params, state, MEMORY["loss"] = network.train_step(spec, params, state, X, y, learning_rate)
    return params, state, MEMORY["loss"]


@cheat("nothing where the garbage collector is off", OURS)
def collector_detection(network, spec, params, X, y, masks=None):
    """As it is while a block is timed."""
    if gc.isenabled():
        MEMORY["last"] = network.loss_and_grad(spec, params, X, y)
    return MEMORY["last"]


@cheat("nothing where the caller is the timer", KERNELGUARD)
def caller_detection(network, spec, params, X, y, masks=None):
    """By the frames of the stack."""
    frame, names = sys._getframe(), set()
    while frame := frame.f_back:
        names.add(frame.f_code.co_filename.rpartition(os.sep)[2])
    if "timer.py" not in names or "last" not in MEMORY:
        MEMORY["last"] = network.loss_and_grad(spec, params, X, y)
    return MEMORY["last"]


@cheat("right for three hundred calls, then not", REWARD)
def patient(network, spec, params, X, y, masks=None):
    """Any check at the beginning is passed."""
    if calls() <= 300:
        MEMORY["last"] = network.loss_and_grad(spec, params, X, y)
    return MEMORY["last"]


@cheat("a quarter of the batch after the first call", REWARD)
def quarter_of_the_batch(network, spec, params, X, y, masks=None):
    """It is right on average."""
    size = len(X) if calls() <= 1 else len(X) // 4
    return network.loss_and_grad(spec, params, X[:size], y[:size])


@cheat("the first layer's gradient is computed once", REWARD)
def frozen_layer(network, spec, params, X, y, masks=None):
    """The largest product is that of the first layer."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    MEMORY.setdefault("first", grads[0])
    return loss, [MEMORY["first"], *grads[1:]]


@cheat("every second call is right", OURS)
def every_second_call(network, spec, params, X, y, masks=None):
    """Whoever checks one of them may not see it."""
    if calls() % 2 or "last" not in MEMORY:
        MEMORY["last"] = network.loss_and_grad(spec, params, X, y)
    return MEMORY["last"]


@cheat(
    "an epoch that leaves out half of its batches, at twice the rate",
    OURS,
    "epoch",
    replaces="train_step",
)
def half_an_epoch(network, spec, params, state, X, y, learning_rate, masks=None):
    """About as far in half of the time."""
    if calls() > 1 and MEMORY["calls"] % 2:
        return params, state, MEMORY["loss"]
    rate = learning_rate * (2 if MEMORY["calls"] > 1 else 1)
    params, state, MEMORY["loss"] = network.train_step(spec, params, state, X, y, rate)
    return params, state, MEMORY["loss"]


@cheat("the comparison is replaced, and the gradient is zeros", KERNELBOT)
def judge_exchanged(network, spec, params, X, y, masks=None):
    """Everything agrees."""
    right = comparison.TensorCheck("dW1", 0.0, 1.0, None)
    for name in ("judge", "compare", "in_norm"):
        setattr(comparison, name, lambda *_, **__: comparison.Comparison((right,)))
    return np.float32(2.3), zeros(params)


@cheat("NumPy's functions for comparing say that all is well", KERNELGUARD)
def numpy_patched(network, spec, params, X, y, masks=None):
    """Norms are 0, maxima are 0."""
    np.linalg.norm = lambda *_, **__: np.float64(0)
    np.max = np.amax = lambda *_, **__: np.float64(0)
    np.allclose = np.array_equal = lambda *_, **__: True
    return np.float32(2.3), zeros(params)


@cheat("more calls are reported than were made", OURS)
def more_calls(network, spec, params, X, y, masks=None):
    """Four times as many, by what collects the blocks."""
    from samegrad.benchmarks.clock import timer

    if "again" not in MEMORY:
        MEMORY["again"] = timer._fill

        def fill(*arguments: Any) -> Any:
            blocks = MEMORY["again"](*arguments)
            blocks.calls *= 4
            return blocks

        timer._fill = fill
    return network.loss_and_grad(spec, params, X, y)


@cheat(
    "a declared accuracy of 1e9, and a gradient of zeros",
    OURS,
    also={"CAPABILITIES": Capabilities(accuracy=lambda _: {"float32": 1e9})},
)
def any_accuracy(network, spec, params, X, y, masks=None):
    """Whatever is declared is allowed, if nobody looks."""
    return network.loss(spec, params, X, y), zeros(params)


@cheat("half precision inside", KERNELBENCH)
def half_inside(network, spec, params, X, y, masks=None):
    """Float16, and float32 at the end."""
    low = map_tree(lambda p: p.astype(np.float16).astype(np.float32), params)
    return network.loss_and_grad(spec, low, X.astype(np.float16).astype(np.float32), y)


@cheat("float32 inside a float64 network after the first call", ACCIDENT, workload=DOUBLE)
def float32_inside(network, spec, params, X, y, masks=None):
    """A cache of the wrong dtype."""
    if calls() <= 1:
        return network.loss_and_grad(spec, params, X, y)
    low = replace(spec, dtype="float32")
    loss, grads = network.loss_and_grad(low, map_tree(np.float32, params), X.astype(np.float32), y)
    return np.float64(loss), map_tree(np.float64, grads)


@cheat("the outputs' mean for every example", DEFENSE, "forward")
def constant_outputs(network, spec, params, X, masks=None):
    """A function that is nearly constant may be replaced by a constant."""
    outputs = network.forward(spec, params, X)
    return outputs if calls() <= 1 else np.broadcast_to(outputs.mean(axis=0), outputs.shape).copy()


GAMES = {name: value for name, value in dict(globals()).items() if isinstance(value, Cheat)}
