"""The command `samegrad`: one tree, a file per command.

Each file has `add(commands)`, which declares the command, and `run(arguments)`, which returns the
exit status and imports what it needs, so that `samegrad --help` loads nothing.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from samegrad.benchmarks import command_line
from samegrad.cli import (
    advise,
    archive,
    benchmark,
    compare,
    completion,
    doctor,
    exercise,
    fleet,
    gpu_proof,
    pictures,
    render,
    results,
    runs,
    schema,
    selftest,
    site,
    streams,
    train,
    verify,
    versions,
    workloads,
)
from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE, Parser
from samegrad.implementations.contract import commands
from samegrad.implementations.contract.texts import say

# Those that `--help` lists, by name.
SHOWN = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module
    for module in (
        benchmark, verify, train, render, compare, advise, doctor, selftest, workloads, runs,
        results, fleet, archive, site, exercise, pictures, gpu_proof, versions, completion,
    )
}  # fmt: skip

# What other programs call what a command does.
ALSO = {
    "report": "render", "show": "render", "check": "verify", "bench": "benchmark",
    "measure": "benchmark", "time": "benchmark", "diff": "compare", "plot": "pictures",
    "list": "runs list", "clean": "runs clean",
}  # fmt: skip

# What an interrupt lets these finish or remove: a journal and its report, folders, a file. Every
# other command ends where it is: C code and mpmath turn KeyboardInterrupt into something else.
HOLDING = (
    "benchmark", "doctor", "selftest", "train", "render", "pictures", "results", "gpu-proof",
    "archive", "site", "fleet", "versions",
)  # fmt: skip
OTHERS = ("SIGTERM", "SIGHUP")  # which, to those that hold something, mean the same


def tree() -> Parser:
    """All commands with their options."""
    parser = Parser(
        prog=commands.command(),
        description="The same network in several idioms: verified, timed, compared.",
    )
    parser.commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (*SHOWN.values(), schema):
        module.add(parser.commands)
    _describe(parser)
    return parser


def _describe(parser: Parser) -> None:
    """Let the help of each command begin with what it does, as the list of all has it."""
    for listed in parser.commands._choices_actions if parser.commands else ():
        own, said = parser.named()[listed.dest], str(listed.help)
        own.description = f"{said[0].upper()}{said[1:]}" + "." * (said[-1] not in ".?")
        _describe(own)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, which `--help` explains."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    os.umask(os.umask(0) & 0o077)  # what is written can be read, and removed, by who writes it
    with streams.outputs() as written:
        status = _ended(given)
        for stream in written:
            try:
                stream.flush()
            except BrokenPipeError:  # what is left of it would be the interpreter's last error
                stream.give_up()
        for stream, name in zip(written, ("standard output", "standard error"), strict=True):
            if stream.lost:
                say(f"{name}: {stream.lost}; not everything could be shown", error=True)
                status = status or FAILED
    return status


def _ended(given: list[str]) -> int:
    """The exit status of a command, however it ends."""
    try:
        Path.cwd()  # which all that is relative is relative to
    except OSError as error:
        what = f"the current folder cannot be found ({error.strerror}); go to another one: cd /"
        say(f"samegrad: error: {what}", error=True)
        return USAGE
    asked = threading.Event()
    try:
        with _interruptible(asked, holding=bool(given) and given[0] in HOLDING):
            status = _main(given)
            sys.stdout.flush()
    except SystemExit as end:  # of the parsers: --help, --version, an error
        status = int(end.code or DONE)
    except (KeyboardInterrupt, SystemError, RuntimeError) as error:
        # The latter two are what C code makes of an interrupt in the midst of it.
        known = asked.is_set() or isinstance(error.__cause__, KeyboardInterrupt)
        if not known and not isinstance(error, KeyboardInterrupt):
            raise
        say("interrupted", error=True)
        status = INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        status = FAILED
    return status


@contextlib.contextmanager
def _interruptible(asked: threading.Event, holding: bool) -> Iterator[None]:
    """Let Ctrl-C end the command at once; if it holds something, the second one does.

    Args:
        asked: is set when the first one is heard.
    """
    heard = [signal.SIGINT]  # else somebody else decides, such as nohup
    if holding:
        named = [getattr(signal, name) for name in OTHERS if hasattr(signal, name)]
        heard += [number for number in named if signal.getsignal(number) is signal.SIG_DFL]

    def hear(handler: Any) -> None:
        for number in heard:
            signal.signal(number, handler)

    def end(*_: object) -> NoReturn:
        hear(signal.SIG_IGN)
        processes = sys.modules.get("samegrad.implementations.checking.processes")
        if processes is not None and hasattr(processes, "end_all"):
            processes.end_all()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted\n")
        os._exit(INTERRUPTED)

    def first(*_: object) -> NoReturn:
        asked.set()
        hear(end)  # stays, while what is held is let go
        raise KeyboardInterrupt

    ours = first if holding else end
    if threading.current_thread() is not threading.main_thread():  # that one alone hears of it
        yield
        return
    before = {number: signal.getsignal(number) for number in heard}
    if before[signal.SIGINT] is not signal.default_int_handler:
        heard.remove(signal.SIGINT)
    hear(ours)
    try:
        yield
    except KeyboardInterrupt:
        if any(signal.getsignal(number) is end for number in heard):
            hear(signal.SIG_IGN)  # all is let go, and the interpreter ends
        raise
    finally:
        for number in heard:
            if signal.getsignal(number) is ours:
                signal.signal(number, before[number])


def _main(arguments: list[str]) -> int:
    parser = tree()
    if not arguments:
        parser.print_help(sys.stderr)
        return USAGE
    name = arguments[0]
    if name in ("-h", *parser.options()):  # which end here
        parser.parse_args([name])
    if name not in parser.named():
        near = f"; did you mean {ALSO[name]!r}?" if name in ALSO else ""
        parser.error(
            f"there is no command {name!r}{near or commands.did_you_mean(name, SHOWN)} "
            f"(commands: {', '.join(SHOWN)})"
        )
    command = parser.named()[name]
    try:
        if name != "benchmark":  # its plugin reads them
            settings = command_line.read_settings(Path.cwd(), name, command.settable())
            command.preset(settings)
        options, rest = parser.parse_known_args(arguments)
        command, options.typed, options.rest = options.parser, arguments, rest
        if command.of_pytest:
            command.refuse_misspelt(rest)
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
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # of pathlib until Python 3.13, then OSError
            raise
        command.error(f"{error}: links lead in a circle; give another place")
