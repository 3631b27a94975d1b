"""Tables of the torch network: activations, losses and optimisers on tensors.

No derivative stands here: autograd has one for each of these operations. sgd is one line and
written out; every other rule is torch.optim's.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

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

Params = list[tuple[Tensor, Tensor | None]]
# torch's own softplus is z above 20, which is off by 1e-10; beyond 40 it is exact in float64.
softplus = partial(functional.softplus, threshold=40)


def lif_rate(v: Tensor) -> Tensor:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) / LIF_WIDTH
    log_softplus = torch.where(u < -40, u, softplus(u.clamp(min=-40)).log())
    j = LIF_WIDTH * softplus(u)
    return 1 / (T_REF + TAU * (j.log1p() - math.log(LIF_WIDTH) - log_softplus))


def unit_step(z: Tensor) -> Tensor:
    """1 for z > 0, else 0."""
    return (z > 0).to(z.dtype)


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "leaky_relu": partial(functional.leaky_relu, negative_slope=LEAKY_SLOPE),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "softplus": softplus,
    "lif_rate": lif_rate,
    "unit_step": unit_step,
}
layers = layers_of(ACTIVATIONS)


def one_hot(outputs: Tensor) -> Tensor:
    """1 at each row's largest output (the first of equals), 0 elsewhere."""
    return functional.one_hot(outputs.argmax(dim=1), outputs.shape[1]).to(outputs.dtype)


def binary_cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p); torch's mean is over all entries."""
    total = functional.binary_cross_entropy_with_logits(outputs, y, reduction="sum")
    return total / len(y)


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """1/(2 batch) of the sum of (outputs - y)^2; torch's own mse_loss divides by all entries."""
    return (outputs - y).square().sum() / (2 * len(y))


# name: loss; torch's cross_entropy is the mean of -log softmax(outputs)[y]
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


def part(spec: MLPSpec, outputs: Tensor, y: Tensor, count: int) -> Tensor:
    """What these examples contribute to the loss of a batch of `count`."""
    if not len(y):  # a mean of nothing is NaN
        return outputs.sum()
    return LOSSES[spec.loss](outputs, y) * (len(y) / count)


def penalty(spec: MLPSpec, params: Params) -> Tensor | float:
    """l2/2 times the sum of W^2."""
    return spec.l2 / 2 * sum(W.square().sum() for W, _ in params) if spec.l2 else 0


# name: torch's rule with our constants; U7 comes before it, in `update`
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "momentum": partial(torch.optim.SGD, momentum=MOMENTUM),  # U2
    "nesterov": partial(torch.optim.SGD, momentum=MOMENTUM, nesterov=True),  # U3
    "adagrad": partial(torch.optim.Adagrad, eps=ADAGRAD_EPS),  # U4
    "adadelta": partial(torch.optim.Adadelta, rho=RHO, eps=ADADELTA_EPS),  # U5
    "adam": partial(torch.optim.Adam, betas=(BETA1, BETA2), eps=ADAM_EPS),  # U6
    "adamw": partial(torch.optim.AdamW, betas=(BETA1, BETA2), eps=ADAM_EPS, weight_decay=0.0),  # U6
}


def init_state(spec: MLPSpec, params: Any) -> Any:
    """torch's optimiser object over the params; () for sgd, which has no state."""
    return () if spec.optimizer == "sgd" else OPTIMIZERS[spec.optimizer](flat(params), lr=1.0)


def update(spec: MLPSpec, params: Any, grads: Any, state: Any, learning_rate: float) -> Any:
    """Params and state after one step of the spec's rule, in place."""
    if spec.decay:
        for W, _ in params:
            W.mul_(1 - learning_rate * spec.decay)  # U7
    if spec.optimizer == "sgd":
        torch._foreach_sub_(flat(params), flat(grads), alpha=learning_rate)  # U1
        return params, state
    optimizer = owning(state, flat(params))
    for p, dp in zip(flat(params), flat(grads), strict=True):
        p.grad = dp
    optimizer.param_groups[0]["lr"] = learning_rate
    optimizer.step()  # U2-U6
    optimizer.zero_grad()
    return params, optimizer


def perceptron(params: Any, X: Tensor, y: Tensor) -> tuple[Any, Tensor]:
    """Params after one pass of the perceptron rule in place, and how many mistakes it made."""
    (W, b), mistakes = params[0], 0
    onehot = torch.eye(len(b), dtype=W.dtype, device=W.device)
    for x, label in zip(X, y, strict=True):
        guess = (x @ W + b).argmax()  # F1
        if guess != label:
            mistakes += 1
            error = onehot[label] - onehot[guess]
            W += torch.outer(x, error)  # P1
            b += error  # P1
    return params, torch.tensor(mistakes)


def flat(tree: Any) -> list[Tensor]:
    """The tensors of params or grads in one list."""
    return [p for layer in tree for p in layer if p is not None]


def owning(optimizer: Any, tensors: list[Tensor]) -> Any:
    """The optimiser itself, or one of the same state over these tensors if it holds others.

    torch.optim updates the tensors it was made with; a step must update those it is given.
    """
    group = optimizer.param_groups[0]
    if all(p is q for p, q in zip(group["params"], tensors, strict=True)):
        return optimizer
    moved = type(optimizer)(tensors, lr=1.0)
    moved.load_state_dict(optimizer.state_dict())  # the rule's constants come with it
    return moved
