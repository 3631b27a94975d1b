"""The time left that is shown, by the timings of a recorded run and of made-up ones."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samegrad.benchmarks.runs.bar import Bar
from tests.helpers.journals import CASE, ok

UNIT = 0.05  # seconds that a unit is predicted to take: far less than it does


def recorded() -> list[tuple[float, bool]]:
    """Of each outcome of a standard run of 22 November: its seconds, and if it was a first."""
    run = json.loads(Path(__file__).with_name("standard_run.json").read_text())
    return [(s, bool(first)) for s, first in zip(run["seconds"], run["first"], strict=True)]


def shown(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[float, bool]],
    planned: float,
    limit: float,
) -> Iterator[tuple[float, float]]:
    """(seconds that have passed, seconds left that are shown) after each step."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    bar = Bar()
    bar.within(planned, lambda: limit - (clock[0] - 1000))
    bar.expect(sum(first for _, first in steps), UNIT * sum(first for _, first in steps))
    for seconds, first in steps:
        clock[0] += seconds
        if first:
            bar.done(UNIT)
        yield clock[0] - 1000, bar.left()


def ratios(pairs: list[tuple[float, float]]) -> list[float]:
    """Shown over true, from the first tenth of the run to its last twentieth."""
    whole = pairs[-1][0]
    return [
        left / (whole - passed) for passed, left in pairs if 0.1 * whole < passed < 0.95 * whole
    ]


def test_time_left_of_a_recorded_standard_run_is_within_a_factor_of_one_and_a_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planned for 281 s, as long as its limit; it took 275 s."""
    pairs = list(shown(monkeypatch, recorded(), 280.8, 280.8))

    assert 1 / 1.5 < min(ratios(pairs)) and max(ratios(pairs)) < 1.5
    assert max(left for _, left in pairs) <= 281  # not one unit's time times all units


def test_time_left_follows_the_units_where_they_take_longer_than_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run without a limit, of 100 units that take four times as long."""
    pairs = list(shown(monkeypatch, [(4 * UNIT, True)] * 100, 100 * UNIT, float("inf")))

    assert 1 / 1.5 < min(ratios(pairs)) and max(ratios(pairs)) < 1.5


def test_time_left_is_never_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the first unit took: 22 s of 300 for one of 830."""
    steps = [(22.0, True)] + [(0.3, True)] * 829

    (first, *_) = shown(monkeypatch, steps, 290.0, 300.0)

    assert 22.0 == first[0] and first[1] == pytest.approx(278.0)


def test_first_time_of_each_row_is_shown_as_it_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the name that `-k` selects; without a number, its status."""
    bar = Bar()
    bar.measured(CASE, ok(0, 41_300))
    bar.measured(CASE, {"status": "wrong", "reason": "dW1"})

    assert [["first", "41.3", "us", CASE.id], ["first", "wrong", CASE.id]] == [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
