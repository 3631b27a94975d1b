"""The network the usual way in torch: nn.Sequential, nn.Linear and torch.optim.

torch's modules hold the parameters and its optimiser objects update them. Tensors, precision and
the activation functions that torch.nn lacks are those of the torch network. A W of ours is the
transpose of nn.Linear's weight.
"""

from typing import Any

import torch
from samegrad.implementations.contract.constants import LEAKY_SLOPE
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_params,
    refuse_device,
    refuse_forward_only,
)
from samegrad.implementations.functions_torch import OPTIMIZERS, lif_rate, owning, unit_step
from samegrad.implementations.functions_torch import compilations as compilations
from samegrad.implementations.functions_torch import peak_memory as peak_memory
from samegrad.implementations.functions_torch import products as products
from samegrad.implementations.mlp_torch import DTYPES as DTYPES
from samegrad.implementations.mlp_torch import batch_from_numpy as batch_from_numpy
from samegrad.implementations.mlp_torch import describe as describe
from samegrad.implementations.mlp_torch import devices as devices
from samegrad.implementations.mlp_torch import events as events
from samegrad.implementations.mlp_torch import precision as precision
from samegrad.implementations.mlp_torch import synchronize as synchronize_tensors
from samegrad.implementations.mlp_torch import to_numpy as arrays_to_numpy
from torch import Tensor, nn


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        """function(z)."""
        return self.function(z)


# name: makes the layer
ACTIVATIONS: dict[str, Any] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
    "softplus": lambda: nn.Softplus(threshold=40),
    "lif_rate": lambda: Function(lif_rate),
    "unit_step": lambda: Function(unit_step),
}

# name: (torch's loss, by what times the batch size its sum is divided)
LOSSES: dict[str, tuple[nn.Module, int]] = {
    "cross_entropy": (nn.CrossEntropyLoss(reduction="sum"), 1),
    "binary_cross_entropy": (nn.BCEWithLogitsLoss(reduction="sum"), 1),
    "mse": (nn.MSELoss(reduction="sum"), 2),
}


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Any:
    """An nn.Sequential with these weights."""
    refuse_device("torch_nn", device, devices())
    _refuse_dropout(spec)
    dtype = getattr(torch, spec.dtype)
    layers: list[nn.Module] = []
    for (W, b), name in zip(check_params(spec, params), spec.activations, strict=True):
        linear = nn.Linear(W.shape[0], W.shape[1], bias=spec.bias, device=device, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W.T))
            if b is not None:
                linear.bias.copy_(torch.tensor(b))
        layers += [linear, ACTIVATIONS[name]()]
    return nn.Sequential(*layers)


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """None: nn.Sequential takes no masks."""
    _refuse_dropout(spec, masks)


def to_numpy(tree: Tree) -> Tree:
    """Arrays in the CPU's memory; a model as its [(W, b), ...]."""
    return arrays_to_numpy(_tensors(tree))


def synchronize(tree: Tree) -> None:
    """Wait for the queue of every device that holds a tensor of the tree."""
    synchronize_tensors(_tensors(tree))


def forward(spec: MLPSpec, params: Any, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    _refuse_dropout(spec, masks)
    with torch.no_grad():
        return params(X)  # F1, F2


def loss(spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a tensor without dimensions."""
    with torch.no_grad():
        return _loss(spec, params, X, y, masks)


# B1-B4: torch.autograd derives these from forward


def loss_and_grad(
    spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads as [(dW, db), ...]."""
    refuse_forward_only(spec)
    params.zero_grad()
    value = _loss(spec, params, X, y, masks)
    value.backward()
    return value.detach(), [
        (layer.weight.grad.T, layer.bias.grad if spec.bias else None) for layer in params[::2]
    ]


def init_state(spec: MLPSpec, params: Any) -> Any:
    """torch's optimiser object over the model's parameters."""
    rules = {"sgd": torch.optim.SGD, **OPTIMIZERS}  # U1-U6
    return rules[spec.optimizer](params.parameters(), lr=1.0)


def train_step(
    spec: MLPSpec,
    params: Any,
    state: Any,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Any, Array]:
    """The model and the optimiser after one update in place, and the loss before it."""
    optimizer = owning(state, list(params.parameters()))
    optimizer.param_groups[0]["lr"] = learning_rate
    value, _ = loss_and_grad(spec, params, X, y, masks)
    if spec.decay:
        with torch.no_grad():
            for layer in params[::2]:
                layer.weight.mul_(1 - learning_rate * spec.decay)  # U7
    optimizer.step()  # U1-U6
    return params, optimizer, value


def _loss(spec: MLPSpec, params: Any, X: Array, y: Array, masks: Tree) -> Tensor:
    _refuse_dropout(spec, masks)
    criterion, divisor = LOSSES[spec.loss]
    value = criterion(params(X), y) / (divisor * len(y))  # L1
    if spec.l2:
        squares = sum(layer.weight.square().sum() for layer in params[::2])
        value = value + spec.l2 / 2 * squares  # L2
    return value


def _refuse_dropout(spec: MLPSpec, masks: Tree = None) -> None:
    if spec.dropout or masks is not None:
        raise NotImplementedError(
            "torch_nn has no dropout: nn.Dropout draws its own masks, so two implementations "
            "could not be given the same ones"
        )


def _tensors(tree: Tree) -> Tree:
    """The tree with each model replaced by its pairs (W, b)."""

    def opened(leaf: Any) -> Any:
        if isinstance(leaf, nn.Sequential):
            linear = [layer for layer in leaf.children() if isinstance(layer, nn.Linear)]
            return [(layer.weight.T, layer.bias) for layer in linear]
        return [] if isinstance(leaf, torch.optim.Optimizer) else leaf

    return map_tree(opened, tree)
