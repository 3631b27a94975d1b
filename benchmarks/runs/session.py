"""What one `pytest --benchmark` does: from its options to a run, or to the rest of one."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.runs import kinds
from samegrad.benchmarks.runs.budget import Budget, RunSettings
from samegrad.benchmarks.runs.options import BenchmarkOptions
from samegrad.benchmarks.runs.progress import Bar
from samegrad.benchmarks.runs.resume import Resumed
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.selection import Selection


class Kind(Protocol):
    """What the module of a kind of runs defines; `options` asks it for `parse`, if it has one."""

    def select(self, options: BenchmarkOptions) -> Selection:
        """The rows of a run.

        Raises:
            ValueError: something that was asked for by name is not available.
        """

    def prepare(
        self,
        options: BenchmarkOptions,
        selection: Selection,
        chosen: list[Case],
        spent_seconds: float,
    ) -> tuple[Budget, RunSettings, str]:
        """The budget and settings of the chosen cases, and a line that says what it comes to."""

    def execute(self, run: Run, request: Any, /) -> None:
        """Measure the cases of a run and complete its journal.

        Args:
            run: with its budget.
            request: `BenchmarkOptions.request`.
        """


class Replay:
    """A clock that goes from 0 to the next sample: what pytest-benchmark reads as its timer."""

    __name__ = "replay_of_process_medians"

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._running = False

    def __call__(self) -> float:
        """0.0 when a round of pytest-benchmark starts, the next sample when it ends."""
        self._running = not self._running
        return 0.0 if self._running else self.samples.pop(0)


@dataclass
class State:
    """What one pytest session knows of its benchmark."""

    options: BenchmarkOptions
    resumed: Resumed | None = None
    retry: bool = False
    selection: Selection | None = None
    replays: dict[str, Replay] = field(default_factory=dict)
    run: Run | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def kind(self) -> Kind:
        """What is done with the rows."""
        kind: Kind = kinds.load(self.options.kind)
        return kind


def selection(state: State) -> Selection:
    """The rows of the session's run.

    Raises:
        ValueError: something that was asked for by name is not available.
    """
    if state.resumed is not None:
        return state.resumed.select()
    return state.kind.select(state.options)


def measure(state: State, chosen: list[Case], directory: Path, command: str) -> None:
    """Measure the chosen cases as one run, or the rest of the run that is resumed.

    Args:
        directory: of the run.
        command: what the user typed.

    Raises:
        ValueError: another process writes this run.
        OSError: its journal cannot be written.
    """
    options, selected = state.options, state.selection
    assert selected is not None
    if state.resumed is not None:
        journal = state.resumed.journal
        retry = state.resumed.failed() if state.retry else []
        done = {(case.id, record.get("process")) for case, record in journal.outcomes}
        say(
            f"samegrad: going on with {directory}: {len(done)} outcomes are in its journal"
            + (f", {len(retry)} cases are tried again" if state.retry else "")
        )
        settings = RunSettings(**journal.run["settings"])
        arguments = {"about": {}, "resume": journal, "retry": retry}
        _execute(state, state.resumed.budget, settings, directory, arguments)
        return
    spent = time.monotonic() - state.began
    made, settings, line = state.kind.prepare(options, selected, chosen, spent)
    say(f"samegrad: {line}")
    about = {
        "preset": options.preset_name,
        "intervals": made.intervals,
        "command": command,
        "options": options.arguments,
    }
    _execute(state, made, settings, directory, {"about": about})


def _execute(
    state: State,
    made: Budget,
    settings: RunSettings,
    directory: Path,
    arguments: dict[str, Any],
) -> None:
    assert state.selection is not None
    progress = Bar()
    try:
        state.run = Run(
            made,
            state.selection.capabilities,
            directory,
            settings,
            interpreters=state.options.interpreters,
            progress=progress,
            **arguments,
        )
        state.kind.execute(state.run, state.options.request)
    finally:
        progress.close()


def say(line: str) -> None:
    """Print one line, at once."""
    print(line, flush=True)
