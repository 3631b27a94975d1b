"""`samegrad versions`: the same step over versions of a library, and of Python."""

import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from samegrad.cli.parser import DONE, FAILED, seconds_or_none
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

EPILOG = """
A version is a package and its number, and variables: jax==0.4.30 "jax==0.4.35 XLA_FLAGS=..."
Its environment is made once and kept in the cache of the user (docs/versions.md).
"""
OPTIONS = {
    "python": ("NAME=PATH,...", "interpreters to make environments with (default: this one)"),
    "layers": ("SIZES", "networks, for example 64-32-10,784-128-64-10 (default: three small ones)"),
    "batch_size": ("SIZES", "for example 1,32 (default: 32)"),
    "processes": ("N", "of each version, at least 5 for intervals (default: 10)"),
}


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "versions", help="time one step over versions of JAX, NumPy or torch", epilog=EPILOG
    )
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="oldest first; two or more")
    for name, (metavar, told) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=told)
    parser.add_argument("--output", metavar="DIR", help="default: a new one in reports/output")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run; what now installs, too")
    parser.add_argument(
        "--wait-quiet",
        type=seconds_or_none,
        default=0.0,
        metavar="SECONDS",
        help="for a quiet machine at most",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Measure, and write the report; prints its summary and its path."""
    for extra in ("benchmark", "report"):
        commands.require(extra, "versions")
    from samegrad.benchmarks.records import rows
    from samegrad.benchmarks.records.journal import read
    from samegrad.benchmarks.runs import directories
    from samegrad.benchmarks.versions import run as measured
    from samegrad.reports.render import render

    typed = {name: value for name in OPTIONS if (value := getattr(arguments, name)) is not None}
    journal = None
    if arguments.resume is None:
        request = measured.parse("\n".join(arguments.versions), **typed)
        output = None if arguments.output is None else Path(arguments.output)
        directory = directories.run_directory(output)
    else:
        if typed or arguments.versions or arguments.output is not None:
            raise ValueError("--resume: its versions and options are those of the run; give none")
        directory, request, journal = measured.resumed(arguments.resume)
    directories.check_writable(directory)
    command = shlex.join(["samegrad", *arguments.typed])
    measured.measure(request, directory, command, arguments.wait_quiet, journal)
    for line in render(directory).lines:
        say(line, error=line.startswith("warning:"))
    if nothing := rows.without_use(rows.rows(read(directory / "journal.jsonl"))):
        say(nothing, error=True)
    return FAILED if nothing else DONE
