"""The verdict on a timed block: fair to rounding and to kinks, and not fooled."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from samegrad.benchmarks.judge import blocks, chains
from samegrad.benchmarks.judge.blocks import judge_call, judge_steps
from samegrad.benchmarks.judge.chains import chain, difference, flattened, float64
from samegrad.implementations.contract.spec import Optimizer, map_tree
from tests.helpers.batches import RATE, SMALL, drawn


@np.errstate(invalid="ignore")
def rounded_steps(spec, params, batches, rate, changed):
    """The params of float64 steps, each time rounded to the spec's dtype, and the last loss."""
    rule = chains.Rule(spec, rate)
    for k, (X, y) in enumerate(batches):
        params = float64(params)
        grads, _, outputs = chains.gradient(spec, params, X.astype(np.float64), y)
        last = chains.loss(spec, params, outputs, y)
        params = map_tree(lambda p: p.astype(spec.dtype), rule(params, changed(k, grads)))
    return params, np.asarray(last, spec.dtype)


def refusals(spec, count, changed=lambda k, grads: grads, seed=0):
    """Reasons why steps with rounding do not agree."""
    start, batches = drawn(spec, 16, count, seed)
    params, last = rounded_steps(spec, start, batches, RATE, changed)
    return [c.reason for c in judge_steps(spec, start, batches, RATE, params, last) if c.reason]


@pytest.mark.parametrize("count", [1, 7, 120])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_steps_agree(count, activation, dtype):
    """Whatever their number."""
    spec = replace(SMALL, activation=activation, dtype=dtype)

    assert [] == [reason for seed in range(3) for reason in refusals(spec, count, seed=seed)]


@pytest.mark.parametrize("step", [0, 60, 119])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_wrong_by_a_thousandth_in_one_step_is_seen(step, dtype):
    """Of 120: the first, one in the middle, the last."""

    def changed(k, grads):
        return map_tree(lambda p: p * (1.001 if k == step else 1.0), grads)

    assert refusals(replace(SMALL, activation="tanh", dtype=dtype), 120, changed)


@pytest.mark.parametrize(
    "changed",
    [
        lambda k, grads: map_tree(lambda p: p * (1 if k == 0 else -1), grads),
        lambda k, grads: map_tree(lambda p: p * (k % 4 == 0), grads),
        lambda k, grads: map_tree(lambda p: p * (np.nan if k == 20 else 1), grads),
        lambda k, grads: [*grads[:-1], (grads[-1][0], grads[-1][1] * 0)],
        lambda k, grads: map_tree(lambda p: p + 1e-7 * np.abs(p).max(), grads),
    ],
    ids=["sign flips", "every fourth step", "not a number", "no db", "float32 inside float64"],
)
def test_wrong_steps_are_seen(changed):
    """Of a float64 network, in a chain of 30."""
    assert refusals(replace(SMALL, dtype="float64"), 30, changed)


@pytest.mark.parametrize("optimizer", [o for o in get_args(Optimizer) if o != "sgd"])
def test_rule_that_forgets_its_state_is_seen(optimizer):
    """Every step as if it were the first."""
    spec = replace(SMALL, optimizer=optimizer)
    start, batches = drawn(spec, 16, 30)
    params = start
    for X, y in batches:
        grads, _, outputs = chains.gradient(spec, float64(params), X.astype(np.float64), y)
        last = chains.loss(spec, params, outputs, y)
        params = chains.Rule(spec, RATE)(float64(params), grads)
    params = map_tree(np.float32, params)

    checks = judge_steps(spec, start, batches, RATE, params, np.float32(last))

    assert [check.reason for check in checks if check.reason]


def test_preactivation_on_the_other_side_of_its_kink_is_followed():
    """Through all steps that follow."""
    spec = replace(SMALL, layer_sizes=(4, 5, 3))
    start, batches, place = near_a_kink(spec)
    other = chain(spec, start, batches, RATE, {0: [place]})
    same = chain(spec, start, batches, RATE)
    assert 1e-5 < np.abs(flattened(difference(other.params, same.params))).max()

    params = map_tree(np.float32, other.params)
    checks = judge_steps(spec, start, batches, RATE, params, np.float32(other.loss))

    assert [place] == [flip.place for k, flip in same.flips if k == 0]
    assert [] == [check.reason for check in checks if check.reason]


