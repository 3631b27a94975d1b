"""Which timed blocks are kept and judged, and what becomes of their rows."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.runs import judges
from samegrad.benchmarks.runs import proofs as module
from samegrad.benchmarks.runs.proofs import GUESSED_RATE, LONG_SECONDS, LONGEST_SECONDS, Proofs
from samegrad.benchmarks.selftest.saboteurs import SMALL
from samegrad.implementations.checking.processes import Exit

CASE, OTHER, EPOCH = (
    Case(SMALL, operation, "numpy") for operation in ("forward", "train_step", "epoch")
)


class Run:
    """What is written and what fails."""

    def __init__(self):
        self.directory, self.failed, self.written, self.finished = Path("run"), set(), [], []
        self.progress = SimpleNamespace(now=lambda _: None)

    def write(self, record):
        """A record."""
        self.written.append(record)

    def fail(self, case, status, reason, **about):
        """A row without a number."""
        self.failed.add(case.id)
        self.finished.append((case.id, status, reason, about["process"], about["repetition"]))

    def finish(self, case, process, outcome):
        """What the worker said instead of evidence."""
        self.failed.add(case.id)
        self.finished.append((case.id, outcome["status"], outcome["reason"], process, None))


class Judge:
    """The process of a judge: it answers with verdicts; at the block of a repetition it dies."""

    def __init__(self, wrong=(), deadly=(), spent_ns=10**6):
        self.wrong, self.deadly, self.spent_ns, self.asked = wrong, deadly, spent_ns, []

    def send(self, message):
        """A request."""
        self.blocks = message.get("blocks")

    def receive(self, on_message, seconds):
        """Its verdicts."""
        for block in self.blocks or ():
            seconds_of = float(Path(block["results"]).read_text())
            if seconds_of in self.deadly:
                return Exit("crashed", "killed by SIGSEGV")
            self.asked.append(seconds_of)
            on_message({"begin": block["block"]})
            reason = "outputs: off" if seconds_of in self.wrong else ""
            verdict = {"reason": reason, "name": "W1", "error": 0.0, "bound": 1.0}
            on_message({"block": block["block"], "verdict": verdict, "spent_ns": self.spent_ns})
        return None

    def close(self):
        """It is gone."""


@pytest.fixture
def proofs(tmp_path, monkeypatch):
    """Proofs of a run, whose judge is at hand; nothing is drawn."""
    monkeypatch.setattr(module, "SECRET", SimpleNamespace(randrange=lambda _: 1))
    proofs: Any = Proofs(Run(), tmp_path)
    proofs.judges.most = 1
    proofs.child = Judge()  # as it is started, when it is first needed
    monkeypatch.setattr(judges, "Child", lambda *_: proofs.child)
    return proofs


def timed(proofs, milliseconds, case=CASE, process=0, draw=False, requests=0):
    """A block of so long, and its results if they are asked for."""
    number = len(proofs.times.get((case.id, process), ()))
    vars(module.SECRET)["randrange"] = lambda _: 0 if draw else 1
    child = SimpleNamespace(answer=None)
    one = SimpleNamespace(process=process, child=child, draws={case.id: [1, 2]}, asked=None)
    outcome = {"status": "ok", "elapsed_ns": [milliseconds * 10**6], "calls": 1}
    outcome |= {"request_ns": [1] * requests} if requests else {}
    proofs.timed(one, case, outcome, number)
    if child.answer is None:
        return False
    assert one.asked is case
    path = Path(child.answer["evidence"])
    path.write_text(str(milliseconds))
    proofs.keep(one, {"changed": False})
    return True


def kept(proofs, case=CASE, process=0):
    """Milliseconds of the blocks that wait."""
    return [round(1e3 * block.seconds) for block in proofs.waiting.get((case.id, process), ())]


def test_fastest_block_of_a_process_is_kept_and_others_are_not(proofs):
    """Of up to ten; what is beaten goes, with its file."""
    assert [True, False, True, False] == [timed(proofs, ms) for ms in (7, 8, 5, 6)]
    assert [5] == kept(proofs)
    assert 1 == len(list(proofs.scratch.glob("block*.npz")))


@pytest.mark.parametrize("spent_ns", [10**6, int(2e9 * LONG_SECONDS)])
def test_block_with_requests_is_judged_though_others_are_faster(proofs, spent_ns):
    """However long that takes: their times stand beside the row's value."""
    proofs.child.spent_ns = spent_ns
    timed(proofs, 3)
    proofs.judge()  # so that it is known how long it takes
    timed(proofs, 8, requests=20)
    for ms in (5, 4, 2):
        timed(proofs, ms)
    assert 8 in kept(proofs)

    proofs.judge()

    assert 8.0 in proofs.child.asked and 8 not in kept(proofs)


