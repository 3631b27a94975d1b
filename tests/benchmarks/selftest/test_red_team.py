"""Known cheats get no time that they have not spent; what is unusual and right gets its number."""

import pytest

from samegrad.benchmarks.selftest import selftest
from samegrad.benchmarks.selftest.ahead import CHEATS
from samegrad.benchmarks.selftest.honest import HONEST
from samegrad.benchmarks.selftest.saboteurs import SABOTEURS

# Of each kind one whose refusal hangs on no time.
REFUSED = (
    "replays_outputs",
    "rate_detection",
    "judge_exchanged",
    "late_after_the_gate",
    "scales_products_anyway",
    "adds_up",
)
ACCEPTED = ("keeps_buffers", "keeps_outputs", "views_of_a_vector", "functional_step")


def test_names_are_of_one_kind_each():
    """And each cheat says where it was seen."""
    assert not set(CHEATS) & set(HONEST) and not set(SABOTEURS) & {*CHEATS, *HONEST}
    assert all(cheat.source and cheat.what and cheat.function for cheat in CHEATS.values())
    assert len(CHEATS) + len(SABOTEURS) > 50 and len(HONEST) >= 20


def test_some_cheats_get_no_number_and_some_that_are_right_do():
    """Each in a process of its own."""
    names = [*REFUSED, *ACCEPTED]

    measured = selftest.measure([selftest._case(name) for name in names], 1)

    assert dict.fromkeys(ACCEPTED, "ok") == {name: measured[name].status for name in ACCEPTED}, [
        measured[name].reason for name in ACCEPTED
    ]
    for name in REFUSED:
        assert measured[name].median_seconds is None, name
        assert measured[name].reason, name


@pytest.mark.full  # two minutes
def test_red_team_gets_no_number():
    """All of it, as the command runs it."""
    said: list[str] = []

    done = selftest.run(said.append, only=["red-team"])

    assert [] == list(map(str, selftest.failed(done)))
