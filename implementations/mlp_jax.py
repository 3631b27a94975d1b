"""The network in JAX: pure functions, jax.jit and jax.value_and_grad.

XLA compiles each function once per spec and shape and runs it as a whole. Neither flax nor
optax is used here, so that the equations stay visible.
"""

from functools import partial

import jax
from jax import Array

from samegrad.implementations.backends.jax_backend import JAX, epoch_of
from samegrad.implementations.contract.layers import drop, refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_jax import LOSSES, Params, layers, penalty
from samegrad.implementations.functions_jax import init_state as init_state
from samegrad.implementations.functions_jax import perceptron as perceptron
from samegrad.implementations.functions_jax import update as update

BACKEND = JAX


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    a = X
    for (W, b), g, m in layers(spec, params, masks):
        z = a @ W + b if spec.bias else a @ W  # F1
        a = drop(g(z), m)  # F2, F3
    return a


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    return LOSSES[spec.loss](forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


# B1-B4: jax.value_and_grad derives these from forward


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    value: tuple[Array, Params] = jax.value_and_grad(loss, argnums=1)(spec, params, X, y, masks)
    return value


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


CAPABILITIES = Capabilities(epoch=epoch_of(train_step), perceptron=perceptron)
