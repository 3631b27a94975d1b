"""The torch network over several ranks, by DistributedDataParallel.

Every rank has all params and its rows of the batch. While autograd goes back through the layers,
DDP adds up over all ranks what is there of the gradient, in buckets: all ranks then have the same
gradient, and make the same step. Parameters are held by a module because DDP takes modules.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from samegrad.implementations import mlp_torch
from samegrad.implementations.backends.torch_ranks import TorchRanksBackend, gathered, summed
from samegrad.implementations.contract import ranks
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.ranks import Rows, arrays_of
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_torch import Params, part, penalty, update
from samegrad.implementations.functions_torch import init_state as torch_state


class Network(nn.Module):
    """Params in a module."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.W = nn.ParameterList(W for W, _ in params)
        self.b = nn.ParameterList(b for _, b in params if b is not None)

    @property
    def pairs(self) -> Params:
        """[(W, b), ...]."""
        return list(zip(self.W, self.b if len(self.b) else [None] * len(self.W), strict=True))

    def forward(self, spec: MLPSpec, X: Tensor, masks: Tree) -> Tensor:
        """Outputs of the rows of this rank."""
        return mlp_torch.forward(spec, self.pairs, X, masks)  # F1, F2, F3


BACKEND = TorchRanksBackend(lambda params: DistributedDataParallel(Network(params)))


def forward(spec: MLPSpec, params: Any, X: Rows, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs), gathered from all ranks."""
    with torch.no_grad():
        return gathered(params.module(spec, X.array, arrays_of(masks, X)), len(X))


def loss(spec: MLPSpec, params: Any, X: Rows, y: Rows, masks: Tree = None) -> Tensor:
    """The loss of the whole batch as a tensor without dimensions."""
    with torch.no_grad():
        outputs = params.module(spec, X.array, arrays_of(masks, X))
        return summed(part(spec, outputs, y.array, len(y)))() + _penalty(spec, params)  # L1, L2


# B1-B4: torch.autograd derives these from forward; DDP adds them up over the ranks


def loss_and_grad(
    spec: MLPSpec, params: Any, X: Rows, y: Rows, masks: Tree = None
) -> tuple[Tensor, Params]:
    """Loss of the whole batch, and its grads as [(dW, db), ...]."""
    refuse_forward_only(spec)
    params.zero_grad()
    own = part(spec, params(spec, X.array, arrays_of(masks, X)), y.array, len(y))  # L1
    total, decay = summed(own), _penalty(spec, params)  # L2
    (own * ranks.size() + decay).backward()  # DDP's sum is divided by the number of ranks
    value = total() + decay.detach() if spec.l2 else total()
    grads = [(W.grad, None if b is None else b.grad) for W, b in params.module.pairs]
    return value, grads


def init_state(spec: MLPSpec, params: Any) -> Any:
    """torch's optimiser object over the params; () for sgd, which has no state."""
    return torch_state(spec, params.module.pairs)


def train_step(
    spec: MLPSpec,
    params: Any,
    state: Tree,
    X: Rows,
    y: Rows,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Any, Tree, Tensor]:
    """Params and state after one update in place, the same on all ranks, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    with torch.no_grad():
        _, state = update(spec, params.module.pairs, grads, state, learning_rate)  # U1-U7
    return params, state, value


def _penalty(spec: MLPSpec, params: Any) -> Any:
    return penalty(spec, params.module.pairs)
