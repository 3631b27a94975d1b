"""The pytest plugin behind `pytest --benchmark`.

The selected items are measured as one plan before the first of them runs; each item then hands
its process medians to pytest-benchmark through a timer that replays them. Writing the report is
left to whoever implements the hook `pytest_samegrad_report`.
"""

import contextlib
import os
import re
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks import output, plan, results, resume, runner
from benchmarks.cases import ARITHMETIC, OPERATIONS, Case
from benchmarks.options import Options, parse
from benchmarks.presets import PRESETS
from benchmarks.progress import Bar
from benchmarks.selection import Selection, select

HERE = Path(__file__).resolve().parent
REPORT_SECONDS = 20.0  # kept back for pytest's table and the report

REFUSED = {
    r"--benchmark-timer": "the clock is ours (benchmarks/timer.py)",
    r"--benchmark-(min-rounds|min-time|max-time|precision|confidence)": "use --preset",
    r"--benchmark-calibration-precision": "blocks are calibrated by benchmarks/timer.py",
    r"--benchmark-warmup(-iterations)?": "every case is warmed up",
    r"--benchmark-disable-gc": "garbage collection is off inside every block",
    r"--benchmark-(skip|disable)": "leave out --benchmark to measure nothing",
    r"--benchmark-cprofile(-loops|-top|-dump)?": "items replay what other processes measured",
    r"-n(\d+|auto|logical)?|--numprocesses|--dist": "side by side, processes disturb each other",
    r"--looponfail|-f": "a benchmark is run once",
}


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


STATE = pytest.StashKey[State]()
DIRECTORY = pytest.StashKey[Path]()


class Hooks:
    """Hooks that this plugin calls."""

    @pytest.hookspec(firstresult=True)
    def pytest_samegrad_report(self, journal: Path, directory: Path) -> list[str] | None:
        """Write the report of a journal into a directory; return the lines to print last."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Announce the hook for the report."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--benchmark and what goes with it."""
    group = parser.getgroup("samegrad", "samegrad: speed of the implementations")
    add = group.addoption
    add("--benchmark", action="store_true", help="measure speed and write the report")
    add(
        "--preset",
        default=None,
        metavar="NAME",
        help=f"{', '.join(PRESETS)} (default: standard)",
    )
    add("--layers", metavar="SIZES", help="your own network, for example 784-128-10")
    add("--batch-size", metavar="SIZES", help="with --layers, for example 1,32,256 (default: 32)")
    add(
        "--implementation",
        metavar="NAMES",
        help="for example numpy,jax,./my_mlp.py (default: all)",
    )
    add("--device", metavar="NAMES", help="for example cpu,cuda (default: all that are there)")
    add("--dtype", metavar="NAMES", help=f"of {', '.join(ARITHMETIC)} (default: per case)")
    add("--threads", metavar="NUMBERS", help="for example 1,all (default: all; full: both)")
    add("--python", metavar="NAME=PATH,...", help="the interpreter of an implementation's workers")
    add("--output", metavar="DIR", help="directory of the run (default: reports/output/RUN)")
    add("--resume", metavar="RUN", help="go on with an interrupted run: its directory or name")
    add("--retry-failed", action="store_true", help="with --resume: repeat what failed, too")


