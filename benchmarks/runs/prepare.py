"""The inputs of a run: a process of their own makes them once, for all workers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Workload
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.runs import worker_process
from samegrad.benchmarks.runs.run import Run
from samegrad.implementations.checking import processes

PREPARE_SECONDS = 300.0  # for one workload
SEED = 0


def prepare(run: Run, scratch: Path) -> None:
    """Write inputs and reference results of all workloads that are left to measure.

    A case whose workload has none is written down as unavailable.

    Args:
        scratch: the directory that they go to.
    """
    left = [case for process in range(run.budget.processes) for case in run.left(process)]
    if run.settings.memory:
        left += [case for case in run.running if case.id not in run.journal.memory]
    workloads = {case.workload.id: case.workload for case in left}
    run.progress.expect(len(left), sum(run.predicted(case) for case in left))
    reasons = make(list(workloads.values()), scratch, run.check_inputs, run.progress.now)
    for case in run.running:
        if case.workload.id in reasons:
            run.fail(case, "unavailable", reasons[case.workload.id])


def make(
    workloads: Sequence[Workload],
    scratch: Path,
    check: Callable[[str, str], str],
    now: Callable[[str], None],
) -> dict[str, str]:
    """Write inputs and reference results of each workload into a directory.

    Args:
        check: called with each workload's id and hash; what it returns, if anything, is why the
            workload cannot be used.
        now: told what is being made.

    Returns:
        workload id -> why it has no inputs.
    """
    left = {workload.id: workload for workload in workloads}
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
            reason = message.get("reason") or check(message["workload"], message["sha256"])
            if reason:
                reasons[message["workload"]] = reason

        request = {
            "workloads": [workload.to_dict() for workload in left.values()],
            "directory": str(scratch),
            "seed": SEED,
        }
        ended = processes.run_child(
            worker_process.command(worker_process.JUDGE),
            request,
            system.worker_environment("cpu", scratch),
            on_message,
            PREPARE_SECONDS,
        )
        for name in [current] if current in left else list(left):
            del left[name]
            reasons[name] = f"its reference {ended.kind}: {ended.reason}"
    return reasons
