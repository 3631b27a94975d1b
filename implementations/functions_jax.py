"""Tables of the JAX network: activations, losses and optimisers on arrays.

No derivative stands here: jax.grad has one for each of these operations. sgd is one line and
written out; every other rule is made of optax's pieces.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from samegrad.implementations.contract.equations import (
    ADADELTA_EPS,
    ADAGRAD_EPS,
    ADAM_EPS,
    BETA1,
    BETA2,
    LEAKY_SLOPE,
    LIF_WIDTH,
    MOMENTUM,
    RHO,
    T_REF,
    TAU,
)
from samegrad.implementations.contract.layers import layers_of
from samegrad.implementations.contract.spec import MLPSpec

Params = list[tuple[Array, Array | None]]


def lif_rate(v: Array) -> Array:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) / LIF_WIDTH
    log_softplus = jnp.where(u < -40, u, jnp.log(jax.nn.softplus(jnp.maximum(u, -40))))
    j = LIF_WIDTH * jax.nn.softplus(u)
    return 1 / (T_REF + TAU * (jnp.log1p(j) - math.log(LIF_WIDTH) - log_softplus))


def unit_step(z: Array) -> Array:
    """1 for z > 0, else 0."""
    return (z > 0).astype(z.dtype)


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": jax.nn.relu,
    # jax.nn.leaky_relu has the right side's slope at 0
    "leaky_relu": lambda z: jnp.where(z > 0, z, LEAKY_SLOPE * z),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "gelu": lambda z: jax.nn.gelu(z, approximate=True),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "lif_rate": lif_rate,
    "unit_step": unit_step,
}
layers = layers_of(ACTIVATIONS)


def one_hot(outputs: Array) -> Array:
    """1 at each row's largest output (the first of equals), 0 elsewhere."""
    return jax.nn.one_hot(outputs.argmax(axis=1), outputs.shape[1], dtype=outputs.dtype)


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y]."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1))


def binary_cross_entropy(outputs: Array, y: Array) -> Array:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return jnp.sum(jax.nn.softplus(outputs) - y * outputs) / len(y)


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return jnp.sum(jnp.square(outputs - y)) / (2 * len(y))


# name: loss
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


def penalty(spec: MLPSpec, params: Params) -> Array | float:
    """l2/2 times the sum of W^2."""
    return spec.l2 / 2 * sum((W * W).sum() for W, _ in params) if spec.l2 else 0


def rule(optimizer: str) -> Any:
    """The rule as an optax transformation of gradients into steps of learning rate -1."""
    import optax  # only here: sgd does without, and its import takes a second

    def adagrad(grads: Any, sums: Any, params: Any = None) -> Any:
        # optax.scale_by_rss has eps inside the root, and an initial sum of 0.1
        sums = jax.tree.map(lambda s, dp: s + dp * dp, sums, grads)  # U4
        steps = jax.tree.map(lambda s, dp: dp / (jnp.sqrt(s) + ADAGRAD_EPS), sums, grads)  # U4
        return steps, sums

    return {
        "momentum": lambda: optax.trace(MOMENTUM),  # U2
        "nesterov": lambda: optax.trace(MOMENTUM, nesterov=True),  # U3
        "adagrad": lambda: optax.GradientTransformation(
            lambda params: jax.tree.map(jnp.zeros_like, params), adagrad
        ),
        "adadelta": lambda: optax.scale_by_adadelta(RHO, ADADELTA_EPS),  # U5
        "adam": lambda: optax.scale_by_adam(BETA1, BETA2, ADAM_EPS),  # U6
        "adamw": lambda: optax.scale_by_adam(BETA1, BETA2, ADAM_EPS),  # U6, after U7
    }[optimizer]()


def init_state(spec: MLPSpec, params: Any) -> Any:
    """optax's state; () for sgd, which has none."""
    return () if spec.optimizer == "sgd" else rule(spec.optimizer).init(params)


def update(spec: MLPSpec, params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """Params and state after one step of the spec's rule, as new arrays."""
    if spec.decay:
        params = [(W - learning_rate * spec.decay * W, b) for W, b in params]  # U7
    if spec.optimizer != "sgd":
        grads, state = rule(spec.optimizer).update(grads, state)  # U2-U6
    return jax.tree.map(lambda p, dp: p - learning_rate * dp, params, grads), state  # U1


@jax.jit
def perceptron(params: Any, X: Array, y: Array) -> tuple[Any, Array]:
    """Params after one pass of the perceptron rule, and how many mistakes it made."""
    onehot = jnp.eye(len(params[0][1]), dtype=X.dtype)

    def one(state: Any, example: tuple[Array, Array]) -> tuple[Any, Array]:
        (W, b), (x, label) = state, example
        error = onehot[label] - onehot[(x @ W + b).argmax()]  # F1; nothing where they are the same
        return (W + jnp.outer(x, error), b + error), jnp.any(error != 0)  # P1

    layer, mistakes = jax.lax.scan(one, tuple(params[0]), (X, y))
    return [layer], mistakes.sum()
