"""What programs do with a file's network, where nothing else has told of a gradient."""

import time

from samegrad.implementations.checking.objects.report import NOT_CHECKED, UNDECIDED, CheckReport
from samegrad.implementations.reading.bounded import TooLongError, at_most
from samegrad.implementations.reading.judging import judge
from samegrad.implementations.reading.loading import Loaded, imported_torch
from samegrad.implementations.reading.watched import watched_readings

WATCHING = 22.0  # seconds of this process, for all that programs do
IN_ALL = 50.0  # the same, by which all that is to be said has to be found


def of_programs(loaded: Loaded, report: CheckReport) -> CheckReport | None:
    """The verdict on a gradient that a program shows; None where that says no more."""
    undecided = report.verdict in (NOT_CHECKED, UNDECIDED)
    if not (loaded.watch and undecided) or imported_torch() is not None:
        return None
    seconds = min(WATCHING, IN_ALL - time.process_time())
    if seconds < 1:
        return None
    try:
        with at_most(seconds):
            seen = judge(watched_readings(loaded), time.process_time() + seconds)
    except (TooLongError, RecursionError):
        return None
    better = seen.agrees or seen.disagrees or not report.matches
    return seen if seen.matches and better else None
