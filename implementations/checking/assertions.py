"""For tests: does a network behind the contract, or a part of it, have the right gradient?

`comparison` says how things are compared; `gradient_check` is for any gradient of any loss.
"""

from collections.abc import Sequence
from typing import Any

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.calls import FUNCTIONS, call
from samegrad.implementations.checking.comparison import (
    Comparison,
    TensorCheck,
    bound,
    declared,
    judge,
)
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.checking.report import VerifyOptions
from samegrad.implementations.checking.verifier import verify_here
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation, adapted
from samegrad.implementations.contract.spec import MLPSpec, Params, Tree


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
    if isinstance(implementation, str):
        name, module = registry.label(implementation), registry.load(implementation)
    else:
        name = getattr(implementation, "__name__", type(implementation).__name__)
        module = adapted(implementation, name)
    if specs is None:
        chosen = [p for dtype in module.dtypes for p in problems.standard(dtype, seed)]
    else:
        chosen = [problems.draw(spec, batch_size, seed) for spec in specs]
    options = VerifyOptions(chosen, device, seed=seed)
    report = verify_here(name, module, ("loss_and_grad", "forward"), options)
    if report.agrees:
        return
    statuses = [outcome.status for outcome in report.outcomes]
    tried = len(statuses) - statuses.count("not supported")
    lines = [f"{name}: {report.reason}"]
    lines += [f"  likely: {sentence}" for sentence in report.diagnosis]
    lines += [f"  note: {note}" for note in report.notes]
    lines += [f"  {statuses.count('disagree')} of {tried} problems disagree"] if tried else []
    error = next((outcome.error for outcome in report.outcomes if outcome.error), None)
    raise AssertionError("\n".join(lines)) from error


def check(
    implementation: Implementation,
    spec: MLPSpec,
    params: Params,
    X: Any,
    y: Any,
    device: str,
    masks: Tree = None,
) -> Comparison:
    """Call everything on one batch and compare it with the reference, tensor by tensor.

    An exception is a disagreement.
    """
    reference = expected(spec, params, X, y, masks)
    problem = Problem("", spec, params, X, y, masks)
    results: dict[str, Tree] = {}
    for function in FUNCTIONS:
        result = call(function, implementation, problem, device, reference.learning_rate)
        wrong = result.failure or result.not_supported
        if wrong:
            reason = f"{function}: {wrong}"
            return Comparison((TensorCheck("call", None, bound(spec.dtype), reason),))
        results |= result.results
    return judge(spec, reference, results, declared(implementation, spec))
