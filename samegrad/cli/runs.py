"""`samegrad runs`: what has been measured, and what may go."""

import contextlib
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED
from samegrad.implementations.contract import columns, commands
from samegrad.implementations.contract.files import PART
from samegrad.implementations.contract.texts import say

# What a run and its report write; a folder that holds anything else is not removed.
WRITTEN = {
    "journal.jsonl", "index.html", "report.md", "results.csv", "results.parquet", "figures",
    "pictures", "weights", "summary.json",
}  # fmt: skip


RIGHT = (2,)  # the columns of numbers


def add(subparsers: Any) -> None:
    """Declare the command and its two commands."""
    parser = subparsers.add_parser("runs", help="list the runs of this checkout or folder; clean")
    parser.commands = parser.add_subparsers(
        dest="action", metavar="list|clean", required=True, parser_class=type(parser)
    )
    for name, help_text in (
        ("list", "name, date, rows, whether complete, machine"),
        ("clean", "remove runs: those that are named, or --incomplete, or --all"),
    ):
        action = parser.commands.add_parser(name, help=help_text)
        action.add_argument(
            "--runs", metavar="DIR", help="where the runs are (default: reports/output)"
        )
        action.set_defaults(run=list_runs if name == "list" else clean, parser=action)
    action.add_argument("names", nargs="*", metavar="RUN", help="names as `runs list` shows them")
    action.add_argument("--incomplete", action="store_true", help="those without an end")
    action.add_argument("--all", action="store_true", help="every run")
    action.add_argument("--yes", action="store_true", help="do not ask")


def list_runs(arguments: Namespace) -> int:
    """Print a line for each run."""
    base = _base(arguments.runs)
    runs = [cells for cells, _ in _runs(base).values()]
    say("\n".join(columns.table(runs, RIGHT)) if runs else f"no runs in {base}")
    return DONE


def clean(arguments: Namespace) -> int:
    """Remove runs; 1 if somebody says no, or if one cannot be removed."""
    base = _base(arguments.runs)
    runs = _runs(base)
    if bool(arguments.names) + arguments.incomplete + arguments.all != 1:
        raise ValueError("give names of runs, or --incomplete, or --all")
    for name in arguments.names:
        if name not in runs:
            raise ValueError(
                f"{name}: no run of samegrad in {base}; `{commands.command('runs', 'list')}` "
                "shows them"
            )
    chosen = [
        name
        for name, (_, complete) in runs.items()
        if arguments.all or name in arguments.names or (arguments.incomplete and not complete)
    ]
    removable = []
    for name in chosen:
        try:
            names = {path.name for path in (base / name).iterdir()}
        except FileNotFoundError:  # somebody else removed it meanwhile
            names = set()
        strangers = sorted(n for n in names - WRITTEN if not n.startswith(PART))
        if strangers:
            say(
                f"{base / name} is kept: it holds what is not ours: {', '.join(strangers)}",
                error=True,
            )
        else:
            removable.append(name)
            say("\n".join(columns.table([runs[name][0]], RIGHT)))
    if removable and not arguments.yes:
        if not sys.stdin.isatty():
            raise ValueError("nobody can be asked here; give --yes to remove these runs")
        if input(f"Remove {len(removable)} runs? [y/N] ").strip().lower() not in ("y", "yes"):
            return FAILED
    import shutil

    for name in removable:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(base / name)
    say(f"{len(removable)} run{'s' * (len(removable) != 1)} removed")
    return DONE if len(removable) == len(chosen) else FAILED


def _base(text: str | None) -> Path:
    from samegrad.benchmarks.runs.directories import output_base

    if text is None:
        return output_base()
    if not Path(text).is_dir():
        raise ValueError(f"--runs {text}: no such folder")
    return Path(text)


def _runs(base: Path) -> dict[str, tuple[tuple[str, ...], bool]]:
    """(cells, whether it is complete) of each run directly below a folder, the oldest first.

    Anything else is passed over.
    """
    from samegrad.benchmarks.records.journal import NotAJournalError, read

    runs: dict[str, tuple[tuple[str, ...], bool]] = {}
    for path in sorted(base.glob("*/journal.jsonl")):
        if path.parent.is_symlink() or path.is_symlink():
            continue
        try:
            journal = read(path)
        except NotAJournalError:
            continue
        name, facts = path.parent.name, journal.run["machine"]
        started = str(journal.run.get("started", "unknown"))[:16]
        state = "complete" if journal.complete else "incomplete"
        machine = f"{facts.get('cpu', 'unknown')}, {facts.get('cores', '?')} cores"
        cells = (name, started, f"{len(journal.cases)} rows", state, machine)
        runs[name] = (cells, journal.complete)
    return runs
