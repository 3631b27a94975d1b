"""`samegrad verify FILE` for files in nobody's dialect, from the parent's side.

What is in the contract, an implementation's name or a module goes on to `checking.verifier`.
Everything else is loaded, read and judged in a child process with limits.
"""

import ast
import html
import inspect
import os
import secrets
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects.report import (
    NOT_CHECKED,
    UNDECIDED,
    WIDTH,
    CheckReport,
    Match,
)
from samegrad.implementations.checking.report import VerifyReport
from samegrad.implementations.checking.verifier import verify as verify_contract
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.files import instead_of_file
from samegrad.implementations.contract.sources import unwritten
from samegrad.implementations.contract.texts import (
    UNPARSABLE,
    clean,
    clean_errors,
    described,
)
from samegrad.implementations.reading import names
from samegrad.implementations.reading.bounded import COUNTED, OVER
from samegrad.implementations.reading.hints import parse
from samegrad.implementations.reading.own_steps import NOT_RUN
from samegrad.implementations.reading.source import blocks, in_contract, is_python

# For the top level of a file, after its imports: what takes longer trains. Of its process, where
# the system counts that: on a busy machine others have the core most of the time. What waits or
# sleeps takes none of it, and is ended by the clock.
RUNNING_SECONDS = 6.0
WAITING_SECONDS = 30.0
IMPORT_SECONDS = 60.0  # for the libraries that it imports, which may compile
READING_SECONDS = 60.0  # the same, for all readings; the child gives up before (judging.SECONDS)
AT_MOST = 10  # times as long by the clock
# Products of small networks take longer on several threads than on one.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
USED = ("seed", "time_limit")  # options of a file that is read as it stands
NO_RUN = "take it out of the top level, or give --no-run at once"


@dataclass(frozen=True)
class FileReport:
    """The verdict on a file.

    Attributes:
        name: of the file, with :NAME if an object in it was named.
        report: what was found.
    """

    name: str
    report: CheckReport

    @property
    def verdict(self) -> str:
        """One of "agrees", "disagrees", "undecided", "not checked" or "unavailable"."""
        return self.report.verdict

    @property
    def agrees(self) -> bool:
        """Whether a gradient was compared and all of it agrees."""
        return self.report.agrees

    def __bool__(self) -> bool:
        return self.report.agrees

    @property
    def reason(self) -> str:
        """One line, empty where it agrees."""
        return self.report.reason

    @property
    def notes(self) -> Sequence[Note]:
        """Conventions that were found."""
        return self.report.notes

    @property
    def reading(self) -> str:
        """How the file was read."""
        return self.report.reading

    def __str__(self) -> str:
        return self.text()

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The text, in IPython's terminal and in notebooks that show no HTML."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        return f"<b>{html.escape(clean(self.name))}</b>{self.report._repr_html_()}"

    def text(self, verbose: bool = False) -> str:
        """The verdict and what it rests on; all parameters if it is no agreement or `verbose`."""
        short = self.agrees and not verbose
        unchecked = next((r for r in self.report.remarks if r.startswith(NOT_RUN)), "")
        remarks = tuple(r for r in self.report.remarks if r != unchecked)
        shown = replace(self.report, remarks=remarks)
        shown = replace(shown, matches=()) if short else shown
        _, *lines = str(shown).splitlines()
        while lines and lines[0].startswith("    "):  # the rest of the headline
            lines.pop(0)
        if short:
            lines.append(f"  {len(self.report.matches)} parameters; -v shows each")
        reason = f": {self.reason}" if self.reason else f"; {unchecked}" if unchecked else ""
        head = f"{self.name}: {self.verdict.upper()}{reason}"
        return clean("\n".join([*textwrap.wrap(head, WIDTH, subsequent_indent="    "), *lines]))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {"implementation": self.name, **self.report.to_dict()}


def is_foreign(name: str) -> bool:
    """Whether a name is that of a file or notebook that is not written to the contract."""
    where, _ = registry.split(name)
    path = Path(where)
    if not (where.endswith((".py", ".ipynb")) and path.is_file()):
        return False
    return not in_contract(path) or not is_python(path)


