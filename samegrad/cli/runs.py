"""`samegrad runs`: what has been measured, and what may go."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from samegrad.cli.parser import DONE, FAILED

# What a run and its report write; a folder that holds anything else is not removed.
WRITTEN = {
    "journal.jsonl", "index.html", "report.md", "results.csv", "results.parquet", "figures",
    "pictures", "weights",
}  # fmt: skip


class Summary(NamedTuple):
    """One run in the list.

    Attributes:
        folder: where it lies.
        started, machine: from the first record of its journal.
        rows: how many cases it has.
        complete: whether it came to its end.
    """

    folder: Path
    started: str
    machine: str
    rows: int
    complete: bool

    def __str__(self) -> str:
        state = "complete" if self.complete else "incomplete"
        return (
            f"{self.folder.name:40} {self.started[:16]:17} {self.rows:5} rows  {state:10}  "
            f"{self.machine}"
        )


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
    summaries = list(_summaries(base))
    for summary in summaries:
        print(summary)
    if not summaries:
        print(f"no runs in {base}")
    return DONE


def clean(arguments: Namespace) -> int:
    """Remove runs; 1 if somebody says no, or if one cannot be removed."""
    base = _base(arguments.runs)
    summaries = {summary.folder.name: summary for summary in _summaries(base)}
    if bool(arguments.names) + arguments.incomplete + arguments.all != 1:
        raise ValueError("give names of runs, or --incomplete, or --all")
    for name in arguments.names:
        if name not in summaries:
            raise ValueError(f"{name}: no run of samegrad in {base}; `runs list` shows them")
    chosen = [
        summary
        for name, summary in summaries.items()
        if arguments.all
        or name in arguments.names
        or (arguments.incomplete and not summary.complete)
    ]
    removable = [summary for summary in chosen if not _strangers(summary.folder)]
    for summary in chosen:
        strangers = _strangers(summary.folder)
        if strangers:
            print(
                f"{summary.folder} is kept: it holds what is not ours: {', '.join(strangers)}",
                file=sys.stderr,
            )
    for summary in removable:
        print(summary)
    if removable and not arguments.yes:
        if not sys.stdin.isatty():
            raise ValueError("nobody can be asked here; give --yes to remove these runs")
        if input(f"Remove {len(removable)} runs? [y/N] ").strip().lower() not in ("y", "yes"):
            return FAILED
    import shutil

    for summary in removable:
        shutil.rmtree(summary.folder)
    print(f"{len(removable)} runs removed")
    return DONE if len(removable) == len(chosen) else FAILED


def _base(text: str | None) -> Path:
    from samegrad.benchmarks.runs.directories import output_base

    if text is None:
        return output_base()
    if not Path(text).is_dir():
        raise ValueError(f"--runs {text}: no such folder")
    return Path(text)


def _summaries(base: Path) -> Iterator[Summary]:
    """The runs directly below a folder, the oldest first; anything else is passed over."""
    from samegrad.benchmarks.records.journal import NotAJournalError, read

    for path in sorted(base.glob("*/journal.jsonl")):
        if path.parent.is_symlink() or path.is_symlink():
            continue
        try:
            journal = read(path)
        except NotAJournalError:
            continue
        facts = journal.run["machine"]
        yield Summary(
            path.parent,
            str(journal.run.get("started", "unknown")),
            f"{facts.get('cpu', 'unknown')}, {facts.get('cores', '?')} cores",
            len(journal.cases),
            journal.complete,
        )


def _strangers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in WRITTEN)
