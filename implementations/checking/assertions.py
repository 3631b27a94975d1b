"""For people's own tests: is this gradient right?

`assert_gradients_agree` for a network behind the contract or a part of it, `check` for everything
of one batch, and `check_gradient` (see `gradient_check`) for any gradient of any loss. How things
are compared is said in `comparison`.
"""

from collections.abc import Sequence
from typing import Any

from samegrad.implementations.checking.comparison import (
    BOUNDS,
    Comparison,
    TensorCheck,
    bound,
    compare,
    declared,
    floor,
    judge,
)
from samegrad.implementations.checking.gradient_check import GradientCheck, check_gradient
from samegrad.implementations.checking.in_process import complaint
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.contract.protocol import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.trees import Params, Tree

__all__ = [
    "BOUNDS",
    "Comparison",
    "GradientCheck",
    "TensorCheck",
    "assert_gradients_agree",
    "check",
    "check_gradient",
    "compare",
    "declared",
    "floor",
    "judge",
    "run",
]


def assert_gradients_agree(
    implementation: Any,
    *,
    specs: Sequence[MLPSpec] | None = None,
    batch_size: int = 6,
    device: str = "cpu",
    seed: int = 0,
) -> None:
    """For your own test suite: pass if a gradient is right, else say what is wrong and where.

    Runs in this process, unlike `verify`: a file that hangs or exits takes the test with it.

    Args:
        implementation: a name of the table, a path, a dotted module name, or a module (or any
            object) with `loss_and_grad(spec, params, X, y)` and what else of the contract there is.
        specs: the networks to try; by default those of `verify`, in every dtype that it has.
        batch_size: of the batches for `specs`.
        device: where it runs.
        seed: of weights and batches.

    Raises:
        AssertionError: something disagrees, or nothing could be checked; the message is the
            verdict with the place of the fault.
    """
    problem = complaint(implementation, specs, batch_size, device, seed)
    if problem:
        raise AssertionError(problem)


def run(
    implementation: Implementation,
    spec: MLPSpec,
    params: Params,
    X: Any,
    y: Any,
    device: str,
    learning_rate: float,
    masks: Tree = None,
) -> dict[str, Tree]:
    """Everything `judge` compares, computed through the contract's functions."""
    batch = implementation.batch_from_numpy(spec, X, y, device)
    placed = implementation.params_from_numpy(spec, params, device)
    given = () if masks is None else (implementation.masks_from_numpy(spec, masks, device),)
    outputs = implementation.forward(spec, placed, batch[0], *given)
    value = implementation.loss(spec, placed, *batch, *given)
    value_too, grads = implementation.loss_and_grad(spec, placed, *batch, *given)
    state = implementation.init_state(spec, placed)
    copy = implementation.params_from_numpy(spec, params, device)
    new, _, before = implementation.train_step(spec, copy, state, *batch, learning_rate, *given)
    found = {
        "outputs": outputs,
        "loss": value,
        "loss with the gradient": value_too,
        "grads": grads,
        "loss of the step": before,
        "updated": new,
    }
    implementation.synchronize(list(found.values()))
    return {name: implementation.to_numpy(tree) for name, tree in found.items()}


def check(
    implementation: Implementation,
    spec: MLPSpec,
    params: Params,
    X: Any,
    y: Any,
    device: str,
    masks: Tree = None,
) -> Comparison:
    """Run an implementation on one batch and compare everything with the reference.

    An exception is a verdict, never an agreement.
    """
    reference = expected(spec, params, X, y, masks)
    try:
        results = run(implementation, spec, params, X, y, device, reference.learning_rate, masks)
    except Exception as error:
        reason = f"raised {type(error).__name__}: {' '.join(str(error).split())}"
        return Comparison((TensorCheck("call", None, bound(spec.dtype), reason),))
    return judge(spec, reference, results, declared(implementation, spec))
