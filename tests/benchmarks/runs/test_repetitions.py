"""How often a case is repeated, and that stopping early keeps what intervals promise."""

import math
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.clock.intervals import interval
from samegrad.benchmarks.records.rows import undisturbed
from samegrad.benchmarks.runs.budget import RunSettings
from samegrad.benchmarks.runs.repetitions import NARROW_REPETITIONS, Repetitions
from samegrad.implementations.contract.spec import MLPSpec

PROCESSES = 5
CASES = [
    Case(MLPWorkload("own", MLPSpec((6, 4, 3)), 4, 64), operation, "numpy")
    for operation in ("forward", "loss_and_grad", "train_step")
]
SETTINGS = RunSettings(None, 0.3, short_call_seconds=0.05)


def outcome(process: int, seconds: float) -> dict[str, Any]:
    """One block of ten calls."""
    return {"process": process, "calls": 10, "elapsed_ns": [round(1e10 * seconds)]}


def made(times: dict[int, list[float]]) -> Repetitions:
    """Repetitions of the first case, by process."""
    repetitions = Repetitions(SETTINGS)
    for process, own in times.items():
        for seconds in own:
            repetitions.add(CASES[0], outcome(process, seconds))
    return repetitions


def test_row_whose_interval_is_narrow_is_repeated_no_more() -> None:
    """One that is wide is, and one without enough repetitions or without all processes."""
    close = [1.0e-3, 1.001e-3, 0.999e-3, 1.002e-3, 0.998e-3]
    narrow = {p: [close[p]] * NARROW_REPETITIONS for p in range(PROCESSES)}
    wide = {p: [(1 + 0.05 * p) * 1e-3] * NARROW_REPETITIONS for p in range(PROCESSES)}
    few = {p: own[1:] for p, own in narrow.items()}
    lacking = {p: own for p, own in narrow.items() if p}

    def goes_on(times: dict[int, list[float]]) -> bool:
        return bool(made(times).worth_repeating(CASES[:1], 1, PROCESSES))

    assert [False, True, True, True] == [goes_on(times) for times in (narrow, wide, few, lacking)]


def test_two_repetitions_of_a_long_call_may_be_enough() -> None:
    """Of a short one they are not."""
    long, short = (
        {p: [(1 + 0.001 * p) * seconds] * 2 for p in range(PROCESSES)} for seconds in (0.04, 1e-3)
    )

    assert not made(long).worth_repeating(CASES[:1], 0, PROCESSES)
    assert made(short).worth_repeating(CASES[:1], 0, PROCESSES)
    one = {p: own[p == 1 :] for p, own in long.items()}
    assert made(one).worth_repeating(CASES[:1], 0, PROCESSES)


def test_outcome_without_a_process_is_no_repetition() -> None:
    """Journals of older schemas have such; a run that goes on with one measures again."""
    repetitions = Repetitions(SETTINGS)
    repetitions.add(CASES[0], {"calls": 10, "elapsed_ns": [1000]})

    assert CASES[:1] == repetitions.not_begun(CASES[:1], 0)


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(1e-5, 30), (5e-3, 30), (0.03, 10), (0.049, 6), (0.2, 1), (3.0, 1)],
)
def test_repetitions_are_as_many_as_fit_into_the_time_of_a_case(seconds: float, most: int) -> None:
    """0.3 s are 30 blocks with what precedes them; a long call is repeated once."""
    times: dict[int, list[float]] = {0: []}
    for _ in range(most):
        assert made(times).unfinished(CASES[0], 0) == (len(times[0]) < min(3, most))
        times[0].append(seconds)
        assert bool(made(times).worth_repeating(CASES[:1], 0, 1)) == (len(times[0]) < most)


def test_long_calls_are_spread_over_the_requests() -> None:
    """A request names all short calls, and some long ones: one at least."""
    repetitions = Repetitions(SETTINGS)
    for case, seconds in zip(CASES, (1e-3, 0.3, 0.4), strict=True):
        repetitions.add(case, outcome(0, seconds))

    assert CASES[:2] == repetitions.share(CASES)
    assert [CASES[2], CASES[0]] == repetitions.share([CASES[2], CASES[0], CASES[1]])
    assert CASES[2:] == repetitions.share(CASES[2:])


def test_blocks_of_a_known_case_are_told_to_other_processes() -> None:
    """Calls in a block, and the least that a call took: whether it is long."""
    assert {CASES[0].id: (10, 2e-3)} == made({0: [4e-3, 2e-3], 1: [3e-3]}).blocks(CASES)


