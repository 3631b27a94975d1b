"""What is kept from call to call is found and named; what keeps nothing is not accused."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.checking import problems, repeats
from samegrad.implementations.checking.assertions import assert_gradients_agree
from samegrad.implementations.checking.messages import CallResult
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.checking.report import VerifyOptions, VerifyReport
from samegrad.implementations.checking.verifier import verify_problems
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.here import report_of
from tests.helpers.planted import RIGHT

END = "    return loss, grads\n"
# name: (what comes before the functions, what replaces the end of loss_and_grad, what is said)
KEPT = {
    "added up in place": (
        "SUM = {}\n",
        "    store = SUM.setdefault(str(spec), [[0, 0] for _ in grads])\n"
        "    for pair, (dW, db) in zip(store, grads):\n"
        "        pair[0] = pair[0] + dW\n        pair[1] = None if db is None else pair[1] + db\n"
        "    return loss, [tuple(pair) for pair in store]\n",
        "gradients add up over calls: the second is 2 times the first",
    ),
    "added up by shape, never zeroed": (
        "SUM = {}\n",
        "    sums = SUM.setdefault((spec.layer_sizes, spec.bias, spec.dtype), [])\n"
        "    sums.append(grads)\n"
        "    total = lambda l, k: None if grads[l][k] is None else sum(g[l][k] for g in sums)\n"
        "    return loss, [(total(l, 0), total(l, 1)) for l in range(len(grads))]\n",
        "gradients add up over calls: each call adds its own to those before",
    ),
    "one buffer for all calls": (
        "BUFFERS = {}\n",
        "    store = BUFFERS.setdefault(str(spec), [np.empty_like(dW) for dW, _ in grads])\n"
        "    for buffer, (dW, _) in zip(store, grads):\n        buffer[...] = dW\n"
        "    return loss, [(b, db) for b, (_, db) in zip(store, grads)]\n",
        "returned by one call are overwritten by the next",
    ),
    "kept by the identity of params": (
        "CACHE = {}\n",
        "    if CACHE.get('params') is not params:\n"
        "        CACHE.update(params=params, result=(loss, grads))\n"
        "    return CACHE['result']\n",
        "something is kept",
    ),
    "a sign from the second call on": (
        "SEEN = []\n",
        "    again = any(p is params for p in SEEN)\n    SEEN.append(params)\n"
        "    sign = -1 if again else 1\n"
        "    return loss, [(sign * dW, db if db is None else sign * db) for dW, db in grads]\n",
        "the second is -1 times the first",
    ),
    "an average over calls": (
        "MEAN = {}\n",
        "    old = MEAN.setdefault(str(spec), grads)\n"
        "    mix = lambda a, b: None if a is None else 0.9 * a + 0.1 * b\n"
        "    MEAN[str(spec)] = [(mix(a, c), mix(b, d)) for (a, b), (c, d) in zip(old, grads)]\n"
        "    return loss, MEAN[str(spec)]\n",
        "loss_and_grad",
    ),
}
# name: (what comes before, what replaces the end): right in every call
RIGHT_TOO = {
    "counts its calls": ("CALLS = []\n", "    CALLS.append(1)\n    return loss, grads\n"),
    "keeps its last gradient": (
        "KEPT = {}\n",
        "    KEPT['grads'] = grads\n    return loss, grads\n",
    ),
    "a buffer that is copied": (
        "BUFFER = {}\n",
        "    for l, (dW, _) in enumerate(grads):\n"
        "        BUFFER.setdefault(dW.shape, np.empty_like(dW))[...] = dW\n"
        "    return loss, [(dW.copy(), db) for dW, db in grads]\n",
    ),
    "adds up after it was zeroed": (
        "",
        "    sums = [[np.zeros_like(dW), db] for dW, db in grads]\n"
        "    for pair, (dW, _) in zip(sums, grads):\n        pair[0] += dW\n"
        "    return loss, [tuple(pair) for pair in sums]\n",
    ),
    "a cache by the arrays' contents": (
        "CACHE = {}\n",
        "    key = (str(spec), X.tobytes(), y.tobytes(), *(W.tobytes() for W, _ in params))\n"
        "    return CACHE.setdefault(key, (loss, grads))\n",
    ),
}


def written(folder: Path, before: str, end: str) -> str:
    """A right file with another end of its `loss_and_grad`."""
    assert 1 == RIGHT.count(END)
    path = folder / "my_mlp.py"
    path.write_text(before + RIGHT.replace(END, end))
    return str(path)


@cache
def few() -> VerifyOptions:
    """With biases and without, several layers, and one network of its shape alone."""
    return VerifyOptions([*problems.standard("float64")[::6], *problems.standard("float32")[:1]])


def judged(path: str) -> VerifyReport:
    """What is said of a file, in this process."""
    return report_of(path, few(), ("loss_and_grad", "forward"))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_from_call_to_call_is_found_and_named(name: str, tmp_path: Path) -> None:
    """By the fault that it is."""
    before, end, said = KEPT[name]

    report = judged(written(tmp_path, before, end))

    assert "disagrees" == report.verdict
    faults = "\n".join(fault for outcome in report.outcomes for fault in outcome.faults)
    assert said in faults, faults or report.reason
    assert said.startswith("some ") or f"some {said}" not in faults


@pytest.mark.parametrize(
    "name",
    ["one buffer for all calls", *(pytest.param(n, marks=pytest.mark.full) for n in KEPT)],
)
def test_what_is_kept_is_found_by_the_command_and_by_a_test(name: str, tmp_path: Path) -> None:
    """In a child process, and with all problems."""
    before, end, said = KEPT[name]
    path = written(tmp_path, before, end)

    report = verify_problems(path, few())

    assert "disagrees" == report.verdict
    assert any(said in fault for outcome in report.outcomes for fault in outcome.faults)
    with pytest.raises(AssertionError):
        assert_gradients_agree(path)


@pytest.mark.parametrize("name", RIGHT_TOO)
def test_file_that_keeps_what_does_not_matter_agrees(name: str, tmp_path: Path) -> None:
    """No accusation of state as such."""
    report = judged(written(tmp_path, *RIGHT_TOO[name]))

    assert ("agrees", "") == (report.verdict, report.reason)


def test_outputs_that_change_by_themselves_are_undecided(tmp_path: Path) -> None:
    """Dropout of its own, drawn anew in every call: nothing can be compared."""
    drawn = "        a = g(name, z)\n"
    text = RIGHT.replace(drawn, drawn + "        a = a * (np.random.random(a.shape) > 0.2)\n")
    path = tmp_path / "my_mlp.py"
    path.write_text(text)

    report = judged(str(path))

    assert "undecided" == report.verdict
    assert "changes by itself from call to call" in report.reason
    assert "undecided" in {outcome.status for outcome in report.outcomes}


def test_loss_and_outputs_change_by_themselves_and_gradients_that_add_up_do_not() -> None:
    """The latter is a fault that has a name, and no reason to say nothing."""
    one, two = np.ones(3), np.full(3, 2.0)
    outputs = CallResult("forward", {"outputs": one}, {"outputs": two})
    loss = CallResult("loss_and_grad", {"loss": 1.0, "grads": one}, {"loss": 2.0, "grads": one})
    sums = CallResult("loss_and_grad", {"loss": 1.0, "grads": one}, {"loss": 1.0, "grads": two})

    changing = [repeats.changes_by_itself(call, "float64") for call in (outputs, loss, sums)]

    assert [True, True, False] == changing


def test_call_that_fails_when_it_is_repeated_is_not_checked(tmp_path: Path) -> None:
    """The first call is shown, and the failure says in which call it came."""
    path = written(tmp_path, "N = []\n", "    N.append(1)\n    assert len(N) != 2\n" + END)

    report = judged(path)

    assert "not checked" == report.verdict
    assert "loss_and_grad: it raises AssertionError in call 2" in report.reason


def test_other_batch_has_another_gradient() -> None:
    """Otherwise what was kept of the first would be right."""
    for problem in problems.standard("float64"):
        if problem.name:
            continue
        other = problems.other_batch(problem)
        one, two = (
            repeats.flat(expected(p.spec, p.params, p.X, p.y, p.masks).grads)
            for p in (problem, other)
        )

        assert np.max(np.abs(one - two)) > 1e-3 * np.max(np.abs(one)), problem.label


def test_other_batch_is_one_that_tells() -> None:
    """A right float32 gradient was called wrong that is the rest of terms 4,000 times as large."""
    spec = MLPSpec((2, 4, 1), "sigmoid", "sigmoid", "mse")
    p = problems.draw(spec, 6)
    for seed in range(40):
        y = problems.targets(spec, 6, np.random.default_rng(seed))
        given = replace(p, y=y)
        plain = replace(given, X=p.X[::-1].copy(), y=-y)
        other = problems.other_batch(given)

        assert problems._kept(other) >= problems._kept(plain)
        assert problems.tells(plain) <= problems.tells(other)
    one = replace(p, spec=MLPSpec((2, 4, 1)), y=np.zeros(6, int))
    assert (6,) == problems.other_batch(one).y.shape  # of one class there is no other


def test_results_that_are_no_numbers_end_nothing() -> None:
    """Text, nothing, rows of other lengths: they are the comparison's affair."""
    spec = MLPSpec((3, 2), dtype="float64")
    p = problems.draw(spec)
    right = expected(spec, p.params, p.X, p.y)
    texts, complex_numbers = np.array(["a", "1"]), np.array([1.0 + 1.0j])
    assert repeats.flat(texts) is None and repeats.flat(complex_numbers) is None
    for grads in ("text", None, [1, "a"], [[np.zeros(2)], None], object(), texts, complex_numbers):
        call = CallResult("loss_and_grad", {"grads": grads}, {"grads": grads}, {"grads": grads})

        assert [] == repeats.faults(call, right, "float64")