def check_name(name: str) -> None:
    """Raise UnknownImplementationError unless the name can mean something, importing nothing."""
    where, _ = registry.split(name)
    if where.endswith(".ipynb"):
        if not Path(where).is_file():
            raise registry.UnknownImplementationError(
                f"implementation {name!r}{instead_of_file(where)}"
            )
        return
    registry.check_name(name)


@clean_errors()
def verify(
    implementation: str | Path,
    *,
    hints: Sequence[str] = (),
    run: bool = True,
    exact: bool = False,
    **options: Any,
) -> VerifyReport | FileReport:
    """Verify a name, a file of the contract, or whatever else a file or notebook holds.

    Args:
        implementation: a name of the table (`samegrad.names("all")`), the path of a Python file or
            notebook, with :NAME for one object of it, or a dotted module name.
        hints: for a file that is not written to the contract, "NAME = VALUE" as in the file's own
            lines `# samegrad: NAME = VALUE`.
        run: whether the file's top level may be run; else only what defines something is.
        exact: of a file that is not, whether its own arithmetic is run over exact numbers, too.
        options: of `checking.verifier.verify`, for what is written to the contract; of another
            file `seed` and `time_limit` alone.

    Returns:
        A VerifyReport, or of a file that is not written to the contract a FileReport; both have
        `.verdict`, `.agrees`, `.reason`, `.notes`, `.to_dict()`.

    Raises:
        TypeError: it is no name.
        ValueError: an argument is not accepted.
    """
    if not isinstance(implementation, str | Path):
        raise TypeError(
            f"implementation is {described(implementation)}; give a name, a file or a module as a "
            "text. An object is checked by samegrad.check(net, loss=..., backward=...)"
        )
    name = str(implementation)
    check_name(name)
    hints = [hints] if isinstance(hints, str) else hints
    limit, seed = float(options.get("time_limit", 60.0)), options.get("seed")
    if not is_foreign(name):
        return verify_contract(implementation, **options)
    found = verify_file(name, hints, run, limit, seed, exact)
    unused = _unused(options)
    return replace(found, report=_with(found.report, [unused])) if unused else found


def _unused(options: Mapping[str, Any]) -> str:
    """What is said of options that choose among networks of the contract; "" if there are none."""
    signature = inspect.signature(verify_contract)
    signature.bind(None, **options)  # an option that there is not is a TypeError here, too
    usual = signature.parameters
    given = [n for n, v in options.items() if n not in USED and v != usual[n].default]
    told = ", ".join(name.replace("_", " ") for name in given)
    return f"it is read as it stands, so these are not used: {told}" if told else ""


def verify_file(
    name: str,
    hints: Sequence[str] = (),
    run: bool = True,
    time_limit: float = 60.0,
    seed: int | None = None,
    exact: bool = False,
) -> FileReport:
    """Read a file in a child process and say whether its gradient is that of its loss.

    Args:
        name: its path, with :NAME for one object of it.
        hints: see `verify`.
        run: whether its top level may be run.
        time_limit: seconds for each stage.
        seed: of the networks that are drawn for it; by default another in every run.
        exact: whether it is run over exact numbers, too.

    Raises:
        ValueError: a hint or the seed is not accepted.
    """
    parse(hints)
    if seed is not None and seed < 0:
        raise ValueError(f"seed {seed} is not accepted; give a whole number >= 0")
    where, of = registry.split(name)
    label = Path(where).name + (f":{of}" if of else "")
    asked = {"seed": secrets.randbelow(2**31) if seed is None else seed, "exact": exact}
    report, stage, ended = _in_child(where, of, hints, run, time_limit, asked)
    remarks: tuple[str, ...] = ()
    if report is None and run and stage == "running":
        seconds = WAITING_SECONDS if ended.kind == "timeout" and COUNTED else RUNNING_SECONDS
        late = ended.kind == "timeout" or ended.reason == OVER
        how = f"takes longer than {min(seconds, time_limit):g} s" if late else _end(ended.reason)
        remarks = (f"at import it {how}; only what defines something was run: {NO_RUN}",)
        report, stage, ended = _in_child(where, of, hints, False, time_limit, asked)
    if report is None:
        does = {"loading": "importing what it imports", "running": "running what defines something"}
        late = stage == "waiting" or ended.kind == "timeout" or ended.reason == OVER
        verdict = UNDECIDED if stage in ("reading", "waiting") and late else NOT_CHECKED
        how = ended.reason or "it ended the process"
        if stage == "waiting":
            how = f"it waits, for {min(WAITING_SECONDS, time_limit):g} s by now"
        elif ended.reason == OVER:
            how = f"it takes longer than {min(READING_SECONDS, time_limit):g} s"
        said = f"{does.get(stage, 'calling it')}: {how}"
        advice = ("name the object that is meant (FILE:NAME), or say how it is used: --hint",)
        report = CheckReport(verdict, said=said, advice=advice)
    if report.verdict in (NOT_CHECKED, UNDECIDED) and (empty := _unwritten(where)):
        report = CheckReport(NOT_CHECKED, said=f"not written yet: {empty}")
    return FileReport(label, _with(report, remarks))


