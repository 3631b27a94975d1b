"""What a gradient may differ by from that of a loss: a decay of the step, the 2 of a square."""

import inspect
import re

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading.readings import Reading
from samegrad.implementations.reading.shared_out import takes_a_rate

DECAY = "times the parameter too much: decay that the loss has not"
SQUARES = re.compile(r"\*\* *2\b|square\(|power\(")
HALVES = re.compile(r"\b0?\.5\b|/ *\(?2\b")
HALF = 0.5
SAME = 1e-6  # of a constant that is measured


def beside_decay(reading: Reading, report: CheckReport) -> bool:
    """Whether a step takes off a share of weights, too, where the loss is none of the file's own.

    The decay of a step is no part of a loss that the file has nowhere.
    """
    wrong = [m.reason for m in report.matches if m.verdict == DISAGREES]
    step = reading.step and reading.applied is None and reading.update is not None
    of_step = step and reading.rated and not reading.own and report.disagrees
    return of_step and bool(wrong) and all(DECAY in reason for reason in wrong)


def half_of_squares(reading: Reading, report: CheckReport) -> str:
    """Says that all of a gradient is that of half its own squared error, in a file that trains.

    Many leave the 2 out, and the learning rate makes up for it; or it is forgotten.
    """
    factor = report.constant
    if not reading.own or reading.step or factor is None or abs(factor / HALF - 1) > SAME:
        return ""
    own = {f.__name__: f for f in reading.users if inspect.isroutine(f)}
    loss = own.get(reading.loss_name.partition(",")[0])
    try:
        text = inspect.getsource(loss) if loss is not None else ""
    except (OSError, TypeError):
        return ""
    if HALVES.search(text) or not SQUARES.search(text) or not takes_a_rate(reading.functions):
        return ""
    return "the 2 of the square is left out, for which a learning rate makes up, or forgotten"
