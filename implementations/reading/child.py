"""The child's side: load a file, read it, judge it, and send the report as JSON."""

import ast
import os
import sys
import time
import traceback
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.objects.calls import users_lines
from samegrad.implementations.checking.objects.report import (
    AGREES,
    DISAGREES,
    NOT_CHECKED,
    CheckReport,
)
from samegrad.implementations.contract.sources import is_users
from samegrad.implementations.contract.texts import UnreadableError
from samegrad.implementations.reading.bounded import bound, while_it_waits
from samegrad.implementations.reading.hints import NO_HINT, FailedError, in_source, parse
from samegrad.implementations.reading.judging import SECONDS
from samegrad.implementations.reading.source import folder_of_data

if TYPE_CHECKING:
    from samegrad.implementations.reading.loading import Loaded

Message = dict[str, Any]
RAISED = ("loss() raised", "backward() raised")
OURS = Path(__file__).parents[1]  # implementations/
DEEP = 3000  # calls in each other; where some of them are C's, 10,000 may end the process
GIVE_HINTS = (
    "say how the file is used: --hint 'loss = ...', --hint 'backward = ...'; please report it"
)


def main() -> None:
    """Answer one request: {"path", "name", "hints", "run"}, and what is asked, and limits.

    "seed" and "exact" as in `drawn.Asked`; "seconds" for the top level, "reading" for all that is
    called then, of this process; "waiting" for how long that may wait.
    """
    processes.serve(answer)


def answer(request: Message, send: Any) -> None:
    """Send "loading", "running", "reading" as it begins each, then the report."""
    from samegrad.implementations.reading.drawn import Asked
    from samegrad.implementations.reading.hinted import outright
    from samegrad.implementations.reading.loading import TRAINS, load
    from samegrad.implementations.reading.search import verdict
    from samegrad.implementations.reading.shown import with_updates
    from samegrad.implementations.reading.training import with_training

    send({"stage": "loading"})
    path = Path(request["path"]).resolve()
    if (place := folder_of_data(path)) is not None:
        sys.path[:] = [str(Path(entry).absolute()) for entry in sys.path]
        os.chdir(place)
    bounds: list[Any] = []

    def before_running() -> None:
        send({"stage": "running"})
        if "seconds" in request:
            bounds.append(bound(request["seconds"]))

    try:
        loaded = load(path, request["run"], before_running)
        loaded.watch = request["run"]
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        told = type(error) in (ValueError, UnreadableError)  # in words of its own
        kind = "" if told else f"{type(error).__name__}{line}: "
        said = f"{kind}{getattr(error, 'msg', None) or error}"
        advice: tuple[str, ...] = ()
        shown: tuple[str, ...] = ()
        if isinstance(error, SyntaxError) and error.lineno:
            text = " ".join((error.text or "").split())
            shown = (f"{path.name}:{error.lineno}: {text}",) if text else ()
            advice = ("mend that line, or the one before it: python does not run the file either",)
        refused = CheckReport(NOT_CHECKED, said=said, lines=shown, advice=advice)
        send({"report": refused.to_dict()})
        return
    for lift in bounds:
        lift()
    sys.setrecursionlimit(DEEP)  # of what reads it, whatever the file has set
    if (nothing := _nothing_meant(loaded, request["name"])) is not None:
        send({"report": nothing.to_dict()})
        return
    send({"stage": "reading"})
    if "reading" in request:
        bound(request["reading"])
        while_it_waits(request["waiting"], lambda: _waits(send))
    own = [hint for block in loaded.blocks for hint in in_source(block.source)]
    try:
        hints = parse([*own, *request["hints"]])
    except ValueError as error:
        send({"report": CheckReport(NOT_CHECKED, said=str(error)).to_dict()})
        return
    asked = Asked(request.get("seed", 0), request.get("exact", False))
    try:
        report = outright(hints, loaded, asked.exact, asked.seed)
        if report is None or report.said.startswith(RAISED):  # data of the file that does not fit
            end = time.process_time() + SECONDS
            found = verdict(loaded, request["name"], hints, end, asked)
            report = found if report is None or found.verdict != NOT_CHECKED else report
        elif report.agrees and not request["name"]:
            report = with_training(report, loaded, hints)
    except FailedError as error:
        report = CheckReport(NOT_CHECKED, said=str(error), advice=(NO_HINT,))
    except (Exception, SystemExit) as error:
        report = ours(error)
    folder = f"{path.resolve().parent}{os.sep}"
    lines = tuple(line.removeprefix(folder) for line in report.lines)
    decided = report.verdict in (AGREES, DISAGREES)  # without a run of what trains
    left_out = [r for r in loaded.remarks if not (decided and r.startswith(TRAINS))]
    remarks = (*report.remarks, *left_out)
    send({"report": with_updates(replace(report, lines=lines, remarks=remarks)).to_dict()})


def _nothing_meant(loaded: "Loaded", name: str) -> CheckReport | None:
    """What is said of a file without code, or one that does not have what is named; or None."""
    texts = [s for s in loaded.statements if isinstance(s, ast.Expr)]  # of which some are docs
    texts = [s for s in texts if isinstance(s.value, ast.Constant)]
    defined = len(loaded.statements) > len(texts)
    if not defined and not any(block.fault for block in loaded.blocks):
        advice = "write a network into it: `samegrad exercise start matrices` gives one to fill in"
        return CheckReport(NOT_CHECKED, said="there is no code in it", advice=(advice,))
    there = [s.name for s in loaded.statements if isinstance(s, ast.ClassDef | ast.FunctionDef)]
    nodes = (n for s in loaded.statements for n in ast.walk(s))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if not name or name.partition(".")[0] in {*there, *stored, *loaded.namespace}:
        return None
    there.sort(key=lambda n: -SequenceMatcher(None, n.lower(), name.lower()).ratio())
    said = f"there is no {name} in it; it has {', '.join(there) or 'no class and no function'}"
    return CheckReport(NOT_CHECKED, said=said, advice=())


def _waits(send: Any) -> None:
    send({"stage": "waiting"})
    os._exit(1)


def ours(error: BaseException) -> CheckReport:
    """What is said of an exception that no reading was prepared for: a fault of samegrad's.

    But not of one that the file's own code raises in between: a handler of a signal, a tracer.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if frames and is_users(frames[-1].filename):
        lines = users_lines(error)
        said = f"its code raised {type(error).__name__}: {error} where nothing of it was called"
        return CheckReport(NOT_CHECKED, said=said, lines=tuple(lines))
    mine = [f for f in frames if Path(f.filename).is_relative_to(OURS)] or frames
    where = f"{Path(mine[-1].filename).name}:{mine[-1].lineno}" if mine else "?"
    if isinstance(error, RecursionError):
        return CheckReport(NOT_CHECKED, said="its code nests too deep to be read", advice=())
    text = " ".join(str(error).split())[:200]
    said = f"a fault of samegrad's ({where}): {type(error).__name__}: {text}"
    return CheckReport(NOT_CHECKED, said=said, advice=(GIVE_HINTS,))
