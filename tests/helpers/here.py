"""What `verify` says of a file, found in this process: a tenth of what a child takes."""

from collections.abc import Sequence
from pathlib import Path

from samegrad.implementations.checking.execution import Execution, in_process
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.reference import Expected
from samegrad.implementations.checking.report import VerifyOptions, VerifyReport
from samegrad.implementations.checking.verifier import concluded, of_reference
from samegrad.implementations.contract.registry import label, load


def report_of(
    path: str | Path, options: VerifyOptions, functions: Sequence[str] = ("loss_and_grad",)
) -> VerifyReport:
    """The report on a file, or on an implementation of the table.

    Args:
        functions: those that are called.
    """
    implementation = load(path)

    def execute(
        chosen: Sequence[Problem],
        expected: Sequence[Expected | None],
        seconds: float | None = None,
    ) -> Execution:
        return in_process(implementation, chosen, expected, options, seconds, functions)

    expected = [of_reference(problem) for problem in options.problems]
    return concluded(label(str(path)), options, expected, execute, of_reference)
