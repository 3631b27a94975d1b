"""The network the usual way on JAX: a flax.nnx module and optax.

flax holds the layers, optax the losses and the update rules; nnx.jit compiles the step. Arrays,
precision and activation functions are those of the JAX network. A W of ours is a Linear's kernel.
"""

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import optax
from flax import nnx
from jax import Array

from samegrad.implementations.backends.jax_backend import JaxBackend
from samegrad.implementations.contract.layers import refuse_forward_only
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_jax import ACTIVATIONS, rule


class MLP(nnx.Module):
    """Linear layers with activations between them."""

    def __init__(self, spec: MLPSpec, rngs: nnx.Rngs) -> None:
        """Layers of the spec's widths."""
        options: Any = {"use_bias": spec.bias, "dtype": spec.dtype, "param_dtype": spec.dtype}
        self.layers: Any = nnx.List(
            [nnx.Linear(*widths, **options, rngs=rngs) for widths in pairwise(spec.layer_sizes)]
        )
        self.activations = spec.activations

    def __call__(self, X: Array) -> Array:
        """Outputs (batch, outputs)."""
        a = X
        for layer, name in zip(self.layers, self.activations, strict=True):
            a = ACTIVATIONS[name](layer(a))  # F1, F2
        return a


# name: optax's loss per example and output, or per example
LOSSES: dict[str, Any] = {
    "cross_entropy": optax.softmax_cross_entropy_with_integer_labels,
    "binary_cross_entropy": optax.sigmoid_binary_cross_entropy,
    "mse": optax.l2_loss,  # (a - y)^2 / 2
}


class ModuleBackend(JaxBackend):
    """Params are an MLP."""

    def place_params(self, spec: MLPSpec, params: Any, device: str) -> MLP:
        """A module with these weights."""
        with jax.default_device(jax.devices(device)[0]):
            model = MLP(spec, nnx.Rngs(0))
        for layer, (W, b) in zip(model.layers, params, strict=True):
            layer.kernel.set_value(self.place(W, device))
            if b is not None:
                layer.bias.set_value(self.place(b, device))
        return model

    def fetch(self, tree: Tree) -> Tree:
        """Arrays in the CPU's memory; modules, and their gradients, as [(W, b), ...]."""
        return super().fetch(map_tree(_pairs, tree))


def refuse(spec: MLPSpec, masks: Tree = None) -> None:
    """Raise NotImplementedError for dropout."""
    if spec.dropout or masks is not None:
        raise NotImplementedError(
            "flax has no dropout here: nnx.Dropout draws its own masks, so two implementations "
            "could not be given the same ones"
        )


BACKEND = ModuleBackend()
CAPABILITIES = Capabilities(refuse=refuse)


@nnx.jit(static_argnums=0)
def forward(spec: MLPSpec, params: Any, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    refuse(spec, masks)
    return params(X)  # F1, F2


@nnx.jit(static_argnums=0)
def loss(spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as an array without dimensions."""
    refuse(spec, masks)
    value = LOSSES[spec.loss](params(X), y).sum() / len(y)  # L1
    if spec.l2:
        value += spec.l2 * sum(optax.l2_loss(layer.kernel).sum() for layer in params.layers)  # L2
    return value


# B1-B4: nnx.value_and_grad derives these from forward


@nnx.jit(static_argnums=0)
def loss_and_grad(
    spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Any]:
    """Loss, and grads as the module's state."""
    refuse_forward_only(spec)
    value_and_grad = nnx.value_and_grad(lambda model: loss(spec, model, X, y, masks))
    value: tuple[Array, Any] = value_and_grad(params)
    return value


def init_state(spec: MLPSpec, params: Any) -> Any:
    """flax's optimiser: optax's rule and its state."""
    state = nnx.Optimizer(params, _updates(spec.optimizer), wrt=nnx.Param)
    # Its counter, too, stands where the params stand: elsewhere it costs a second compilation.
    nnx.update(state, jax.device_put(nnx.state(state), params.layers[0].kernel.device))
    return state


def train_step(
    spec: MLPSpec,
    params: Any,
    state: Any,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Any, Array]:
    """The module and the optimiser after one update in place, and the loss before it."""
    return params, state, _step(spec, params, state, X, y, learning_rate, masks)


@nnx.jit(static_argnums=0, donate_argnums=(1, 2))
def _step(
    spec: MLPSpec,
    params: Any,
    state: Any,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree,
) -> Array:
    value, grads = loss_and_grad(spec, params, X, y, masks)
    if spec.decay:
        for layer in params.layers:
            layer.kernel.set_value(layer.kernel * (1 - learning_rate * spec.decay))  # U7
    state.update(params, grads, learning_rate=learning_rate)  # U1-U6
    return value


@cache  # a compiled step is one for this object: another, alike, would be compiled again
def _updates(optimizer: str) -> optax.GradientTransformationExtraArgs:
    """A rule, then -learning_rate times its steps, with a rate that each step is given anew."""

    def descend(steps: Any, state: Any, _: Any = None, *, learning_rate: Any) -> tuple[Any, Any]:
        return jax.tree.map(lambda step: -learning_rate * step, steps), state

    last = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), descend)
    return optax.chain(optax.identity() if optimizer == "sgd" else rule(optimizer), last)


def _pairs(leaf: Any) -> Any:
    """A module, or the gradient of one, as [(W, b), ...]; nothing of an optimiser."""
    if isinstance(leaf, nnx.Optimizer):
        return []
    if not isinstance(leaf, MLP | nnx.State):
        return leaf
    layers = nnx.to_pure_dict(leaf if isinstance(leaf, nnx.State) else nnx.state(leaf))["layers"]
    return [(layers[i]["kernel"], layers[i].get("bias")) for i in sorted(layers)]
