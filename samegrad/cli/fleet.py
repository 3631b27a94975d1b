"""`samegrad fleet benchmark`: one benchmark on many machines, and one report of all."""

import errno
import os
import signal
import subprocess
import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from samegrad.benchmarks.command_line import OPTIONS
from samegrad.cli.parser import DONE, FAILED, INTERRUPTED, USAGE
from samegrad.implementations.contract import commands, own_commands
from samegrad.implementations.contract.texts import say

TRIES = 3
POLL_SECONDS, SAY_SECONDS = 1.0, 15.0
CHECK_SECONDS = 300.0  # to read the options of a benchmark: on a shared disk imports are slow
MOST_TOLD = 8  # machines whose progress is told one by one
FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
OWN = ("output", "resume", "retry_failed")  # options of a run that the fleet gives itself
EPILOG = """
Other options are those of `samegrad benchmark`. The same command with --folder goes on with a fleet
that was interrupted, and tries lost machines again.
"""


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("fleet", help="one benchmark on many machines, one report")
    parser.commands = parser.add_subparsers(
        dest="action", metavar="benchmark", required=True, parser_class=type(parser)
    )
    action = parser.commands.add_parser(
        "benchmark", help="a run on each machine; what dies is resumed", epilog=EPILOG
    )
    where = action.add_mutually_exclusive_group(required=True)
    where.add_argument("--slurm", metavar="N", help="so many machines of a Slurm cluster")
    where.add_argument("--local", metavar="N", help="so many runs on this machine, for tests")
    action.add_argument(
        "--slurm-options", metavar="NAME=VALUE,...", help="of sbatch, such as partition=gpu"
    )
    action.add_argument(
        "--folder", metavar="DIR", help="that all machines see (default: reports/output/FLEET)"
    )
    action.add_argument(
        "--tries", metavar="N", default=str(TRIES), help=f"jobs of a machine (default: {TRIES})"
    )
    for option in OPTIONS:
        if option.name not in OWN:
            action.add_argument(option.flag, **option.keywords)
    action.of_pytest = True
    action.set_defaults(run=run, parser=action)


def run(arguments: Namespace) -> int:
    """Run the benchmark on each machine; 1 if one was lost, or no row has a usable number."""
    commands.require("benchmark", "fleet")
    commands.require("fleet", "fleet")
    from samegrad.benchmarks.fleet import folder as folders
    from samegrad.benchmarks.fleet.jobs import Jobs
    from samegrad.benchmarks.records import fleets
    from samegrad.benchmarks.runs.directories import check_writable
    from samegrad.implementations.contract.files import named

    count = _number("--local" if arguments.local else "--slurm", arguments.local or arguments.slurm)
    tries = _number("--tries", arguments.tries)
    if arguments.local and arguments.slurm_options:
        raise ValueError("--slurm-options goes with --slurm")
    given = _of_benchmark(arguments)
    place = named("--folder", arguments.folder) if arguments.folder else _new_folder()
    folder = place.resolve()
    slurm = None if arguments.local else _slurm(arguments.slurm_options)
    with TemporaryDirectory() as nowhere:  # what is wrong with Slurm leaves no folder behind
        Jobs(Path(nowhere), slurm)
    _check(given)
    folders.begin(folder, given, count)
    if (before := fleets.machines(folder)) > count:
        flag = "--local" if arguments.local else "--slurm"
        raise ValueError(
            f"{flag} {count}: {place} has runs of {before} machines, which the report would lack; "
            f"give {flag} {before}, or another folder"
        )
    check_writable(folder, "--folder")
    jobs = Jobs(folder / folders.JOBS, slurm)
    shared = f"{count} runs of a fleet for tests" if arguments.local else ""
    tasks = {
        number: folders.Task(
            str(folder), number, str(Path.cwd()), tuple(given), folders.code(), shared
        )
        for number in range(1, count + 1)
    }
    say(f"fleet: {count} machine{'s' * (count > 1)}, {place}")
    watched = _Watched(folder, jobs, tasks, tries)
    try:
        watched.watch()
    except KeyboardInterrupt:
        jobs.end(list(watched.running.values()))
        again = "the same command" + ("" if arguments.folder else f" and --folder {place}")
        say(f"interrupted; what was measured is in {place}; to go on: {again}", error=True)
        return INTERRUPTED
    return _reported(folder, count, watched.lost)


def _number(flag: str, text: str) -> int:
    from samegrad.benchmarks.records.fleets import MOST_MACHINES

    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_MACHINES):
        raise ValueError(f"{flag} {text!r:.60}: give a whole number from 1 to {MOST_MACHINES}")
    return int(text)


