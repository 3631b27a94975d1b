"""What a cost model is fitted to: the times of an implementation on a few small networks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.benchmarks.cases import costs
from samegrad.benchmarks.clock import timer
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec, Tree

Message = dict[str, Any]
# Of the cases that are predicted from it: the numerical gradient's cost depends on it.
ACTIVATION: dict[str, Any] = {
    "loss_and_grad": "relu",
    "train_step": "relu",
    "forward": "tanh",
}
RATE = 0.01
TINY = ((8, 8, 4), 8)
SMALL = ((64, 32, 10), 32)
LARGE: tuple[tuple[tuple[int, ...], int], ...] = (
    ((784, 512, 512, 10), 128),
    ((256, 256, 10), 64),
    ((128, 128, 10), 16),
)
SECONDS = 1.0  # the largest network that is predicted to take less is tried


def measure(implementation: Implementation, device: str) -> Message:
    """Time loss_and_grad on a small network, and on the largest one that takes about a second.

    Where a gradient takes passes in proportion to the number of parameters, forward passes are
    timed instead, and a small gradient says how many of them it is worth. Where there is no
    gradient to be had, training steps are timed.
    """
    passes = 0.0
    operation = "loss_and_grad"
    if implementation.capabilities.passes_per_parameter:
        operation = "forward"
        one, whole = (
            sample(implementation, device, *TINY, o) for o in ("forward", "loss_and_grad")
        )
        passes = whole["warm_ns"] / one["warm_ns"] / MLPSpec(TINY[0]).parameters
    try:
        small = sample(implementation, device, *SMALL, operation)
    except NotImplementedError:  # scikit-learn shows no gradient
        operation = "train_step"
        small = sample(implementation, device, *SMALL, operation)
    large = small
    # What a small network's fixed cost rules out may be affordable at the rate of the next.
    while larger := [network for network in LARGE if _affordable(large, *network, operation)]:
        large = sample(implementation, device, *larger[0], operation)
    return {"networks": [small] if large is small else [small, large], "passes": passes}


def _affordable(known: Message, sizes: tuple[int, ...], batch_size: int, operation: str) -> bool:
    """Whether a larger network takes about a second at most, at the rate of a known one."""
    flops = costs.flops(MLPSpec(sizes), operation, batch_size)
    rate = known["warm_ns"] / known["flops"]
    return bool(flops > known["flops"] and rate * flops < SECONDS * 1e9)


def sample(
    implementation: Implementation,
    device: str,
    sizes: tuple[int, ...],
    batch_size: int,
    operation: str,
) -> Message:
    """flops, first_ns and warm_ns of an operation on one network."""
    dtype: Any = implementation.dtypes[0]
    spec = MLPSpec(sizes, ACTIVATION[operation], dtype=dtype)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((batch_size, sizes[0])), rng.integers(0, sizes[-1], batch_size)
    params = implementation.params_from_numpy(spec, init_params(spec), device)
    batch = implementation.batch_from_numpy(spec, X.astype(spec.dtype), y, device)
    arguments = batch[:1] if operation == "forward" else batch
    call: Callable[..., Tree] = getattr(implementation, operation)
    if operation == "train_step":
        state = implementation.init_state(spec, params)

        def call(spec: MLPSpec, _: Tree, X: Tree, y: Tree) -> Tree:
            nonlocal params, state
            params, state, loss = implementation.train_step(spec, params, state, X, y, RATE)
            return params, loss

    times: list[int] = []
    while len(times) < 3 or (len(times) < 50 and sum(times[1:]) < SECONDS * 1e8):
        _, elapsed = timer.timed(lambda: call(spec, params, *arguments), implementation.synchronize)
        times.append(elapsed)
    flops = costs.flops(spec, operation, batch_size)
    return {"flops": flops, "first_ns": times[0], "warm_ns": min(times[1:])}
