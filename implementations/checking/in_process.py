"""`assert_gradients_agree`: the verifier without a child process, for people's own tests."""

from collections.abc import Sequence
from typing import Any

from samegrad.implementations.checking import diagnosis, problems
from samegrad.implementations.checking.comparison import Comparison, declared, judge
from samegrad.implementations.checking.diagnosis import Attempt
from samegrad.implementations.checking.problems import AT_THE_KINK, Problem
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import adapted
from samegrad.implementations.contract.spec import MLPSpec


def complaint(
    implementation: Any, specs: Sequence[MLPSpec] | None, batch_size: int, device: str, seed: int
) -> str:
    """What is wrong with an implementation; "" if nothing is."""
    if isinstance(implementation, str):
        name, module = registry.label(implementation), registry.load(implementation)
    else:
        name = getattr(implementation, "__name__", type(implementation).__name__)
        module = adapted(implementation, name)
    if specs is None:
        tried = [p for dtype in module.DTYPES for p in problems.standard(dtype, seed)]
    else:
        tried = [problems.draw(spec, batch_size, seed) for spec in specs]
    attempts, refused = [], []
    for problem in tried:
        try:
            attempts.append(attempt(module, problem, device))
        except NotImplementedError as error:
            refused.append(f"{problem.label}: {error}")
    failed = [a for a in attempts if not a.comparison.agrees]
    if not attempts:
        why = f" ({refused[0]})" if refused else ""
        return f"{name}: nothing could be checked{why}"
    if not failed:
        return ""
    passed = [a for a in attempts if a.comparison.agrees]
    main = diagnosis.simplest(failed)
    probed: dict[str, bool | None] = {}
    for probe, problem in problems.probes(main.problem, seed).items():
        try:
            probed[probe] = attempt(module, problem, device).comparison.agrees
        except NotImplementedError:
            probed[probe] = None
    lines = [f"{name}: {main.comparison.reason} [{main.problem.spec.dtype} {main.problem.label}]"]
    lines += [f"  likely: {text}" for text in diagnosis.explain(failed, passed, probed)]
    lines += [f"  {len(failed)} of {len(attempts)} problems disagree"]
    return "\n".join(lines)


def attempt(implementation: Any, problem: Problem, device: str) -> Attempt:
    """The gradient, and the outputs where there are any, judged by the reference.

    Raises:
        NotImplementedError: the implementation does not support the problem.
    """
    p = problem
    reference = expected(p.spec, p.params, p.X, p.y, p.masks)
    batch = implementation.batch_from_numpy(p.spec, p.X, p.y, device)
    params = implementation.params_from_numpy(p.spec, p.params, device)
    given: tuple[Any, ...] = ()
    if p.masks is not None:
        given = (implementation.masks_from_numpy(p.spec, p.masks, device),)
    loss, grads = implementation.loss_and_grad(p.spec, params, *batch, *given)
    results = {"loss with the gradient": implementation.to_numpy(loss)}
    inexact = declared(implementation, p.spec)
    if not (inexact and p.name == AT_THE_KINK):  # differences of the loss have no answer there
        results["grads"] = implementation.to_numpy(grads)
    if "forward" not in getattr(implementation, "lacks", ()):
        params = implementation.params_from_numpy(p.spec, p.params, device)
        outputs = implementation.forward(p.spec, params, batch[0], *given)
        results = {"outputs": implementation.to_numpy(outputs), **results}
    comparison: Comparison = judge(p.spec, reference, results, inexact)
    return Attempt(p, reference, results, comparison)
