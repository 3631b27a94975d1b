"""The torch network as one kernel of Triton: the loss of a tile of examples, and its gradient.

A small network spends its time on launches. Here all weights fit beside a tile of examples, so
that one kernel reads them once, goes forward and backward with every intermediate in registers,
and writes its tile's part of the gradient and the loss; one sum adds the parts up. Triton
differentiates nothing: B1-B4 are derived by hand, in functions_triton.py.

Without a GPU Triton interprets the kernel, which shows that it is right and is no time of anything.
"""

from itertools import accumulate

import torch
from torch import Tensor

from samegrad.implementations.backends.triton_backend import TRITON
from samegrad.implementations.contract.layers import layer_masks, refuse_forward_only, step_of
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree
from samegrad.implementations.functions_torch import LOSSES, Params, penalty, update
from samegrad.implementations.functions_torch import init_state as init_state
from samegrad.implementations.functions_torch import perceptron as perceptron
from samegrad.implementations.variants.functions_triton import network
from samegrad.implementations.variants.tiles import TILE, power, refuse_wide, tiles


def refuse(spec: MLPSpec) -> None:
    """Raise NotImplementedError for a network that is too wide for one kernel."""
    refuse_wide("triton", spec.layer_sizes)


BACKEND = TRITON


def places(spec: MLPSpec) -> tuple[int, ...]:
    """Where in a part dW and db of each layer lie, then the loss and the end."""
    sizes = zip(spec.weights, spec.layer_sizes[1:], strict=True)
    numbers = [n for W, b in sizes for n in (W, b * spec.bias)]
    return (*accumulate(numbers, initial=0), sum(numbers) + 1)


def launch(
    spec: MLPSpec, params: Params, X: Tensor, masks: Tree, out: Tensor, y: Tensor | None = None
) -> None:
    """The kernel over all tiles; what it does not read is X."""
    m = [X if mask is None else mask for mask in layer_masks(spec, masks, len(X))]
    network[(tiles(len(X)),)](
        X.contiguous(),
        tuple(W.contiguous() for W, _ in params),
        tuple(W if b is None else b for W, b in params),
        tuple(mask.contiguous() for mask in m),
        X if y is None else y.contiguous(),
        out,
        len(X),
        LAYERS=len(params),
        SIZES=spec.layer_sizes,
        WIDTHS=tuple(map(power, spec.layer_sizes)),
        PLACES=places(spec),
        HIDDEN=spec.activation,
        LAST=spec.output_activation,
        LOSS=spec.loss,
        BIAS=spec.bias,
        MASKS=masks is not None,
        GRADIENT=y is not None,
        PRECISION=torch.backends.cuda.matmul.fp32_precision,  # "ieee" or "tf32", as Triton says
        TILE=TILE,
        enable_fp_fusion=True,  # as compilers of C do; its default is changing
    )


def forward(spec: MLPSpec, params: Params, X: Tensor, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs)."""
    refuse(spec)
    outputs = X.new_empty(len(X), spec.layer_sizes[-1])
    launch(spec, params, X, masks, outputs)
    return outputs


def loss(spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None) -> Tensor:
    """The loss as a tensor without dimensions."""
    return LOSSES[spec.loss](forward(spec, params, X, masks), y) + penalty(spec, params)  # L1, L2


# B1-B4: derived by hand, in the kernel


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None
) -> tuple[Tensor, Params]:
    """Loss, and grads nested like params: views of one tensor."""
    refuse(spec)
    refuse_forward_only(spec)
    where = places(spec)
    parts = X.new_empty(tiles(len(X)), where[-1])
    launch(spec, params, X, masks, parts, y)
    *views, value = parts.sum(dim=0).tensor_split(where[1:-1])
    pairs = zip(params, views[::2], views[1::2], strict=True)
    grads: Params = [(dW.view_as(W), None if b is None else db) for (W, b), dW, db in pairs]
    value = value[0]
    if spec.l2:
        value = value + penalty(spec, params)  # L2
        torch._foreach_add_([dW for dW, _ in grads], [W for W, _ in params], alpha=spec.l2)  # B2
    return value, grads


train_step = step_of(loss_and_grad, update)

CAPABILITIES = Capabilities(perceptron=perceptron, refuse=refuse)
