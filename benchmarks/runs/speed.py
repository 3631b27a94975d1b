"""A run of speed: one of the kinds of runs."""

import sys
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases import probes
from samegrad.benchmarks.cases.case import FEW_EXAMPLES, Case, WorkerSpec
from samegrad.benchmarks.cases.workload import Workload
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records import limits, predictions, schema
from samegrad.benchmarks.runs import budget, capabilities
from samegrad.benchmarks.runs.budget import Budget, CostModel, RunSettings
from samegrad.benchmarks.runs.capabilities import CAPABILITIES_SECONDS, Capabilities
from samegrad.benchmarks.runs.options import BenchmarkOptions
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.scheduler import Scheduler
from samegrad.benchmarks.runs.selection import Selection
from samegrad.benchmarks.runs.selection import select as select  # a part of the kind
from samegrad.benchmarks.runs.worker_process import JUDGE, WORKER, command, stopped_short
from samegrad.implementations.checking import processes
from samegrad.implementations.checking.processes import Exit
from samegrad.implementations.contract import registry

REPORT_SECONDS = 12.0  # kept back for pytest's table and the report, which take six here
INPUTS_SECONDS = 300.0  # for the inputs of one workload
LEAST_TO_PREDICT = 60.0  # seconds of a run: probes take a few of each implementation
# Of a run: who compiles probes for longer is not predicted. For an H100 JAX took 68 s of 293.
MOST_TO_PREDICT = 0.1
PROBE_SECONDS = 60.0  # between two messages
PEAK_SECONDS = 60.0  # between two answers; the first waits for a compiler
SEED = 0


def prepare(
    options: BenchmarkOptions, selection: Selection, chosen: list[Case], spent_seconds: float
) -> tuple[Budget, RunSettings, str]:
    """The budget and settings of the chosen cases, and a line that says what it comes to.

    Args:
        spent_seconds: what has been spent of the run's time limit.
    """
    preset = options.preset
    usual = preset.seconds[any(case.device == "cuda" for case in chosen)]
    limit = options.seconds or usual
    seconds = max(0.0, limit - spent_seconds - min(REPORT_SECONDS, limit / 4))
    made = budget.make(
        chosen,
        capabilities.cost_models(selection.capabilities),
        selection.excluded_of(chosen),
        options.processes or preset.processes,
        seconds,
        preset.block_seconds,
        preset.case_seconds,
    )
    made.intervals = made.processes >= LEAST_PROCESSES
    settings = RunSettings(
        seconds,
        # Who gives more time wants it to be used.
        min(budget.MOST_SECONDS, preset.block_seconds * max(1.0, limit / usual)),
        preset.warm_up_seconds,
        preset.memory,
        preset.ceilings,
        preset.short_call_seconds,
    )
    line = (
        f"{len(made.running)} of {len(made.cases)} rows run, processes per implementation: "
        f"{made.processes}, predicted {made.seconds:.0f} s"
    )
    limits = f" of {seconds:.0f} s" if seconds >= 1 else " beyond the limit, which is spent"
    return made, settings, f"{line}{limits}{_beyond(made, seconds)}"


def too_long(options: BenchmarkOptions, case: Case, capability: Capabilities) -> str:
    """Why a case is skipped, as fast as its implementation is now; or ""."""
    return budget.too_long(case, capability.cost_models[case.device], options.preset.case_seconds)


def _beyond(made: Budget, seconds: float) -> str:
    """What becomes of a budget that is predicted to take longer than its time limit."""
    if made.seconds <= seconds:
        return ""
    fit = int(seconds / (made.seconds / made.processes))
    if fit < 1:
        return ": one process of each takes longer, so the limit is exceeded (--time SECONDS)"
    return f": as predicted, {fit} of {made.processes} processes fit, the others are left out"


def execute(run: Run, _: None = None) -> None:
    """Measure the cases of a run and complete its journal."""

    def work(scratch: Path) -> None:
        left = [case for process in range(run.budget.processes) for case in run.left(process)]
        if run.settings.memory:
            left += [case for case in run.running if case.id not in run.journal.memory]
        run.progress.expect(len(left), sum(run.predicted(case) for case in left))
        workloads = {case.workload.id: case.workload for case in left}
        with Scheduler(run, scratch) as scheduler:
            first = {case.workload.id: case.workload for case in scheduler.first}
            _make_inputs(run, scratch, first)
            _predict(run, scratch)
            scheduler.begin()
            _make_inputs(run, scratch, {k: w for k, w in workloads.items() if k not in first})
            _measure_peak(run, scratch)
            scheduler.measure()
            _measure_memory(run, scheduler)

    run.execute(work)


