"""What one `pytest --benchmark` measures: from its selection to a run, or the rest of one."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records import rows as results
from samegrad.benchmarks.runs import budget, resume, runner
from samegrad.benchmarks.runs.options import Options
from samegrad.benchmarks.runs.progress import Bar
from samegrad.benchmarks.runs.selection import Selection, select

REPORT_SECONDS = 12.0  # kept back for pytest's table and the report, which take six here


class Replay:
    """A clock that goes from 0 to the next sample: what pytest-benchmark reads as its timer."""

    __name__ = "replay_of_process_medians"

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._running = False

    def __call__(self) -> float:
        """0.0 when a round starts, the next sample when it ends."""
        self._running = not self._running
        return 0.0 if self._running else self.samples.pop(0)


@dataclass
class State:
    """What one pytest session knows of its benchmark."""

    options: Options
    resumed: resume.Resumed | None = None
    retry: bool = False
    selection: Selection | None = None
    replays: dict[str, Replay] = field(default_factory=dict)
    run: runner.Run | None = None
    rows: dict[str, results.Row] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)


def selection(state: State) -> Selection:
    """The rows of a run: probe the implementations, see what is there.

    Raises:
        ValueError: something that was asked for by name is not there.
    """
    if state.resumed is not None:
        return state.resumed.select()
    if state.options.training is not None:
        from samegrad.benchmarks.training import run as training_run

        return training_run.select(state.options)
    return select(state.options)


def measure(state: State, chosen: list[Case], directory: Path, command: str) -> None:
    """Measure the chosen cases as one plan.

    Raises:
        ValueError: another process writes this run.
        OSError: its journal cannot be written.
    """
    selected, preset = state.selection, state.options.preset
    assert selected is not None
    if state.resumed is not None:
        _go_on(state, state.resumed, selected)
        return
    pilots = {
        (label, device): pilot
        for label, probed in selected.probes.items()
        for device, pilot in probed.pilots.items()
    }
    if state.options.training is not None:
        _train(state, selected, chosen, directory, command)
        return
    limit = preset.seconds[any(case.device == "cuda" for case in chosen)]
    seconds = limit - (time.monotonic() - state.began) - min(REPORT_SECONDS, limit / 4)
    excluded = {c.id: selected.excluded[c.id] for c in chosen if c.id in selected.excluded}
    made = budget.make(
        chosen,
        pilots,
        excluded,
        preset.processes,
        seconds,
        preset.block_seconds,
        preset.case_seconds,
    )
    say(
        f"samegrad: {len(made.running)} of {len(made.cases)} rows run, processes per "
        f"implementation: {made.processes}, predicted {made.seconds:.0f} s of {seconds:.0f} s"
    )
    settings = budget.Settings(
        seconds,
        preset.block_seconds,
        preset.warm_up_seconds,
        preset.memory,
        preset.ceilings,
        preset.visited_seconds,
    )
    about = {
        "preset": state.options.preset_name,
        "intervals": preset.intervals,
        "command": command,
        "options": state.options.given,
    }
    _execute(state, made, selected, directory, settings, {"about": about})


def _train(
    state: State,
    selected: Selection,
    chosen: list[Case],
    directory: Path,
    command: str,
) -> None:
    wish = state.options.training
    excluded = {c.id: selected.excluded[c.id] for c in chosen if c.id in selected.excluded}
    made = budget.Plan(chosen, excluded, wish.seeds)
    about = {
        "preset": state.options.preset_name,
        "intervals": True,
        "command": command,
        "options": state.options.given,
    }
    say(
        f"samegrad: {len(made.running)} of {len(made.cases)} rows are trained, "
        f"{wish.seeds} seed{'s' * (wish.seeds > 1)} each"
    )
    settings = budget.Settings(None, 0.0, ceilings=False)
    _execute(state, made, selected, directory, settings, {"about": about})


def _go_on(state: State, resumed: resume.Resumed, selected: Selection) -> None:
    """The rest of a run, with the settings that it began with."""
    retry = resumed.failed() if state.retry else []
    done = {(case.id, record.get("process")) for case, record in resumed.journal.outcomes}
    say(
        f"samegrad: going on with {resumed.directory}: {len(done)} outcomes are there"
        + (f", {len(retry)} cases are tried again" if state.retry else "")
    )
    settings = budget.Settings(**resumed.journal.run["settings"])
    options = {"about": {}, "resume": resumed.journal, "retry": retry}
    _execute(state, resumed.plan, selected, resumed.directory, settings, options)


def _execute(
    state: State,
    made: budget.Plan,
    selected: Selection,
    directory: Path,
    settings: budget.Settings,
    options: dict[str, Any],
) -> None:
    kind: type[runner.Run] = runner.Run
    progress = Bar()
    if state.options.training is not None:
        from samegrad.benchmarks.training.run import TrainingRun

        kind, options = TrainingRun, {**options, "wish": state.options.training}
    try:
        state.run = kind(
            made,
            selected.probes,
            directory,
            settings,
            interpreters=state.options.interpreters,
            progress=progress,
            **options,
        )
        state.run.execute()
    finally:
        progress.close()


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)