def _given(config: pytest.Config) -> dict[str, str]:
    names = "preset layers batch_size implementation device dtype threads python output".split()
    values = {name: config.getoption(name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the command line, and collect benchmarks/ and nothing else."""
    given, run = _given(config), config.getoption("resume")
    retry = config.getoption("retry_failed")
    if not config.getoption("benchmark"):
        extra = ["resume"] * (run is not None) + ["retry_failed"] * retry
        for name in (*given, *extra):
            raise pytest.UsageError(f"--{name.replace('_', '-')} goes with --benchmark")
        return
    if retry and run is None:
        raise pytest.UsageError("--retry-failed goes with --resume RUN")
    if run is not None and given:
        option = next(iter(given)).replace("_", "-")
        raise pytest.UsageError(f"--{option}: a resumed run keeps the options that it began with")
    _refuse_foreign_options(config)
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        _refuse_foreign_paths(config)
    else:
        config.args[:] = [str(HERE / "test_speed.py")]
    try:
        resumed = None if run is None else resume.load(run, retry)
        options = parse(**given) if resumed is None else resumed.options
        state = config.stash[STATE] = State(options, resumed, retry)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    for mark in {"cpu", "cuda", *OPERATIONS, *(state.options.devices or ())}:
        config.addinivalue_line("markers", f"{mark}: benchmark cases of that device or operation")


def _refuse_foreign_options(config: pytest.Config) -> None:
    arguments = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    for argument in arguments:
        for pattern, reason in REFUSED.items():
            if re.fullmatch(pattern, str(argument).split("=")[0]):
                raise pytest.UsageError(f"{argument} means nothing with --benchmark: {reason}")


def _refuse_foreign_paths(config: pytest.Config) -> None:
    for argument in config.args:
        path = (config.invocation_params.dir / argument.split("::")[0]).resolve()
        if path != HERE and path != HERE / "test_speed.py":
            raise pytest.UsageError(
                f"{argument}: --benchmark collects benchmarks/ only; select cases with -k or -m"
            )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --benchmark there is no benchmark, from wherever pytest is started."""
    return True if HERE in (collection_path, *collection_path.parents) and not _on(config) else None


def _on(config: pytest.Config) -> bool:
    return STATE in config.stash


def pytest_collection(session: pytest.Session) -> None:
    """Probe the implementations: which rows there are depends on what is here."""
    if not _on(session.config):
        return
    state = session.config.stash[STATE]
    try:
        if not session.config.option.collectonly:
            directory = (
                output.run_directory(state.options.output)
                if state.resumed is None
                else state.resumed.directory
            )
            session.config.stash[DIRECTORY] = directory
            output.check_writable(directory)
        with _uncaptured(session.config):
            _say(f"samegrad: probing {', '.join(state.options.implementations)} ...")
            state.selection = (
                select(state.options) if state.resumed is None else state.resumed.select()
            )
            for note in state.selection.notes:
                _say(f"samegrad: {note}")
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item per case, with its group, its clock and its marks."""
    if not _on(metafunc.config) or metafunc.module.__name__.split(".")[-1] != "test_speed":
        return
    state = metafunc.config.stash[STATE]
    assert state.selection is not None
    parameters = []
    for case in state.selection.cases:
        replay = state.replays[case.id] = Replay()
        marks = [
            pytest.mark.benchmark(group=case.group, timer=replay),
            getattr(pytest.mark, case.device),
            getattr(pytest.mark, case.operation),
        ]
        parameters.append(pytest.param(case, id=case.id, marks=marks))
    metafunc.parametrize("case", parameters)


@pytest.fixture
def row(case: Case, request: pytest.FixtureRequest) -> results.Row:
    """What the run found out about the item's case."""
    return request.config.stash[STATE].rows[case.id]


@pytest.fixture
def replay(case: Case, request: pytest.FixtureRequest) -> Replay:
    """The item's clock."""
    return request.config.stash[STATE].replays[case.id]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Measure all selected cases as one plan; then the items run and replay."""
    config = session.config
    if not _on(config) or config.option.collectonly or session.testsfailed or not session.items:
        return
    state = config.stash[STATE]
    chosen = [item.callspec.params["case"] for item in session.items if hasattr(item, "callspec")]
    with _uncaptured(config):
        _measure(state, chosen, config.stash[DIRECTORY], config)
    assert state.run is not None
    state.rows = {found.case.id: found for found in results.rows(state.run.journal)}


def _measure(state: State, chosen: list[Case], directory: Path, config: pytest.Config) -> None:
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
    limit = preset.seconds[any(case.device == "cuda" for case in chosen)]
    seconds = limit - (time.monotonic() - state.began) - min(REPORT_SECONDS, limit / 4)
    excluded = {c.id: selected.excluded[c.id] for c in chosen if c.id in selected.excluded}
    made = plan.make(chosen, pilots, excluded, preset.processes, seconds, preset.block_seconds)
    _say(
        f"samegrad: {len(made.running)} of {len(made.cases)} rows run, processes per "
        f"implementation: {made.processes}, predicted {made.seconds:.0f} s of {seconds:.0f} s, "
        f"blocks of {made.block_seconds:.2f} s per case and process"
    )
    settings = plan.Settings(
        seconds,
        preset.block_seconds,
        preset.warm_up_seconds,
        preset.memory,
        preset.ceilings,
    )
    about = {
        "preset": state.options.preset_name,
        "intervals": preset.intervals,
        "command": _command(config),
        "options": state.options.given,
    }
    _execute(state, made, selected, directory, settings, {"about": about})


def _go_on(state: State, resumed: resume.Resumed, selected: Selection) -> None:
    """The rest of a run, with the settings that it began with."""
    retry = resumed.failed() if state.retry else []
    done = {(case.id, record.get("process")) for case, record in resumed.journal.outcomes}
    _say(
        f"samegrad: going on with {resumed.directory}: {len(done)} outcomes are there"
        + (f", {len(retry)} cases are tried again" if state.retry else "")
    )
    settings = plan.Settings(**resumed.journal.run["settings"])
    options = {"about": {}, "resume": resumed.journal, "retry": retry}
    _execute(state, resumed.plan, selected, resumed.directory, settings, options)


def _execute(
    state: State,
    made: plan.Plan,
    selected: Selection,
    directory: Path,
    settings: plan.Settings,
    options: dict[str, Any],
) -> None:
    progress = Bar()
    try:
        state.run = runner.Run(
            made,
            selected.probes,
            directory,
            settings,
            interpreters=state.options.interpreters,
            progress=progress,
            **options,
        )
        state.run.execute()
    except ValueError as error:  # another process writes this run
        raise pytest.UsageError(str(error)) from None
    except OSError as error:
        what = f"{error.filename or directory}: cannot be written: {error.strerror}"
        raise pytest.UsageError(what) from None
    finally:
        progress.close()


def _command(config: pytest.Config) -> str:
    """What the user typed; `samegrad benchmark` puts options of its own before --benchmark."""
    arguments = [str(argument) for argument in config.invocation_params.args]
    if config.inipath is not None and config.inipath.name == "installed.ini":
        return shlex.join(
            ["samegrad", "benchmark", *arguments[arguments.index("--benchmark") + 1 :]]
        )
    return shlex.join(["pytest", *arguments])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, also of a run that was interrupted."""
    config = session.config
    if not _on(config) or config.stash[STATE].run is None:
        return
    run = config.stash[STATE].run
    assert run is not None
    path = run.writer.path
    try:
        lines = config.hook.pytest_samegrad_report(journal=path, directory=run.directory)
    except OSError as error:
        where = error.filename or run.directory
        lines = [f"no report: {where}: cannot be written: {error.strerror}; journal: {path}"]
    config.stash[STATE].summary = lines or [f"journal: {path}"]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The summary and the report's path are the last things that are printed."""
    if not _on(config):
        return
    state = config.stash[STATE]
    for line in state.summary:
        print(line)
    if state.run is None and DIRECTORY in config.stash:
        with contextlib.suppress(OSError):  # nothing was measured: leave no empty directory
            config.stash[DIRECTORY].rmdir()


def _say(line: str) -> None:
    print(line, flush=True)


def _uncaptured(config: pytest.Config) -> Any:
    manager = config.pluginmanager.getplugin("capturemanager")
    assert manager is not None
    return manager.global_and_fixture_disabled()