def test_blocks_at_or_below_the_lower_tenth_are_kept(proofs):
    """Of 23 there are three."""
    for ms in (10, 11, 9, *range(20, 38)):
        timed(proofs, ms)

    assert [9] == kept(proofs)  # those that were beaten at first are not measured again
    timed(proofs, 8)
    timed(proofs, 10)
    assert [9, 8, 10] == kept(proofs)


def test_drawn_block_is_kept_however_slow_until_another_is_drawn(proofs):
    """One a process."""
    timed(proofs, 5)
    assert timed(proofs, 50, draw=True) and [5, 50] == kept(proofs)
    assert timed(proofs, 60, draw=True) and [5, 60] == kept(proofs)
    timed(proofs, 4)
    assert [60, 4] == kept(proofs)


def test_first_block_is_drawn(tmp_path):
    """By a source that the workers do not have."""
    proofs: Any = Proofs(Run(), tmp_path)
    one = SimpleNamespace(
        process=0, child=SimpleNamespace(answer=None), draws={CASE.id: [1, 2]}, asked=None
    )
    proofs.timed(one, CASE, {"elapsed_ns": [10**6], "calls": 1}, 0)

    (block,) = proofs.waiting[CASE.id, 0]
    assert block.drawn


def test_products_are_not_asked_for(proofs):
    """They are no step of anything."""
    assert not timed(proofs, 1, Case(SMALL, "products", "numpy"))


def test_judged_blocks_are_written_down_and_their_files_removed(proofs):
    """With process and repetition."""
    timed(proofs, 7)
    timed(proofs, 5, process=1)
    proofs.judge()

    assert {(0, 0), (1, 0)} == {(r["process"], r["repetition"]) for r in proofs.run.written}
    assert {"proof"} == {record["record"] for record in proofs.run.written}
    assert [] == list(proofs.scratch.iterdir()) and not kept(proofs)
    assert 0.005 == proofs.fastest[CASE.id]


def test_wrong_block_fails_its_row_only(proofs):
    """Whatever else of it waits."""
    proofs.child = Judge(wrong=(5,))
    timed(proofs, 5)
    timed(proofs, 6, process=1)
    timed(proofs, 6, OTHER)
    proofs.judge()

    ((name, status, reason, process, repetition),) = proofs.run.finished
    assert (CASE.id, "wrong", 0, 0) == (name, status, process, repetition)
    assert "timed block: outputs: off" == reason
    assert [OTHER.to_dict()] == [record["case"] for record in proofs.run.written]


def test_judge_that_dies_at_a_block_costs_that_case_only(proofs, monkeypatch):
    """Another one judges the rest."""
    made = [Judge(deadly=(5,))]
    made.append(Judge(deadly=(5,)))
    monkeypatch.setattr(judges, "Child", lambda *_: made.pop())
    timed(proofs, 5)
    timed(proofs, 6, process=1)
    timed(proofs, 7, OTHER)
    proofs.judge()

    ((name, status, reason, *_),) = proofs.run.finished
    assert (CASE.id, "crashed") == (name, status) and "killed by SIGSEGV" in reason
    assert [OTHER.to_dict()] == [record["case"] for record in proofs.run.written]
    assert not made and [] == list(proofs.scratch.iterdir())


