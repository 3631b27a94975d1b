"""The parent's side of the inputs: a process makes them once per run, for all workers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Workload
from samegrad.benchmarks.machine import process_environment
from samegrad.implementations.checking import processes

PREPARE_SECONDS = 300.0  # for one problem
SEED = 0


def prepare(
    problems: Sequence[Workload],
    scratch: Path,
    made: Callable[[str, str], str],
    now: Callable[[str], None],
) -> dict[str, str]:
    """Write the inputs and the reference's results of each problem into a directory.

    Args:
        made: called with each problem's id and hash; what it returns, if anything, is why the
            problem cannot be used.
        now: told what is being made.

    Returns:
        problem -> why there are no inputs for it.
    """
    left = {problem.id: problem for problem in problems}
    reasons: dict[str, str] = {}
    while left:
        current = ""

        def on_message(message: dict[str, Any]) -> None:
            nonlocal current
            if "begin" in message:
                current = message["begin"]
                now(f"inputs and reference results of {current}")
                return
            del left[message["workload"]]
            reason = message.get("reason") or made(message["workload"], message["sha256"])
            if reason:
                reasons[message["workload"]] = reason

        request = {
            "workloads": [problem.to_dict() for problem in left.values()],
            "directory": str(scratch),
            "seed": SEED,
        }
        ended = processes.run_child(
            processes.python_child("samegrad.benchmarks.judge.main"),
            request,
            process_environment.worker_environment("cpu", scratch),
            on_message,
            PREPARE_SECONDS,
        )
        for problem_id in [current] if current in left else list(left):
            del left[problem_id]
            reasons[problem_id] = f"its reference {ended.kind}: {ended.reason}"
    return reasons
