"""The JAX network over several ranks that share out the hidden units instead of the examples.

Every rank has the whole batch. The columns of the first W, which are units, lie over the mesh, of
the second the rows, and so on in turn: a layer's products need nothing of other ranks, and after
each second layer XLA adds up what they give. A width that the ranks do not divide stays whole.
"""

from functools import partial

import jax
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from samegrad.implementations import mlp_jax
from samegrad.implementations.backends.jax_ranks import (
    AXIS,
    WHOLE,
    JaxRanksBackend,
    Layouts,
    MeshRows,
    everywhere,
    kept,
)
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.ranks import arrays_of
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_jax import Params, update
from samegrad.implementations.functions_jax import init_state as init_state


def layouts(spec: MLPSpec, mesh: Mesh) -> Layouts:
    """Of each W and b: columns over the ranks, then rows, wherever the ranks divide the width."""
    made: Layouts = []
    sizes = spec.layer_sizes
    for layer in range(len(sizes) - 1):
        hidden = sizes[layer] if layer % 2 else sizes[layer + 1]
        last = layer == len(sizes) - 2
        if hidden % mesh.size or (last and not layer % 2):  # outputs are needed everywhere
            made.append((WHOLE, WHOLE))
        elif layer % 2:
            made.append((PartitionSpec(AXIS, None), WHOLE))
        else:
            made.append((PartitionSpec(None, AXIS), PartitionSpec(AXIS)))
    return made


BACKEND = JaxRanksBackend(WHOLE, layouts)


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Params, X: MeshRows, masks: Tree = None) -> Array:
    """Outputs (batch, outputs), on each rank."""
    return everywhere(mlp_jax.forward(spec, params, X.array, arrays_of(masks, X)), X.mesh)  # F1-F3


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Params, X: MeshRows, y: MeshRows, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    value = mlp_jax.loss(spec, params, X.array, y.array, arrays_of(masks, X))  # L1, L2
    return everywhere(value, X.mesh)


# B1-B4: jax.value_and_grad derives these from forward


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Params, X: MeshRows, y: MeshRows, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads laid out like params."""
    refuse_forward_only(spec)
    value, grads = jax.value_and_grad(loss, argnums=1)(spec, params, X, y, masks)
    return value, kept(grads, layouts(spec, X.mesh), X.mesh)


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
    """Params and state after one update, laid out as before, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)  # U1-U7
    return kept(params, layouts(spec, X.mesh), X.mesh), state, value
