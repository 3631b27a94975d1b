"""Checks of what the clock promises, each measured and judged by a rule that can fail.

Nothing here reads a precise clock of its own: a clock is handed in, so that tests can hand in one
that lies, and work that pretends to be done.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from samegrad.benchmarks.clock import intervals, timer
from samegrad.benchmarks.clock.durations import duration
from samegrad.benchmarks.clock.timer import Clock, Work

DELAYS_NS = (20_000, 1_000_000, 20_000_000)
DELAY_SHARE, DELAY_NS = 0.03, 1_000  # a known delay reads within 3 %, or 1 us
INJECTED_SHARE = 0.05  # a delay put into a step shows in its median
SLOW_FIRST_NS, SLOW_FIRST_SHARE = 300_000_000, 0.02
LEAST_R2 = 0.999
OTHER_CLOCK_SHARE = 0.05
QUIET = 0.03  # processes of the same program that differ by more are disturbed
PAID = 0.8  # of the honest time: what is left is noise between two rows
REPETITIONS = 41  # that alternate; on a shared machine few of them are undisturbed


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        what: what is checked.
        allowed: what it takes to pass, in words.
        measured: what was measured, in words.
        passed: None where it could not be tried; `measured` then says why.
    """

    what: str
    allowed: str
    measured: str
    passed: bool | None

    def __str__(self) -> str:
        state = {True: "passed", False: "FAILED", None: "not tried"}[self.passed]
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{state:9}  {self.what}: {self.measured}{allowed}"


def known_delay(wait: Callable[[int], None], clock: Clock) -> list[Check]:
    """A busy wait of known length reads as that length."""
    done = []
    for delay in DELAYS_NS:

        def call(delay: int = delay) -> None:
            wait(delay)

        blocks = timer.measure(timer.work_of(call), timer.CPU_BLOCK_NS, 5e7, clock)
        read = blocks.per_call_ns
        allowed = max(DELAY_SHARE * delay, DELAY_NS)
        done.append(
            Check(
                f"a delay of {_ns(delay)} reads as that",
                f"{_ns(allowed)} off",
                f"{_ns(read)}, {_ns(read - delay)} off",
                abs(read - delay) <= allowed,
            )
        )
    return done


def injected_delay(
    step: Callable[[], Any], wait: Callable[[int], None], delay: int, clock: Clock
) -> Check:
    """A delay put into a step raises its median by itself."""
    calls = timer.calibrate(timer.work_of(step), timer.CPU_BLOCK_NS, clock)

    def lengthened() -> Any:
        wait(delay)
        return step()

    plain, longer = [], []
    for _ in range(REPETITIONS):  # alternating: both see the same machine; the least of each
        plain.append(timer.block(timer.work_of(step), calls, clock).elapsed_ns / calls)
        longer.append(timer.block(timer.work_of(lengthened), calls, clock).elapsed_ns / calls)
    grown = min(longer) - min(plain)
    return Check(
        f"a delay of {_ns(delay)} inside a step of {_ns(min(plain))} shows",
        f"{100 * INJECTED_SHARE:.0f} % off",
        f"+{_ns(grown)}, {100 * (grown / delay - 1):+.1f} %",
        abs(grown / delay - 1) <= INJECTED_SHARE,
    )


def linearity(work: Work, clock: Clock) -> Check:
    """k, 2k and 4k chained steps lie on a line through zero."""
    calls = timer.calibrate(work, timer.CPU_BLOCK_NS, clock)
    counts = [calls, 2 * calls, 4 * calls]
    # Alternating, and the least of each: what a neighbour adds is no property of the clock.
    repeated = [
        [timer.block(work, count, clock).elapsed_ns for count in counts] for _ in range(REPETITIONS)
    ]
    times = [min(column) for column in zip(*repeated, strict=True)]
    slope = sum(n * t for n, t in zip(counts, times, strict=True)) / sum(n * n for n in counts)
    mean = statistics.fmean(times)
    off = sum((t - slope * n) ** 2 for n, t in zip(counts, times, strict=True))
    r2 = 1 - off / sum((t - mean) ** 2 for t in times)
    return Check(
        f"{calls}, {2 * calls} and {4 * calls} chained steps lie on a line through zero",
        f"R^2 > {LEAST_R2}",
        f"R^2 = {r2:.6f}",
        r2 > LEAST_R2,
    )


