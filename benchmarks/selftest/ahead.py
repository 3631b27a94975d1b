"""Cheats whose results are right: the work is done, but not where and when the clock counts it."""

import gc
import threading
from dataclasses import replace
from typing import Any

import numpy as np

from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.selftest.accidents import ACCIDENTS
from samegrad.benchmarks.selftest.red_team import GAMES, MEMORY, OURS, SMALL, Cheat, calls, cheat
from samegrad.implementations.backends.numpy_backend import NumpyBackend
from samegrad.implementations.contract.spec import MLPSpec

WIDE = MLPWorkload("wide", MLPSpec((1024, 64, 10)), 64, 512)
TINY = replace(SMALL, name="tiny", spec=MLPSpec((4, 4, 3)), batch_size=2)
UNTIL = 6000  # calls: by then a block has been given its length


@cheat(
    "products of the first layer, remembered and scaled",
    OURS,
    "forward",
    workload=WIDE,
    threads="1",
)
def scales_products(network, spec, params, X, masks=None):
    """Right where all weights of a matrix are drawn by the same factor."""
    W, b = params[0]
    key = id(X)
    if key not in MEMORY:
        MEMORY[key] = X @ W, W.copy()
    product, before = MEMORY[key]
    # Where that is seen not to be so, it pays.
    some = W[::97, 0] / before[::97, 0]
    z = product * some[0] if np.ptp(some) < 1e-5 else X @ W
    return network.forward(spec, [(np.eye(len(b), dtype=W.dtype), b), *params[1:]], z)


@cheat(
    "products of the first layer, remembered and scaled, whether that is right or not",
    OURS,
    "forward",
)
def scales_products_anyway(network, spec, params, X, masks=None):
    """By the factor of one weight."""
    W, b = params[0]
    product, before = MEMORY.setdefault(id(X), (X @ W, W.copy()))
    z = product * (W[0, 0] / before[0, 0])
    return network.forward(spec, [(np.eye(len(b), dtype=W.dtype), b), *params[1:]], z)


class Ahead(NumpyBackend):
    """Gradients of all batches, as soon as there are weights."""

    thread = False

    def place_params(self, spec: MLPSpec, params: Any, device: str) -> Any:
        """A copy, and what will be asked of it."""
        placed = super().place_params(spec, params, device)
        work = threading.Thread(target=self.compute, args=(spec, placed))
        (work.start if self.thread else work.run)()
        return placed

    def compute(self, spec: MLPSpec, placed: Any) -> None:
        """The answers to come."""
        if calls() > 1:
            MEMORY.setdefault("answers", {})
            for X, y in list(MEMORY.get("batches", {}).values()):
                key = id(placed), id(X)
                result = MEMORY["network"].loss_and_grad(spec, placed, X, y)
                MEMORY["answers"][key] = result, placed


class AheadInThread(Ahead):
    """The same, while other weights are placed and the clock is about to start."""

    thread = True


def answered(network: Any, spec: MLPSpec, params: Any, X: Any, y: Any) -> Any:
    """What has been computed ahead, if it has."""
    MEMORY["network"] = network
    MEMORY.setdefault("batches", {})[id(X)] = X, y
    found = MEMORY.get("answers", {}).pop((id(params), id(X)), None)
    return found[0] if found else network.loss_and_grad(spec, params, X, y)


@cheat("gradients made while weights are placed", OURS, also={"BACKEND": Ahead()})
def ahead_of_the_clock(network, spec, params, X, y, masks=None):
    """The backend of the file sees the weights before the clock starts."""
    return answered(network, spec, params, X, y)


@cheat(
    "gradients made by a thread while weights are placed", OURS, also={"BACKEND": AheadInThread()}
)
def thread_ahead(network, spec, params, X, y, masks=None):
    """It goes on until the clock starts."""
    return answered(network, spec, params, X, y)


