"""The JAX network over several ranks: one program of jax.jit on arrays that lie over a mesh.

The rows of a batch are shared out (NamedSharding), every rank has all params. The functions are
written as for one device: XLA sees that a sum goes over rows of several ranks and adds them up.
JAX refuses 33 rows over 2 ranks, so a batch is filled up with rows whose loss counts nothing.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from samegrad.implementations import mlp_jax
from samegrad.implementations.backends.jax_ranks import (
    JaxRanksBackend,
    MeshRows,
    all_whole,
    everywhere,
    kept,
)
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.ranks import arrays_of
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_jax import LOSSES, Params, penalty
from samegrad.implementations.functions_jax import init_state as init_state
from samegrad.implementations.functions_jax import update as update

BACKEND = JaxRanksBackend()


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Params, X: MeshRows, masks: Tree = None) -> Array:
    """Outputs (batch, outputs), on each rank."""
    outputs = mlp_jax.forward(spec, params, X.array, arrays_of(masks, X))  # F1, F2, F3
    return everywhere(outputs[: len(X)], X.mesh)


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Params, X: MeshRows, y: MeshRows, masks: Tree = None) -> Array:
    """The loss of the whole batch as an array without dimensions."""
    outputs = mlp_jax.forward(spec, params, X.array, arrays_of(masks, X))
    if len(X) == len(X.array):
        value = LOSSES[spec.loss](outputs, y.array)  # L1
    else:  # of each row by itself: those that fill up the batch weigh nothing
        of_row = jax.vmap(lambda z, t: LOSSES[spec.loss](z[None], t[None]))
        rows = jnp.where(jnp.arange(len(outputs)) < len(X), of_row(outputs, y.array), 0)
        value = rows.sum() / len(X)  # L1
    return everywhere(value + penalty(spec, params), X.mesh)  # L2


# B1-B4: jax.value_and_grad derives these from forward, XLA adds them up over the ranks


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Params, X: MeshRows, y: MeshRows, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss of the whole batch, and its grads nested like params."""
    refuse_forward_only(spec)
    value, grads = jax.value_and_grad(loss, argnums=1)(spec, params, X, y, masks)
    return value, kept(grads, all_whole(spec, X.mesh), X.mesh)


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: MeshRows,
    y: MeshRows,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update, the same on all ranks, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)  # U1-U7
    return kept(params, all_whole(spec, X.mesh), X.mesh), state, value