def _slurm(text: str | None) -> dict[str, str]:
    """Parameters of sbatch, as typed."""
    found = {}
    for part in (text or "").split(","):
        name, equals, value = part.partition("=")
        if part and not (equals and name.strip().isidentifier() and value.strip()):
            raise ValueError(
                f"--slurm-options {part!r:.60}: give NAME=VALUE, such as partition=gpu"
            )
        if part:
            found[name.strip()] = value.strip()
    return found


def _of_benchmark(arguments: Namespace) -> list[str]:
    """What each machine's `samegrad benchmark` is given, as it would be typed."""
    given: list[str] = []
    for option in OPTIONS:
        value = getattr(arguments, option.name, None)
        if value and option.metavar is None:
            given.append(option.flag)
        elif value:
            given.append(f"{option.flag}={value}")
    for text in arguments.rest:
        name = text.split("=")[0]
        if name in {f"--{own.replace('_', '-')}" for own in OWN}:
            raise ValueError(f"{name}: each machine has its own; give --folder of the fleet")
    return [*given, *arguments.rest]


def _check(given: list[str]) -> None:
    """Raise ValueError if `samegrad benchmark` refuses its options, before any job finds out.

    It lists pytest's markers, for which it reads all of them and looks at no device.
    """
    with own_commands.start(
        ["benchmark", "--markers", *given], Path.cwd(), os.environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        try:
            _, said = child.communicate(timeout=CHECK_SECONDS)
        except subprocess.TimeoutExpired:  # somebody's plugin of pytest, say
            own_commands.end(child, 0.0)
            late = f"the options could not be read within {CHECK_SECONDS:.0f} s"
            raise ValueError(late) from None
    if child.returncode == USAGE:
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines
        raise ValueError(errors[0].removeprefix("ERROR: ") if errors else "they are refused")


def _new_folder() -> Path:
    from samegrad.benchmarks.runs.directories import output_base

    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return output_base() / f"{stamp}-fleet"


def measure(task: Any) -> str:
    """In a job, on its machine: begin its run, or go on with it.

    Returns:
        Why nothing was measured, or "".
    """
    from samegrad.benchmarks.fleet import folder as folders
    from samegrad.benchmarks.machine import system
    from samegrad.benchmarks.records import fleets
    from samegrad.cli import main

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it; a run ends in good order
    folder = Path(task.folder)
    if not (folder / fleets.NAME).is_file():
        return f"{folder} is not there on {_host()}: give --folder on a disk that all machines see"
    if (here := folders.code()) != task.code:
        return f"the code on {_host()} is not that of the fleet ({here}, {task.code})"
    os.chdir(task.start)
    if task.shared:
        os.environ[system.SHARED] = task.shared
    path, goes_on = folders.place(folder, task.number)
    written = os.path.relpath(path)  # without a name of this machine
    say(f"machine {task.number} on {_host()}: {written}")
    if goes_on:
        main(["benchmark", f"--resume={written}"])
    else:
        main(["benchmark", f"--output={written}", *task.arguments])
    return ""


def _host() -> str:
    import platform

    return platform.node() or "an unnamed machine"


class _Watched:
    """The machines of a fleet, until each has come home or is lost."""

    def __init__(self, folder: Path, jobs: Any, tasks: dict[int, Any], tries: int) -> None:
        self.folder, self.jobs, self.tasks = folder, jobs, tasks
        self.left = dict.fromkeys(tasks, tries)
        self.running: dict[int, Any] = {}
        self.lost: dict[int, str] = {}
        self._begun = self._full = False
        self._home: dict[int, tuple[int, int]] = {}
        self._said = time.monotonic()

    def watch(self) -> None:
        """Run what is not complete; try again what ended too early."""
        waiting = [number for number in self.tasks if not self._complete(number)]
        while waiting or self.running:
            if waiting:
                self._start(waiting)
                waiting = []
            time.sleep(POLL_SECONDS)
            for number, job in list(self.running.items()):
                if self.jobs.ended(job):
                    del self.running[number]
                    if self._again(number, job):
                        waiting.append(number)
            self._say_progress()

    def _start(self, waiting: list[int]) -> None:
        """Submit jobs; where that fails later on, their machines are lost and the others go on."""
        try:
            started = self.jobs.submit(measure, [self.tasks[number] for number in waiting])
        except (OSError, ValueError) as error:
            if not self._begun:
                raise
            said = getattr(error, "strerror", None) or str(error)
            self.lost |= dict.fromkeys(waiting, self._no_room() or f"no job can be begun: {said}")
            return
        self._begun = True
        self.running |= zip(waiting, started, strict=True)
        for number in waiting:
            self.left[number] -= 1

    def _no_room(self) -> str:
        """Why nothing more can come home, or ""; the first time it is said."""
        from samegrad.benchmarks.runs.directories import check_writable

        try:
            check_writable(self.folder)
        except ValueError as error:
            reason = str(error).partition(";")[0]
            if not self._full:
                self._full = True
                then = "nothing is tried again; once there is room, the same command goes on"
                say(f"{reason}: {then}")
            return reason
        return ""

    def _again(self, number: int, job: Any) -> bool:
        """Whether another job goes on for the machine whose job has ended."""
        from samegrad.benchmarks.fleet import folder as folders

        if self._complete(number):
            say(f"machine {number}: complete, {folders.values(self.folder, number)}")
            return False
        reason = self.jobs.said(job) or self.jobs.last_line(job) or "it ended too early"
        if full := self._no_room():
            self.lost[number] = full
            return False
        told = (reason, self.jobs.last_line(job))
        full = next((line.partition(said)[0] + said for line in told for said in FULL
                     if said in line), "")  # fmt: skip
        again = self.left[number] > 0 and not full
        reason = full or reason
        lost = "its disk is full; it is not tried again" if full else "it is lost"
        say(f"machine {number}: {reason}; " + ("it is tried again" if again else lost))
        if not again:
            self.lost[number] = reason
        return again

    def _complete(self, number: int) -> bool:
        from samegrad.benchmarks.fleet import folder as folders

        journal = folders.newest(self.folder, number)
        return journal is not None and journal.complete

    def _say_progress(self) -> None:
        """What has come home so far, and of how much, now and then."""
        from samegrad.benchmarks.fleet import folder as folders

        if time.monotonic() - self._said < SAY_SECONDS:
            return
        self._said = time.monotonic()
        home = dict.fromkeys(self.tasks, (0, 0)) | self._home
        for number, (have, total) in list(home.items()):
            runs = folders.runs(self.folder, number)
            if runs and (number in self.running or have < total or not total):
                home[number] = folders.progress(runs[-1])
        most = max(total for _, total in home.values())
        if home == self._home or not most:
            return
        self._home = home
        whole = sum(total or most for _, total in home.values())  # all of them have one command
        some = [number for number in self.running if home[number][1]][:MOST_TOLD]
        told = ", ".join(f"machine {n}: {home[n][0]:,} of {home[n][1]:,}" for n in some)
        say(
            # A run that is short of time has fewer processes in the end.
            f"values so far: {sum(have for have, _ in home.values()):,} of about {whole:,}"
            + (f" ({told}{', ...' * (len(self.running) > len(some))})" if told else "")
        )


def _reported(folder: Path, count: int, lost: dict[int, str]) -> int:
    """Write the report of all that came home, and say what is missing; the exit status."""
    from samegrad.benchmarks.fleet import folder as folders
    from samegrad.benchmarks.records import fleets, rows
    from samegrad.reports.archive import checking
    from samegrad.reports.render import render

    known = {
        number: journal
        for number in range(1, count + 1)
        if (journal := folders.newest(folder, number)) is not None
    }
    untrue = {number: next(checking.untrue(journal), "") for number, journal in known.items()}
    strange = folders.strangers(known) | {n: wrong for n, wrong in untrue.items() if wrong}
    kept = [
        run for number in known if number not in strange for run in folders.runs(folder, number)
    ]
    # As of a run: whoever reads the exit status has nothing to use.
    nothing = rows.without_use(row for one in folders.readable(kept) for row in rows.rows(one))
    unwritten = ""
    if kept:
        try:
            *lines, page = render([path / fleets.JOURNAL for path in kept], folder).lines
        except OSError as error:  # a full disk; what came home is there
            where, said = error.filename or folder, error.strerror or error
            unwritten = f"no report: {where}: {said}; mend this, then the same command writes it"
            lines, page = [], unwritten
        for line in [*lines, *filter(None, [nothing]), page]:
            say(line, error=line.startswith("warning:") or line == unwritten)
    for number, reason in sorted(lost.items()):
        home = folders.values(folder, number)
        say(f"machine {number} is lost: {reason} ({home} came home)", error=True)
    for number, reason in strange.items():
        say(f"machine {number} is not in the report: {reason}", error=True)
    return FAILED if lost or strange or nothing or unwritten or not kept else DONE
