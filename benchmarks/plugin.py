"""The pytest plugin behind `pytest --benchmark`.

The selected items are measured as one plan before the first of them runs; each item then hands
its process medians to pytest-benchmark through a timer that replays them. Writing the report is
left to whoever implements the hook `pytest_samegrad_report`.
"""

import contextlib
import importlib
import os
import re
import shlex
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samegrad.benchmarks import pytest_output
from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.presets import GROUPS
from samegrad.benchmarks.cases.workload import TRAINING, Workload
from samegrad.benchmarks.command_line import OPTIONS, read_settings
from samegrad.benchmarks.foreign import refuse_options, refuse_storage, spare_inputs
from samegrad.benchmarks.records import rows
from samegrad.benchmarks.runs import directories
from samegrad.benchmarks.runs import session as session_module
from samegrad.benchmarks.runs.options import parse
from samegrad.benchmarks.runs.run import Run
from samegrad.benchmarks.runs.session import Replay, State
from samegrad.implementations.contract.columns import sentences
from samegrad.implementations.contract.commands import command, require
from samegrad.implementations.contract.texts import clean, no_value, say

HERE = Path(__file__).resolve().parent
NEEDED = ("python", "skipping")  # plugins of pytest: cases are items, some without a number

# Asked for one of these, pytest-benchmark shows its own table, too.
ITS_TABLE = re.compile(r"--benchmark-(columns|sort|group-by|name|verbose|compare)\b.*")
# And for one of these it uses its storage.
ITS_STORAGE = re.compile(r"--benchmark-(storage|save|autosave|compare)\b")
SAVES = re.compile(r"--benchmark-(json|save|autosave)\b")


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


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """--benchmark and what goes with it."""
    spare_inputs(_typed(pluginmanager.get_plugin("pytestconfig")))  # --debug writes once it is read
    group = parser.getgroup("samegrad", "samegrad: speed of the implementations")
    add = group.addoption
    # Destinations of their own: a conftest may have a --device, too.
    add("--benchmark", action="store_true", dest="samegrad_benchmark",
        help="measure speed and write the report")  # fmt: skip
    for option in OPTIONS:
        add(option.flag, dest=f"samegrad_{option.name}", **option.keywords)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Say of what was typed for `samegrad benchmark` what nobody takes; no conftest will."""
    if not pytest_output.ours(early_config):
        return
    refuse_options(_typed(early_config))
    for option in parser.parse_known_and_unknown_args(args)[1]:
        raise pytest.UsageError(
            f"{clean(option)}: samegrad, pytest and pytest-benchmark have no such option; another "
            "plugin of pytest takes part if -p names it"
        )


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"samegrad_{name}")


def _options(config: pytest.Config) -> dict[str, str]:
    """The options of a run, as they were typed or stand in pyproject.toml."""
    typed = {option.name: _option(config, option.name) for option in OPTIONS}
    for name, value in typed.items():
        text = "--" if value == [] else value  # which argparse makes of it
        if isinstance(text, str) and (wrong := no_value(text)):
            raise pytest.UsageError(f"--{name.replace('_', '-')}: {wrong}")
    options: dict[str, str] = {name: value for name, value in typed.items() if value}
    if not _option(config, "benchmark"):
        return options
    marks = config.getoption("markexpr")
    training = _asks_for(TRAINING, marks)
    group = next((name for name in GROUPS if _asks_for(name, marks)), None)
    if group is not None and options.get("preset", group) != group:
        raise pytest.UsageError(f"-m {group} is a preset itself; leave out --preset")
    if "resume" not in options:  # which keeps the options that it began with
        options = _settings(config, training, group) | options
    if training:
        options["kind"] = TRAINING
    if group is not None:
        options["preset"] = group
    return options


def _settings(config: pytest.Config, training: bool, group: str | None) -> dict[str, Any]:
    """Options of the current folder's pyproject.toml, without those that -m makes meaningless."""
    accepted = {
        option.name: option.metavar is None
        for option in OPTIONS
        if option.name not in ("resume", "retry_failed")
    }
    try:
        settings = read_settings(config.invocation_params.dir, "benchmark", accepted)
    except ValueError as error:
        raise pytest.UsageError(clean(str(error))) from None
    dropped: tuple[str, ...] = ("preset",) if group else ()
    if training:
        dropped = ("preset", "layers", "batch_size", "threads", "processes", "time")
    return {name: value for name, value in settings.items() if name not in dropped}


