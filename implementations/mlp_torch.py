"""The network in torch: tensor operations and autograd.

torch's kernels do the work, one operation at a time, and record what autograd needs. Neither
nn.Module nor torch.optim is used here, so that the equations stay visible.
"""

import torch
from torch import Tensor

from samegrad.implementations.backends.torch_backend import TORCH
from samegrad.implementations.contract.layers import drop, refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_torch import LOSSES, Params, flat, layers, penalty
from samegrad.implementations.functions_torch import init_state as init_state
from samegrad.implementations.functions_torch import perceptron as perceptron
from samegrad.implementations.functions_torch import update as update

BACKEND = TORCH
CAPABILITIES = Capabilities(perceptron=perceptron)


def forward(spec: MLPSpec, params: Params, X: Tensor, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs)."""
    a = X
    for (W, b), g, m in layers(spec, params, masks):
        z = torch.addmm(b, a, W) if spec.bias else a @ W  # F1
        a = drop(g(z), m)  # F2, F3
    return a


def loss(spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None) -> Tensor:
    """The loss as a tensor without dimensions."""
    return LOSSES[spec.loss](forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


# B1-B4: torch.autograd derives these from forward


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None
) -> tuple[Tensor, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    leaves = map_tree(lambda p: p.detach().requires_grad_(), params)
    value = loss(spec, leaves, X, y, masks)
    grads = iter(torch.autograd.grad(value, flat(leaves)))
    return value.detach(), map_tree(lambda _: next(grads), params)


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Tensor,
    y: Tensor,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Tensor]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value
