"""`samegrad benchmark`: measure speed and write the report, from whatever folder."""

import os
import shlex
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from typing import Any

from samegrad.benchmarks.command_line import OPTIONS
from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import ACTING, clean, say

EPILOG = """
Other options are those of pytest and pytest-benchmark: -k "mnist and train_step" and -m training,
peers, scaling or spiking select cases, --collect-only lists them, --benchmark-json=FILE and
--benchmark-histogram save them. Of other plugins those take part that -p names.
Options may also stand in [tool.samegrad] of the current folder's pyproject.toml.
"""
# pytest's codes: passed, failed, interrupted, internal error, usage, nothing selected
NOTHING = 5
STATUS = {0: DONE, 1: FAILED, 2: INTERRUPTED, 3: FAILED, 4: USAGE, NOTHING: USAGE}
PLUGIN = "samegrad.benchmarks.plugin"
NEEDED = ("benchmark", PLUGIN)  # without which pytest would run something else


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "benchmark", help="measure speed and write the report", epilog=EPILOG
    )
    for option in OPTIONS:
        parser.add_argument(option.flag, **option.keywords)
    parser.of_pytest = True
    parser.set_defaults(run=run, parser=parser)


def run(arguments: Namespace) -> int:
    """Run pytest on the cases alone; on the other ones of several hosts, do as the first does."""
    from samegrad.implementations.contract import ranks  # NumPy, too, which --help needs not

    if ranks.size() == 1 or ranks.local()[1] > 1:  # of which the latter is refused
        return _measure(arguments)
    commands.require("benchmark", "torch")
    from samegrad.benchmarks.runs import hosts

    return hosts.follow() if ranks.rank() else hosts.lead(lambda: _measure(arguments))


def _measure(arguments: Namespace) -> int:
    """Run pytest with neither configuration nor conftest of the folder."""
    commands.require("benchmark", "benchmark")
    for given in (*arguments.typed[1:], os.environ.get("PYTEST_ADDOPTS", "")):
        if ACTING.search(given):  # pytest shows what is wrong as it was typed
            raise ValueError(f"{clean(given)}: control characters are not accepted here")
    _refuse_to_leave_out(arguments.typed[1:])
    import pytest

    from samegrad import benchmarks

    here = Path(benchmarks.__file__).resolve().parent
    # Where the folder and the configuration are not said, pytest takes them from whatever
    # argument names a folder that exists, such as that of --output.
    options = [
        *("-c", str(here / "installed.ini"), "--rootdir", str(here.parent)),
        *("--noconftest", "--import-mode", "importlib", "-p", "no:cacheprovider"),
        # Whatever else is installed might reorder items, measure coverage or end in a traceback.
        *("--disable-plugin-autoload", "-p", NEEDED[0]),
        *("-p", PLUGIN, "-p", "samegrad.pytest_plugin", "--benchmark"),
    ]
    ended = int(pytest.main([*options, *arguments.typed[1:]]))
    if ended == NOTHING:
        say(
            "samegrad: -k or -m leaves none of the cases that the other options choose: give "
            "another expression, or leave one of them out (--collect-only lists the cases)",
            error=True,
        )
    return STATUS[ended]


def _refuse_to_leave_out(typed: list[str]) -> None:
    """Raise ValueError if an option of pytest's leaves out a plugin that is needed."""
    more = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    for before, word in pairwise(["", *more, *typed]):
        named = word if before == "-p" else word[2:] if word.startswith("-p") else ""
        if named.strip() in [f"no:{name}" for name in NEEDED]:
            raise ValueError(f"-p {named.strip()}: benchmarks need that plugin; leave this out")
