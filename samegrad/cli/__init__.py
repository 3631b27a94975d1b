"""The command `samegrad`: one tree, a file per command.

Each file has `add(commands)`, which declares the command, and `run(arguments)`, which returns the
exit status and imports what it needs, so that `samegrad --help` loads nothing.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from samegrad import __version__
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

SHOWN = (
    benchmark, verify, train, render, compare, advise, doctor, selftest, workloads, runs, completion
)  # fmt: skip
HIDDEN = (schema,)


def tree() -> Parser:
    """All commands with their options."""
    parser = Parser(
        prog=commands.command(),
        description="The same network in several idioms: verified, timed, compared.",
    )
    parser.commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (*SHOWN, *HIDDEN):
        module.add(parser.commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, which `--help` explains."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _main(given)
        sys.stdout.flush()
    except SystemExit as end:  # of the parsers: --help, --version, an error
        return int(end.code or DONE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemError as error:  # what C code makes of an interrupt in the midst of it
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _main(given: list[str]) -> int:
    parser = tree()
    names = tuple(parser.named())
    if given[:1] and not given[0].startswith("-") and given[0] not in names:
        shown = [module.__name__.rpartition(".")[2] for module in SHOWN]
        parser.error(
            f"there is no command {given[0]!r}{commands.did_you_mean(given[0], shown)} "
            f"(commands: {', '.join(shown)})"
        )
    if not given:
        parser.print_help(sys.stderr)
        return USAGE
    chosen = parser.named().get(given[0])
    if chosen is not None and given[0] != "benchmark":  # its plugin reads them
        try:
            options = chosen.settable()
            chosen.preset(command_line.read_settings(Path.cwd(), given[0], options))
        except ValueError as error:
            chosen.error(str(error))
    found, rest = parser.parse_known_args(given)
    command: Parser = found.parser
    if given[0] == "benchmark":
        command.refuse_misspelt(rest)
        found.rest = given[1:]
    elif rest:
        command.refuse(rest)
    try:
        return int(found.run(found))
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


__all__ = ["__version__", "main", "tree"]
