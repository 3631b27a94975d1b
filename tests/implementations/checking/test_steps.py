"""Steps in a row: a rule that loses its state, or is another, is seen."""

from pathlib import Path
from typing import Any, get_args

import pytest

from samegrad.implementations.checking import problems, steps
from samegrad.implementations.checking.calls import call
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.checking.report import Outcome, VerifyOptions
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec, Optimizer

RULES = get_args(Optimizer)
HEAD = """
import copy, dataclasses
import samegrad.implementations.mlp_numpy as ours
BACKEND = ours.BACKEND
forward, loss, loss_and_grad = ours.forward, ours.loss, ours.loss_and_grad
init_state = ours.init_state
STEPS = []

def train_step(spec, params, state, X, y, learning_rate, masks=None):
"""
# name: (the rules for which it is a fault, the body)
FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    "the state is thrown away": (
        tuple(rule for rule in RULES if rule != "sgd"),
        "    fresh = ours.init_state(spec, params)\n"
        "    return ours.train_step(spec, params, fresh, X, y, learning_rate, masks)\n",
    ),
    "plain sgd under another name": (
        tuple(rule for rule in RULES if rule != "sgd"),
        "    plain = dataclasses.replace(spec, optimizer='sgd')\n"
        "    params, _, value = ours.train_step(\n"
        "        plain, params, ours.init_state(plain, params), X, y, learning_rate, masks)\n"
        "    return params, state, value\n",
    ),
    "the state of the first step stays": (
        tuple(rule for rule in RULES if rule != "sgd"),
        "    params, new, value = ours.train_step(\n"
        "        spec, params, state, X, y, learning_rate, masks)\n"
        "    STEPS.append(copy.deepcopy(new))\n"
        "    return params, copy.deepcopy(STEPS[0]), value\n",
    ),
    "a sign from the second step on": (
        RULES,
        "    STEPS.append(1)\n    rate = -learning_rate if len(STEPS) > 1 else learning_rate\n"
        "    return ours.train_step(spec, params, state, X, y, rate, masks)\n",
    ),
}
RIGHT = "    return ours.train_step(spec, params, state, X, y, learning_rate, masks)\n"


def judged(path: Path, body: str, optimizer: Any) -> Outcome:
    """What the steps of a file are, in this process."""
    path.write_text(HEAD + body)
    spec = MLPSpec((5, 7, 3), "tanh", weight_decay=0.1, optimizer=optimizer, dtype="float64")
    p = problems.draw(spec)
    right = expected(spec, p.params, p.X, p.y)
    outcome = Outcome(p)
    outcome.add(call("train_step", load(path), p, "cpu", right.learning_rate, again=True))
    outcome.judge(right, VerifyOptions([p]))
    return outcome


@pytest.mark.parametrize(
    ("fault", "rule"), [(fault, rule) for fault, (rules, _) in FAULTS.items() for rule in rules]
)
def test_fault_of_later_steps_disagrees(fault: str, rule: str, tmp_path: Path) -> None:
    """The first step is right, or it would be found without a chain."""
    outcome = judged(tmp_path / "mine.py", FAULTS[fault][1], rule)

    assert not outcome.failures
    assert "disagree" == outcome.status
    assert any(f"after {steps.STEPS} steps" in t.name for t in outcome.comparison.tensors)


@pytest.mark.parametrize("rule", RULES)
def test_right_steps_agree(rule: str, tmp_path: Path) -> None:
    """Far within the bound."""
    outcome = judged(tmp_path / "mine.py", RIGHT, rule)

    chained = [t for t in outcome.comparison.tensors if "steps" in t.name]
    assert not outcome.comparison.disagrees and chained
    assert max(tensor.error or 0 for tensor in chained) < steps.BOUND / 1000


def test_steps_are_chained_away_from_what_is_made_by_hand() -> None:
    """A kink that is left, or a batch of huge logits, would tell nothing of a rule."""
    wanted = [p for p in problems.standard("float64") if steps.wanted(p)]

    assert wanted and not any(p.name for p in wanted)
    assert not any(steps.wanted(p) for p in problems.standard("float32"))