def test_evidence_that_fails_is_the_rows_end(proofs):
    """As a conversion that runs out of memory is."""
    child = SimpleNamespace(answer=None)
    one = SimpleNamespace(process=2, child=child, draws={CASE.id: [1, 2]}, asked=None)
    proofs.timed(one, CASE, {"elapsed_ns": [10**6], "calls": 1}, 0)
    proofs.keep(one, {"failed": {"status": "out_of_memory", "reason": "no room"}})
    proofs.judge()

    assert [(CASE.id, "out_of_memory", "no room", 2, None)] == proofs.run.finished
    assert [] == proofs.run.written


def test_of_what_takes_long_to_judge_the_fastest_of_a_row_is_judged(proofs):
    """Soon, and at last again where a faster one has come."""
    proofs.child = judge = Judge(spent_ns=round(2e9 * LONG_SECONDS))
    timed(proofs, 7)
    proofs.judge()
    timed(proofs, 6)
    timed(proofs, 5, process=1)
    proofs.judge()
    timed(proofs, 5, process=2)
    assert [7] == judge.asked and math.isclose(2 * LONG_SECONDS, proofs.seconds)
    proofs.judge(last=True)
    timed(proofs, 6, process=3)
    proofs.judge(last=True)

    assert [7, 5] == judge.asked
    assert not any(proofs.waiting.values()) and [] == list(proofs.scratch.iterdir())


def test_of_what_takes_longest_to_judge_one_block_of_a_row_is_judged_at_last(proofs):
    """Its time is predicted from the quickest verdict of any case."""
    proofs.child = judge = Judge(spent_ns=round(2e9 * LONG_SECONDS))
    timed(proofs, 7)
    proofs.judge()
    proofs.rate = OTHER.flops / (2 * LONGEST_SECONDS)
    timed(proofs, 6, OTHER)
    timed(proofs, 8, OTHER, process=1)
    proofs.judge()
    assert [7] == judge.asked and [6] == kept(proofs, OTHER) and not kept(proofs, OTHER, 1)
    proofs.judge(last=True)

    assert [7, 6] == judge.asked and not any(proofs.waiting.values())


@pytest.mark.parametrize("order", [(1, 900), (900, 1)])
def test_disturbed_verdict_does_not_prolong_what_others_are_expected_to_take(proofs, order):
    """A run kept ten minutes for epochs because one small verdict had taken 0.7 s for 0.05."""
    for number, milliseconds in enumerate(order):
        proofs.child.spent_ns = milliseconds * 10**6
        timed(proofs, 7 - number, process=number)
        proofs.judge(last=True)
    timed(proofs, 6, OTHER)

    assert OTHER.flops / CASE.flops / 1e3 == pytest.approx(proofs.seconds)


def test_epoch_is_not_expected_to_be_judged_as_fast_as_large_products(proofs):
    """Its steps are small: one of MNIST took four seconds, not 0.4, and was judged twice."""
    proofs.rate = 1e12
    timed(proofs, 6, EPOCH)

    assert EPOCH.flops / GUESSED_RATE == pytest.approx(proofs.seconds)


def test_interrupted_run_judges_what_takes_least(proofs, monkeypatch):
    """As many blocks as fit into the seconds that it may take."""
    proofs.child = judge = Judge()
    timed(proofs, 7)
    timed(proofs, 6, OTHER)
    proofs.spent = {CASE.id: [0.6 * module.LAST_SECONDS], OTHER.id: [0.5 * module.LAST_SECONDS]}
    with pytest.raises(KeyboardInterrupt), proofs:
        raise KeyboardInterrupt

    assert [6] == judge.asked


def test_it_is_due_after_a_while_or_when_much_waits(proofs, monkeypatch):
    """Else nobody is disturbed."""
    timed(proofs, 5)
    assert not proofs.due
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 8)
    assert proofs.due
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 2**40)
    proofs.judged -= module.EVERY_SECONDS
    assert proofs.due


def test_seeds_are_of_a_repetition_and_of_a_process(tmp_path):
    """The second is the same again, and another one in another process."""
    proofs = Proofs(Run(), tmp_path)
    (first,), (again,), (other,) = (proofs.seeds(n, [CASE]).values() for n in (0, 0, 1))

    assert first[0] != again[0] and first[1] == again[1] != other[1]
