"""The JAX network as one Pallas kernel: the loss of a tile of examples, and its gradient.

A small network spends its time on launches: a step of 64-32-10 is dozens of kernels of a few
microseconds each, for one microsecond of arithmetic. Here all weights fit beside a tile of rows,
so that one kernel reads them once, goes forward and backward with every intermediate in registers,
and writes its tile's part of each gradient; the parts are summed outside. `jax.value_and_grad`
stands inside the kernel: B1-B4 are derived there, and nothing is written twice.

Padded units have weights of zero on both sides, padded outputs and examples count nothing. On a
CPU Pallas interprets the kernel, which shows that it is right and is no time of anything.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas

from samegrad.implementations.backends.jax_backend import JAX, epoch_of
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_jax import ACTIVATIONS, LOSSES, Params, penalty, update
from samegrad.implementations.functions_jax import init_state as init_state
from samegrad.implementations.functions_jax import perceptron as perceptron
from samegrad.implementations.variants.functions_pallas import call, pad, padded, read, tiled
from samegrad.implementations.variants.tiles import LEAST, TILE, power, refuse_wide


def refuse(spec: MLPSpec) -> None:
    """Raise NotImplementedError for a network that is too wide for one kernel."""
    refuse_wide("pallas", spec.layer_sizes)


BACKEND = JAX


def outputs_of(spec: MLPSpec, weights: Any, x: Array, masks: Any) -> Array:
    """Outputs (rows, padded) of a tile; biases are rows (1, padded)."""
    a = x
    for (W, b), name, m in zip(weights, spec.activations, masks, strict=True):
        z = a @ W + b  # F1
        a = ACTIVATIONS[name](z)  # F2
        a = a if m is None else m * a  # F3
    return a


def part(spec: MLPSpec, outputs: Array, y: Array, first: Array, count: int) -> Array:
    """What a tile contributes to L1 of a batch of `count`: examples from `first` on."""
    rows = first + jax.lax.broadcasted_iota(jnp.int32, outputs.shape, 0)
    columns = jax.lax.broadcasted_iota(jnp.int32, outputs.shape, 1)
    real = (rows < count) & (columns < spec.layer_sizes[-1])
    if spec.loss == "cross_entropy":
        logits = jnp.where(columns < spec.layer_sizes[-1], outputs, -jnp.inf)
        largest = jax.lax.stop_gradient(logits.max(axis=1, keepdims=True))
        sums = jnp.exp(logits - largest).sum(axis=1, keepdims=True)
        entries = jnp.where(columns == y, largest + jnp.log(sums) - outputs, 0)
    elif spec.loss == "binary_cross_entropy":
        entries = jax.nn.softplus(outputs) - y * outputs
    else:
        entries = jnp.square(outputs - y) / 2
    return jnp.where(real, entries, 0).sum() / count


def forward_kernel(spec: MLPSpec, weights: Any, x: Any, masks: Any, out: Any) -> None:
    """Outputs of one tile."""
    out[...] = outputs_of(spec, *read((weights, x, masks)))


def gradient_kernel(spec: MLPSpec, count: int, *refs: Any) -> None:
    """L1 of one tile, and its gradient by every W and b."""
    *given, loss_out, grads_out = refs
    weights, x, masks, y = read(given)
    first = pallas.program_id(0) * TILE

    def objective(weights: Any) -> Array:
        return part(spec, outputs_of(spec, weights, x, masks), y, first, count)

    value, grads = jax.value_and_grad(objective)(weights)
    loss_out[...] = jnp.full(loss_out.shape, value)
    for ref, grad in zip(jax.tree.leaves(grads_out), jax.tree.leaves(grads), strict=True):
        ref[...] = grad[None]


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    refuse(spec)
    weights, x, drops = padded(spec, params, X, masks)
    out = jax.ShapeDtypeStruct((len(x), power(spec.layer_sizes[-1])), X.dtype)
    outputs = call(partial(forward_kernel, spec), weights, (x, drops), out, tiled(out))
    return outputs[: len(X), : spec.layer_sizes[-1]]


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    return LOSSES[spec.loss](forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


# B1-B4: jax.value_and_grad derives these inside gradient_kernel


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse(spec)
    refuse_forward_only(spec)
    weights, x, drops = padded(spec, params, X, masks)
    labels = y[:, None] if spec.loss == "cross_entropy" else y
    labels = pad(labels, len(x), 1 if spec.loss == "cross_entropy" else power(y.shape[1]))
    count = len(x) // TILE
    parts = jax.tree.map(  # a block of one number is none
        lambda p: jax.ShapeDtypeStruct((count, *p.shape), X.dtype), (jnp.zeros((1, LEAST)), weights)
    )
    blocks = jax.tree.map(lambda p: pallas.BlockSpec((1, *p.shape[1:]), lambda i: (i, 0, 0)), parts)
    kernel = partial(gradient_kernel, spec, len(X))
    value, summed = jax.tree.map(
        lambda p: p.sum(axis=0), call(kernel, weights, (x, drops, labels), parts, blocks)
    )
    grads = []
    for (W, b), (dW, db) in zip(params, summed, strict=True):
        dW = dW[: W.shape[0], : W.shape[1]] + spec.l2 * W  # B3
        grads.append((dW, None if b is None else db[0, : len(b)]))  # B4
    return value[0, 0] + penalty(spec, params), grads  # L1, L2


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value


CAPABILITIES = Capabilities(epoch=epoch_of(train_step), perceptron=perceptron, refuse=refuse)