def test_flip_that_sends_others_across_their_kinks_is_found_by_trying(monkeypatch):
    """Its own share of the difference is then hidden by theirs."""

    def refused(seed):
        start, four = drawn(SMALL, 6, 4, seed)
        batches, (X, _), rate = (8 * four)[:30], four[1], 10 * RATE
        W, b = start[0][0], start[0][1].copy()
        start = [(W, b), *start[1:]]
        for _ in range(40):
            (V, c), *_ = chain(SMALL, start, batches[:5], rate).params
            b[0] -= (z := X[2].astype(np.float64) @ V[:, 0] + c[0])
        if abs(z) > 1e-7:  # the steps before it are not smooth in the bias
            return False
        other = chain(SMALL, start, batches, rate, {5: [(0, 2, 0)]}).params
        checks = judge_steps(SMALL, start, batches, rate, map_tree(np.float32, other), None)
        return any(check.reason for check in checks)

    assert not any(map(refused, range(12)))
    monkeypatch.setattr(blocks, "MOST_TRIALS", 0)
    assert any(map(refused, range(12)))


def test_flip_that_is_not_found_is_no_wrong_gradient(monkeypatch):
    """A small difference along no gradient; one along it, as small, is wrong."""
    monkeypatch.setattr(blocks, "MOST_TRIALS", 0)
    spec = replace(SMALL, layer_sizes=(40, 80, 10))
    start, batches, place = near_a_kink(spec)
    batches = batches * 8
    found = chain(spec, start, batches, RATE, {0: [place]})

    def reasons(share):
        params = [
            (W - share * RATE * dW, b - share * RATE * db)
            for (W, b), (dW, db) in zip(found.params, first, strict=True)
        ]
        checks = judge_steps(spec, start, batches, RATE, map_tree(np.float32, params), None)
        return [check.reason for check in checks if check.reason]

    first, _, _ = chains.gradient(spec, float64(start), np.float64(batches[0][0]), batches[0][1])
    assert [] == reasons(0.0)
    assert reasons(0.05) and reasons(1.0)
    monkeypatch.setattr(blocks, "ALIGNED", 0.0)
    assert reasons(0.0)


@pytest.mark.parametrize("wrong", [1e-3, 1e-2])
def test_wrong_gradient_beside_a_kink_is_wrong(wrong):
    """That preactivations are near their kinks excuses nothing else."""
    spec = replace(SMALL, layer_sizes=(40, 80, 10))
    start, batches, _ = near_a_kink(spec)
    batches = batches * 8

    def changed(k, grads):
        return map_tree(lambda p: p * (1 + wrong * (k == 7)), grads)

    params, last = rounded_steps(spec, start, batches, RATE, changed)
    assert any(check.reason for check in judge_steps(spec, start, batches, RATE, params, last))


def test_preactivation_far_from_its_kink_is_not_followed():
    """Its share of the gradient is then simply missing."""
    start, batches = drawn(SMALL, 8, 5)
    other = chain(SMALL, start, batches, RATE, {0: [(0, 3, 2)]})

    params = map_tree(np.float32, other.params)
    checks = judge_steps(SMALL, start, batches, RATE, params, np.float32(other.loss))

    assert [check.reason for check in checks if check.reason]


def test_injected_rounding_stays_within_the_bound():
    """Ten times float32's own, at random, in every step: the bound fits no library alone."""
    rng, spec = np.random.default_rng(3), replace(SMALL, activation="tanh")
    eps = 10 * float(np.finfo(np.float32).eps)

    def changed(k, grads):
        return map_tree(lambda p: p * (1 + eps * rng.uniform(-1, 1, p.shape)), grads)

    assert [] == refusals(spec, 120, changed)


def near_a_kink(spec):
    """A start, batches, and a place where z = 1e-9: float32 may as well give -1e-9."""
    start, batches = drawn(spec, 8, 5)
    W, b = float64(start)[0]
    b[2] = 1e-9 - batches[0][0][3].astype(np.float64) @ W[:, 2]
    return [(W, b), *float64(start)[1:]], batches, (0, 3, 2)


def test_call_on_the_other_side_of_a_kink_is_right():
    """And one whose example is missing somewhere else is wrong."""
    spec = replace(SMALL, layer_sizes=(4, 5, 3))
    params, [(X, y), *_], place = near_a_kink(spec)

    def reason(flipped):
        grads, _, _ = chains.gradient(spec, params, X.astype(np.float64), y, flipped=flipped)
        results = {"grads": map_tree(np.float32, grads)}
        return judge_call(spec, params, X, y, results).reason

    assert "" == reason([]) == reason([place])
    assert "dW1" in reason([(0, 4, 2)])


def test_call_with_another_nesting_is_wrong():
    """Kinks are not looked for in what is no gradient."""
    params, [(X, y), *_], _ = near_a_kink(replace(SMALL, layer_sizes=(4, 5, 3)))

    verdict = judge_call(replace(SMALL, layer_sizes=(4, 5, 3)), params, X, y, {"grads": [1, 2, 3]})

    assert verdict.disagrees
