"""`samegrad results`: the published runs, measured and told again."""

import os
import re
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import columns, commands, own_commands
from samegrad.implementations.contract.texts import say

ENDING_SECONDS = 20.0  # for a run that is told to end
CHOSEN_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # results are of what people have


def add(subparsers: Any) -> None:
    """Declare the command and its two commands."""
    parser = subparsers.add_parser(
        "results", help="in a clone: list the published runs; measure and draw them again"
    )
    parser.commands = parser.add_subparsers(
        dest="action", metavar="list|update", required=True, parser_class=type(parser)
    )
    listing = parser.commands.add_parser("list", help="name, date, machine, rows, time it takes")
    listing.set_defaults(run=list_results, parser=listing)
    update = parser.commands.add_parser(
        "update", help="measure, and write figures and documents; of all, if none is named"
    )
    update.add_argument("names", nargs="*", metavar="NAME", help="as `results list` shows them")
    update.add_argument(
        "--keep", action="store_true", help="the runs that are there: write documents only"
    )
    update.set_defaults(run=update_results, parser=update)


def _published() -> Any:
    """The module of published runs.

    Raises:
        ValueError: this is no clone.
    """
    if not commands.IN_CHECKOUT:
        raise ValueError("the published runs lie in a clone of samegrad's repository; run it there")
    commands.require("report", "results")
    from samegrad.reports import published

    return published


def list_results(_: Namespace) -> int:
    """Print a line for each published run."""
    published = _published()
    from samegrad.benchmarks.records import rows
    from samegrad.benchmarks.records.journal import read

    cells = []
    for name, run in published.RUNS.items():
        path = commands.HOME / published.FOLDER / name / published.JOURNAL
        told = "not measured yet"
        if path.exists():
            journal = read(path)
            levels = [row.quality.level for row in rows.rows(journal) if row.status == "ok"]
            counts = ", ".join(f"{levels.count(level)} {level}" for level in dict.fromkeys(levels))
            machine = published.machine_label(journal.run).split(",")[0]
            told = f"{published.date(journal.run)}, {machine}: {counts or 'no rows'}"
        cells.append((name, f"{run.minutes} minutes", told))
    for line in columns.table(cells, right=(1,)):
        say(line)
    return DONE


def update_results(arguments: Namespace) -> int:
    """Measure runs and write what depends on them; 1 if one gave nothing to publish."""
    published = _published()
    for name in arguments.names:
        if name not in published.RUNS:
            raise ValueError(
                f"{name!r} is no published run; there are: {', '.join(published.RUNS)}"
                f"{commands.did_you_mean(name, published.RUNS)}"
            )
    status = DONE
    for name in arguments.names or _possible(published, arguments.keep):
        refused = _updated(published, name, arguments.keep)
        if refused:
            say(f"{name}: {refused}; what was published stays", error=True)
            status = FAILED
        elif (commands.HOME / published.FOLDER / name / published.JOURNAL).exists():
            say(f"{name}: {', '.join(published.pages(name))} and {published.FOLDER / name}")
    return status


def _possible(published: Any, keep: bool) -> list[str]:
    """The runs that this machine can measure; what is only told, any can."""
    from samegrad.benchmarks.machine import gpu

    if keep or gpu.measured():
        return list(published.RUNS)
    for name, run in published.RUNS.items():
        if run.needs_gpu:
            say(f"{name}: no GPU on this machine; what was published stays")
    return [name for name, run in published.RUNS.items() if not run.needs_gpu]


def _updated(published: Any, name: str, keep: bool) -> str:
    """Why nothing new is published, or "".

    Args:
        keep: only what is there is told, or what has been measured already.
    """
    run = _begun(published, name)
    if run is None:
        return _told(published, name) if keep else _measured(published, name)
    if refused := _of_no_use(published, name, run):
        return _told(published, name) if keep else f"{refused}; remove {run} to measure anew"
    say(f"{name}: {run} was being published; that goes on, and nothing is measured")
    return _put(published, name, run)


def _begun(published: Any, name: str) -> Path | None:
    """The run that was cut short, or its publication; if it is gone, the one before is told."""
    run: Path | None = published.begun(name, commands.HOME)
    if run is None or (run / published.JOURNAL).is_file():
        return run
    say(f"{name}: {run} was begun and has no journal; the pages tell of the one before")
    _told(published, name)
    published.end(name, commands.HOME)
    return None


