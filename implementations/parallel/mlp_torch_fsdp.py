"""The torch network over several ranks, by FSDP2: fully_shard.

Every rank keeps a part of each layer's params, gradient and optimiser's state, and its rows of the
batch. A layer's params are gathered just before it computes, forward and backward, and thrown away
after it; its gradient is added up over the ranks, each of which keeps its part. A step is made on
the parts.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from samegrad.implementations.backends.torch_ranks import TorchRanksBackend, gathered, summed
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.layers import (
    drop,
    refuse_forward_only,
    refuse_mask,
    require_masks,
)
from samegrad.implementations.contract.ranks import Rows
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_torch import Params, layers, part, update
from samegrad.implementations.functions_torch import init_state as torch_state


def shared_out(module: nn.Module) -> nn.Module:
    """The module itself, whose params lie over the ranks from now on."""
    fully_shard(module)
    return module


class Layer(nn.Module):
    """W and b of a layer."""

    def __init__(self, W: Tensor, b: Tensor | None) -> None:
        super().__init__()
        self.W = nn.Parameter(W)
        self.b = None if b is None else nn.Parameter(b)

    def forward(self, a: Tensor, g: Any, m: Tensor | None, l2: float) -> tuple[Tensor, Any]:
        """a of the next layer, and what this one adds to the loss."""
        z = a @ self.W if self.b is None else torch.addmm(self.b, a, self.W)  # F1
        return drop(g(z), m), l2 / 2 * self.W.square().sum() if l2 else 0  # F2, F3, L2


class Network(nn.Module):
    """Layers, each of which is shared out by itself."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.layers = nn.ModuleList(shared_out(Layer(W, b)) for W, b in params)

    @property
    def pairs(self) -> Params:
        """[(W, b), ...], of each the part of this rank."""
        own: Any = self.layers
        return [(layer.W, layer.b) for layer in own]

    def forward(self, spec: MLPSpec, X: Rows, masks: Tree) -> tuple[Tensor, Any]:
        """Outputs of the rows of this rank, and the penalty."""
        a, total = X.array, 0
        for layer, (_, g, m) in zip(self.layers, layers(spec, self.layers, masks), strict=True):
            if m is not None:
                refuse_mask(m, X)
            a, decay = layer(a, g, m and m.array, spec.l2)
            total = total + decay
        return a, total


BACKEND = TorchRanksBackend(lambda params: shared_out(Network(params)))


def forward(spec: MLPSpec, params: Any, X: Rows, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs), gathered from all ranks."""
    with torch.no_grad():
        return gathered(params(spec, X, masks)[0], len(X))


def loss(spec: MLPSpec, params: Any, X: Rows, y: Rows, masks: Tree = None) -> Tensor:
    """The loss of the whole batch as a tensor without dimensions."""
    with torch.no_grad():
        outputs, decay = params(spec, X, masks)
        return summed(part(spec, outputs, y.array, len(y)))() + decay  # L1


# B1-B4: torch.autograd derives these from forward; FSDP adds them up over the ranks


def loss_and_grad(
    spec: MLPSpec, params: Any, X: Rows, y: Rows, masks: Tree = None
) -> tuple[Tensor, Params]:
    """Loss of the whole batch, and its grads as [(dW, db), ...], of each the part of this rank."""
    refuse_forward_only(spec)
    params.zero_grad()
    outputs, decay = params(spec, X, masks)
    own = part(spec, outputs, y.array, len(y))  # L1
    total = summed(own)
    (own * ranks.size() + decay).backward()  # FSDP's sum is divided by the number of ranks
    value = total() + decay.detach() if spec.l2 else total()
    return value, [(W.grad, None if b is None else b.grad) for W, b in params.pairs]


def init_state(spec: MLPSpec, params: Any) -> Any:
    """torch's optimiser object over the parts; () for sgd, which has no state."""
    return torch_state(spec, params.pairs)


def train_step(
    spec: MLPSpec,
    params: Any,
    state: Tree,
    X: Rows,
    y: Rows,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Tree, Tensor]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    with torch.no_grad():
        _, state = update(spec, params.pairs, grads, state, learning_rate)  # U1-U7
    return params, state, value
