"""Worker processes of several ranks in tests: what they gate, and how they end."""

from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import inputs
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge.networks import Networks
from samegrad.benchmarks.runs.worker_process import WorkerProcess
from samegrad.implementations.checking.processes import Child
from samegrad.implementations.contract.spec import MLPSpec

SMALL = MLPWorkload("small", MLPSpec((4, 3, 2)), 5, 20)


def small_case(directory: Path, ranks: int) -> Case:
    """A training step of several ranks, whose inputs are in a directory."""
    drawn, right = Networks.prepare(SMALL, 0)
    inputs.save(directory, SMALL, drawn)
    inputs.save_expected(directory, SMALL, right)
    return Case(SMALL, "train_step", "torch_ddp", threads="1", ranks=ranks)


def gated(
    child: Child, case: Case, directory: Path, fault: str, limit: float = 20.0
) -> tuple[Any, list[str]]:
    """How a worker process ends that is told of a fault, and its gate's messages.

    Args:
        limit: seconds, for what comes next.
    """
    one = WorkerProcess(case.worker, 0, [case], child, case.implementation, directory)
    one.first_calls = str(directory / "first-")
    send = child.send
    child.send = lambda message: send({**message, "fault": fault})  # type: ignore[method-assign] # a stand-in

    def on_message(message: dict[str, Any]) -> float | None:
        one.current = case if "begin" in message else one.current
        return limit

    try:
        one.begin("measure", 0.0)
        ended = one.receive([case], on_message, 60.0)
        return ended, [message["gate"] for _, message in one.handed_in]
    finally:
        mark = child._mark
        child.close()
        assert [] == left_behind(mark)


def left_behind(mark: str) -> list[int]:
    """Processes that a child has started, and that have outlived it."""
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                left.append(int(path.parent.name))
        except OSError:  # somebody else's, or it has ended
            continue
    return left
