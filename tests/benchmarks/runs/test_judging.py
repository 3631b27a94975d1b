"""What happens to the judge, or to the files that it is given, is nobody else's fault."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.benchmarks.cases.case import Case
from samegrad.benchmarks.cases.workload import Workload
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.judge.proofs import Proofs as Verdicts
from samegrad.benchmarks.runs import judges, proofs
from samegrad.benchmarks.runs.judges import Judges
from samegrad.benchmarks.runs.proofs import Block, Proofs
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking.processes import Exit
from samegrad.implementations.contract.registry import load
from tests.helpers.proofs import first_call, handed_in

KILLED = Exit("crashed", "killed by SIGKILL", killed=True)
RIGHT = {"reason": "", "name": "outputs", "error": 0.0, "bound": 1e-12}
WORKLOAD = {
    "kind": "mlp", "name": "own", "batch_size": 4, "examples": 64,
    "spec": {"layer_sizes": [4, 3, 2]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "statuses"),
    [
        ([KILLED], ["", ""]),
        ([KILLED, KILLED], ["crashed", ""]),
        ([Exit("timeout", "no result")], ["timeout", ""]),
        ([Exit("crashed", "exit status 1")], ["crashed", ""]),
    ],
    ids=["killed once", "killed twice", "too long", "crashed"],
)
def test_judge_that_dies_calls_nobody_wrong(tmp_path, monkeypatch, ends, statuses):
    """Another one goes on; at what it died has no verdict."""
    taken, left_ends = {}, list(ends)

    def ask(_, left, take, doing):
        if left_ends:
            return left_ends.pop(0)
        for number in list(left):
            del left[number]
            take(number, RIGHT, 1)
        return None

    monkeypatch.setattr(judges.Judge, "_ask", ask)
    requests: Any = [[(0, {}), (1, {})]]
    Judges(tmp_path).ask(requests, lambda n, verdict, _: taken.update({n: verdict}), "blocks")

    assert statuses == [taken[number].get("status", "") for number in (0, 1)]


def test_user_is_told_which_block_is_judged_for_so_long(tmp_path, monkeypatch):
    """A long block takes long to judge: nothing hangs, and nobody is timed meanwhile."""
    told: list[str] = []

    def receive(on_message, _):
        for number in (0, 1) if child.sent and "blocks" in child.sent[-1] else ():
            told.append(child.doing)
            on_message({"block": number, "verdict": RIGHT, "spent_ns": 1})

    child = SimpleNamespace(sent=[], receive=receive)
    child.send = child.sent.append
    monkeypatch.setattr(judges, "Child", lambda *_: child)

    Judges(tmp_path).ask([[(0, {}), (1, {})]], lambda *_: None, "timed blocks")

    assert ["judging timed blocks, 1 of 2", "judging timed blocks, 2 of 2"] == told


def test_what_takes_long_is_judged_alone_and_first():
    """Else all of a workload by one judge, which reads its examples once."""
    workloads, seconds = ["a", "a", "b", "a", "b"], [0.1, 4.0, 0.3, 0.1, 0.3]

    assert [[1], [2, 4], [0, 3]] == proofs._groups(workloads, seconds)


def test_folder_in_the_place_of_results_ends_no_run(tmp_path):
    """It goes with the scratch folder."""
    proofs, path = Proofs(SimpleNamespace(), tmp_path), tmp_path / "block1.npz"
    path.mkdir()
    case = Case.from_dict({"workload": WORKLOAD, "operation": "forward", "implementation": "numpy"})
    block = Block(case, 0, 0, 1e-6, 5, [1, 2], path)
    proofs.waiting[case.id, 0] = [block]

    proofs._forget(block)

    assert not proofs.waiting[case.id, 0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are no files on Windows")
@pytest.mark.parametrize("put", [lambda path: None, os.mkdir, getattr(os, "mkfifo", None)])
def test_results_that_are_gone_are_lost_and_not_wrong(tmp_path, put):
    """Nor is a pipe in their place waited for."""
    put(tmp_path / "first.npz")
    call = {"workload": WORKLOAD, "operation": "forward", "precision": "ieee", "thorough": False,
            "about": {}, "results": str(tmp_path / "first.npz")}  # fmt: skip

    assert "crashed" == Verdicts(tmp_path).verdict(call)["status"]


@pytest.mark.parametrize("which", ["inputs", "expected", "block"])
def test_file_that_is_cut_accuses_nobody(tmp_path, which):
    """Neither the judge's own nor what was handed in: somebody else may have done it."""
    workload = Workload.from_dict(WORKLOAD)
    placed = Placed(workload, load("numpy"), "cpu", draw(workload, 0))

    def cut(results=None):
        (path,) = tmp_path.glob(f"*{which}.npz")
        os.truncate(path, 100)
        return results

    if which == "expected":
        verdict = first_call(placed, "forward", tmp_path, changed=cut)
    else:
        block = handed_in(placed, "forward", 3, tmp_path)
        cut()
        verdict = Verdicts(tmp_path).verdict(block)

    assert "crashed" == verdict["status"] and "lost" in verdict["reason"]
