"""What one `pytest --benchmark` does: from its options to a run, or to the rest of one."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.runs.budget import Budget, RunSettings
from samegrad.benchmarks.runs.options import BenchmarkOptions, load_kind
from samegrad.benchmarks.runs.progress import Bar
from samegrad.benchmarks.runs.resume import Resumed
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.selection import Selection


class Kind(Protocol):
    """What a module of `options.KINDS` defines; one but speed's also has a `parse`."""

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

    def select(self) -> Selection:
        """The rows of the run; kept.

        Raises:
            ValueError: something that was asked for by name is not available.
        """
        kind: Kind = load_kind(self.options.kind)
        rest = self.resumed
        self.selection = kind.select(self.options) if rest is None else rest.select()
        return self.selection


def measure(state: State, chosen: list[Case], directory: Path, command: str) -> None:
    """Measure the chosen cases as one run, or the rest of the run that is resumed.

    Args:
        directory: of the run.
        command: what the user typed.

    Raises:
        ValueError: another process writes this run.
        OSError: its journal cannot be written.
    """
    assert state.selection is not None
    kind: Kind = load_kind(state.options.kind)
    rest = state.resumed
    about: dict[str, Any] = {}
    retry: list[str] = []
    if rest is None:
        spent = time.monotonic() - state.began
        made, settings, line = kind.prepare(state.options, state.selection, chosen, spent)
        about = {
            "preset": state.options.preset_name,
            "intervals": made.intervals,
            "command": command,
            "options": state.options.arguments,
        }
    else:
        made, settings = rest.budget, RunSettings(**rest.journal.run["settings"])
        retry = rest.failed() if state.retry else []
        done = {(case.id, record.get("process")) for case, record in rest.journal.outcomes}
        line = f"going on with {directory}: {len(done)} outcomes are in its journal"
        line += f", {len(retry)} cases are tried again" if state.retry else ""
    say(f"samegrad: {line}")
    progress = Bar()
    try:
        state.run = Run(
            made,
            state.selection.capabilities,
            directory,
            settings,
            interpreters=state.options.interpreters,
            progress=progress,
            about=about,
            resume=None if rest is None else rest.journal,
            retry=retry,
        )
        kind.execute(state.run, state.options.request)
    finally:
        progress.close()


def say(line: str) -> None:
    """Print one line, at once."""
    print(line, flush=True)
