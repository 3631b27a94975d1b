"""The parent's clock beside that of the process that is timed."""

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.clock.agreement import disagreement
from samegrad.benchmarks.runs.clocks import Clocks
from samegrad.benchmarks.selftest.saboteurs import SMALL

MS = 1_000_000
CASE = Case(SMALL, "forward", "numpy")


def blocks(count, own=5.0, outer=None, late=(0.01,), others=0.0, ready=0.0):
    """Blocks in milliseconds, the parent's late by one number after the other."""
    true = own if outer is None else outer
    return [
        tuple(round(ms * MS) for ms in (own, true + late[i % len(late)], others, ready))
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 11, 12, 40])
def test_late_wake_ups_refuse_nobody(count):
    """Beside busy loops most blocks are told late, and one in eight is not."""
    assert "" == disagreement(blocks(count, late=(20.0, 4.0, 5.5, 2.5, 22.0, 0.9, 2.9, 0.02)))


@pytest.mark.parametrize("late", [(0.01,), (0.01, 5.0), (3.0, 0.3)])
def test_clock_that_runs_at_0_7_is_found(late):
    """In a dozen blocks of 5 ms, whatever is late."""
    reason = disagreement(blocks(12, own=5.0, outer=5.0 / 0.7, late=late))

    assert "its clock says 5 ms of a block that took 7." in reason


def test_clock_that_runs_at_0_7_is_found_in_one_long_block():
    """A second is longer than any lateness."""
    assert "its clock says" in disagreement(blocks(1, own=1000, outer=1000 / 0.7))


@pytest.mark.parametrize("count", [8, 12, 40])
def test_short_clock_is_found_though_some_blocks_say_nothing(count):
    """One in six has waited for as long as it took: what is left of it is its own time."""
    found = blocks(count, own=2, outer=5, ready=2)
    found[::6] = blocks(len(found[::6]), own=2, outer=2, ready=2)

    assert "its clock says 2 ms of a block that took 5.01 ms" in disagreement(found)


@pytest.mark.parametrize(("ready", "late"), [(0.0, (9.0, 9.0, 9.0, 0.1)), (5.0, (9.0, 9.0, 0.1))])
def test_most_blocks_may_be_late_where_the_system_tells_no_waits_and_some_elsewhere(ready, late):
    """Off Linux waits are not left out of what the parent sees."""
    assert "" == disagreement(blocks(40, late=late, ready=ready))


def test_clock_that_runs_fast_is_found():
    """It makes an implementation slower than it is."""
    assert "its clock says" in disagreement(blocks(3, own=10, outer=5))


@pytest.mark.parametrize(("others", "found"), [(0.0, False), (0.4, False), (4.0, True)])
def test_other_processes_that_compute_are_found(others, found):
    """Not those that wake up now and then."""
    assert found is ("0.8 cores meanwhile" in disagreement(blocks(10, others=others)))


@pytest.mark.parametrize(("helpers", "others", "found"), [(2, 4.0, False), (2, 12.0, True)])
def test_processes_that_belong_to_a_row_may_compute_on_a_core_each(helpers, others, found):
    """Workers of a loader; more cores than there are workers have others."""
    said = disagreement(blocks(10, others=others), helpers)

    assert found is ("cores meanwhile" in said)
    assert "cores meanwhile" in disagreement(blocks(10, others=others))


def test_blocks_are_compared_over_a_process_and_over_the_row():
    """Few in each process, and enough in all of them."""
    clocks = Clocks()
    own, outer, others, _ = map(list, zip(*blocks(4, own=5, outer=5 / 0.7), strict=True))
    outcome = {"status": "ok", "elapsed_ns": own, "outer_ns": outer, "others_ns": others}
    for name in ("waited_ns", "ready_ns", "looked_ns", "outer_looked_ns"):
        outcome[name] = [0] * 4

    statuses = [clocks.judged(CASE, process, outcome)["status"] for process in range(5)]

    assert ["ok", "ok", "rejected", "rejected", "rejected"] == statuses


@pytest.mark.parametrize(("ready", "found"), [(5.0, False), (8.4, False), (12.5, True)])
def test_thread_is_not_ready_for_longer_than_its_block_takes(ready, found):
    """However late its messages are: a clock that runs at 0.4 is found."""
    reason = disagreement(blocks(40, own=5, outer=5, late=(0.01, 30.0), ready=ready))

    assert found is ("its thread was ready for" in reason)


def test_what_threads_have_waited_for_a_core_makes_no_clock_short():
    """However busy the machine is; a part of it is not enough."""
    own, outer, others, _ = map(list, zip(*blocks(40, own=5, outer=50), strict=True))
    outcome = {"status": "ok", "elapsed_ns": own, "outer_ns": outer, "others_ns": others}
    for name in ("ready_ns", "looked_ns", "outer_looked_ns"):
        outcome[name] = [0] * 40

    waited = outcome | {"waited_ns": [46 * MS] * 40}
    part = outcome | {"waited_ns": [40 * MS] * 40}

    assert "ok" == Clocks().judged(CASE, 0, waited)["status"]
    assert "rejected" == Clocks().judged(CASE, 0, part)["status"]


def test_outcome_without_blocks_is_left_as_it_is():
    """It has no number anyway."""
    assert {"status": "wrong"} == Clocks().judged(CASE, 0, {"status": "wrong"})
