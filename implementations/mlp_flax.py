"""The network the usual way on JAX: flax.linen modules and optax.

flax holds the layers, optax the losses and the update rules; jax.jit compiles the step. Arrays,
precision and activation functions are those of the JAX network. A W of ours is a Dense's kernel.
"""

from functools import partial
from typing import Any

import jax
import optax
from flax import linen as nn

from implementations.initial import check_params
from implementations.interface import (
    Array,
    MLPSpec,
    Params,
    Tree,
    map_tree,
    refuse_device,
    refuse_forward_only,
)
from implementations.mlp_jax import (
    DTYPES as DTYPES,
)
from implementations.mlp_jax import (
    batch_from_numpy as batch_from_numpy,
)
from implementations.mlp_jax import (
    describe as describe,
)
from implementations.mlp_jax import (
    devices as devices,
)
from implementations.mlp_jax import (
    params_from_numpy as placed_params,
)
from implementations.mlp_jax import (
    precision as precision,
)
from implementations.mlp_jax import (
    synchronize as synchronize,
)
from implementations.mlp_jax import (
    to_numpy as arrays_to_numpy,
)
from implementations.parts_jax import ACTIVATIONS, rule
from implementations.parts_jax import compilations as compilations
from implementations.parts_jax import peak_memory as peak_memory
from implementations.parts_jax import products as products


class MLP(nn.Module):
    """Dense layers with activations between them."""

    spec: MLPSpec

    @nn.compact
    def __call__(self, X: Array) -> Array:
        """Outputs (batch, outputs)."""
        spec, a = self.spec, X
        for layer, name in enumerate(spec.activations, start=1):
            dense = nn.Dense(
                spec.layer_sizes[layer],
                use_bias=spec.bias,
                dtype=spec.dtype,
                param_dtype=spec.dtype,
                name=f"layer{layer}",
            )
            a = ACTIVATIONS[name](dense(a))  # F1, F2
        return a


# name: optax's loss per example and output, or per example
LOSSES: dict[str, Any] = {
    "cross_entropy": optax.softmax_cross_entropy_with_integer_labels,
    "binary_cross_entropy": optax.sigmoid_binary_cross_entropy,
    "mse": optax.l2_loss,  # (a - y)^2 / 2
}


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Any:
    """The variables of an `MLP`: {"params": {"layer1": {"kernel": W, "bias": b}, ...}}."""
    refuse_device("flax", device, devices())
    _refuse_dropout(spec)
    layers = {}
    for layer, (W, b) in enumerate(placed_params(spec, check_params(spec, params), device), 1):
        layers[f"layer{layer}"] = {"kernel": W} if b is None else {"kernel": W, "bias": b}
    return {"params": layers}


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """None: the module takes no masks."""
    _refuse_dropout(spec, masks)


def to_numpy(tree: Tree) -> Tree:
    """Arrays in the CPU's memory; variables as [(W, b), ...]."""
    return arrays_to_numpy(map_tree(_pairs, tree))


@partial(jax.jit, static_argnums=0)
def forward(spec: MLPSpec, params: Any, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    _refuse_dropout(spec, masks)
    return MLP(spec).apply(params, X)  # F1, F2


@partial(jax.jit, static_argnums=0)
def loss(spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    value = LOSSES[spec.loss](forward(spec, params, X, masks), y).sum() / len(y)  # L1
    if spec.l2:
        kernels = [layer["kernel"] for layer in params["params"].values()]
        value += spec.l2 * sum(optax.l2_loss(W).sum() for W in kernels)  # L2
    return value


# B1-B4: jax.value_and_grad derives these from forward


@partial(jax.jit, static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Any]:
    """Loss, and grads nested like the variables."""
    refuse_forward_only(spec)
    found: tuple[Array, Any] = jax.value_and_grad(loss, argnums=1)(spec, params, X, y, masks)
    return found


def init_state(spec: MLPSpec, params: Any) -> Any:
    """optax's state."""
    return _rule(spec).init(params)


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_step(
    spec: MLPSpec,
    params: Any,
    state: Any,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Any, Array]:
    """Variables and state after one update, and the loss before it."""
    value, grads = loss_and_grad(spec, params, X, y, masks)
    if spec.decay:
        kept = 1 - learning_rate * spec.decay
        params = jax.tree.map_with_path(
            lambda path, p: p * kept if path[-1].key == "kernel" else p, params
        )  # U7
    steps, state = _rule(spec).update(grads, state, params)  # U1-U6
    steps = jax.tree.map(lambda step: -learning_rate * step, steps)
    return optax.apply_updates(params, steps), state, value


def _rule(spec: MLPSpec) -> Any:
    return optax.identity() if spec.optimizer == "sgd" else rule(spec.optimizer)


def _refuse_dropout(spec: MLPSpec, masks: Tree = None) -> None:
    if spec.dropout or masks is not None:
        raise NotImplementedError(
            "flax has no dropout here: nn.Dropout draws its own masks, so two implementations "
            "could not be given the same ones"
        )


def _pairs(leaf: Any) -> Any:
    if not isinstance(leaf, dict):
        return leaf
    layers = leaf["params"]
    return [
        (layers[f"layer{i}"]["kernel"], layers[f"layer{i}"].get("bias"))
        for i in range(1, len(layers) + 1)
    ]
