"""Measure one case from Python."""

import sys
import tempfile
from pathlib import Path

from samegrad.benchmarks.cases.case import OPERATIONS, Case, MLPWorkload
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.runs import budget, capabilities, runner
from samegrad.benchmarks.runs.options import parse_threads
from samegrad.benchmarks.runs.progress import Progress
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec


def measure(
    implementation: str,
    spec: MLPSpec,
    *,
    batch_size: int,
    operation: str = "train_step",
    device: str = "cpu",
    threads: str = "all",
    processes: int = 1,
    block_seconds: float = 0.3,
) -> rows.Row:
    """Check and time one operation in fresh processes, as `pytest --benchmark` does.

    Args:
        implementation: a name of `names()`, the path of a file, or a module.
        spec: the network; its dtype must be one that the implementation has.
        batch_size: examples per call.
        operation: "forward", "loss_and_grad", "train_step" or "epoch" (16 batches).
        device: "cpu", or another one that the implementation has here.
        threads: "all", or a number of threads as text.
        processes: fresh processes; at least 5 for an interval.
        block_seconds: time for the timed blocks in each process.

    Returns:
        The row: `status` is "ok" or says why there is no number, and `median_seconds` is per call.
        What explains the number (ceilings, parts of a call) is measured by runs only.

    Raises:
        ValueError: an argument is not accepted, or the device or dtype is not there.
        ImportError: the implementation cannot be loaded.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation {operation!r} is not known; accepted: {', '.join(OPERATIONS)}")
    for name, value in (("batch_size", batch_size), ("processes", processes)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} {value!r} is not accepted; give a whole number >= 1")
    parse_threads(threads)
    if spec.dropout:
        raise ValueError("a network with dropout is not timed: its masks are no part of a batch")
    probed = next(iter(capabilities.probe([implementation], [device], {}).values()))
    if probed.reason or probed.failed:
        raise ImportError(probed.reason or probed.failed[device])
    for what, wanted, there in (
        ("device", device, probed.devices),
        ("dtype", spec.dtype, probed.dtypes),
    ):
        if wanted not in there:
            raise ValueError(
                f"{what} {wanted!r} is not available to {implementation} (has: {', '.join(there)})"
            )
    problem = MLPWorkload("measured", spec, batch_size, 16 * batch_size)
    case = Case(problem, operation, registry.label(implementation), device, threads=threads)
    pilots = {(case.implementation, device): probed.pilots[device]}
    made = budget.make([case], pilots, {}, processes, float("inf"), block_seconds)
    with tempfile.TemporaryDirectory(prefix="samegrad-") as directory:
        run = runner.Run(
            made,
            {probed.label: probed},
            Path(directory) / "run",
            budget.Settings(None, block_seconds, ceilings=False),
            interpreters={implementation: sys.executable},
            progress=Progress(),
            about={"preset": "measure", "command": "measure"},
        )
        run.execute()
    return rows.rows(run.journal)[0]
