"""Implementations that are right and unusual: each must get its number.

What refuses cheats must not refuse these. Each is a network of ours with one function written in
some other way that people write.
"""

import ctypes
import gc
import itertools
import logging
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from typing import Any

import numpy as np

from samegrad.benchmarks.selftest.red_team import DOUBLE, MEMORY, calls, zeros
from samegrad.benchmarks.selftest.saboteurs import Saboteur
from samegrad.implementations.contract.spec import map_tree

Pair = namedtuple("Pair", "W b")


def honest(what: str, operation: str = "loss_and_grad", **others: Any) -> Saboteur:
    """One that must get its number."""
    return Saboteur(what, "ok", "", operation, **others)


def copied(into: Any, grads: Any) -> Any:
    """The arrays of a gradient written into others."""
    for (dW, db), (W, b) in zip(into, grads, strict=True):
        dW[:], db[:] = W, b
    return into


@honest("buffers that are kept and overwritten")
def keeps_buffers(network, spec, params, X, y, masks=None):
    """The gradient of each call is in the arrays of the call before."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return loss, copied(MEMORY.setdefault("buffers", zeros(grads)), grads)


@honest("five buffers in turn")
def ring_of_buffers(network, spec, params, X, y, masks=None):
    """As a pipeline has them."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    ring = MEMORY.setdefault("ring", itertools.cycle([zeros(grads) for _ in range(5)]))
    return loss, copied(next(ring), grads)


@honest("outputs in a buffer that is kept", "forward")
def keeps_outputs(network, spec, params, X, masks=None):
    """An array that was allocated once."""
    outputs = network.forward(spec, params, X)
    kept = MEMORY.setdefault("outputs", np.empty_like(outputs))
    kept[:] = outputs
    return kept


@honest("views that are transposed")
def transposed_views(network, spec, params, X, y, masks=None):
    """Computed as delta.T @ a, and turned round."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return loss, [(np.ascontiguousarray(dW.T).T, db) for dW, db in grads]


@honest("one long vector, and views of it")
def views_of_a_vector(network, spec, params, X, y, masks=None):
    """As optimisers of SciPy want it."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    flat = np.concatenate([p.ravel() for pair in grads for p in pair])
    views, begin = [], 0
    for pair in grads:
        shaped = []
        for p in pair:
            shaped.append(flat[begin : begin + p.size].reshape(p.shape))
            begin += p.size
        views.append(tuple(shaped))
    return loss, views


@honest("strided views")
def strided_views(network, spec, params, X, y, masks=None):
    """Every second column of a wider array."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    views = []
    for dW, db in grads:
        wide = np.zeros((dW.shape[0], 2 * dW.shape[1]), dW.dtype)
        wide[:, ::2] = dW
        views.append((wide[:, ::2], db))
    return loss, views


@honest("lists instead of tuples")
def lists(network, spec, params, X, y, masks=None):
    """A list of lists."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return [loss, [list(pair) for pair in grads]]


@honest("pairs with names")
def named_pairs(network, spec, params, X, y, masks=None):
    """A namedtuple for each layer."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return loss, tuple(Pair(dW, db) for dW, db in grads)


@honest("an import inside the function")
def lazy_import(network, spec, params, X, y, masks=None):
    """What is needed is imported when it is."""
    import statistics

    loss, grads = network.loss_and_grad(spec, params, X, y)
    assert statistics.fmean([1.0]) == 1.0
    return loss, grads


@honest("a generator inside", "forward")
def generator(network, spec, params, X, masks=None):
    """Layer by layer."""

    def layers():
        a = X
        for number, (W, b) in enumerate(params, 1):
            z = a @ W + b
            a = np.maximum(z, 0) if number < len(params) else z
            yield a

    *_, outputs = layers()
    return outputs


@honest("a first call of 0.3 s")
def slow_first_call(network, spec, params, X, y, masks=None):
    """Something is read, or compiled."""
    if calls() == 1:
        time.sleep(0.3)
    return network.loss_and_grad(spec, params, X, y)


@honest("two threads of its own, which share the batch", workload=DOUBLE)
def own_threads(network, spec, params, X, y, masks=None):
    """Their gradients are averaged."""
    pool = MEMORY.setdefault("pool", ThreadPoolExecutor(2))
    half = len(X) // 2
    halves = [(X[:half], y[:half]), (X[half:], y[half:])]
    (one, first), (two, second) = pool.map(
        lambda part: network.loss_and_grad(spec, params, *part), halves
    )
    grads = [((W + V) / 2, (b + c) / 2) for (W, b), (V, c) in zip(first, second, strict=True)]
    return (one + two) / 2, grads


@honest("a thread that sleeps")
def sleeping_thread(network, spec, params, X, y, masks=None):
    """A watchdog, for example."""
    if "watchdog" not in MEMORY:
        MEMORY["watchdog"] = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
        MEMORY["watchdog"].start()
    return network.loss_and_grad(spec, params, X, y)


@honest("C code by ctypes")
def c_code(network, spec, params, X, y, masks=None):
    """Results are copied by the C library."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    moved = map_tree(np.empty_like, grads)
    for pair, (W, b) in zip(moved, grads, strict=True):
        for into, source in zip(pair, (W, b), strict=True):
            source = np.ascontiguousarray(source)
            ctypes.memmove(into.ctypes.data, source.ctypes.data, source.nbytes)
    return loss, moved


