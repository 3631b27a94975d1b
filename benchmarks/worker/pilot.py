"""The worker's side of a prediction: how fast an implementation is on a few small networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from samegrad.benchmarks.cases import costs
from samegrad.benchmarks.cases.case import OPERATIONS
from samegrad.benchmarks.clock import timer
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Tree

Message = dict[str, Any]
# Of the cases that are predicted from it: the numerical gradient's cost depends on it.
PILOT_ACTIVATION: dict[str, Any] = {
    "loss_and_grad": "relu",
    "train_step": "relu",
    "forward": "tanh",
}
RATE = 0.01
TINY_PILOT = ((8, 8, 4), 8)
SMALL_PILOT = ((64, 32, 10), 32)
LARGE_PILOTS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((784, 512, 512, 10), 128),
    ((256, 256, 10), 64),
    ((128, 128, 10), 16),
)
PILOT_SECONDS = 1.0  # the largest network that is predicted to take less is tried


def of(implementation: Implementation, device: str) -> Message:
    """Time loss_and_grad on a small network, and on the largest one that takes about a second.

    Where a gradient takes passes in proportion to the number of parameters, forward passes are
    timed instead, and a small gradient says how many of them it is worth. Where there is no
    gradient to be had, training steps are timed.
    """
    passes = 0.0
    operation = "loss_and_grad"
    if implementation.capabilities.passes_per_parameter:
        operation = "forward"
        one, whole = (_one(implementation, device, *TINY_PILOT, o) for o in OPERATIONS[:2])
        passes = whole["warm_ns"] / one["warm_ns"] / MLPSpec(TINY_PILOT[0]).parameters
    try:
        small = _one(implementation, device, *SMALL_PILOT, operation)
    except NotImplementedError:  # scikit-learn shows no gradient
        operation = "train_step"
        small = _one(implementation, device, *SMALL_PILOT, operation)
    large = small
    # What a small network's fixed cost rules out may be affordable at the rate of the next.
    while larger := [one for one in LARGE_PILOTS if _affordable(large, *one, operation)]:
        large = _one(implementation, device, *larger[0], operation)
    return {"networks": [small] if large is small else [small, large], "passes": passes}


def _affordable(known: Message, sizes: tuple[int, ...], batch_size: int, operation: str) -> bool:
    """Whether a larger network takes about a second at most, at the rate of a known one."""
    flops = costs.flops(MLPSpec(sizes), operation, batch_size)
    rate = known["warm_ns"] / known["flops"]
    return bool(flops > known["flops"] and rate * flops < PILOT_SECONDS * 1e9)


def _one(
    implementation: Implementation,
    device: str,
    sizes: tuple[int, ...],
    batch_size: int,
    operation: str,
) -> Message:
    dtype: Any = implementation.dtypes[0]
    spec = MLPSpec(sizes, PILOT_ACTIVATION[operation], dtype=dtype)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((batch_size, sizes[0])), rng.integers(0, sizes[-1], batch_size)
    params = implementation.params_from_numpy(spec, init_params(spec), device)
    batch = implementation.batch_from_numpy(spec, X.astype(spec.dtype), y, device)
    given = batch[:1] if operation == "forward" else batch
    call: Callable[..., Tree] = getattr(implementation, operation)
    if operation == "train_step":
        state = implementation.init_state(spec, params)

        def call(spec: MLPSpec, _: Tree, X: Tree, y: Tree) -> Tree:
            nonlocal params, state
            params, state, loss = implementation.train_step(spec, params, state, X, y, RATE)
            return params, loss

    found: list[int] = []
    while len(found) < 3 or (len(found) < 50 and sum(found[1:]) < PILOT_SECONDS * 1e8):
        _, elapsed = timer.timed(lambda: call(spec, params, *given), implementation.synchronize)
        found.append(elapsed)
    flops = costs.flops(spec, operation, batch_size)
    return {"flops": flops, "first_ns": found[0], "warm_ns": min(found[1:])}
