"""The torch network compiled whole: loss, gradient and update are one program of torch.compile.

TorchInductor fuses what lies between the matrix products into loops in C++ (on a GPU, Triton),
and on a GPU replays the program as one CUDA graph. The equations are those of the torch network;
gradients come from torch.func, which the compiler can look through. Every other rule than sgd is
torch.optim's fused one, after a compiled gradient.
"""

import os
import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from samegrad.implementations import mlp_torch
from samegrad.implementations.backends.torch_backend import TORCH
from samegrad.implementations.contract.layers import refuse_forward_only, require_masks
from samegrad.implementations.contract.protocol import Capabilities
from samegrad.implementations.contract.spec import MLPSpec, Tree, map_tree
from samegrad.implementations.functions_torch import OPTIMIZERS, Params, flat, update

COMPILERS = (os.environ.get("CXX", ""), "g++", "clang++", "cl")
MOST_ADDED = 256
# optimiser: where torch has it fused; Adadelta it has nowhere
BOTH = ("cpu", "cuda")
FUSED = {"momentum": BOTH, "nesterov": BOTH, "adagrad": ("cpu",), "adam": BOTH, "adamw": BOTH}
# Programs per function before torch gives up and runs it uncompiled: one per network and batch.
torch._dynamo.config.recompile_limit = 512
torch._dynamo.config.accumulated_recompile_limit = 4096


def refuse(spec: MLPSpec) -> None:
    """Raise NotImplementedError if there is nothing to compile with."""
    if not any(name and shutil.which(name) for name in COMPILERS):
        raise NotImplementedError("torch_compile needs a C++ compiler: g++, clang++ or $CXX")


BACKEND = TORCH
CAPABILITIES = Capabilities(refuse=refuse)


def forward(spec: MLPSpec, params: Params, X: Tensor, masks: Tree = None) -> Tensor:
    """Outputs (batch, outputs)."""
    return _run(_compiled(mlp_torch.forward, X.device.type), spec, params, X, masks)


def loss(spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None) -> Tensor:
    """The loss as a tensor without dimensions."""
    return _run(_compiled(mlp_torch.loss, X.device.type), spec, params, X, y, masks)


# B1-B4: torch.func.grad_and_value derives these from forward


def differentiated(
    spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree, scale: Tensor | float = 1.0
) -> tuple[Tensor, Any]:
    """Loss, and grads of `scale` times the loss, to be compiled."""

    def objective(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
        value = mlp_torch.loss(spec, nested(tensors), X, y, masks)
        return scale * value, value

    def nested(tensors: list[Tensor]) -> Params:
        leaves = iter(tensors)
        return [(next(leaves), None if b is None else next(leaves)) for _, b in params]

    grads, (_, value) = torch.func.grad_and_value(objective, has_aux=True)(flat(params))
    return value, nested(grads)


def loss_and_grad(
    spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None
) -> tuple[Tensor, Params]:
    """Loss, and grads nested like params."""
    refuse_forward_only(spec)
    return _run(_compiled(differentiated, X.device.type), spec, params, X, y, masks)


def init_state(spec: MLPSpec, params: Params) -> Any:
    """torch's optimiser object over the params, fused where there is one; () for sgd."""
    if spec.optimizer == "sgd":
        return ()
    device = flat(params)[0].device.type
    fused = {"fused": True} if device in FUSED.get(spec.optimizer, ()) else {}
    return OPTIMIZERS[spec.optimizer](flat(params), lr=1.0, **fused)


def sgd_step(
    spec: MLPSpec, params: Params, X: Tensor, y: Tensor, rate: Tensor, masks: Tree
) -> tuple[Params, Tensor]:
    """Params after one step of gradient descent and the loss before it, to be compiled.

    A step is the gradient of -rate loss: BLAS adds it to W where it multiplies, and no pass over
    dW is left (0.96 of the time). Of MOST_ADDED examples at most: it rounds W once per some of
    them, and on 65,536 a step was off by two thirds.
    """
    added = len(X) <= MOST_ADDED
    value, steps = differentiated(spec, params, X, y, masks, -rate if added else 1.0)
    stepped = []
    for (W, b), (step_W, step_b) in zip(params, steps, strict=True):
        if not added:
            step_W, step_b = -rate * step_W, None if b is None else -rate * step_b
        shrunk = W - rate * spec.decay * W if spec.decay else W  # U7
        stepped.append((shrunk + step_W, None if b is None else b + step_b))  # U1
    return stepped, value


def train_step(
    spec: MLPSpec,
    params: Params,
    state: Tree,
    X: Tensor,
    y: Tensor,
    learning_rate: float,
    masks: Tree = None,
) -> tuple[Params, Tree, Tensor]:
    """Params and state after one update, and the loss before it."""
    require_masks(spec, masks)
    refuse_forward_only(spec)
    if spec.optimizer == "sgd":
        rate = _rate(learning_rate, spec.dtype, X.device)
        step = _compiled(sgd_step, X.device.type)
        params, value = _run(step, spec, params, X, y, rate, masks)
        return params, state, value
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value


def _run(program: Callable[..., Tree], *arguments: Any) -> Tree:
    """What a program gives, as tensors of one's own: a CUDA graph overwrites its results."""
    with torch.no_grad():
        results = program(*arguments)
    on_gpu = next(t for t in arguments if isinstance(t, torch.Tensor)).device.type == "cuda"
    return map_tree(torch.clone, results) if on_gpu else results


@cache
def _compiled(function: Callable[..., Tree], device: str) -> Callable[..., Tree]:
    """The function compiled for each network and shape when it meets them, never in parts."""
    if device == "cuda":
        return torch.compile(function, mode="reduce-overhead", fullgraph=True, dynamic=False)
    # What calls the kernels is C++, too: a step of 64-32-10 takes 0.91 of the time with Python's.
    options: dict[str, Any] = {"max_autotune": True, "cpp_wrapper": True}
    return torch.compile(function, options=options, fullgraph=True, dynamic=False)


@cache
def _rate(learning_rate: float, dtype: str, device: torch.device) -> Tensor:
    """As a tensor: another number does not compile again."""
    return torch.tensor(learning_rate, dtype=getattr(torch, dtype), device=device)
