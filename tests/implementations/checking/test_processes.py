"""A child in turns: it says, rests, hears more, and leaves nothing behind."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samegrad.benchmarks.machine.system import ROOT
from samegrad.implementations.checking.processes import Child, run_child

ECHO = """
import os, time
from samegrad.implementations import isolation

def answer(word, send):
    while True:
        isolation.ask({"heard": word}, send) if "ask" in word else send({"heard": word})
        if word.get("exit") is not None:
            os._exit(word["exit"])
        time.sleep(word.get("sleep", 0))
        if "make" in word:
            open(word["make"], "w").close()
            while not os.path.exists(word["wait"]):
                time.sleep(0.01)
        word = isolation.rest(send)

isolation.serve(answer)
"""
COMMAND = [sys.executable, "-c", ECHO]
SURROUNDINGS = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def child() -> Iterator[Child]:
    """One that repeats what it hears, and rests."""
    with Child(COMMAND, SURROUNDINGS) as started:
        yield started


def turn(child: Child, word: dict[str, Any], limit: float = 30.0) -> tuple[list[Any], Any]:
    """What it answers, and how it ended, if it did."""
    heard: list[Any] = []
    child.say(word)

    def on_message(message: dict[str, Any]) -> None:
        heard.append(message["heard"])

    return heard, child.hear(on_message, limit)


def test_child_rests_between_its_turns(child: Child) -> None:
    """As often as it is spoken to; then it ends, and says how."""
    assert ([{"n": 1}], None) == turn(child, {"n": 1})
    assert ([{"n": 2}], None) == turn(child, {"n": 2})
    heard, ended = turn(child, {"exit": 3})

    assert [{"exit": 3}] == heard
    assert ("crashed", "exit status 3") == (ended.kind, ended.reason)


def test_two_children_work_at_the_same_time(tmp_path: Path) -> None:
    """Both are spoken to before either is heard: each waits for what the other one makes."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    with Child(COMMAND, SURROUNDINGS) as first, Child(COMMAND, SURROUNDINGS) as second:
        first.say({"make": a, "wait": b})
        second.say({"make": b, "wait": a})

        assert first.hear(lambda _: None, 30.0) is None
        assert second.hear(lambda _: None, 30.0) is None


def test_child_that_asks_goes_on_once_it_has_been_heard(child: Child, tmp_path: Path) -> None:
    """What it does next begins when the parent has dealt with what it said, not before."""
    made, wait = tmp_path / "made", tmp_path / "wait"
    wait.touch()
    for asks, expected in ((True, False), (False, True)):
        made.unlink(missing_ok=True)
        there: list[bool] = []

        def on_message(_: dict[str, Any], there: list[bool] = there, asks: bool = asks) -> None:
            deadline = time.monotonic() + (0.2 if asks else 30)
            while not made.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            there.append(made.exists())

        child.say({"make": str(made), "wait": str(wait), **({"ask": True} if asks else {})})

        assert child.hear(on_message, 30.0) is None
        assert [expected] == there
        assert made.exists()


def test_child_that_dies_while_it_rests_is_noticed_when_it_is_spoken_to(child: Child) -> None:
    """Not before, and without an exception."""
    turn(child, {})
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(30)

    heard, ended = turn(child, {"n": 2})

    assert [] == heard
    assert ("crashed", "killed by SIGKILL") == (ended.kind, ended.reason)


def test_child_that_hangs_is_killed_with_its_group(child: Child) -> None:
    """After the limit of this turn."""
    turn(child, {})
    _, ended = turn(child, {"sleep": 60}, limit=0.3)
    child.close()

    assert ("timeout", "no result within 0 s; killed") == (ended.kind, ended.reason)
    assert child.process.returncode is not None


def test_child_of_one_turn_must_not_rest() -> None:
    """Nobody would speak to it again."""
    ended = run_child(COMMAND, {}, SURROUNDINGS, lambda _: None, 30.0)

    assert "crashed" == ended.kind and "it rests" in ended.reason
