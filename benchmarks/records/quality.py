"""What the number of a row is worth: good, noisy or unusable. One rule, for every chapter alike.

Good: its 95 % interval reaches no further than 3 % to either side, and others took less than a
twentieth of the cores from the repetitions that set its value. Unusable: it is not known within a
factor of two, or they took a quarter and more: then no figure, summary, ratio or verdict has it.
Noisy is what lies between, and what has no interval; the words say by how much.

Measured: in a quiet standard run 118 of 147 rows are good; of 60 rows that were good in two such
runs 59 agree within 5 %. Disturbances elsewhere in a run do no harm: the value is that of the least
disturbed tenth. Nor does waiting for a core by itself: on a quiet machine of two cores JAX's own
threads wait for each other in up to nine tenths of the time.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from samegrad.benchmarks.clock.intervals import LEAST_PROCESSES, interval
from samegrad.benchmarks.records.schema import Record

GOOD, NOISY, UNUSABLE = "good", "noisy", "unusable"
NARROW = 0.03  # half an interval, of the value
FACTOR = 2.0  # between the ends of an interval: beyond it not even the magnitude is known
DISTURBED, LOST = 0.05, 0.25  # share of the cores that others took while the value was set
WAITED = 0.95  # share of the time that some process waited, where nothing says what others took
OFTEN = 0.25  # share of the intervals of a run from which on it is said of the whole
WIDE = (
    " Yet {wide} of {all} intervals reach further than {most:.0f} %: by no load that was seen, but "
    "because fresh processes of the same code differ; more processes narrow them "
    "(--processes {more})."
)


class Quality(NamedTuple):
    """What a number is worth.

    Attributes:
        level: GOOD, NOISY or UNUSABLE.
        why: by how much, in words; empty for good.
    """

    level: str = GOOD
    why: str = ""

    def __str__(self) -> str:
        """In words."""
        return f"{self.level}: {self.why}" if self.why else self.level


WITHOUT_FAULT = Quality()


def quality(
    processes: Sequence[Sequence[Record]],
    times: Sequence[Sequence[float]],
    medians: Sequence[float],
    *,
    intervals: bool = True,
    alike: bool = True,
) -> Quality:
    """What a number is worth.

    Args:
        processes: the repetitions of each process.
        times: seconds per call of each of them.
        medians: the value of each process.
        intervals: whether its run has enough processes.
        alike: whether all processes did the same work. Trainings from several seeds did not: how
            much they differ does not make them unusable.
    """
    reasons = list(_width(medians, intervals, alike))
    reasons += _disturbance(processes, times, medians)
    levels = [level for level, _ in reasons]
    level = next((one for one in (UNUSABLE, NOISY) if one in levels), GOOD)
    return Quality(level, "; ".join(why for one, why in reasons if one == level))


def often_wide(medians: Sequence[Sequence[float]]) -> str:
    """That many intervals of a run are wide although its machine was quiet; "" if few are.

    Args:
        medians: of each row the values of its processes.

    Returns:
        A sentence that follows the one on the machine: that it was quiet is no promise.
    """
    ends = map(interval, medians)
    halves = [math.sqrt(high / low) - 1 for low, high in ends if math.isfinite(low)]
    wide = sum(half > NARROW for half in halves)
    if not halves or wide < OFTEN * len(halves):
        return ""
    more = 2 * max(map(len, medians))
    return WIDE.format(wide=wide, all=len(halves), most=100 * NARROW, more=more)


def _width(medians: Sequence[float], intervals: bool, alike: bool) -> Iterator[tuple[str, str]]:
    low, high = interval(medians) if intervals else (math.nan, math.nan)
    if math.isnan(low):
        count = f"{len(medians)} process{'es' * (len(medians) != 1)}"
        yield NOISY, f"no interval: {count}, {LEAST_PROCESSES} give one"
        return
    half = math.sqrt(high / low) - 1
    if high / low > FACTOR and alike:
        yield UNUSABLE, f"its interval is a factor of {high / low:.2g} wide"
    elif half > NARROW:
        yield NOISY, f"interval +-{100 * half:.0f} %"


def _disturbance(
    processes: Sequence[Sequence[Record]],
    times: Sequence[Sequence[float]],
    medians: Sequence[float],
) -> Iterator[tuple[str, str]]:
    """Of the repetitions at or below the value of their process."""
    setting = [
        [record for record, seconds in zip(records, own, strict=True) if seconds <= median]
        for records, own, median in zip(processes, times, medians, strict=True)
    ]
    # Steal within one repetition is counted in ticks that are as long as it.
    name = "steal" if _share(setting, "others") is None else "others"
    taken, waited = _share(setting, name) or 0.0, _share(setting, "pressure") or 0.0
    if taken > DISTURBED:
        what = "others" if name == "others" else "the hypervisor"
        yield UNUSABLE if taken > LOST else NOISY, f"{what} took {100 * taken:.0f} % of the cores"
    if name != "others" and waited > WAITED:
        yield NOISY, f"some process waited for a core in {100 * waited:.0f} % of the time"


def _share(setting: Sequence[Sequence[Record]], name: str) -> float | None:
    """The mean over processes, of those that say it."""
    known = [[r[name] for r in records if r.get(name) is not None] for records in setting]
    means = [statistics.fmean(shares) for shares in known if shares]
    return statistics.fmean(means) if means else None
