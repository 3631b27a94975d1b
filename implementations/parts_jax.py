"""Tables of the JAX network: activations, losses and optimisers on arrays.

No derivative stands here: jax.grad has one for each of these operations.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

# name: g(z)
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
}


def cross_entropy(outputs: Array, y: Array) -> Array:
    """Mean of -log softmax(outputs)[y]."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1))


def mse(outputs: Array, y: Array) -> Array:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return jnp.sum(jnp.square(outputs - y)) / (2 * len(y))


# name: loss
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
}


def sgd_init(params: Any) -> tuple[()]:
    """Plain gradient descent has no state."""
    return ()


def sgd_update(params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """p - learning_rate * dp as new arrays: params, state."""
    return jax.tree.map(lambda p, dp: p - learning_rate * dp, params, grads), state  # U1


# name: (state before the first step, one update)
OPTIMIZERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sgd": (sgd_init, sgd_update)
}
