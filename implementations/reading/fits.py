"""Steps of a gradient that is right, in the loops of functions that train, such as `fit`.

Such a function makes its weights itself, or makes many steps: one turn of its loop is judged.
"""

import re
import time
from dataclasses import replace

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport
from samegrad.implementations.reading.judging import MORE_SECONDS, judge
from samegrad.implementations.reading.loading import Loaded
from samegrad.implementations.reading.networks import Maker
from samegrad.implementations.reading.own_steps import NOT_RUN
from samegrad.implementations.reading.scripts import fit_readings

TURNED = "one turn of its loop takes a rate times the gradient off the weights"
OF_UPDATE = "the update of "  # begins what is said of steps, not of gradients
OF_STEP = re.compile(r"(?:the )?update of ")  # or of these as gradients
UP = "goes up the gradient"  # in what is said of the line of one
NOT_JUDGED = "not judged"  # ends what is said of steps that are more than a rate times a gradient


def with_fits(report: CheckReport, loaded: Loaded, make: Maker | None = None) -> CheckReport:
    """A report on a gradient that is right, with what its training loops make of it.

    Args:
        make: makes an object of the class, where a hint says how.
    """
    said = next((r for r in report.remarks if r.startswith(NOT_RUN)), "")
    if not (report.agrees and said):
        return report
    right: list[str] = []
    left: list[str] = []
    for name in said.removeprefix(f"{NOT_RUN}: ").split(", "):
        told = judge(fit_readings(loaded, name, make), time.process_time() + MORE_SECONDS)
        if told.disagrees and _of_steps(told):
            return told
        judged = told.agrees and not any(r.endswith(NOT_JUDGED) for r in told.remarks)
        (right if judged else left).append(name)
    remarks = [r for r in report.remarks if r != said]
    remarks += [f"{TURNED}: {', '.join(right)}"] if right else []
    remarks += [f"{NOT_RUN}: {', '.join(left)}"] if left else []
    return replace(report, remarks=tuple(remarks))


def _of_steps(told: CheckReport) -> bool:
    """Whether all that is wrong are updates, of gradients that are right."""
    wrong = [m.reason for m in told.matches if m.verdict == DISAGREES]
    up = any(UP in line for line in told.lines)
    known = (reason.startswith(OF_UPDATE) or (up and OF_STEP.match(reason)) for reason in wrong)
    return bool(wrong) and all(known)