def test_process_that_is_behind_its_row_goes_first() -> None:
    """By more than 8 %, and for eight repetitions more than others: it may be slower itself."""
    repetitions = made({0: [1.0e-3, 1.5e-3], 1: [1.1e-3, 1.4e-3], 2: [1.02e-3]})
    for process in range(3):
        repetitions.add(CASES[1], outcome(process, 1e-3))
    asked = [repetitions.worth_repeating(CASES[:2], process, PROCESSES) for process in range(4)]

    assert [CASES[:2], CASES[:1], CASES[:2], CASES[:2]] == asked
    for _ in range(7):
        assert CASES[:1] == repetitions.worth_repeating(CASES[:2], 1, PROCESSES)
        repetitions.add(CASES[0], outcome(1, 1.1e-3))
    assert CASES[:2] == repetitions.worth_repeating(CASES[:2], 1, PROCESSES)


@pytest.mark.parametrize("between", [0.005, 0.02])
def test_interval_of_few_repetitions_covers_the_truth(between: float) -> None:
    """Of 15 blocks, half of which take 1.4 times as long; those who are behind go first.

    In the order of the processes four times as many intervals are wide.
    """
    rng = np.random.default_rng(7)
    widths, held, trials = {True: list[float](), False: list[float]()}, 0, 250
    for trial in range(2 * trials):
        first = trial % 2 == 0  # those who are behind
        repetitions = Repetitions(SETTINGS)
        effects, others = rng.normal(0.0, between, PROCESSES), CASES[1]
        for number in range(15):
            process = number % PROCESSES
            repetitions.add(others, outcome(process, 1e-3))
            if first and number >= PROCESSES:
                behind = [
                    one
                    for one in range(PROCESSES)
                    if others not in repetitions.worth_repeating(CASES[:2], one, PROCESSES)
                ]
                process = int(rng.choice(behind or range(PROCESSES)))
            noise = rng.normal(0.0, 0.001) + (0.34 if rng.random() < 0.5 else 0.0)
            repetitions.add(CASES[0], outcome(process, 1e-3 * math.exp(effects[process] + noise)))
        values = [undisturbed(own) for own in repetitions.times[CASES[0].id].values()]
        low, high = interval(values)
        widths[first].append(math.log(high / low) / 2)
        held += first and low <= 1e-3 <= high

    assert 0.92 <= held / trials <= 0.98
    wide = {first: np.mean(np.array(each) > 0.1) for first, each in widths.items()}
    assert 3 * wide[True] < wide[False]


@pytest.mark.parametrize("seconds", [1e-3, 0.2])
@pytest.mark.parametrize("between", [0.005, 0.02])
@pytest.mark.parametrize("disturbed", [0.0, 0.5])
def test_interval_covers_the_truth_though_it_ends_when_it_is_narrow(
    between: float, disturbed: float, seconds: float
) -> None:
    """Simulated processes, repetitions, bursts: 92 to 98 of 100 intervals hold the true time.

    Somewhat below 95, since rows that are narrow by chance end first; the interval of all
    repetitions at once would not show it. Long calls have three repetitions at most: disturbances
    remain, and make intervals wide. They are disturbed for a part of their time.
    """
    rng = np.random.default_rng(7)
    trials, held, ended = 600, 0, 0
    for _ in range(trials):
        repetitions, count = Repetitions(RunSettings(None, 0.3, short_call_seconds=0.6)), 0
        effects = rng.normal(0.0, between, PROCESSES)
        while count < 15:
            count += 1
            asked = False
            for process in range(PROCESSES):
                if count > 1 and not repetitions.worth_repeating(CASES[:1], process, PROCESSES):
                    continue
                asked = True
                noise = rng.normal(0.0, 0.001)
                noise += rng.uniform(0.05, 0.5) if rng.random() < disturbed else 0.0
                repetitions.add(
                    CASES[0], outcome(process, seconds * math.exp(effects[process] + noise))
                )
            ended += not asked
            if not asked:
                break
        values = [undisturbed(own) for own in repetitions.times[CASES[0].id].values()]
        low, high = interval(values)
        held += low <= seconds <= high

    assert 0.92 <= held / trials <= 0.98
    always = between < 0.01 or seconds > 0.1  # narrow in the end, or repeated as often as may be
    assert ended == trials if always else 0.05 < ended / trials < 0.5
