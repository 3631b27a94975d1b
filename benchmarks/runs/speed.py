"""A run of speed: one of the kinds of runs."""

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES
from samegrad.benchmarks.runs import budget, capabilities
from samegrad.benchmarks.runs.budget import Budget, RunSettings
from samegrad.benchmarks.runs.options import BenchmarkOptions
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.scheduler import Scheduler
from samegrad.benchmarks.runs.selection import Selection
from samegrad.benchmarks.runs.selection import select as select  # a part of the kind

REPORT_SECONDS = 12.0  # kept back for pytest's table and the report, which take six here


def prepare(
    options: BenchmarkOptions, selection: Selection, chosen: list[Case], spent_seconds: float
) -> tuple[Budget, RunSettings, str]:
    """The budget and settings of the chosen cases, and a line that says what it comes to.

    Args:
        spent_seconds: what has been spent of the run's time limit.
    """
    preset = options.preset
    limit = options.seconds or preset.seconds[any(case.device == "cuda" for case in chosen)]
    seconds = limit - spent_seconds - min(REPORT_SECONDS, limit / 4)
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
        preset.block_seconds,
        preset.warm_up_seconds,
        preset.memory,
        preset.ceilings,
        preset.short_call_seconds,
    )
    line = (
        f"{len(made.running)} of {len(made.cases)} rows run, processes per implementation: "
        f"{made.processes}, predicted {made.seconds:.0f} s of {seconds:.0f} s"
    )
    return made, settings, line


def execute(run: Run, _: None = None) -> None:
    """Measure the cases of a run and complete its journal."""
    run.execute(lambda scratch: Scheduler(run, scratch).execute())