def _end(reason: str) -> str:
    """What a file does that ends its process, after "it"."""
    if reason.startswith("exit status"):
        return f"ends the process ({reason.removesuffix(processes.EARLY)})"
    return f"is {reason}" if reason.startswith("killed") else reason


def _unwritten(where: str) -> str:
    """The backward passes of a file, with their lines, if there is nothing in any of them yet."""
    try:
        nodes = [node for block in blocks(Path(where)) for node in ast.walk(block.tree)]
    except UNPARSABLE:
        return ""
    found = [n for n in nodes if isinstance(n, ast.FunctionDef) and names.BACKWARD.match(n.name)]
    if not all(map(unwritten, found)):
        return ""
    return ", ".join(f"{node.name} (line {node.lineno})" for node in found)


def _in_child(
    where: str,
    of: str,
    hints: Sequence[str],
    run: bool,
    time_limit: float,
    asked: Mapping[str, Any],
) -> tuple[CheckReport | None, str, processes.Exit]:
    """(the report or None, the stage in which it ended, how)."""
    stage, found = "loading", None
    running = WAITING_SECONDS if COUNTED else RUNNING_SECONDS
    reading = min(READING_SECONDS, time_limit)
    limits = {
        "loading": min(IMPORT_SECONDS, time_limit),
        "running": min(running, time_limit),
        "reading": AT_MOST * reading if COUNTED else reading,
        "waiting": 1.0,
    }
    seconds = min(RUNNING_SECONDS, time_limit)
    request: dict[str, Any] = {
        "path": str(Path(where).resolve()),
        "name": of,
        "hints": list(hints),
        "run": run,
        **asked,
    }
    request |= {"seconds": seconds, "reading": reading, "waiting": min(WAITING_SECONDS, reading)}

    def on_message(message: dict[str, Any]) -> float | None:
        nonlocal stage, found
        if "report" in message:
            report = from_dict(message["report"])
            str(report)  # a file may send anything in its place
            found = report
            return None
        stage = message["stage"]
        return limits.pop(stage)

    ended = processes.run_child(
        processes.python_child("samegrad.implementations.reading.child"),
        request,
        {**ONE_THREAD, **os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"},
        on_message,
        min(IMPORT_SECONDS, time_limit),
        doing=f"working on {Path(where).name}",
    )
    return found, stage, ended


def from_dict(data: dict[str, Any]) -> CheckReport:
    """A report from what its `to_dict()` gave."""
    return CheckReport(
        data["verdict"],
        tuple(Match(**{**m, "shape": tuple(m["shape"])}) for m in data["matches"]),
        tuple(Note(**note) for note in data["notes"]),
        tuple(data["lines"]),
        tuple(data["advice"]),
        tuple(data["remarks"]),
        data["method"],
        data["reading"],
        data["reason"],
        data.get("snippet", ""),
    )


def _with(report: CheckReport, remarks: Sequence[str]) -> CheckReport:
    return replace(report, remarks=(*report.remarks, *remarks))
