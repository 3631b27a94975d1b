"""The rules of `selftest`, with clocks that are wrong and work that only pretends to be done."""

from collections.abc import Callable
from typing import Any

import pytest

from samegrad.benchmarks.clock import timer
from samegrad.benchmarks.clock.intervals import Ratio
from samegrad.benchmarks.clock.timer import Work
from samegrad.benchmarks.selftest import checks


class Clock:
    """Time that passes only when somebody works; what it shows may differ from what passes."""

    def __init__(self, shown: Callable[[int], float] = lambda ns: ns) -> None:
        self.ns, self.shown = 0, shown

    def __call__(self) -> int:
        """A reading, which takes 50 ns."""
        self.ns += 50
        return round(self.shown(self.ns))

    def wait(self, ns: int) -> None:
        """Work for so long."""
        self.ns += ns


class Queue:
    """A device that works after a call has returned, as a GPU or jax does."""

    def __init__(self, clock: Clock, call_ns: int, work_ns: int) -> None:
        self.clock, self.call_ns, self.work_ns, self.done_at = clock, call_ns, work_ns, 0

    def step(self) -> "Queue":
        """Hands the work over."""
        self.clock.wait(self.call_ns)
        self.done_at = max(self.done_at, self.clock.ns) + self.work_ns
        return self

    def wait(self, _: Any) -> None:
        """Until it is done."""
        self.clock.ns = max(self.clock.ns, self.done_at) + 100

    def work(self, synchronize: Callable[[Any], None]) -> Work:
        """As timed work, with a way to wait, and a fetch that waits in any case."""

        def run(calls: int, _: Any) -> Any:
            return [self.step() for _ in range(calls)][-1]

        return Work(lambda _: self, run, synchronize, self.wait)


def test_known_delays_read_as_they_are() -> None:
    """With an honest clock."""
    clock = Clock()

    done = checks.known_delay(clock.wait, clock)

    assert [True] * 3 == [check.passed for check in done]


@pytest.mark.parametrize(
    ("shown", "passed"),
    [
        (lambda ns: ns * 1.05, [True, False, False]),  # 5 % of 20 us are 1 us
        (lambda ns: ns * 0.9, [False, False, False]),
    ],
)
def test_clock_that_is_wrong_is_caught(shown: Callable[[int], float], passed: list[bool]) -> None:
    """Too fast, too slow."""
    clock = Clock(shown)

    done = [check.passed for check in checks.known_delay(clock.wait, clock)]

    assert not all(done)
    assert passed[1:] == done[1:]


def test_injected_delay_shows_by_itself() -> None:
    """And a clock that shows half of it does not pass."""
    clock = Clock()
    slow = Clock(lambda ns: ns / 2)

    right = checks.injected_delay(lambda: clock.wait(300_000), clock.wait, 200_000, clock)
    wrong = checks.injected_delay(lambda: slow.wait(300_000), slow.wait, 200_000, slow)

    assert right.passed and not wrong.passed


def test_chains_lie_on_a_line_through_zero() -> None:
    """Unless the first steps cost more, or the work is not waited for."""
    clock = Clock()
    queue = Queue(clock, 1_000, 200_000)
    offset = Clock()

    def with_offset(calls: int, _: Any) -> None:
        offset.wait(10_000_000 + calls * 200_000)

    assert checks.linearity(queue.work(queue.wait), clock).passed
    assert not checks.linearity(Work(lambda _: None, with_offset, lambda _: None), offset).passed


def test_unsynchronised_twin_is_caught_and_the_other_one_not() -> None:
    """By what waiting again takes after the clock has stopped."""
    clock = Clock()
    queue = Queue(clock, 1_000, 500_000)

    right = timer.measure(queue.work(queue.wait), timer.CPU_BLOCK_NS, 5e7, clock)
    wrong = timer.measure(queue.work(lambda _: None), timer.CPU_BLOCK_NS, 5e7, clock)

    assert right.refusal() is None
    refusal = wrong.refusal()
    assert refusal is not None and refusal[0] == "rejected" and "not synchronised" in refusal[1]


def test_slow_first_call_is_kept_out() -> None:
    """It is reported, and changes neither the calls of a block nor the median."""
    clock = Clock()

    check = checks.slow_first_call(clock.wait, clock)

    assert check.passed and "first call 300 ms" in check.measured


def test_slow_first_call_that_gets_in_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that calibrates on the first call, as some do."""
    clock = Clock()
    monkeypatch.setattr(timer, "timed", lambda call, sync, clock: (None, 0))

    assert not checks.slow_first_call(clock.wait, clock).passed


def test_other_clocks_must_agree() -> None:
    """Within 5 %."""
    assert checks.side_by_side("x", [100, 101, 99], [103, 104, 102]).passed
    assert not checks.side_by_side("x", [100, 101, 99], [107, 108, 106]).passed


def test_what_could_not_be_tried_has_no_bound() -> None:
    """It says why, and no more."""
    assert "not tried  torch: timeit: not installed" == str(
        checks.Check("torch: timeit", "", "not installed", None)
    )


def test_saboteur_needs_the_right_reason() -> None:
    """Not only some reason."""
    expected = ("rejected", "not synchronised")

    assert checks.refused("x", "rejected", "not synchronised: ...", expected).passed
    assert not checks.refused("x", "rejected", "recompiled while timing", expected).passed
    assert not checks.refused("x", "crashed", "not synchronised", expected).passed
    assert "it got a number" == checks.refused("x", "ok", "", expected).measured


@pytest.mark.parametrize(
    ("ratio", "twins", "slowed"),
    [
        (Ratio(1.0, 0.98, 1.02), True, False),
        (Ratio(1.0, 0.8, 1.2), True, False),
        (Ratio(1.1, 1.07, 1.13), False, True),
        (Ratio(0.9, 0.87, 0.93), False, False),
    ],
)
def test_verdicts_of_twins(ratio: Ratio, twins: bool, slowed: bool) -> None:
    """Never faster or slower than itself; slower with a tenth added."""
    assert twins == checks.twins(ratio).passed
    assert slowed == checks.slowed(ratio).passed


def test_check_says_what_was_measured() -> None:
    """In one line."""
    text = str(checks.Check("x", "5 %", "7 %", False))

    assert "FAILED     x: 7 % (allowed: 5 %)" == text
    assert str(checks.Check("x", "", "no GPU", None)).startswith("not tried  x")