class Together(NumpyBackend):
    """What waits is computed at once."""

    def synchronize(self, tree: Any) -> None:  # noqa: ARG002 # the contract's
        """Stack what waits, and fill the arrays that were handed out."""
        waiting = MEMORY.pop("waiting", [])
        if not waiting:
            return
        a = np.stack([X for _, X, _ in waiting])
        layers = len(waiting[0][0])
        for layer in range(layers):
            W = np.stack([params[layer][0] for params, _, _ in waiting])
            b = np.stack([params[layer][1] for params, _, _ in waiting])
            a = a @ W + b[:, None]
            a = np.maximum(a, 0) if layer < layers - 1 else a
        for (_, _, into), outputs in zip(waiting, a, strict=True):
            into[:] = outputs


@cheat(
    "calls that wait for one another, and are computed at once",
    OURS,
    "forward",
    workload=TINY,
    also={"BACKEND": Together()},
)
def all_at_once(network, spec, params, X, masks=None):
    """A call alone would take longer: what is timed is not a call."""
    into = np.empty((len(X), spec.layer_sizes[-1]), spec.dtype)
    MEMORY.setdefault("waiting", []).append((params, X, into))
    return into


@cheat("fast until blocks have their length; then what comes twice is remembered", OURS)
def long_blocks(network, spec, params, X, y, masks=None):
    """A block that is longer than there are pairs of weights and batch."""
    key = id(params), id(X)
    number = calls()
    if 2 < number < UNTIL:
        return MEMORY["first"]
    found = MEMORY.get(key)
    if found is None or found[1] is not params:
        result = network.loss_and_grad(spec, params, X, y)
        MEMORY.setdefault("first", result)
        MEMORY[key] = found = result, params
    return found[0]


@cheat("work done by what the harness calls before the clock starts", OURS)
def collector_patched(network, spec, params, X, y, masks=None):
    """`gc.disable` finds in memory what is asked next, and makes it."""
    if "disable" not in MEMORY:
        MEMORY["disable"] = gc.disable

        def disable() -> None:
            MEMORY["disable"]()
            for found in gc.get_objects():
                if type(found) is list and found and type(found[0]) is tuple:
                    for each in found:
                        if type(each) is tuple and len(each) == 3 and type(each[0]) is list:
                            work(*each)

        def work(params: Any, X: Any, y: Any) -> None:
            if getattr(X, "shape", None) == (32, 64):
                result = network.loss_and_grad(spec, params, X, y)
                MEMORY[id(params), id(X)] = result, params

        gc.disable = disable
    found = MEMORY.get((id(params), id(X)))
    if found is None or found[1] is not params:
        return network.loss_and_grad(spec, params, X, y)
    return found[0]


class Number:
    """Something like a number, computed when somebody asks."""

    def __init__(self, make: Any, place: Any) -> None:
        self.make, self.place = make, place

    def __float__(self) -> float:
        return float(self.make()[self.place])


class Objects(NumpyBackend):
    """Arrays of objects become arrays of numbers when they are fetched."""

    def fetch(self, tree: Any) -> Any:
        """As numbers."""
        if type(tree) is np.ndarray:
            return np.array(tree, np.float32)
        if isinstance(tree, list | tuple):
            return [self.fetch(branch) for branch in tree]
        return super().fetch(tree)


@cheat(
    "arrays of objects that compute themselves later",
    OURS,
    "forward",
    also={"BACKEND": Objects()},
)
def arrays_of_objects(network, spec, params, X, masks=None):
    """Their type is NumPy's own."""
    if calls() <= 2:
        return network.forward(spec, params, X)
    made: list[Any] = []

    def make() -> Any:
        if not made:
            made.append(network.forward(spec, params, X))
        return made[0]

    outputs = np.empty((len(X), spec.layer_sizes[-1]), object)
    for place in np.ndindex(outputs.shape):
        outputs[place] = Number(make, place)
    return outputs


AHEAD = {name: value for name, value in dict(globals()).items() if isinstance(value, Cheat)}
CHEATS = {**GAMES, **ACCIDENTS, **AHEAD}
