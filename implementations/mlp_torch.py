"""The network in torch: tensor operations and autograd.

torch's kernels do the work, one operation at a time, and record what autograd needs. Neither
nn.Module nor torch.optim is used, so that the equations stay visible.
"""

import torch
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Array, Params, Tree, map_tree
from samegrad.implementations.contract.validation import (
    check_batch,
    check_masks,
    check_params,
    layer_masks,
    refuse_device,
    refuse_dtype,
    refuse_forward_only,
    require_masks,
)
from samegrad.implementations.functions_torch import ACTIVATIONS, LOSSES, update, widened
from samegrad.implementations.functions_torch import compilations as compilations
from samegrad.implementations.functions_torch import describe as describe
from samegrad.implementations.functions_torch import events as events
from samegrad.implementations.functions_torch import (
    init_state as init_state,  # a part of the contract
)
from samegrad.implementations.functions_torch import peak_memory as peak_memory
from samegrad.implementations.functions_torch import precision as precision
from samegrad.implementations.functions_torch import products as products
from samegrad.implementations.functions_torch import take as take

DTYPES: tuple[str, ...] = ("float32", "float64")
# "float32" means IEEE float32: TF32 is a precision of its own, never a default.
torch.backends.cuda.matmul.fp32_precision = "ieee"


def devices() -> tuple[str, ...]:
    """The CPU, and the accelerator if torch finds one; others than "cuda" are untested."""
    if not torch.accelerator.is_available():
        return ("cpu",)
    accelerator = torch.accelerator.current_accelerator()
    return ("cpu",) if accelerator is None else ("cpu", accelerator.type)


def params_from_numpy(spec: MLPSpec, params: Params, device: str) -> Params:
    """Tensors that do not require grad: a forward pass on them records nothing."""
    refuse_device("torch", device, devices())
    return map_tree(lambda p: torch.tensor(p, device=device), check_params(spec, params))


def batch_from_numpy(spec: MLPSpec, X: Array, y: Array, device: str) -> tuple[Array, Array]:
    """Tensors; class indices as int64."""
    refuse_device("torch", device, devices())
    refuse_dtype("torch", spec.dtype, DTYPES)
    X, y = check_batch(spec, X, y)
    return torch.tensor(X, device=device), torch.tensor(y, device=device)


def masks_from_numpy(spec: MLPSpec, masks: Tree, device: str) -> Tree:
    """Tensors."""
    refuse_device("torch", device, devices())
    return map_tree(lambda m: torch.tensor(m, device=device), check_masks(spec, masks))


def to_numpy(tree: Tree) -> Tree:
    """Arrays in the CPU's memory."""
    return map_tree(lambda t: widened(t.detach()).cpu().numpy().copy(), tree)


def synchronize(tree: Tree) -> None:
    """Wait for the queue of every device that holds a tensor of the tree."""
    found: set[torch.device | None] = set()
    map_tree(lambda leaf: found.add(getattr(leaf, "device", None)), tree)
    for device in found:
        if device is not None and device.type != "cpu":
            torch.accelerator.synchronize(device)


def forward(spec: MLPSpec, params: Params, X: Array, masks: Tree = None) -> Array:
    """Outputs (batch, outputs)."""
    a = X
    layers = zip(params, spec.activations, layer_masks(spec, masks, len(X)), strict=True)
    for (W, b), name, m in layers:
        g = ACTIVATIONS[name]
        z = a @ W if b is None else torch.addmm(b, a, W)  # F1
        a = g(z)  # F2
        if m is not None:
            a = m * a  # F3
    return a


def loss(spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None) -> Array:
    """The loss as a tensor without dimensions."""
    outputs = forward(spec, params, X, masks)
    return LOSSES[spec.loss](outputs, y) + penalty(spec, params)  # L1, L2


# B1-B4: torch.autograd derives these from forward


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Array, y: Array, masks: Tree = None
) -> tuple[Array, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    leaves = map_tree(lambda p: p.detach().requires_grad_(), params)
    value = loss(spec, leaves, X, y, masks)
    flat = [p for layer in leaves for p in layer if p is not None]
    found = iter(torch.autograd.grad(value, flat))
    return value.detach(), map_tree(lambda _: next(found), params)


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Array,
    y: Array,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Array]:
    """Params and state after one update in place, and the loss before it."""
    require_masks(spec, masks)
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value


def penalty(spec: MLPSpec, params: Params) -> Array:
    """l2/2 times the sum of W^2."""
    if spec.l2 == 0:
        return 0
    return spec.l2 / 2 * sum(W.square().sum() for W, _ in params)
