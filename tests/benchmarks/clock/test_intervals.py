"""Intervals and verdicts: what they claim is what they hold."""

import math

import numpy as np
import pytest
from scipy import stats

from samegrad.benchmarks.clock.intervals import (
    CANT_TELL,
    FASTER,
    SAME,
    SLOWER,
    Ratio,
    interval,
    paired,
    ratio,
)

# 8,000 intervals: the share that holds the truth is then known to 0.5 % (two deviations).
TRIALS = 8000
NOISE = 0.05  # of the log of a process's median: what a busy machine shows


@pytest.mark.parametrize("processes", [5, 10])
def test_interval_covers_the_truth_as_often_as_it_says(processes: int) -> None:
    """Simulated noise between processes: 92 to 98 of 100 intervals hold the true time."""
    rng = np.random.default_rng(processes)
    held = 0
    for _ in range(TRIALS):
        low, high = interval(np.exp(rng.normal(0.0, NOISE, processes)))
        held += low <= 1.0 <= high

    assert 0.92 <= held / TRIALS <= 0.98


def test_coverage_test_can_fail() -> None:
    """An interval from the blocks of one process covers far too little."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        process = rng.normal(0.0, NOISE)
        low, high = interval(np.exp(process + rng.normal(0.0, NOISE / 5, 10)))
        held += low <= 1.0 <= high

    assert held / 2000 < 0.5


@pytest.mark.parametrize("processes", [(5, 5), (5, 10)])
def test_ratio_covers_the_truth_as_often_as_it_says(processes: tuple[int, int]) -> None:
    """Also where the two sides are differently noisy."""
    rng = np.random.default_rng(sum(processes))
    held = 0
    for _ in range(TRIALS):
        a = 2.0 * np.exp(rng.normal(0.0, NOISE, processes[0]))
        b = np.exp(rng.normal(0.0, NOISE / 3, processes[1]))
        one_ratio = ratio(a, b)
        held += one_ratio.low <= 2.0 <= one_ratio.high

    assert 0.92 <= held / TRIALS <= 0.98


def test_interval_and_ratio_are_those_of_scipy() -> None:
    """Student's t and Welch's t, written out here and there."""
    a, b = [1.0, 1.1, 0.9, 1.05, 1.2], [2.0, 2.2, 2.1, 2.4, 1.9, 2.0]

    low, high = interval(a)
    one_ratio = ratio(a, b)

    logs = np.log(a)
    expected = stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs))
    welch = stats.ttest_ind(logs, np.log(b), equal_var=False).confidence_interval(0.95)
    assert np.exp(expected) == pytest.approx((low, high))
    assert (math.exp(welch.low), math.exp(welch.high)) == pytest.approx(
        (one_ratio.low, one_ratio.high)
    )


def test_fewer_than_five_processes_have_no_interval_and_no_verdict() -> None:
    """However much they differ."""
    assert all(math.isnan(end) for end in interval([1.0, 1.0, 1.0, 1.0]))
    assert CANT_TELL == ratio([9.0] * 4, [1.0] * 9).verdict
    assert 9.0 == pytest.approx(ratio([9.0] * 4, [1.0] * 9).value)


@pytest.mark.parametrize(
    ("one_ratio", "verdict"),
    [
        (Ratio(0.5, 0.4, 0.6), FASTER),
        (Ratio(0.93, 0.91, 0.96), CANT_TELL),
        (Ratio(0.94, 0.93, 0.951), FASTER),
        (Ratio(1.0, 0.96, 1.04), SAME),
        (Ratio(1.0, 0.9, 1.04), CANT_TELL),
        (Ratio(1.03, 1.01, 1.05), SAME),
        (Ratio(1.1, 1.04, 1.2), CANT_TELL),
        (Ratio(1.1, 1.06, 1.2), SLOWER),
    ],
)
def test_verdict_needs_the_whole_interval(one_ratio: Ratio, verdict: str) -> None:
    """On one side of 1.05, or within it."""
    assert verdict == one_ratio.verdict


def test_equal_samples_are_the_same() -> None:
    """No spread at all: an interval of one point."""
    assert SAME == ratio([1.0] * 5, [1.0] * 5).verdict


@pytest.mark.parametrize("wrong", [[], [0.0] * 5, [1e-300] * 5, [math.inf] * 5, [None] * 5])
def test_no_value_makes_a_ratio_raise(wrong: list[float]) -> None:
    """Of what is no time there is none; of what no call takes it may be infinite."""
    large = [1e300 * (1 + n / 100) for n in range(5)]

    changes = [ratio(large, wrong), paired(large, wrong), ratio(wrong, large)]

    if wrong[:1] == [1e-300]:
        assert (math.inf, 0.0) == (changes[0].value, changes[2].value)
        assert [SLOWER, CANT_TELL, FASTER] == [change.verdict for change in changes]
    else:
        assert all(math.isnan(change.value) for change in changes)
        assert {CANT_TELL} == {change.verdict for change in changes}


def test_pairs_cancel_what_a_process_has_of_its_own() -> None:
    """Twice as long in each of five processes that differ tenfold is certainly twice."""
    second = [1.0, 2.0, 3.0, 5.0, 10.0]
    first = [2 * seconds for seconds in second]

    together, apart = paired(first, second), ratio(first, second)

    assert 2.0 == pytest.approx(together.value) == pytest.approx(together.low)
    assert 2.0 == pytest.approx(together.high) and apart.high > 4.0
    assert (SLOWER, CANT_TELL) == (together.verdict, apart.verdict)
    assert ratio(first[:4], second).value == paired(first[:4], second).value
