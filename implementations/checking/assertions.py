"""For people's own tests: has a network behind the contract, or a part of it, the right gradient?

`check_function` is for any gradient of any loss.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.execution import Execution, in_process
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.checking.report import VerifyOptions
from samegrad.implementations.checking.verifier import concluded, of_reference
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import adapted
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.texts import clean_errors, described


@clean_errors()
def assert_gradients_agree(
    implementation: Any,
    *,
    specs: Sequence[MLPSpec] | MLPSpec | None = None,
    batch_size: int = 6,
    device: str = "cpu",
    seed: int = 0,
) -> None:
    """For your own test suite: pass if a gradient is right, else say what is wrong and where.

    Runs in this process, unlike `verify`: a file that hangs or exits takes the test with it.

    Args:
        implementation: a name of the table, the path of a file, a dotted module name, or a module
            (or any object) with `loss_and_grad(spec, params, X, y)` and what else of the contract
            there is.
        specs: the networks to try; by default those of `verify`, in every dtype that it has.
        batch_size: of the batches for `specs`.
        device: where it runs.
        seed: of weights and batches.

    Raises:
        TypeError: specs are none.
        AssertionError: something disagrees, or nothing could be checked; the message is the
            verdict with the place of the fault.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    if isinstance(implementation, str | Path):
        name, module = registry.label(str(implementation)), registry.load(implementation)
    else:
        name = getattr(implementation, "__name__", type(implementation).__name__)
        module = adapted(implementation, name)
    if isinstance(specs, MLPSpec):
        specs = (specs,)
    for spec in specs or ():
        if not isinstance(spec, MLPSpec):
            raise TypeError(f"specs holds {described(spec)}; give MLPSpec((784, 128, 10)) or more")
    if specs is None:
        of_dtype = [
            f(d, seed) for d in module.dtypes for f in (problems.standard, problems.classics)
        ]
        chosen = [problem for some in of_dtype for problem in some]
    else:
        chosen = [problems.draw(spec, batch_size, seed) for spec in specs]
    options = VerifyOptions(chosen, device, seed=seed, drawn=seed if specs is None else None)

    def execute(
        chosen: Sequence[Problem],
        expected: Sequence[Expected | None],
        seconds: float | None = None,
    ) -> Execution:
        """Call it in this process."""
        return in_process(module, chosen, expected, options, seconds, ("loss_and_grad", "forward"))

    # What is right is the float64 reference's: exact results take seconds.
    report = concluded(name, options, list(map(of_reference, chosen)), execute, of_reference)
    if report.agrees:
        return
    statuses = [outcome.status for outcome in report.outcomes]
    tried = len(statuses) - statuses.count("not supported")
    lines = [f"{name}: {report.reason}"]
    lines += [f"  likely: {sentence}" for sentence in report.diagnosis]
    lines += [f"  note: {note}" for note in [*report.notes, *report.remarks]]
    lines += [f"  {statuses.count('disagree')} of {tried} problems disagree"] if tried else []
    error = next((outcome.error for outcome in report.outcomes if outcome.error), None)
    raise AssertionError("\n".join(lines)) from error
