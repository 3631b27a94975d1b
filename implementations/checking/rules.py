"""Rules of a step besides sgd: a file that has some is asked for several steps in a row.

A first step from a state of zeros is the same for sgd and for momentum that throws its state away.
Adam's is not, so it tells a file that makes sgd's step whatever the spec says, which is no fault,
from one that forgets.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from samegrad.implementations.checking import reference, steps
from samegrad.implementations.checking.comparison import compare
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.checking.report import Outcome

RULES: Sequence[Any] = ("momentum", "adam")  # an average of gradients; two of them, and a count


def problems(outcomes: Sequence[Outcome]) -> list[Problem]:
    """The smallest network whose step of sgd agrees, or is refused, with each rule; or none."""
    stepped = [
        o.problem
        for o in outcomes
        if o.status == "agree" and "grads" in o.results
        and ("updated" in o.results or "train_step" in o.not_supported)
        and steps.wanted(o.problem) and o.problem.spec.optimizer == "sgd" and not o.accuracy
    ]  # fmt: skip
    if not stepped:
        return []
    smallest = min(stepped, key=lambda p: p.spec.parameters * len(p.X))
    return [replace(smallest, spec=replace(smallest.spec, optimizer=rule)) for rule in RULES]


def claimed(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], str]:
    """The outcomes without those of rules that a file does not claim to have, and why."""
    asked = [o for o in outcomes if o.problem.spec.optimizer != "sgd"]
    left = {id(o) for o in asked if o.status in ("failed", "not supported")}
    said = ""
    if any(o.problem.spec.optimizer == "adam" and _is_sgd(o) for o in asked):
        left, said = {id(o) for o in asked}, "train_step makes sgd's step, whatever the spec's rule"
    return [o for o in outcomes if id(o) not in left], said


def _is_sgd(outcome: Outcome) -> bool:
    p, expected = outcome.problem, outcome.expected
    if expected is None or "updated" not in outcome.results:
        return False
    spec, right = replace(p.spec, optimizer="sgd"), outcome.reference
    plain = reference.updated(spec, p.params, [right.grads], right.learning_rate)
    bound: dict[str, float] = {spec.dtype: steps.BOUND}
    return compare(plain, outcome.results["updated"], spec.dtype, accuracy=bound).agrees
