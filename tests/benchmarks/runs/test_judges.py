"""Two judges at a time: who is asked what, and how it ends."""

import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from samegrad.benchmarks.runs import judges as module
from samegrad.benchmarks.runs.judges import Judges
from samegrad.implementations.checking.processes import Exit

GROUPS = [[(0, {"name": "a"}), (1, {"name": "b"})], [(2, {"name": "c"})], [(3, {"name": "d"})]]


class Process:
    """A judge that waits at a request until somebody lets it, or until it is ended."""

    made: ClassVar[list["Process"]] = []

    def __init__(self, *_: Any, dies_at: str = "", meets: threading.Barrier | None = None) -> None:
        self.dies_at, self.meets, self.asked = dies_at, meets, list[str]()
        self.ended, self.blocks = threading.Event(), list[Any]()
        self.thread, self.doing = threading.current_thread(), ""
        self.made.append(self)

    def send(self, message: Any) -> None:
        """A request."""
        self.blocks = message.get("blocks", [])

    def receive(self, on_message: Any, _: float) -> Exit | None:
        """Its verdicts."""
        for block in self.blocks:
            self.asked.append(block["name"])
            if self.meets is not None and len(self.asked) == 1:
                self.meets.wait(20)
            if block["name"] == self.dies_at:
                return Exit("crashed", "killed by SIGSEGV")
            if self.ended.is_set():
                return Exit("crashed", "killed by SIGTERM", killed=True)
            verdict = {"block": block["block"], "verdict": {"reason": ""}, "spent_ns": 1}
            on_message(verdict)
        return None

    def close(self) -> None:
        """It is gone."""
        self.ended.set()


@pytest.fixture
def judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judges:
    """Two, each asked for the first time while the other is, too."""
    barrier = threading.Barrier(2)
    monkeypatch.setattr(Process, "made", [])
    monkeypatch.setattr(module, "Child", lambda *_: Process(meets=barrier))
    made = Judges(tmp_path)
    made.most = 2
    return made


def test_two_judge_at_the_same_time(judges: Judges) -> None:
    """A group by one of them, in its order; the threads that started them live as long."""
    taken = list[int]()
    judges.ask(GROUPS, lambda number, *_: taken.append(number), "blocks")

    assert [0, 1, 2, 3] == sorted(taken)
    asked = sorted("".join(process.asked) for process in Process.made)
    assert ["ab", "cd"] == asked or ["abd", "c"] == asked
    assert all(process.thread.is_alive() for process in Process.made)
    judges.ask(GROUPS[1:2], lambda number, *_: taken.append(number), "blocks")
    judges.close()
    assert 2 == len(Process.made) and all(process.ended.is_set() for process in Process.made)
    assert sum(process.thread.is_alive() for process in Process.made) == 1  # this one


def test_one_that_dies_is_replaced(judges: Judges, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it died at has no verdict but that."""
    monkeypatch.setattr(module, "Child", lambda *_: Process(dies_at="b"))
    reasons = dict[int, str]()
    judges.ask(GROUPS, lambda n, verdict, _: reasons.update({n: verdict["reason"]}), "blocks")
    judges.close()

    assert {0, 1, 2, 3} == reasons.keys() and "killed by SIGSEGV" in reasons.pop(1)
    assert {""} == set(reasons.values())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_one_ends_all(
    judges: Judges, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever thread it was; no verdict comes after that."""
    taken, failed = list[int](), list[bool]()

    def take(number: int, *_: Any) -> None:
        own = threading.current_thread() is threading.main_thread()
        if own == (error is KeyboardInterrupt) and not failed:
            failed.append(True)
            raise error
        time.sleep(0.01)
        assert not (failed and error is KeyboardInterrupt)
        taken.append(number)

    with pytest.raises(error):
        judges.ask(GROUPS, take, "blocks")
    assert failed and all(process.ended.is_set() for process in Process.made)
    monkeypatch.setattr(module, "Child", Process)  # afterwards others can be asked
    judges.ask(GROUPS[:1], lambda number, *_: taken.append(10 + number), "blocks")
    assert [10, 11] == taken[-2:]


def test_one_core_needs_no_thread(judges: Judges, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one group."""
    monkeypatch.setattr(module, "Child", Process)
    judges.most = 1
    judges.ask(GROUPS, lambda *_: None, "blocks")
    judges.close()

    (process,) = Process.made
    assert ["a", "b", "c", "d"] == process.asked and process.thread is threading.main_thread()
