"""The network the usual way in torch: nn.Sequential, nn.Linear and torch.optim.

torch's modules hold the parameters and its optimiser objects update them. Tensors, precision and
the activation functions that torch.nn lacks are those of the torch network. A W of ours is the
transpose of nn.Linear's weight.
"""

from typing import Any

import torch
from torch import Tensor, nn

from samegrad.implementations.backends.torch_backend import TorchBackend
from samegrad.implementations.contract.equations import LEAKY_SLOPE
from samegrad.implementations.contract.layers import refuse_forward_only
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_torch import (
    OPTIMIZERS,
    Params,
    lif_rate,
    owning,
    unit_step,
)


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


class ModelBackend(TorchBackend):
    """Params are an nn.Sequential."""

    def place_params(self, spec: MLPSpec, params: Any, device: str) -> nn.Sequential:
        """An nn.Sequential with these weights."""
        dtype = getattr(torch, spec.dtype)
        layers: list[nn.Module] = []
        for (W, b), name in zip(params, spec.activations, strict=True):
            linear = nn.Linear(W.shape[0], W.shape[1], bias=spec.bias, device=device, dtype=dtype)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(W.T))
                if b is not None:
                    linear.bias.copy_(torch.tensor(b))
            layers += [linear, ACTIVATIONS[name]()]
        return nn.Sequential(*layers)

    def fetch(self, tree: Tree) -> Tree:
        """Tensors in the CPU's memory; a model as its [(W, b), ...]."""
        return super().fetch(map_tree(_opened, tree))

    def synchronize(self, tree: Tree) -> None:
        """Wait for the queue of every device that holds a tensor of the tree."""
        super().synchronize(map_tree(_opened, tree))


def refuse(spec: MLPSpec, masks: Tree = None) -> None:
    """Raise NotImplementedError for dropout."""
    if spec.dropout or masks is not None:
        raise NotImplementedError(
            "torch_nn has no dropout: nn.Dropout draws its own masks, so two implementations "
            "could not be given the same ones"
        )


BACKEND = ModelBackend()
CAPABILITIES = Capabilities(refuse=refuse)


def forward(spec: MLPSpec, params: Any, X: Tensor, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs)."""
    refuse(spec, masks)
    with torch.no_grad():
        return params(X)  # F1, F2


def loss(spec: MLPSpec, params: Any, X: Tensor, y: Tensor, masks: Tree = None) -> Tensor:
    """The loss as a tensor without dimensions."""
    with torch.no_grad():
        return _loss(spec, params, X, y, masks)


# B1-B4: torch.autograd derives these from forward


def loss_and_grad(
    spec: MLPSpec, params: Any, X: Tensor, y: Tensor, masks: Tree = None
) -> tuple[Tensor, Params]:
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
    X: Tensor,
    y: Tensor,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Any, Tensor]:
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


def _loss(spec: MLPSpec, params: Any, X: Tensor, y: Tensor, masks: Tree) -> Tensor:
    refuse(spec, masks)
    criterion, divisor = LOSSES[spec.loss]
    value = criterion(params(X), y) / (divisor * len(y))  # L1
    if spec.l2:
        squares = sum(layer.weight.square().sum() for layer in params[::2])
        value = value + spec.l2 / 2 * squares  # L2
    return value


def _opened(leaf: Any) -> Any:
    """A model as its pairs (W, b); nothing of an optimiser."""
    if isinstance(leaf, nn.Sequential):
        linear = [layer for layer in leaf.children() if isinstance(layer, nn.Linear)]
        return [(layer.weight.T, layer.bias) for layer in linear]
    return [] if isinstance(leaf, torch.optim.Optimizer) else leaf
