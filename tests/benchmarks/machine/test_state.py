"""The machine's state: who uses it besides this run, in numbers and in words."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from samegrad.benchmarks.clock.loops import LOOPS
from samegrad.benchmarks.machine import state
from samegrad.benchmarks.records import states
from samegrad.benchmarks.records.journal import Journal
from samegrad.benchmarks.runs import quiet, session
from samegrad.benchmarks.runs.options import parse
from tests.helpers.journals import run_record

BUSY_LOOP = "import time; end = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says it")


def a_state(when: str = "during", seconds: float = 2.0, **changes: Any) -> dict[str, Any]:
    """A record."""
    record = {"record": "state", "when": when, "seconds": seconds, "cores": 2, "others": 0.0}
    return record | {"programs": {}, "steal": 0.0, "hot": 0} | changes


@LINUX
def test_own_processes_are_not_others_and_others_are_named() -> None:
    """A busy loop that a child starts is this run's; that of somebody else is not."""
    with subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) as loop:
        time.sleep(0.1)
        before = state.look()
        time.sleep(0.3)
        after = state.look()
        loop.kill()

    assert after.own - before.own > 0.05
    assert loop.pid not in after.others
    assert os.getpid() not in after.others


@pytest.mark.parametrize(
    ("facts", "words", "too_busy"),
    [
        ({}, "quiet", False),
        ({"others": 0.09}, "quiet", False),
        (
            {"others": 0.3, "programs": {"node": 0.21, "sh": 0.01}},
            "busy (other programs take 0.3 of 2 cores: node 0.21)",
            False,
        ),
        (
            {"others": 1.9, "programs": {"python": 1.2, "cc1": 0.6, "a": 0.06, "b": 0.05}},
            "busy (other programs take 1.9 of 2 cores: python 1.2, cc1 0.6, a 0.06)",
            True,
        ),
        ({"steal": 0.3}, "busy (the hypervisor takes 30 % of the time)", True),
        ({"quota": 1.5}, "on a quota of 1.5 of 2 cores", False),
        ({"quota": 2.0}, "quiet", False),
        (
            {"quota": 1.0, "throttled": 0.4},
            "stopped by its quota (in 40 % of the time), on a quota of 1 of 2 cores",
            False,
        ),
        ({"hot": 3}, "throttled for heat", False),
        ({"loop_ns": 280, "loop_least_ns": 230}, "quiet", False),
        (
            {"loop_ns": 420, "loop_least_ns": 220},
            "on cores that others use, too, whom this system does not see (a fixed loop took 1.9 "
            "times its least, half of the time)",
            False,
        ),
        (
            {"others": 1.9, "loop_ns": 420, "loop_least_ns": 220},
            "busy (other programs take 1.9 of 2 cores)",
            True,
        ),
    ],
)
def test_state_is_said_in_words(facts: dict[str, Any], words: str, too_busy: bool) -> None:
    """By whom, as far as it can be seen, and how much."""
    one = a_state(**facts)

    assert words == states.words(one)
    assert too_busy == states.too_busy(one) == states.run_too_busy([one])


def test_least_time_of_a_loop_is_that_of_the_whole_run() -> None:
    """A moment in which every loop is slow says so only beside others."""
    free = a_state(loop_ns=220, loop_least_ns=200, seconds=1.0)
    taken = a_state(loop_ns=400, loop_least_ns=390, seconds=3.0)

    assert states.quiet(free) and states.quiet(taken)
    assert 1.775 == states.slower(states.average([free, taken]) or {})
    assert 1.0 == states.slower(states.average([a_state(), a_state()]) or {})


def test_loop_is_timed_whenever_the_machine_is_looked_at() -> None:
    """The half of both looks that woke the core up is left out."""
    facts = state.watch(0.01)

    assert 0 < facts["loop_least_ns"] <= facts["loop_ns"]
    assert LOOPS == len(state.look().loops)


def test_run_is_as_busy_as_it_was_on_average_while_it_measured() -> None:
    """What was before it counts only where nothing was looked at since."""
    before = a_state("before", others=1.9)
    quiet_run = [before, a_state(seconds=8.0), a_state(seconds=2.0, others=2.0)]
    busy_run = [a_state("before"), a_state(seconds=2.0), a_state(seconds=8.0, others=2.0)]

    assert (True, False, True) == tuple(map(states.run_too_busy, ([before], quiet_run, busy_run)))
    assert "The machine was quiet, before the run and while it measured." == states.sentence(
        [a_state("before"), a_state()]
    )
    assert "The machine's state was not recorded." == states.sentence([])


