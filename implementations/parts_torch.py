"""Tables of the torch network: activations, losses and optimisers on tensors.

No derivative stands here: autograd has one for each of these operations.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# name: g(z)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """1/(2 batch) of the sum of (outputs - y)^2; torch's own mse_loss divides by all entries."""
    return (outputs - y).square().sum() / (2 * len(y))


# name: loss; torch's cross_entropy is the mean of -log softmax(outputs)[y]
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": torch.nn.functional.cross_entropy,
    "mse": mse,
}


def sgd_init(params: Any) -> tuple[()]:
    """Plain gradient descent has no state."""
    return ()


def sgd_update(params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """p - learning_rate * dp in place: params, state."""
    for (W, b), (dW, db) in zip(params, grads, strict=True):
        W.sub_(dW, alpha=learning_rate)  # U1
        if b is not None:
            b.sub_(db, alpha=learning_rate)  # U1
    return params, state


# name: (state before the first step, one update)
OPTIMIZERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sgd": (sgd_init, sgd_update)
}
