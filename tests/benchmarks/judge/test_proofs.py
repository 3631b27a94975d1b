"""Verdicts on blocks as workers hand them in: from seeds, and files of arrays."""

from dataclasses import asdict

import numpy as np
import pytest

from samegrad.benchmarks.cases.draws import ANSWERS, PASSED, Draw
from samegrad.benchmarks.cases.workload import MLPWorkload
from samegrad.benchmarks.judge.inputs import draw
from samegrad.benchmarks.judge.proofs import Proofs
from samegrad.benchmarks.worker.placed import Placed
from samegrad.implementations.checking.predictions import Convention
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, map_tree
from tests.helpers.proofs import SEEDS, handed_in

WORKLOAD = MLPWorkload("random", MLPSpec((7, 5, 4, 3)), 6, 45)  # an epoch ends with three examples


@pytest.fixture
def block(tmp_path):
    """What is asked of the judge after a block by NumPy."""
    placed = Placed(WORKLOAD, load("numpy"), "cpu", draw(WORKLOAD, 0))
    return lambda operation, calls=40, **changed: handed_in(
        placed, operation, calls, tmp_path, **changed
    )


OPERATIONS = ("forward", "loss_and_grad", "train_step", "epoch")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("calls", [1, 3, 40])
def test_right_block_is_proved(block, tmp_path, operation, calls):
    """Each operation, and the numbers of calls that make a block."""
    verdict = Proofs(tmp_path).verdict(block(operation, calls))

    assert "" == verdict["reason"] and 0 <= verdict["error"] < verdict["bound"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "fault",
    [
        lambda block: {"seeds": [5, 11]},
        lambda block: {"about": {**block["about"], "changed": True}},
        lambda block: {"about": {**block["about"], "changed": None}},
        lambda block: {"about": {**block["about"], "accuracy": {"float32": 1e9}}},
        lambda block: {"about": {**block["about"], "convention": {"data": [0.0, 0, 0]}}},
        lambda block: {"results": block["results"] + "x"},
    ],
    ids=["other weights", "changed", "unclear", "inaccurate", "nothing", "no file"],
)
def test_block_that_is_not_what_was_asked_for_is_wrong(block, tmp_path, operation, fault):
    """Whatever is said of it."""
    right = block(operation)

    verdict = Proofs(tmp_path).verdict(right | fault(right))

    assert verdict["reason"] and not verdict.get("undecided")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_number_of_calls_cannot_be_made_up(block, tmp_path, operation):
    """A pair may be the same by chance, not every time."""
    proofs = Proofs(tmp_path)

    for calls in (10, 19, 21, 40):
        reasons = [
            proofs.verdict(block(operation, 20) | {"calls": calls})["reason"] for _ in range(5)
        ]
        assert any(reasons), calls


@pytest.mark.parametrize("operation", OPERATIONS)
def test_results_that_are_off_by_a_thousandth_are_wrong(block, tmp_path, operation):
    """All numbers, also those that no sample shows."""

    def changed(results):
        return {name: map_tree(lambda p: (p * p.dtype.type(1.001)), tree)
                for name, tree in results.items()}  # fmt: skip

    assert Proofs(tmp_path).verdict(block(operation, changed=changed))["reason"]


@pytest.mark.parametrize("results", [{}, [], {"outputs": None}, {"updated": [1.0]}])
def test_other_trees_than_results_are_wrong(block, tmp_path, results):
    """And end no judge."""
    for operation in OPERATIONS:
        verdict = Proofs(tmp_path).verdict(block(operation, changed=lambda _: results))

        assert verdict["reason"], operation


def test_convention_of_its_own_is_kept_to(block, tmp_path):
    """A gradient that is the sum over the batch, and steps with it."""
    summed = asdict(Convention(data=(1.0, 1, 0)))
    one = block("loss_and_grad", changed=lambda results: {
        "loss with the gradient": np.float32(6 * results["loss with the gradient"]),
        "grads": map_tree(lambda p: 6 * p, results["grads"]),
    })  # fmt: skip

    verdict = Proofs(tmp_path).verdict(one | {"about": {**one["about"], "convention": summed}})

    assert "" == verdict["reason"]
    assert Proofs(tmp_path).verdict(one)["reason"]


def answered(block, requests=20, changed=lambda answers: answers):
    """A block of forward passes with what requests after it gave."""
    placed = Placed(WORKLOAD, load("numpy"), "cpu", draw(WORKLOAD, 0))
    work = placed.requests(Draw(SEEDS[0], SEEDS[1], placed.inputs.scale))
    answers = [work.run(1, work.start(1)) for _ in range(requests)]
    answers = changed(np.stack(answers))
    return block("forward", changed=lambda results: results | {ANSWERS: answers})


def test_answers_to_requests_are_proved_with_the_block_before_them(block, tmp_path):
    """Each of other examples."""
    verdict = Proofs(tmp_path).verdict(answered(block) | {"requests": 20})

    assert "" == verdict["reason"]


@pytest.mark.parametrize(
    "fault",
    [
        lambda answers: np.repeat(answers[:1], 20, axis=0),  # remembered
        lambda answers: 0 * answers,
        lambda answers: answers[:-1],
        lambda answers: np.roll(answers, 1, axis=0),
        lambda answers: answers[:, :1],
        lambda answers: answers * 1.001,
        lambda answers: 1.0,
    ],
    ids=["remembered", "nothing", "too few", "of another", "of fewer", "off", "no list"],
)
def test_wrong_answers_are_found_wherever_they_are_looked_for(block, tmp_path, fault):
    """The block itself is right."""
    asked = answered(block, changed=fault) | {"requests": 20}

    assert Proofs(tmp_path).verdict(asked)["reason"]


def test_requests_without_answers_are_wrong(block, tmp_path):
    """As if there had been none."""
    reason = Proofs(tmp_path).verdict(block("forward") | {"requests": 20})["reason"]

    assert "other answers than those of 20 requests" in reason


def test_rates_are_such_that_no_loss_grows():
    """A network whose inputs are large takes smaller ones."""
    assert 1.0 == draw(WORKLOAD, 0).scale
    wide = MLPWorkload("wide", MLPSpec((4000, 5, 3), loss="mse", activation="relu"), 4, 16)

    assert draw(wide, 0).scale < 1.0


@pytest.mark.parametrize(("operation", "calls"), [("train_step", 600), ("epoch", 80)])
def test_long_chain_is_held_in_parts_as_closely_as_a_short_one(block, tmp_path, operation, calls):
    """A thousandth of one part's change is seen, and so is a part that is missing."""

    def off(results):
        for number, params in enumerate(results[PASSED]):
            params[0][0][:] *= 1.001 if number == 1 else 1.0
        return results

    def short(results):
        return results | {PASSED: results[PASSED][1:]}

    assert "" == Proofs(tmp_path).verdict(block(operation, calls))["reason"]
    for changed, reason in ((off, "off by"), (short, "params on its way")):
        assert (
            reason in Proofs(tmp_path).verdict(block(operation, calls, changed=changed))["reason"]
        )
