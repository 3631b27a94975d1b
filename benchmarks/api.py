"""`samegrad.measure`: one case, checked and timed from Python."""

from pathlib import Path

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import OPERATIONS, MLPWorkload
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.runs import budget, capabilities, speed
from samegrad.benchmarks.runs.options import parse_threads
from samegrad.benchmarks.runs.run import Run
from samegrad.implementations.contract import commands, registry
from samegrad.implementations.contract.scratch import scratch
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.contract.texts import clean_errors, described

EPOCH_BATCHES = 16  # of the operation "epoch"


@clean_errors()
def measure(
    implementation: str | Path,
    spec: MLPSpec,
    *,
    batch_size: int,
    operation: str = "train_step",
    device: str = "cpu",
    threads: int | str = "all",
    processes: int = 1,
    block_seconds: float = 0.3,
) -> Row:
    """Check and time one operation in fresh processes, as `pytest --benchmark` does.

    Nothing is timed before its results agree with the reference, in the process in which it is
    timed. It takes a few seconds, most of which the processes need to start.

    Args:
        implementation: a name of `samegrad.names("all")`, the path of a file, or a module.
        spec: the network; its dtype must be one that the implementation has.
        batch_size: examples per call.
        operation: "forward", "loss_and_grad", "train_step" or "epoch" (16 batches).
        device: "cpu", or another one that the implementation has here.
        threads: a number of threads, at most one per core, or "all" cores.
        processes: fresh processes, one after another; at least 5 for an interval.
        block_seconds: time in seconds for the timed blocks in each process.

    Returns:
        The row. `status` is "ok", or says why there is no number (`reason` has the words);
        `median_seconds` is per call, over the processes; `examples_per_second`, `gflops` (10^9
        floating-point operations of the matrix products per second); `gate` names the tensor that
        was nearest to its bound. What explains the number (ceilings, parts of a call) is measured
        by `pytest --benchmark` only.

    Raises:
        TypeError: implementation is no name, or spec none.
        ValueError: an argument is not accepted, or the device or dtype is not available.
        ImportError: the implementation cannot be loaded, or the extra "benchmark" is missing.
    """
    commands.require("benchmark", "samegrad.measure")
    if not isinstance(implementation, str | Path):
        raise TypeError(
            f"implementation is {described(implementation)}; give a name of samegrad.names('all'), "
            "the path of a file, or a module's name"
        )
    implementation = str(implementation)
    if not isinstance(spec, MLPSpec):
        raise TypeError(f"spec is {described(spec)}; give one: MLPSpec((784, 128, 10))")
    if operation not in OPERATIONS:
        raise ValueError(f"operation {operation!r} is not known; accepted: {', '.join(OPERATIONS)}")
    for name, value in (("batch_size", batch_size), ("processes", processes)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} {value!r} is not accepted; give a whole number >= 1")
    if not isinstance(block_seconds, int | float) or not 0 < block_seconds < 1e9:
        raise ValueError(f"block_seconds {block_seconds!r} is not accepted; give seconds > 0")
    regimes = parse_threads(str(threads))
    if len(regimes) != 1:
        raise ValueError(f"threads {threads!r} is not accepted; give one number, or 'all'")
    if spec.dropout:
        raise ValueError("a network with dropout is not timed: its masks are no part of a batch")
    (capability,) = capabilities.find([implementation], [device], {}).values()
    reason = capability.reason or capability.failed.get(device, "")
    if reason and capability.status == "unavailable":
        raise ImportError(reason)
    for name, asked, available in (
        ("device", device, capability.devices),
        ("dtype", spec.dtype, capability.dtypes),
    ):
        if not reason and asked not in available:
            raise ValueError(
                f"{name} {asked!r} is not available to {implementation} "
                f"(has: {', '.join(available)})"
            )
    workload = MLPWorkload("measured", spec, batch_size, EPOCH_BATCHES * batch_size)
    label = registry.label(implementation)
    case = Case(workload, operation, label, device, threads=regimes[0])
    models = capabilities.cost_models({label: capability})
    excluded = {case.id: (capability.status, reason)} if reason else {}
    with scratch() as directory:
        run = Run(
            budget.make([case], models, excluded, processes, float("inf"), block_seconds),
            {label: capability},
            directory / "run",
            budget.RunSettings(None, block_seconds, ceilings=False),
            about={"preset": "measure", "command": "measure"},
        )
        speed.execute(run)
    (row,) = rows.rows(run.journal)
    return row
