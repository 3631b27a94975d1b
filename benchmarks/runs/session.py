"""What one `pytest --benchmark` does: from its options to a run, or to the rest of one."""

import inspect
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from samegrad.benchmarks.cases.case import ALL_THREADS, Case
from samegrad.benchmarks.machine import system
from samegrad.benchmarks.records.journal import Journal, NotAJournalError, read
from samegrad.benchmarks.records.rows import Row
from samegrad.benchmarks.records.schema import FAILED, NO_NUMBER
from samegrad.benchmarks.runs import capabilities, quiet
from samegrad.benchmarks.runs.bar import Bar
from samegrad.benchmarks.runs.budget import MOST_RUN_SECONDS, PREDICTED, Budget, RunSettings
from samegrad.benchmarks.runs.capabilities import Capabilities
from samegrad.benchmarks.runs.directories import output_base
from samegrad.benchmarks.runs.options import (
    MOST_PROCESSES,
    BenchmarkOptions,
    load_kind,
    parse,
    parse_seconds,
    whole_number,
)
from samegrad.benchmarks.runs.run import SMALLER, Run
from samegrad.benchmarks.runs.selection import Selection
from samegrad.implementations.contract import commands, ranks, registry
from samegrad.implementations.contract.texts import say

ANEW = ("time", "wait_quiet")  # options of a run that its rest may have of its own


class Kind(Protocol):
    """What a module of `options.KINDS` defines; one but speed's also has a `parse`."""

    def select(self, options: BenchmarkOptions) -> Selection:
        """The rows of a run.

        Raises:
            ValueError: something that was asked for by name is not available.
        """

    def too_long(self, options: BenchmarkOptions, case: Case, capability: Capabilities) -> str:
        """Why a case is skipped for want of time, or ""; its device has a cost model."""

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
class Resumed:
    """An interrupted run.

    Attributes:
        directory: where it writes.
        journal: what it has measured.
        options, settings: those that it began with.
    """

    directory: Path
    journal: Journal
    options: BenchmarkOptions
    settings: RunSettings

    @property
    def budget(self) -> Budget:
        """As it was made, and changed since; what was excluded has its outcome already."""
        return Budget(list(self.journal.cases), processes=self.journal.processes)

    def failed(self) -> list[str]:
        """The cases that --retry-failed tries again."""
        failed = [
            case.id
            for case, outcome in self.journal.outcomes
            if outcome["status"] in FAILED or outcome["reason"].startswith(SMALLER)
        ]
        measured = {case.id for case, _ in self.journal.outcomes}
        return list(dict.fromkeys([*failed, *(self.journal.tried_again.keys() - measured)]))

    def skipped(self) -> list[Case]:
        """The cases that were predicted to take too long; on a busy machine that may be wrong."""
        return [
            case
            for case, outcome in self.journal.outcomes
            if outcome["status"] == "skipped" and outcome["reason"].startswith(PREDICTED)
        ]

    def again(self, kind: Kind, found: Mapping[str, Capabilities], *, failures: bool) -> list[str]:
        """The ids of the cases that are tried again.

        Args:
            found: what the implementations can do now: what was skipped may fit by that.
            failures: whether those that failed are.
        """
        failed, skipped = set(self.failed()) if failures else set[str](), set(self.skipped())
        return [
            case.id
            for case in self.journal.cases
            if case.device in found[case.implementation].cost_models
            and (
                case.id in failed
                or (
                    case in skipped
                    and not kind.too_long(self.options, case, found[case.implementation])
                )
            )
        ]

    def select(self) -> Selection:
        """The rows of the run, once it is sure that the implementations are still the same.

        Raises:
            ValueError: machine, code or devices differ: these are no samples of the same thing.
        """
        devices = list(dict.fromkeys(case.device for case in self.journal.cases))
        names = self.options.implementations
        now = capabilities.find(
            names,
            devices,
            self.options.interpreters,
            run_seconds=self.options.limit_seconds,
        )
        named = {case.implementation for case in self.journal.cases}
        named |= {record["name"] for record in self.journal.implementations}
        if strangers := sorted(named - now.keys()):
            raise ValueError(
                f"--resume: the journal has {strangers[0]!r:.60}, which its options do not name; "
                "start a new run"
            )
        for record in self.journal.implementations:
            if record["status"] == "ok":
                check_unchanged(record, now[record["name"]])
        told = {c.id for c, outcome in self.journal.outcomes if outcome["status"] in NO_NUMBER}
        for case in self.journal.cases:
            if case.id not in told and case.device not in now[case.implementation].cost_models:
                raise ValueError(
                    f"--resume: {case.implementation} has no device {case.device!r:.60}, which "
                    "the journal has rows of; start a new run"
                )
        return Selection(now, list(self.journal.cases))


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
    waited: float = 0.0

    def select(self, measures: bool = True) -> Selection:
        """The rows of the run; kept.

        Args:
            measures: whether they are measured then. If it is to be waited for a quiet machine,
                that is before the implementations are probed: on a busy one they are so slow that
                rows seem to take too long.

        Raises:
            ValueError: something that was asked for by name is not available.
        """
        if measures and self.options.wait_quiet:
            began = time.monotonic()
            quiet.wait(self.options.wait_quiet, lambda line: say(f"samegrad: {line}"))
            self.waited = time.monotonic() - began
            self.began += self.waited
        say(f"samegrad: probing {', '.join(self.options.implementations)} ...")
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
        made, settings = rest.budget, rest.settings
        retry = rest.again(kind, state.selection.capabilities, failures=state.retry)
        done = {(case.id, record.get("process")) for case, record in rest.journal.outcomes}
        line = f"going on with {directory}: {len(done)} outcomes are in its journal"
        line += f", {len(retry)} cases are tried again" if state.retry or retry else ""
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
        quiet.begin(state.run, max(0.0, state.options.wait_quiet - state.waited))
        kind.execute(state.run, state.options.request)
    finally:
        progress.close()