@honest("a cache of constants")
def cached_constants(network, spec, params, X, y, masks=None):
    """What depends on nothing but shapes."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    ones = _ones(len(X), X.dtype.str)
    assert ones @ ones == len(X)
    return loss, grads


@cache
def _ones(count: int, dtype: str) -> np.ndarray:
    return np.ones(count, dtype)


@honest("targets encoded once for each batch, known by its contents")
def cached_targets(network, spec, params, X, y, masks=None):
    """One-hot rows, which depend on the labels alone."""
    key = y.tobytes()
    if key not in MEMORY:
        MEMORY[key] = np.eye(spec.layer_sizes[-1], dtype=X.dtype)[y]
    loss, grads = network.loss_and_grad(spec, params, X, y)
    assert MEMORY[key].shape == (len(y), spec.layer_sizes[-1])
    return loss, grads


def logged(function):
    """A decorator."""

    @wraps(function)
    def call(*arguments, **options):
        logging.getLogger("honest").debug("called")
        return function(*arguments, **options)

    return call


@honest("decorated, with a log")
@logged
def decorated(network, spec, params, X, y, masks=None):
    """Whatever is around it."""
    with np.errstate(over="ignore"):
        return network.loss_and_grad(spec, params, X, y)


@honest("a sum over single examples", workload=DOUBLE)
def example_by_example(network, spec, params, X, y, masks=None):
    """No batch is needed."""
    loss, sums = 0.0, zeros(params)
    for i in range(len(X)):
        one, grads = network.loss_and_grad(spec, params, X[i : i + 1], y[i : i + 1])
        loss += one
        for (dW, db), (W, b) in zip(sums, grads, strict=True):
            dW += W
            db += b
    return loss / len(X), [(dW / len(X), db / len(X)) for dW, db in sums]


@honest("a step in two: the gradient, and an update that makes new arrays", "train_step")
def functional_step(network, spec, params, state, X, y, learning_rate, masks=None):
    """Nothing is overwritten."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    rate = X.dtype.type(learning_rate)
    new = [(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]
    return new, state, loss


@honest("a garbage collection now and then")
def collects(network, spec, params, X, y, masks=None):
    """Every two hundredth call."""
    if calls() % 200 == 0:
        gc.collect()
    return network.loss_and_grad(spec, params, X, y)


@honest("Fortran's order of memory")
def fortran_order(network, spec, params, X, y, masks=None):
    """Columns first, as LAPACK has them."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return loss, [(np.asfortranarray(dW), db) for dW, db in grads]


@honest("memory of its own, from bytes", "forward")
def own_memory(network, spec, params, X, masks=None):
    """As shared memory is used."""
    outputs = network.forward(spec, params, X)
    return np.frombuffer(bytearray(outputs.tobytes()), outputs.dtype).reshape(outputs.shape)


@honest("a loss that is a Python number", workload=DOUBLE)
def python_loss(network, spec, params, X, y, masks=None):
    """Float64 is Python's own."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    return float(loss), grads


@honest("torch inside, on the same memory")
def torch_inside(network, spec, params, X, y, masks=None):
    """Arrays come from NumPy and go back to it."""
    import torch

    tensors = [[torch.from_numpy(p).requires_grad_() for p in pair] for pair in params]
    a = torch.from_numpy(X)
    for number, (W, b) in enumerate(tensors, 1):
        a = a @ W + b
        a = torch.relu(a) if number < len(tensors) else a
    loss = torch.nn.functional.cross_entropy(a, torch.from_numpy(y))
    loss.backward()
    for pair in tensors:
        for p in pair:
            p.requires_grad_(False)
    return loss.detach().numpy(), [(W.grad.numpy(), b.grad.numpy()) for W, b in tensors]


@honest("jax inside, compiled once")
def jax_inside(network, spec, params, X, y, masks=None):
    """Arrays come from NumPy and go back to it."""
    import jax

    if "compiled" not in MEMORY:

        def loss_of(params, X, y):
            a = X
            for number, (W, b) in enumerate(params, 1):
                a = a @ W + b
                a = jax.nn.relu(a) if number < len(params) else a
            logs = jax.nn.log_softmax(a)
            return -jax.numpy.mean(logs[jax.numpy.arange(len(X)), y])

        MEMORY["compiled"] = jax.jit(jax.value_and_grad(loss_of))
    loss, grads = MEMORY["compiled"](params, X, y)
    return np.asarray(loss), [(np.asarray(dW), np.asarray(db)) for dW, db in grads]


HONEST = {name: value for name, value in dict(globals()).items() if isinstance(value, Saboteur)}