def slow_first_call(wait: Callable[[int], None], clock: Clock) -> Check:
    """A first call of 0.3 s changes neither the number of calls nor the median, and is seen."""
    delay = 200_000

    def measured(first_ns: int) -> tuple[int, int, float]:
        called: list[int] = []

        def call() -> None:
            wait(delay if called else first_ns)
            called.append(1)

        _, first = timer.timed(call, lambda _: None, clock)  # as the gate does
        blocks = timer.measure(timer.work_of(call), timer.CPU_BLOCK_NS, 3e7, clock)
        return first, blocks.calls, blocks.per_call_ns

    first, calls, slow = measured(SLOW_FIRST_NS)
    _, usual_calls, usual = measured(delay)
    same_calls = abs(calls / usual_calls - 1) <= SLOW_FIRST_SHARE + 1 / usual_calls
    return Check(
        "a slow first call is kept out of the median, and reported as such",
        f"{100 * SLOW_FIRST_SHARE:.0f} % off, the same number of calls",
        f"first call {_ns(first)}, median {100 * (slow / usual - 1):+.2f} %, "
        f"{calls} and {usual_calls} calls a block",
        first >= SLOW_FIRST_NS and same_calls and abs(slow / usual - 1) <= SLOW_FIRST_SHARE,
    )


def side_by_side(name: str, ours_ns: Sequence[float], theirs_ns: Sequence[float]) -> Check:
    """Another clock agrees with ours; they alternated, and the least of each counts."""
    ours, theirs = min(ours_ns), min(theirs_ns)
    return Check(
        f"side by side with {name}",
        f"{100 * OTHER_CLOCK_SHARE:.0f} % apart",
        f"ours {_ns(ours)}, theirs {_ns(theirs)}, {100 * (ours / theirs - 1):+.1f} %",
        abs(ours / theirs - 1) <= OTHER_CLOCK_SHARE,
    )


def refusal(status: str, reason: str) -> str:
    """The refusal that is expected, in words."""
    return f"{status}: ... {reason} ..."


def refused(what: str, status: str, reason: str, expected: tuple[str, str]) -> Check:
    """A saboteur has no number, and the reason is the right one."""
    return Check(
        what,
        refusal(*expected),
        f"{status}: {reason[:110]}" if status != "ok" else "it got a number",
        status == expected[0] and expected[1] in reason,
    )


def unpaid(what: str, status: str, reason: str, seconds: float | None, honest: float) -> Check:
    """A cheat has no number, or one with all the work that an honest implementation has.

    Args:
        seconds: per call, where it has a number.
        honest: what the same operation takes the network that it is made of.
    """
    measured = f"{status}: {reason[:110]}"
    if seconds is not None:
        measured = f"it got {_ns(1e9 * seconds)}, {seconds / honest:.2f} of the honest time"
    return Check(
        what,
        f"no number, or at least {PAID} of the honest time",
        measured,
        seconds is None or seconds >= PAID * honest,
    )


def accepted(what: str, status: str, reason: str) -> Check:
    """What is right has its number."""
    return Check(what, "ok", f"{status} {reason[:150]}".strip(), status == "ok")


def twins(ratio: intervals.Ratio) -> Check:
    """The same program under two names is neither faster nor slower."""
    return Check(
        "A/A: the same program under two names is never called FASTER or SLOWER",
        "SAME or CAN'T TELL",
        _ratio(ratio),
        ratio.verdict in (intervals.SAME, intervals.CANT_TELL),
    )


def slowed(ratio: intervals.Ratio) -> Check:
    """The same program with a tenth added to each step is slower."""
    return Check(
        "A/A: with 10 % added to each step it is called SLOWER",
        "SLOWER",
        _ratio(ratio),
        ratio.verdict == intervals.SLOWER,
    )


def _ratio(ratio: intervals.Ratio) -> str:
    return f"ratio {ratio.value:.3f}, from {ratio.low:.3f} to {ratio.high:.3f}: {ratio.verdict}"


def _ns(value: float) -> str:
    return duration(value / 1e9)
