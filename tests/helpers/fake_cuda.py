"""The NumPy network on a pretended CUDA device: work is queued, and done when somebody waits.

Every code path of the benchmark that only a GPU takes runs on it: placement, transfer, waiting,
events, running out of memory. SAMEGRAD_FAKE_FAULT plants a fault: "unsynchronised" (waiting
does not wait), "out_of_memory" (placing params fails), "dead_gpu" (touching it ends the
process), "refused" (it takes no network), "sticky" (a step of a deep network fails, and everything
after it), "nan_later" (the loss of every later step is NaN), "no_cpu" (there is no device but the
GPU, as with CuPy).
"""

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from samegrad.implementations import mlp_numpy
from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.protocol import Backend, Capabilities
from samegrad.implementations.contract.spec import map_tree

FAULT = os.environ.get("SAMEGRAD_FAKE_FAULT", "")


class Later:
    """A result that is computed when the queue is worked off."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute, self.value = compute, None


QUEUE: deque[Later] = deque()
steps = 0
broken = False


def refuse_if_broken() -> None:
    """As every call of CUDA after an error of this kind."""
    if broken:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def submit(compute: Callable[[], Any]) -> Later:
    """Put work on the device's queue."""
    later = Later(compute)
    QUEUE.append(later)
    return later


def work_off() -> None:
    """Do everything that is queued, in order."""
    while QUEUE:
        later = QUEUE.popleft()
        later.value = later.compute()


def value(tree: Any) -> Any:
    """What stands behind results that have been computed."""
    return map_tree(lambda leaf: leaf.value if isinstance(leaf, Later) else leaf, tree)


def describe(device):
    return {"device": f"pretended {device}"}


def events(device):
    if device != "cuda" or FAULT == "unsynchronised":  # what is not there yet has no time
        return None
    marks = []

    def mark():
        marks.append(submit(time.perf_counter_ns))

    def stop():
        mark()
        return lambda: marks[-1].value - marks[-2].value

    return mark, stop


class FakeCuda(Backend):
    """NumPy's arrays on a CPU and on a device with a queue."""

    capabilities = Capabilities(describe=describe, events=events)

    def devices(self):
        return ("cuda",) if FAULT == "no_cpu" else ("cpu", "cuda")

    def place(self, array, device):
        refuse_if_broken()
        return submit(lambda: NUMPY.place(array, "cpu"))

    def place_params(self, spec, params, device):
        if FAULT == "dead_gpu" and device == "cuda":
            os._exit(7)
        if FAULT == "refused" and device == "cuda":
            raise ValueError("step must be greater than zero")
        if FAULT == "out_of_memory" and device == "cuda" and len(spec.layer_sizes) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return submit(lambda: NUMPY.place_params(spec, params, "cpu"))

    def fetch(self, tree):
        work_off()
        return NUMPY.fetch(value(tree))

    def synchronize(self, tree):
        if FAULT != "unsynchronised":
            work_off()


BACKEND = FakeCuda()


def forward(spec, params, X, masks=None):
    return submit(lambda: mlp_numpy.forward(spec, params.value, X.value))


def loss(spec, params, X, y, masks=None):
    return submit(lambda: mlp_numpy.loss(spec, params.value, X.value, y.value))


def loss_and_grad(spec, params, X, y, masks=None):
    both = submit(lambda: mlp_numpy.loss_and_grad(spec, params.value, X.value, y.value))
    return submit(lambda: both.value[0]), submit(lambda: both.value[1])


def init_state(spec, params):
    return submit(lambda: mlp_numpy.init_state(spec, params.value))


def train_step(spec, params, state, X, y, learning_rate, masks=None):
    global steps, broken
    broken = broken or (FAULT == "sticky" and len(spec.layer_sizes) > 4)
    refuse_if_broken()
    steps += 1
    bad = FAULT == "nan_later" and steps > 2  # after the gate's calls

    def compute():
        values = params.value, state.value, X.value, y.value
        return mlp_numpy.train_step(spec, *values, learning_rate)

    all_three = submit(compute)
    before = submit(lambda: all_three.value[2] * (float("nan") if bad else 1))
    return submit(lambda: all_three.value[0]), submit(lambda: all_three.value[1]), before