def _asks_for(name: str, marks: str) -> bool:
    """Whether -m asks for a group; nothing else is then measured."""
    return re.search(rf"\b{name}\b", re.sub(rf"\bnot\s+{name}\b", "", marks)) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the command line, and collect benchmarks/ and nothing else."""
    options = _options(config)
    if not _option(config, "benchmark"):
        for name in options:
            raise pytest.UsageError(f"--{name.replace('_', '-')} goes with --benchmark")
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        require("benchmark", "--benchmark")
        raise pytest.UsageError("--benchmark needs pytest-benchmark's plugin, which is not loaded")
    run, retry = options.pop("resume", None), bool(options.pop("retry_failed", False))
    if retry and run is None:
        raise pytest.UsageError("--retry-failed goes with --resume RUN")
    anew = {name: options.pop(name) for name in session_module.ANEW if run and name in options}
    if run is not None and options.keys() - {"kind"}:
        option = next(iter(options)).replace("_", "-")
        raise pytest.UsageError(f"--{option}: a resumed run keeps the options that it began with")
    for name in NEEDED:
        if not config.pluginmanager.hasplugin(name):
            raise pytest.UsageError(f"-p no:{name}: --benchmark needs that plugin; leave this out")
    refuse_options(_typed(config))
    refuse_storage(str(config.option.benchmark_storage))
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        _refuse_foreign_paths(config)
    else:
        config.args[:] = [str(HERE / "test_speed.py")]
    if not any(map(ITS_TABLE.fullmatch, _typed(config))):
        config.option.benchmark_quiet = True
    if not any(map(ITS_STORAGE.match, _typed(config))):  # it makes the folder of an empty one, too
        config.option.benchmark_storage = f"file://{tempfile.gettempdir()}"
    try:
        resumed = None if run is None else session_module.load(run, retry, anew)
        parsed = parse(**options) if resumed is None else resumed.options
        state = config.stash[STATE] = State(parsed, resumed, retry)
    except (ValueError, OSError) as error:
        raise pytest.UsageError(_line(error)) from None
    pytest_output.silence(config, _typed(config))
    devices = {"cpu", "cuda", *(state.options.devices or ())}
    operations = {name for kind in Workload.kinds.values() for name in kind.operations}
    for mark in {*devices, TRAINING, *GROUPS, *operations}:
        config.addinivalue_line("markers", f"{mark}: benchmark cases of that device or operation")


def _typed(config: Any) -> list[str]:
    """All that was typed for pytest."""
    more = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    return [*more, *map(str, config.invocation_params.args)]


def _refuse_foreign_paths(config: pytest.Config) -> None:
    for argument in config.args:
        # Without an error where links lead in a circle, of pathlib's.
        path = Path(os.path.realpath(config.invocation_params.dir / argument.split("::")[0]))
        if path != HERE and path != HERE / "test_speed.py":
            raise pytest.UsageError(
                f"{clean(argument)}: --benchmark collects benchmarks/ only; select cases with -k "
                "or -m"
            )


class SpeedModule(pytest.Module):
    """The module of test_speed.py under the one name that it has: never a second copy of it."""

    def _getobj(self) -> Any:
        return importlib.import_module("samegrad.benchmarks.test_speed")


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """pytest would load the file as `benchmarks.test_speed`, and the package with it."""
    if module_path != HERE / "test_speed.py":
        return None
    module: pytest.Module = SpeedModule.from_parent(parent, path=module_path)
    return module


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """For the same reason: as a plain folder, not as a package."""
    if HERE not in (path, *path.parents):
        return None
    directory: pytest.Dir = pytest.Dir.from_parent(parent, path=path)
    return directory


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
                directories.run_directory(state.options.output)
                if state.resumed is None
                else state.resumed.directory
            )
            session.config.stash[DIRECTORY] = directory
            directories.check_writable(directory)
        with _uncaptured(session.config):
            for note in state.select(not session.config.option.collectonly).notes:
                say(f"samegrad: {note}")
    except BrokenPipeError:  # whoever read the output has seen enough
        raise
    except (ValueError, OSError) as error:
        raise pytest.UsageError(_line(error)) from None


def _line(error: ValueError | OSError) -> str:
    """What a user is told of what was given."""
    if isinstance(error, OSError):
        return clean(f"{error.filename or 'a file'!s:.200}: {error.strerror or error}")
    return clean(str(error))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item per case, with its group, its clock and its marks."""
    if not _on(metafunc.config) or metafunc.module.__name__.split(".")[-1] != "test_speed":
        return
    state = metafunc.config.stash[STATE]
    parameters = []
    for case in state.selection.cases if state.selection else ():  # --fixtures selects nothing
        replay = state.replays[case.id] = Replay()
        marks = [
            pytest.mark.benchmark(group=clean(case.group), timer=replay),
            getattr(pytest.mark, case.device),
            getattr(pytest.mark, case.operation),
        ]
        if state.options.preset_name in GROUPS:
            marks.append(getattr(pytest.mark, state.options.preset_name))
        parameters.append(pytest.param(case, id=case.id, marks=marks))
    metafunc.parametrize("case", parameters)


