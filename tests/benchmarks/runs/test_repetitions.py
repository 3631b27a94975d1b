"""How often a case is visited, and that stopping early keeps what intervals claim."""

import math
from typing import Any

import numpy as np
import pytest
from samegrad.benchmarks.cases.case import Case, MLPWorkload
from samegrad.benchmarks.clock.intervals import interval
from samegrad.benchmarks.records.rows import undisturbed
from samegrad.benchmarks.runs.budget import Settings
from samegrad.benchmarks.runs.repetitions import NARROW_VISITS, Visits
from samegrad.implementations.contract.spec import MLPSpec

PROCESSES = 5
CASES = [
    Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), operation, "numpy")
    for operation in ("forward", "loss_and_grad", "train_step")
]
SETTINGS = Settings(None, 0.3, visited_seconds=0.05)


def outcome(process: int, seconds: float) -> dict[str, Any]:
    """One block of ten calls."""
    return {"process": process, "calls": 10, "elapsed_ns": [round(1e10 * seconds)]}


def visited(times: dict[int, list[float]]) -> Visits:
    """Visits to the first case, by process."""
    found = Visits(SETTINGS)
    for process, mine in times.items():
        for seconds in mine:
            found.add(CASES[0], outcome(process, seconds))
    return found


def test_row_whose_interval_is_narrow_is_visited_no_more() -> None:
    """One that is wide is; so is one without enough visits, or without all of its processes."""
    close = [1.0e-3, 1.001e-3, 0.999e-3, 1.002e-3, 0.998e-3]
    narrow = {p: [close[p]] * NARROW_VISITS for p in range(PROCESSES)}
    wide = {p: [(1 + 0.05 * p) * 1e-3] * NARROW_VISITS for p in range(PROCESSES)}
    few = {p: mine[1:] for p, mine in narrow.items()}
    some = {p: mine for p, mine in narrow.items() if p}

    def wanted(times: dict[int, list[float]]) -> bool:
        return bool(visited(times).wanted(CASES[:1], 1, PROCESSES))

    assert [False, True, True, True] == [wanted(t) for t in (narrow, wide, few, some)]


def test_two_visits_of_a_long_call_may_be_enough() -> None:
    """Of a short one they are not."""
    long, short = (
        {p: [(1 + 0.001 * p) * seconds] * 2 for p in range(PROCESSES)} for seconds in (0.04, 1e-3)
    )

    assert not visited(long).wanted(CASES[:1], 0, PROCESSES)
    assert visited(short).wanted(CASES[:1], 0, PROCESSES)
    one = {p: mine[p == 1 :] for p, mine in long.items()}
    assert visited(one).wanted(CASES[:1], 0, PROCESSES)


def test_outcome_without_a_process_is_no_visit() -> None:
    """Journals of older schemas have such; a run that goes on with one measures again."""
    found = Visits(SETTINGS)
    found.add(CASES[0], {"calls": 10, "elapsed_ns": [1000]})

    assert CASES[:1] == found.unseen(CASES[:1], 0)


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(1e-5, 30), (5e-3, 30), (0.03, 10), (0.049, 6), (0.2, 1), (3.0, 1)],
)
def test_visits_are_as_many_as_fit_into_the_time_of_a_case(seconds: float, most: int) -> None:
    """0.3 s are 30 blocks with what precedes them; a long call is visited once."""
    times: dict[int, list[float]] = {0: []}
    for _ in range(most):
        assert visited(times).unfinished(CASES[0], 0) == (len(times[0]) < min(3, most))
        times[0].append(seconds)
        assert bool(visited(times).wanted(CASES[:1], 0, 1)) == (len(times[0]) < most)


def test_long_calls_are_spread_over_the_turns() -> None:
    """A turn visits all short calls, and some long ones; with none to choose from, one at least."""
    found = Visits(SETTINGS)
    for case, seconds in zip(CASES, (1e-3, 0.3, 0.4), strict=True):
        found.add(case, outcome(0, seconds))

    assert CASES[:2] == found.share(CASES)
    assert [CASES[2], CASES[0]] == found.share([CASES[2], CASES[0], CASES[1]])
    assert CASES[2:] == found.share(CASES[2:])


def test_blocks_of_a_known_case_are_told_to_other_processes() -> None:
    """Calls in a block, and the least that a call took: whether it is long."""
    assert {CASES[0].id: (10, 2e-3)} == visited({0: [4e-3, 2e-3], 1: [3e-3]}).blocks(CASES)


@pytest.mark.parametrize("seconds", [1e-3, 0.2])
@pytest.mark.parametrize("between", [0.005, 0.02])
@pytest.mark.parametrize("disturbed", [0.0, 0.5])
def test_interval_covers_the_truth_though_it_ends_when_it_is_narrow(
    between: float, disturbed: float, seconds: float
) -> None:
    """Simulated processes, visits, bursts: 92 to 98 of 100 intervals hold the true time.

    Somewhat below 95, since rows that are narrow by chance end first; the interval of all visits
    at once would not show it. Long calls have three visits at most: disturbances remain, and make
    intervals wide. They are disturbed for a part of their time.
    """
    rng = np.random.default_rng(7)
    trials, held, ended = 600, 0, 0
    for _ in range(trials):
        found, turns = Visits(Settings(None, 0.3, visited_seconds=0.6)), 0
        effects = rng.normal(0.0, between, PROCESSES)
        while turns < 15:
            turns += 1
            some = False
            for process in range(PROCESSES):
                if turns > 1 and not found.wanted(CASES[:1], process, PROCESSES):
                    continue
                some = True
                noise = rng.normal(0.0, 0.001)
                noise += rng.uniform(0.05, 0.5) if rng.random() < disturbed else 0.0
                found.add(CASES[0], outcome(process, seconds * math.exp(effects[process] + noise)))
            ended += not some
            if not some:
                break
        values = [undisturbed(mine) for mine in found.times[CASES[0].id].values()]
        low, high = interval(values)
        held += low <= seconds <= high

    assert 0.92 <= held / trials <= 0.98
    always = between < 0.01 or seconds > 0.1  # narrow in the end, or visited as often as may be
    assert ended == trials if always else 0.05 < ended / trials < 0.5