def _of_no_use(published: Any, name: str, run: Path) -> str:
    """Why a run cannot be published, and what goes on with it; or ""."""
    from samegrad.benchmarks.records import rows, schema, states
    from samegrad.benchmarks.records.journal import read

    command = published.RUNS[name].command
    try:
        journal = read(run / published.JOURNAL)
    except ValueError as error:
        return str(error)
    if not journal.complete:
        on = commands.command(command, f"--resume={run}")
        return f"its measurement did not come to its end: `{on}` goes on, then this publishes it"
    failed = [row.case.id for row in rows.rows(journal) if row.status in schema.FAILED]
    if failed and command == "benchmark":
        return f"rows have failed, such as {failed[0]}"
    return "the machine was too busy" * states.run_too_busy(journal.states)


def _told(published: Any, name: str) -> str:
    """Write report and pages of the run that is there, if one is; ""."""
    folder = commands.HOME / published.FOLDER / name
    if (folder / published.JOURNAL).exists():
        _drawn(folder)
        published.write(name, commands.HOME)
    return ""


def _measured(published: Any, name: str) -> str:
    """Why a run gave nothing to publish, or "": then it is published."""
    if refused := _only_here(commands.HOME) or published.refused(name, commands.HOME):
        return str(refused)
    environment = {key: value for key, value in os.environ.items() if key not in CHOSEN_KERNELS}
    # From there, so that no path of this machine is in what is published.
    output = Path(tempfile.mkdtemp(prefix=_beginning(name)))
    run = output / name
    try:
        published.begin(name, commands.HOME, run)  # from here on a kill leaves nothing untold
    except OSError as error:
        output.rmdir()
        return f"{error.filename}: {error.strerror}"
    command = [published.RUNS[name].command, *published.RUNS[name].arguments]
    ended = _ended([*command, "--output", name], output, environment)
    if ended != DONE or not (run / published.JOURNAL).exists():
        refused = f"`{' '.join(command)}` ended with {ended}"
    else:
        refused = _of_no_use(published, name, run)
    if refused:
        published.end(name, commands.HOME)
        return f"{refused} (see {output})"
    return _put(published, name, run)


def _put(published: Any, name: str, run: Path) -> str:
    """Why a run that was measured is not published, or "": then it is, and its folder is gone.

    A kill or an interrupt anywhere, or a full disk: the next `results update` goes on.
    """
    output = run.parent
    try:
        _drawn(run)
        if gone := _gone(published, name, run):
            raise ValueError(f"it has no {gone}, which pages show: it may have been too short")
        published.write(name, commands.HOME, run)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        again = "the next `results update` publishes it"
        return f"{where}{error.strerror or error} (the new run is in {output}; {again})"
    except ValueError as error:
        published.end(name, commands.HOME)
        return f"{error} (the new run is in {output})"
    except KeyboardInterrupt:
        say(f"the new run is in {output}; the next `results update` publishes it", error=True)
        raise
    published.end(name, commands.HOME)
    if output.name.startswith(_beginning(name)):
        shutil.rmtree(output)
    return ""


def _gone(published: Any, name: str, run: Path) -> str:
    """The figures that documents show of a run, and a new one has not."""
    link = re.compile(rf"{published.FOLDER.as_posix()}/{name}/{published.FIGURES}/([\w.-]+)")
    texts = [commands.HOME / "README.md", *(commands.HOME / "docs").glob("*.md")]
    shown = {one for text in texts if text.is_file() for one in link.findall(text.read_text())}
    return ", ".join(sorted(s for s in shown if not (run / published.FIGURES / s).exists()))


def _beginning(name: str) -> str:
    return f"samegrad-{name}-"


def _ended(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """The exit status of a command of ours, which does not outlive this one."""
    child = own_commands.start(arguments, folder, environment)
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            own_commands.end(child, ENDING_SECONDS)
            say(f"what was measured is in {folder}", error=True)


def _only_here(clone: Path) -> str:
    """Why nobody else has the code that is measured, or "": a published run names its commit."""
    from samegrad.benchmarks.machine.checkout import changed
    from samegrad.benchmarks.machine.programs import output

    git = ("git", "-C", str(clone))
    if changed(clone):
        return "files differ from their commit, which it would name: commit them first"
    if output(*git, "remote") and not output(*git, "branch", "-r", "--contains", "HEAD"):
        return "this commit, which it would name, is in no branch of a remote: push it first"
    return ""


def _drawn(folder: Path) -> None:
    """Write report, table and figures of a run."""
    from samegrad.reports.render import render

    render(folder)
