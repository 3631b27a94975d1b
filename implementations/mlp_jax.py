"""The network in JAX: pure functions, jax.jit and jax.value_and_grad.

XLA compiles each function once per spec and shape and runs it as a whole. Neither flax nor
optax is used, so that the equations stay visible.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    layer_masks,
    refuse_device,
    refuse_dtype,
    refuse_forward_only,
    require_masks,
)
from samegrad.implementations.functions_jax import ACTIVATIONS, LARGE_STEP, LOSSES, scan, update
from samegrad.implementations.functions_jax import compilations as compilations
from samegrad.implementations.functions_jax import describe as describe
from samegrad.implementations.functions_jax import (
    init_state as init_state,  # a part of the contract
)
from samegrad.implementations.functions_jax import peak_memory as peak_memory
from samegrad.implementations.functions_jax import precision as precision
from samegrad.implementations.functions_jax import products as products
from samegrad.implementations.functions_jax import take as take

DTYPES: tuple[str, ...] = ("float32", "float64")
# Without it JAX turns every float64 into float32 and says nothing.
jax.config.update("jax_enable_x64", True)
# "float32" means IEEE float32: recent GPUs would otherwise multiply in TF32.
jax.config.update("jax_default_matmul_precision", "highest")


def devices() -> tuple[str, ...]:
    """The CPU, and "cuda" if this JAX has a CUDA plugin and finds a GPU."""
    found = []
    for platform in ("cpu", "cuda"):
        try:
            found += [platform] if jax.devices(platform) else []
        except RuntimeError:  # JAX's way of saying that the platform is not there
            continue
    return tuple(found)


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Arrays on the device; `train_step` donates them."""
    refuse_device("jax", device, devices())
    return map_tree(lambda p: _placed(p, device), check_params(spec, params))


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Arrays on the device; class indices as int64."""
    refuse_device("jax", device, devices())
    refuse_dtype("jax", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return _placed(X, device), _placed(y, device)


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Arrays on the device."""
    refuse_device("jax", device, devices())
    return map_tree(lambda m: _placed(m, device), check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """Arrays in the CPU's memory."""
    return map_tree(np.array, tree)


def synchronize(tree: Tree) -> None:
    """Wait for every array of the tree."""
    jax.block_until_ready(tree)


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g = ACTIVATIONS[name]
        z = a @ W if b is None else a @ W + b  # F1
        a = g(z)  # F2
        if m is not None:
            a = m * a  # F3
    return a


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss](outputs, y) + penalty(spec, params)  # L1, L2


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


def epoch(
    spec: MLPSpec, params: Params, state: Tree, batches: Any, learning_rate: float
) -> tuple[Params, Tree, Array]:
    """Params and state after a step on each batch, and the last loss.

    Small steps are one compiled loop, which calls nothing; large ones are calls, which cost
    nothing then, and whose products XLA spreads over more threads than it does inside a loop.
    """
    alike = [batch for batch in batches if batch[0].shape == batches[0][0].shape]
    X, _ = batches[0]
    if len(X) * spec.parameters > LARGE_STEP and next(iter(X.devices())).platform == "cpu":
        alike = []
    if alike:
        params, state, value = scan(train_step, spec, params, state, alike, learning_rate)
    for X, y in batches[len(alike) :]:
        params, state, value = train_step(spec, params, state, X, y, learning_rate)
    return params, state, value


def penalty(spec: MLPSpec, params: Params) -> Array:
    """l2/2 times the sum of W^2."""
    if spec.l2 == 0:
        return 0
    return spec.l2 / 2 * sum((W * W).sum() for W, _ in params)


def _placed(array: Any, device: str) -> Array:
    # A copy first: on the CPU device_put may share memory, and a donated array is overwritten.
    placed = jax.device_put(np.array(array), jax.devices(device)[0])
    if placed.dtype != array.dtype:
        raise ValueError(
            f"dtype {array.dtype} is not honoured by jax (gave {placed.dtype}); "
            "jax_enable_x64 was switched off after this module was imported"
        )
    return placed