@pytest.fixture
def row(case: Case, request: pytest.FixtureRequest) -> rows.Row:
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
    directory = config.stash[DIRECTORY]
    try:
        with _uncaptured(config):
            session_module.measure(state, chosen, directory, pytest_output.command(config))
    except ValueError as error:  # another process writes this run
        raise pytest.UsageError(clean(str(error))) from None
    except OSError as error:
        what = f"{error.filename or directory}: cannot be written: {error.strerror}"
        raise pytest.UsageError(clean(what)) from None
    assert state.run is not None
    state.rows = {row.case.id: row for row in rows.rows(state.run.journal)}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Write the report whatever else could not be written, such as --junitxml."""
    run = session.config.stash[STATE].run if _on(session.config) else None
    if run is None:
        return (yield)
    lost = ""
    try:
        with warnings.catch_warnings():
            # Of pytest-benchmark; the report says it.
            warnings.filterwarnings("ignore", "Not saving anything")
            yield
    except pytest.exit.Exception:
        raise
    except Exception as error:
        lost = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError):
            lost = f"{error.filename or 'a file of pytest'}: cannot be written: {error.strerror}"
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    finally:
        lines = _report(session, run)
        session.config.stash[STATE].summary = [lost, *lines] if lost else lines


def _report(session: pytest.Session, run: Run) -> list[str]:
    """What is printed last; of a run that was interrupted, too, and without a report not 0."""
    config, path = session.config, run.writer.path
    try:
        lines = config.hook.pytest_samegrad_report(journal=path, directory=run.directory)
    except Exception as error:  # whatever it is, it costs the report and no result
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if isinstance(error, OSError):
            reason = f"{error.filename or run.directory}: cannot be written: {error.strerror}"
        again = command("render", str(run.directory))
        lines = [f"no report: {reason}; journal: {path}; once that is mended: {again}"]
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    lines = list(lines or [f"journal: {path}"])
    if pytest_output.silent(config):
        lines[-1:-1] = sentences(pytest_output.without_number(config.stash[STATE].rows.values()))
    if not run.journal.complete:
        lines.insert(-1, f"to go on: {command('benchmark', f'--resume={run.directory}')}")
    if nothing := rows.without_use(config.stash[STATE].rows.values()):
        saves = any(map(SAVES.match, _typed(config)))
        lines.insert(-1, nothing + "; no row is there to be saved" * saves)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    return lines


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The summary and the report's path are the last things that are printed."""
    if not _on(config):
        return
    state = config.stash[STATE]
    for line in state.summary:
        say(line)
    if state.run is None and DIRECTORY in config.stash:
        with contextlib.suppress(OSError):  # nothing was measured: leave no empty directory
            config.stash[DIRECTORY].rmdir()


def _uncaptured(config: pytest.Config) -> Any:
    manager = config.pluginmanager.getplugin("capturemanager")  # none with -p no:capture
    return contextlib.nullcontext() if manager is None else manager.global_and_fixture_disabled()
