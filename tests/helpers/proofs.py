"""What is asked of the judge after a block."""

from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.draws import PASSED, Draw
from samegrad.benchmarks.judge.proofs import Proofs
from samegrad.benchmarks.worker.gates import NAMES, Gates, about, shown
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking.reference import expected

SEEDS = [2**50 + 3, 11]


def first_call(
    placed: Placed, operation: str, directory: Path, changed: Any = lambda each: each
) -> dict[str, Any]:
    """The judge's verdict on a first call.

    Args:
        changed: what is made of the results.
    """
    inputs.save(directory, placed.workload, placed.inputs)
    right = expected(placed.spec, placed.inputs.params, *placed.host[0])
    inputs.save_expected(directory, placed.workload, vars(right))
    results = Gates(placed).results(operation)
    inputs.save_tree(directory / "first.npz", changed(results))
    return Proofs(directory).verdict(
        {
            "workload": placed.workload.to_dict(),
            "operation": operation,
            "precision": "ieee",
            "thorough": True,
            "results": str(directory / "first.npz"),
            "about": about(placed.implementation, placed.spec),
        }
    )


def handed_in(
    placed: Placed, operation: str, calls: int, directory: Path, changed: Any = lambda each: each
) -> dict[str, Any]:
    """Make a block and write what came out of it, beside the inputs.

    Args:
        changed: what is made of the results.
    """
    implementation, stored = placed.implementation, placed.inputs
    inputs.save(directory, placed.workload, stored)
    work = placed.work(operation, draw=Draw(SEEDS[0], SEEDS[1], stored.scale))
    seen = work.fetch(work.run(calls, work.start(calls)))
    case = Case(placed.workload, operation, "numpy")
    results, names = implementation.to_numpy(seen.result), NAMES[case.gated[-1]]
    given = dict(zip(names, results if len(names) > 1 else (results,), strict=True))
    given = shown(implementation, placed.spec, given)
    given |= {PASSED: seen.passed} if seen.passed else {}
    inputs.save_tree(directory / "block.npz", changed(given))
    return {
        "case": case.to_dict(),
        "calls": calls,
        "seeds": SEEDS,
        "results": str(directory / "block.npz"),
        "about": about(implementation, placed.spec)
        | {"number": seen.number, "block": seen.block, "changed": False},
    }