@pytest.mark.parametrize(
    ("before", "during", "words"),
    [
        (
            {"others": 1.9, "programs": {"cc1": 1.8}},
            {"others": 0.4},
            "busy (other programs take 1.9 of 2 cores: cc1 1.8, before the run; other programs 0.4 "
            "while it measured)",
        ),
        (
            {"steal": 0.3},
            {"others": 0.4, "steal": 0.2},
            "busy (the hypervisor takes 30 % of the time, before the run; other programs 0.4, the "
            "hypervisor takes 20 % while it measured)",
        ),
        (
            {"loop_ns": 420, "loop_least_ns": 220, "quota": 1.0},
            {"loop_ns": 350, "loop_least_ns": 220, "quota": 1.0},
            "on cores that others use, too, whom this system does not see (a fixed loop took 1.9 "
            "times its least, half of the time, before the run; 1.6 times while it measured), on a "
            "quota of 1 of 2 cores",
        ),
        ({}, {"hot": 1}, "quiet before the run; throttled for heat while it measured"),
        (
            {"others": 0.4},
            {"others": 0.4},
            "busy (other programs take 0.4 of 2 cores), before the run and while it measured",
        ),
    ],
)
def test_state_that_a_machine_was_in_twice_is_said_once(
    before: dict[str, Any], during: dict[str, Any], words: str
) -> None:
    """With how much at each time."""
    assert f"The machine was {words}." == states.sentence(
        [a_state("before", **before), a_state(**during)]
    )


class Waiting:
    """A run that only waits; what it says and writes is kept."""

    def __init__(self) -> None:
        self.progress, self.began = self, 0.0
        self.said: list[str] = []
        self.written: list[dict[str, Any]] = []
        self.say, self.write = self.said.append, self.written.append


@pytest.mark.parametrize(("busy_for", "said"), [(0, 0), (3, 1), (99, 3)])
def test_run_waits_for_a_quiet_machine_and_goes_on_when_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch, busy_for: int, said: int
) -> None:
    """It says what it waits for, once in a while, and that it gave up; its own time is not used."""
    clock = [0.0]

    def watch() -> dict[str, Any]:
        clock[0] += 1.0
        others = 1.0 if clock[0] <= busy_for else 0.0
        return {"seconds": 1.0, "cores": 2, "others": others}

    monkeypatch.setattr(state, "watch", watch)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    run: Any = Waiting()

    quiet.begin(run, 10.0)

    assert said == len(run.said), run.said
    assert (min(busy_for, 9) + 1, "before") == (run.began, run.written[0]["when"])
    if said:
        assert "waiting for a quiet machine, 9 s at most: it is busy (other" in run.said[0]
    if busy_for > 10:
        assert "not quiet within 10 s, so it goes on and says so" == run.said[1]


def test_outcomes_since_a_look_have_what_others_took_meanwhile() -> None:
    """Those of before, or of an interrupted session, have not."""
    from tests.helpers.journals import ok

    journal = Journal(run_record())
    for record in (
        ok(0), a_state("before"), ok(1), a_state(others=1.0), ok(2), ok(3), a_state(others=0.5),
    ):  # fmt: skip
        journal.add(record)

    assert [None, 0.5, 0.25, 0.25] == [outcome.get("others") for _, outcome in journal.outcomes]


@pytest.mark.parametrize(
    ("measures", "busy_for", "left"), [(True, 3, 6), (True, 99, 0), (False, 3, 10)]
)
def test_implementations_are_probed_once_the_machine_is_quiet(
    monkeypatch: pytest.MonkeyPatch, measures: bool, busy_for: int, left: int
) -> None:
    """Not while it is busy, when rows seem to take too long; what is waited is taken off."""
    clock, probed_at = [0.0], list[float]()

    def watch() -> dict[str, Any]:
        clock[0] += 1.0
        return {"seconds": 1.0, "cores": 2, "others": 1.0 if clock[0] <= busy_for else 0.0}

    class Kind:
        def select(self, _: Any) -> Any:
            probed_at.append(clock[0])

    monkeypatch.setattr(state, "watch", watch)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(session, "load_kind", lambda _: Kind())
    one = session.State(parse(implementation="numpy", wait_quiet="10"), began=0.0)

    one.select(measures)

    assert [0.0 if not measures else min(busy_for + 1, 10)] == probed_at
    assert (one.waited, one.began) == (probed_at[0], probed_at[0])
    assert left == 10 - one.waited
