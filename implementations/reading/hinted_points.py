"""What hints give of networks that are made anew: at one seed all units of relu may be active."""

import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from samegrad.implementations.checking.objects.report import DISAGREES, CheckReport

POINTS = 3
SECONDS = 4.0  # of this process, for all of them
GROSS = 3e-3  # of the largest slope: a small number in a log is less, wherever it is
CUTS = re.compile(r"clip|norm *>|(?:max|grad\w*|global)_?norm", re.IGNORECASE)
SAID = "at other weights than the first, as its expression makes them with another seed"


def at_other_weights(
    report: CheckReport, again: Callable[[], CheckReport], seed: int
) -> CheckReport:
    """A report that agrees, or one on the same expressions by which the gradient is wrong.

    Args:
        again: makes the network, and gives the report on it.
    """
    until = time.process_time() + SECONDS
    for number in range(1, 1 + POINTS if report.agrees else 1):
        of_point = int(np.random.default_rng([seed, number]).integers(2**31))
        np.random.seed(of_point)
        random.seed(of_point)
        there = again()
        errors = [m.error or 0.0 for m in there.matches if m.verdict == DISAGREES]
        if there.disagrees and max(errors, default=0.0) > GROSS:
            return replace(there, remarks=(*there.remarks, SAID))
        if time.process_time() > until:
            break
    return report


def cuts_off(sources: Iterable[str]) -> bool:
    """Whether a file cuts off something, gradients perhaps: where it does so depends on weights."""
    return any(map(CUTS.search, sources))
