"""The child's side: load a file, read it, judge it, and send the report as JSON."""

import time
from pathlib import Path
from typing import Any

from samegrad.implementations.checking import processes
from samegrad.implementations.checking.objects.report import NOT_CHECKED, CheckReport
from samegrad.implementations.reading.hints import in_source, parse
from samegrad.implementations.reading.judging import SECONDS, with_remarks

Message = dict[str, Any]


def main() -> None:
    """Answer one request: {"path", "name", "hints", "run", "seed"}."""
    processes.serve(answer)


def answer(request: Message, send: Any) -> None:
    """Send "loading", "running", "reading" as it begins each, then the report."""
    from samegrad.implementations.reading.loading import load
    from samegrad.implementations.reading.search import verdict

    send({"stage": "loading"})
    path = Path(request["path"])
    try:
        loaded = load(path, request["run"], lambda: send({"stage": "running"}))
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        said = f"{type(error).__name__}{line}: {getattr(error, 'msg', None) or error}"
        send({"report": CheckReport(NOT_CHECKED, said=said).to_dict()})
        return
    send({"stage": "reading"})
    own = [hint for block in loaded.blocks for hint in in_source(block.source)]
    try:
        hints = parse([*own, *request["hints"]])
    except ValueError as error:
        send({"report": CheckReport(NOT_CHECKED, said=str(error)).to_dict()})
        return
    report = verdict(loaded, request["name"], hints, time.process_time() + SECONDS)
    send({"report": with_remarks(report, loaded.remarks).to_dict()})
