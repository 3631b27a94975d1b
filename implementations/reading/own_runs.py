"""What programs do with a file's network, where nothing else has told of a gradient.

Where none does anything, its training is called as one would.
"""

import ast
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from samegrad.implementations.checking.objects.report import NOT_CHECKED, UNDECIDED, CheckReport
from samegrad.implementations.reading.bounded import TooLongError, at_most
from samegrad.implementations.reading.checked import checked_as, read_as
from samegrad.implementations.reading.driven import driven_readings
from samegrad.implementations.reading.found import Found, compared_with, either_way
from samegrad.implementations.reading.judging import judge
from samegrad.implementations.reading.loading import Loaded, imported_torch
from samegrad.implementations.reading.networks import Maker
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.seen import Traced
from samegrad.implementations.reading.watched import watched_readings

# Names of what gives a loss, and not its derivative.
LOSS = re.compile(
    r"_*(?:[a-z]+_)?(?:loss|cost|mse|(?:cross_?)?entropy)(?!\w*(?:grad|prime|deriv|back))",
    re.IGNORECASE,
)
SQUARES = re.compile(r"\*\* ?2|square|power|pow\(|mse", re.IGNORECASE)
GUESSED = re.compile(r"loss: (?!its own)(.*)")
UPHILL = re.compile(r"\bgoes? up\b")
WATCHING = 22.0  # seconds of this process, for all that programs do
LEAST, MOST = 3.0, 16.0  # the same, for a line at fault
IN_ALL = 50.0  # the same, by which all that is to be said has to be found


def of_programs(
    loaded: Loaded, report: CheckReport, makers: Callable[[], Iterator[Maker]]
) -> CheckReport | None:
    """The verdict on a gradient that a program shows; None where that says no more.

    Args:
        makers: of networks of the file, for training that no program calls.
    """
    undecided = report.verdict in (NOT_CHECKED, UNDECIDED)
    if not (loaded.watch and undecided) or imported_torch() is not None:
        return None
    seen = _judged(watched_readings(loaded))
    if seen is None and not (report.matches and "its own" in report.reading):
        called = _judged(driven_readings(loaded, makers))
        if called is not None and report.matches:  # another guess says no more
            own = "loss: its own" in called.reading and called.verdict != UNDECIDED
            return called if own else None
        return None if called is None else _unless_contradicted(called, loaded)
    better = seen is not None and (seen.agrees or seen.disagrees or not report.matches)
    return seen if better else None


def _judged(readings: Iterator[Reading]) -> CheckReport | None:
    """The verdict on some readings; None where nothing was compared."""
    seconds = min(WATCHING, IN_ALL - time.process_time())
    if seconds < 1:
        return None
    tried: list[Reading] = []
    try:
        with at_most(seconds):
            seen = judge(_kept(readings, tried), time.process_time() + seconds)
    except (TooLongError, RecursionError):
        return None
    if not seen.matches:
        return None
    return _with_lines(seen, tried) if seen.disagrees else seen


def _unless_contradicted(report: CheckReport, loaded: Loaded) -> CheckReport:
    """A report on a guessed loss, undecided where the file's own one is another by its text."""
    guessed = GUESSED.search(report.reading)
    if not report.agrees or guessed is None:
        return report
    found = []
    for name, text in _losses(loaded):
        kind = "squared" if SQUARES.search(text) else "entropy" if "log" in text else "other"
        if kind in guessed[1]:
            return report
        found.append(name)
    if not found:
        return report
    said = f"it agrees with {guessed[1]}, and its own {found[0]} is another by its text"
    advice = f"say how it is called: `# samegrad: loss = {found[0]}(...)`"
    return replace(report, verdict=UNDECIDED, said=said, advice=(advice,))


def _losses(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Functions and methods of a file that are called a loss, with their texts."""
    for node in (n for s in loaded.statements for n in ast.walk(s)):
        if isinstance(node, ast.FunctionDef) and LOSS.match(node.name):
            yield node.name, ast.unparse(node)


def _kept(readings: Iterator[Reading], tried: list[Reading]) -> Iterator[Reading]:
    for reading in readings:
        tried.append(reading)
        yield reading


def _with_lines(report: CheckReport, tried: Sequence[Reading]) -> CheckReport:
    """A report with the lines at fault, as far as there is time for them once it stands."""
    seconds = min(MOST, IN_ALL - time.process_time())
    if seconds < LEAST:
        return report
    try:
        with at_most(seconds):
            compared = [(r, c) for r in tried if (c := compared_with(r)) is not None]
            found = [Found(r, c) for r, c in compared if report.reading.startswith(r.how)]
            told = next((f for f in found if read_as(f) == report.reading), None)
            if told is None or any(either_way(told, other) for other in found):
                return report
            if isinstance(told.reading.backward, Traced):
                told.reading.backward.wanted = True
            again = checked_as(told)
            up = UPHILL.search(report.reason)  # then that of a sign is where it is taken off
            lines = tuple(t for t in again.lines if not up or UPHILL.search(t))
            return replace(report, lines=lines) if again.disagrees else report
    except (TooLongError, RecursionError):
        pass  # what is wrong is known all the same
    return report