def _predict(run: Run, scratch: Path) -> None:
    """Commit to what the rows will take, before any is measured; not in a run of a minute."""
    ran = any(outcome["status"] == schema.OK for _, outcome in run.journal.outcomes)
    known = ran or run.journal.predictions  # a prediction after a measurement is none
    if known or not run.settings.ceilings or run.seconds < LEAST_TO_PREDICT:
        return
    _measure_peak(run, scratch)
    for worker in dict.fromkeys(case.worker for case in run.running):
        model = run.capabilities[worker.implementation].cost_models[worker.device]
        if (worker.precision, worker.ranks) == ("ieee", 1) and probed(worker, model, run.seconds):
            _probe(run, scratch, worker)
    made = predictions.predictions(run.journal, run.running)
    if made:
        run.write({"record": "predictions", "seconds": made})


def probed(worker: WorkerSpec, model: CostModel, seconds: float) -> bool:
    """Whether a worker's probes are worth their time in a run of so many seconds."""
    compiling = len(probes.probes(worker)) * model.first_seconds
    slow = registry.looped(worker.implementation) or model.passes
    return not slow and compiling <= MOST_TO_PREDICT * seconds


def _probe(run: Run, scratch: Path, worker: WorkerSpec) -> None:
    """What fixed calls take in a process of their own; what it has is written down."""
    name, cases = run.capabilities[worker.implementation].name, probes.probes(worker)

    def on_message(message: dict[str, Any]) -> float:
        if "probe" in message:
            case = cases[message["probe"]]
            run.write(schema.check({"record": "probe", "case": case.to_dict(),
                                    "seconds": message["seconds"]}))  # fmt: skip
        return PROBE_SECONDS

    run.progress.now(f"probes of {worker.implementation}")
    interpreter = run.interpreters.get(name, sys.executable)
    processes.run_child(
        command(WORKER, interpreter, worker.threads),
        {
            "role": "probe",
            "implementation": registry.absolute(name),
            "cases": [case.to_dict() for case in cases],
        },
        system.worker_environment(worker.device, scratch, worker.threads),
        on_message,
        run.import_seconds(worker),
        doing=f"importing {worker.implementation} and timing its probes",
    )


def _measure_peak(run: Run, scratch: Path) -> None:
    """What cores, caches and calls can do at most, with as many threads as rows have, once."""
    if any(ceiling["quantity"] == "call" for ceiling in run.journal.ceilings):
        return
    running = [case for case in run.running if case.device == "cpu" and run.settings.ceilings]
    dtypes = sorted({case.workload.dtype for case in running})
    for threads in sorted({case.threads for case in running}):

        def on_message(message: dict[str, Any], threads: str = threads) -> float:
            if "ceiling" in message:
                where = {"implementation": "", "device": "cpu", "threads": threads}
                about = {"record": "ceiling", "process": 0}
                run.write({**about, **where, **message["ceiling"]})
            return PEAK_SECONDS

        run.progress.now("multiply-adds of the cores")
        ended = processes.run_child(
            command(WORKER, threads=threads),
            {"role": "peak", "dtypes": dtypes, "caches": limits.caches(run.journal)},
            system.worker_environment("cpu", scratch, threads),
            on_message,
            PEAK_SECONDS,
            doing="measuring what the cores can do at most",
        )
        if ended.kind != "ok":
            run.progress.say(f"multiply-adds of the cores: {ended.kind}: {ended.reason}")


def _measure_memory(run: Run, scheduler: Scheduler) -> None:
    """The peak memory of a call, in a process that does nothing else: of steps, and of requests."""
    for case in run.running if run.settings.memory else ():
        small = case.operation == "forward" and case.workload.batch_size <= FEW_EXAMPLES
        if case.id in run.journal.memory or not (small or case.operation == "train_step"):
            continue
        if (case.transfer, case.precision) != ("resident", "ieee"):
            continue

        def on_message(message: dict[str, Any], case: Case = case) -> float | None:
            if "begin" in message:
                return CAPABILITIES_SECONDS
            run.write_memory(case, message.get("failed") or message["memory"])
            return None

        run.progress.now(f"peak memory of {case.id}")
        one = scheduler.new(case.worker, [case], 0)
        one.begin("memory", run.settings.warm_up_seconds)
        ended = one.receive([case], on_message, run.import_seconds(case.worker)) or Exit("ok", "")
        scheduler.close(one)
        if case.id not in run.journal.memory:
            run.write_memory(case, stopped_short(ended))


def _make_inputs(run: Run, scratch: Path, workloads: dict[str, Workload]) -> None:
    """Inputs and reference results of some workloads, by their ids."""

    def request(names: list[str]) -> dict[str, Any]:
        return {
            "role": "inputs",
            "workloads": [workloads[name].to_dict() for name in names],
            "directory": str(scratch),
            "seed": SEED,
        }

    without = run.make_inputs(
        JUDGE, request, list(workloads), "inputs and reference results", scratch, INPUTS_SECONDS
    )
    for case in run.running:
        if case.workload.id in without:
            run.fail(case, *without[case.workload.id])