def opened(run: str) -> tuple[Path, Journal]:
    """The journal of a run of this machine, by its directory, its path, or a name there.

    Raises:
        ValueError: no such run, it is another machine's, or it cannot go on.
    """
    path = Path(run)
    if not path.exists():
        path = output_base() / run
    path = path / "journal.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"--resume {run}: no such run; give its directory, or its name under {output_base()}"
        )
    try:
        journal = read(path, verbatim=True)
    except NotAJournalError as error:
        raise ValueError(f"--resume: {error}") from None
    if "options" not in journal.run or "settings" not in journal.run or not journal.cases:
        raise ValueError(
            f"--resume {run}: the journal does not say how to go on (it was written by an older "
            "version, or ended before its cases were listed); start a new run"
        )
    if (hosts := str(journal.run["machine"].get("hosts", 1))) != str(ranks.size()):
        raise ValueError(f"--resume {run}: it is of {hosts} hosts; start it on as many")
    here = system.fingerprint_beside(journal.run["machine"])
    if journal.run["fingerprint"] != here:
        raise ValueError(
            f"--resume {run}: it is of another machine (fingerprint "
            f"{journal.run['fingerprint']}, here {here}); start a new run, `render` shows both"
        )
    return path, journal


def load(run: str, retry_failed: bool, anew: Mapping[str, str] | None = None) -> Resumed:
    """The run of a directory, a journal, or a name under reports/output.

    Args:
        anew: options of ANEW as they were typed now, in place of those that it began with.

    Raises:
        ValueError: no such run, it is another machine's, or nothing of it is left.
    """
    anew = anew or {}
    path, journal = opened(run)
    try:
        typed = options_now(journal.run["options"])
        refuse_companions(path.parent, typed)
        options = parse(**known(typed, parse))
        settings = RunSettings(**known(journal.run["settings"], RunSettings))
        resumed = Resumed(path.parent, journal, options, settings)
        if not 1 <= journal.processes <= MOST_PROCESSES:
            raise ValueError(f"{journal.processes} processes")
        for threads in {case.threads for case in journal.cases} - {ALL_THREADS}:
            if not whole_number(threads):
                raise ValueError(f"threads {threads!r:.60}")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--resume {run}: the journal's options or settings are none: {error}; start a new run"
        ) from None
    _give(resumed, anew)
    left = resumed.skipped() if retry_failed or "time" in anew else []
    if journal.complete and not (left or (retry_failed and resumed.failed())):
        reason = "no case failed"
        if not retry_failed:
            report = commands.command("render", run)
            reason = (
                f"it came to its end; --retry-failed repeats what failed, `{report}` its report"
            )
        raise ValueError(f"--resume {run}: nothing is left to measure: {reason}")
    return resumed


def _give(resumed: Resumed, anew: Mapping[str, str]) -> None:
    """Give the rest of a run time of its own, and let it wait for a quiet machine."""
    if (text := anew.get("wait_quiet")) is not None:
        seconds = parse_seconds("--wait-quiet", text)
        resumed.options = replace(resumed.options, wait_quiet=seconds)
    if (text := anew.get("time")) is None:
        return
    seconds = parse_seconds("--time", text)
    if resumed.settings.seconds is None:
        raise ValueError("--time: a run of trainings has no limit; leave it out")
    spent = sum(outcome.get("spent_ns", 0) for _, outcome in resumed.journal.outcomes) / 1e9
    limit = min(spent + seconds, MOST_RUN_SECONDS)
    resumed.options = replace(resumed.options, seconds=seconds)
    resumed.settings = replace(resumed.settings, seconds=limit)


def refuse_companions(folder: Path, options: dict[str, str]) -> None:
    """Raise ValueError if a program lies in the run's folder: it may have come with the journal."""
    pythons = [part.partition("=")[2] for part in options.get("python", "").split(",")]
    files = [registry.split(name)[0] for name in options.get("implementation", "").split(",")]
    for program in filter(None, [*pythons, *files]):
        path = os.path.realpath(Path(program.strip()).expanduser())  # links may lead in a circle
        if Path(path).is_relative_to(folder.resolve()):
            raise ValueError(f"{program!r:.60} lies in its own folder, of which nothing is run")


def options_now(options: dict[str, str]) -> dict[str, str]:
    """The options in a journal; older versions knew one kind of run by an option of its own."""
    if not all(isinstance(text, str) for text in options.values()):
        raise ValueError("an option is no text")
    if "training" not in options:
        return options
    return {**{k: v for k, v in options.items() if k != "training"}, "kind": "training"}


def known(values: Mapping[str, Any], taken_by: Callable[..., Any]) -> Mapping[str, Any]:
    """The options or settings of a journal, if they are what a function or a class takes.

    Raises:
        ValueError: one of them is not, or is missing.
    """
    parameters = inspect.signature(taken_by).parameters
    for name in values:
        if name not in parameters:
            raise ValueError(f"{name!r:.60} is none of them")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in values:
            raise ValueError(f"{name!r} is missing")
    return values


def check_unchanged(record: dict[str, object], now: Capabilities) -> None:
    """Raise ValueError if an implementation is not what it was when its record was written."""
    name = record["name"]
    if now.reason or now.failed:
        reason = now.reason or next(iter(now.failed.values()))
        raise ValueError(f"--resume: {name} worked when the run began, and now: {reason}")
    if record.get("source_sha256") != now.record.get("source_sha256"):
        raise ValueError(
            f"--resume: the code of {name} has changed since the run began; its samples would "
            "be of two programs: start a new run"
        )
