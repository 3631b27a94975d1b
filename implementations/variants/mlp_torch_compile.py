"""The torch network compiled whole: loss, gradient and update are one program of TorchInductor.

It fuses what lies between the matrix products into loops in C++ (on a GPU, Triton); on a GPU
torch.compile replays the program as one CUDA graph. The equations are those of the torch network;
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
from torch.fx.experimental.proxy_tensor import make_fx

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
_programs: dict[Any, tuple[Callable[..., list[Tensor]], Tree]] = {}
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
    return _run(mlp_torch.forward, spec, params, X, masks)


def loss(spec: MLPSpec, params: Params, X: Tensor, y: Tensor, masks: Tree = None) -> Tensor:
    """The loss as a tensor without dimensions."""
    return _run(mlp_torch.loss, spec, params, X, y, masks)


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
    return _run(differentiated, spec, params, X, y, masks)


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
        params, value = _run(sgd_step, spec, params, X, y, rate, masks)
        return params, state, value
    value, grads = loss_and_grad(spec, params, X, y, masks)
    params, state = update(spec, params, grads, state, learning_rate)
    return params, state, value


def _run(function: Callable[..., Tree], spec: MLPSpec, *arguments: Any) -> Tree:
    """What a function gives, compiled for this network and these shapes when it meets them."""
    given = _tensors(arguments, [])
    with torch.no_grad():
        if given[0].device.type == "cuda":  # a CUDA graph overwrites its results
            return map_tree(torch.clone, _replayed(function)(spec, *arguments))
        if torch._dynamo.eval_frame._stance.stance == "force_eager":  # as torch.compile would
            return function(spec, *arguments)
        of = (function, spec, *(tensor.shape for tensor in given))
        if of not in _programs:
            _programs[of] = _program(function, spec, arguments, given)
        program, made = _programs[of]
        results = iter(program(*(tensor.contiguous() for tensor in given)))
    return map_tree(lambda _: next(results), made)


def _tensors(tree: Any, found: list[Tensor]) -> list[Tensor]:
    """What a tree holds, in its order."""
    for branch in tree:
        if isinstance(branch, Tensor):
            found.append(branch)
        elif branch is not None:
            _tensors(branch, found)
    return found


def _program(
    function: Callable[..., Tree], spec: MLPSpec, arguments: Any, given: list[Tensor]
) -> tuple[Callable[..., list[Tensor]], Tree]:
    """A function of tensors alone, compiled without what torch.compile asks in every call.

    Its guards take 70 us: a step of 64-32-10 takes 40 us without them, with them 110.
    """
    made: Tree = None

    def of_tensors(*tensors: Tensor) -> list[Tensor]:
        nonlocal made
        leaves = iter(tensors)
        result = function(spec, *map_tree(lambda _: next(leaves), arguments))
        made = map_tree(lambda _: True, result)
        return _tensors((result,), [])

    tensors: list[Any] = [tensor.contiguous() for tensor in given]
    graph = make_fx(of_tensors, tracing_mode="fake")(*tensors)
    # What calls the kernels is C++, too: a step of 64-32-10 takes 0.91 of the time with Python's.
    options = {"config_patches": {"max_autotune": True, "cpp_wrapper": True}}
    return torch._inductor.standalone_compile(graph, tensors, options=options), made


@cache
def _replayed(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """The function as CUDA graphs, one for each network and shape, never in parts."""
    return torch.compile(function, mode="reduce-overhead", fullgraph=True, dynamic=False)


@cache
def _rate(learning_rate: float, dtype: str, device: torch.device) -> Tensor:
    """As a tensor: another number does not compile again."""
    return torch.tensor(learning_rate, dtype=getattr(torch, dtype), device=device)
