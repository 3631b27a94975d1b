"""The command `samegrad`: one tree, a file per command.

Each file has `add(commands)`, which declares the command, and `run(arguments)`, which returns the
exit status and imports what it needs, so that `samegrad --help` loads nothing.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from samegrad.benchmarks import command_line
from samegrad.cli import (
    advise,
    benchmark,
    compare,
    completion,
    doctor,
    render,
    runs,
    schema,
    selftest,
    train,
    verify,
    workloads,
)
from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE, Parser
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

# Those that `--help` lists, by name.
SHOWN = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        benchmark, verify, train, render, compare, advise, doctor, selftest, workloads, runs,
        completion,
    )
}  # fmt: skip


def tree() -> Parser:
    """All commands with their options."""
    parser = Parser(
        prog=commands.command(),
        description="The same network in several idioms: verified, timed, compared.",
    )
    parser.commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (*SHOWN.values(), schema):
        module.add(parser.commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, which `--help` explains."""
    try:
        status = _main(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except SystemExit as end:  # of the parsers: --help, --version, an error
        return int(end.code or DONE)
    except (KeyboardInterrupt, SystemError) as error:
        # The latter is what C code makes of an interrupt in the midst of it.
        if isinstance(error, SystemError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        say("interrupted", error=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _main(arguments: list[str]) -> int:
    parser = tree()
    if not arguments:
        parser.print_help(sys.stderr)
        return USAGE
    name = arguments[0]
    if not name.startswith("-") and name not in parser.named():
        parser.error(
            f"there is no command {name!r}{commands.did_you_mean(name, SHOWN)} "
            f"(commands: {', '.join(SHOWN)})"
        )
    command = parser.named().get(name, parser)
    try:
        if command is not parser and name != "benchmark":  # its plugin reads them
            settings = command_line.read_settings(Path.cwd(), name, command.settable())
            command.preset(settings)
        options, rest = parser.parse_known_args(arguments)
        command = options.parser
        if name == "benchmark":
            command.refuse_misspelt(rest)
            options.rest = arguments[1:]
        elif rest:
            command.refuse(rest)
        return int(options.run(options))
    except ModuleNotFoundError as error:
        line = commands.missing_extra(error)
        if line is None:
            raise
        command.error(line)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        command.error(f"{where}{error.strerror or error}")
    except (ValueError, ImportError, NotImplementedError) as error:
        command.error(str(error))
