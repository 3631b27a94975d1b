"""Mistakes that make a network faster than it is, and look like cheats: none may get a number."""

import numpy as np

from samegrad.benchmarks.selftest.red_team import (
    ACCIDENT,
    KERNELGUARD,
    MEMORY,
    Cheat,
    calls,
    cheat,
    zeros,
)
from samegrad.implementations.contract.spec import map_tree


@cheat("gradients that add up over the calls", ACCIDENT)
def adds_up(network, spec, params, X, y, masks=None):
    """Nobody has set them to zero."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    if "sum" not in MEMORY:
        MEMORY["sum"] = zeros(grads)
    for (dW, db), (W, b) in zip(MEMORY["sum"], grads, strict=True):
        dW += W
        db += b
    return loss, MEMORY["sum"]


@cheat("a gradient that is not a number after sixty calls", ACCIDENT)
def not_a_number(network, spec, params, X, y, masks=None):
    """A running mean that overflows."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    if calls() > 60:
        grads = map_tree(lambda p: p * p.dtype.type("nan"), grads)
    return loss, grads


@cheat("params that loss_and_grad changes", ACCIDENT)
def changes_params(network, spec, params, X, y, masks=None):
    """It was a training step once."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    for (W, b), (dW, db) in zip(params, grads, strict=True):
        W -= W.dtype.type(0.1) * dW
        b -= b.dtype.type(0.1) * db
    return loss, grads


@cheat("a batch that loss_and_grad changes", KERNELGUARD)
def changes_batch(network, spec, params, X, y, masks=None):
    """It is normalised once more in every call."""
    result = network.loss_and_grad(spec, params, X, y)
    X *= X.dtype.type(0.5)
    return result


@cheat("an update whose sign flips from the second step on", ACCIDENT, "train_step")
def sign_flips(network, spec, params, state, X, y, learning_rate, masks=None):
    """A velocity that is subtracted twice."""
    sign = 1 if calls() <= 1 else -1
    return network.train_step(spec, params, state, X, y, sign * learning_rate)


@cheat("an update that is left out when the loss has fallen", ACCIDENT, "train_step")
def early_stopping(network, spec, params, state, X, y, learning_rate, masks=None):
    """Early stopping inside the step."""
    loss = network.loss(spec, params, X, y)
    if calls() > 1 and loss < MEMORY["loss"]:
        return params, state, loss
    MEMORY["loss"] = loss
    return network.train_step(spec, params, state, X, y, learning_rate)


@cheat("a bias whose gradient is left out after the first call", ACCIDENT)
def bias_left_out(network, spec, params, X, y, masks=None):
    """A branch that is taken once."""
    loss, grads = network.loss_and_grad(spec, params, X, y)
    if calls() > 1:
        grads[-1] = grads[-1][0], np.zeros_like(grads[-1][1])
    return loss, grads


@cheat("a compilation in every call, which the module does not tell", ACCIDENT)
def compiles_every_time(network, spec, params, X, y, masks=None):
    """`jax.jit` of a function that is new each time."""
    import jax

    jax.jit(lambda a: a @ a.T)(X).block_until_ready()
    return network.loss_and_grad(spec, params, X, y)


ACCIDENTS = {name: value for name, value in dict(globals()).items() if isinstance(value, Cheat)}
