"""What a name is says nothing of what it holds: that is found by what the calls do."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.report import CheckReport, Match
from samegrad.implementations.reading import judging
from samegrad.implementations.reading.board import Board, Form, Sizes, plans
from samegrad.implementations.reading.factors import factor_notes
from samegrad.implementations.reading.files import FileReport
from samegrad.implementations.reading.functions import of_widths
from samegrad.implementations.reading.networks import Network
from samegrad.implementations.reading.objectives import losses_of
from samegrad.implementations.reading.own_steps import NOT_RUN
from samegrad.implementations.reading.shown import with_updates
from samegrad.implementations.reading.trials import Wishes, runs, set_targets
from samegrad.implementations.tracing.edits import Known
from samegrad.implementations.tracing.named_here import named_here
from samegrad.implementations.tracing.probe import Event
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import Hypothesis, Spot
from samegrad.implementations.tracing.sites import Site
from samegrad.implementations.tracing.turned import like_another, turning
from tests.helpers.read_here import read_here

FUNCTIONS = """
import numpy as np


def setup(n_in, n_hid, n_out):
    sizes = [(n_in, n_hid), n_hid, (n_hid, n_out), n_out]
    return [np.random.standard_normal(size) for size in sizes]


def predict(q, X):
    H = np.tanh(X @ q[0] + q[1])
    E = np.exp(H @ q[2] + q[3])
    return E / E.sum(1, keepdims=True), H


def loss(params, Y):
    return -np.mean(np.sum(Y * np.log(params), axis=1))


def gradient(q, X, Y):
    params, H = predict(q, X)
    d = (params - Y) / len(Y)
    dh = d @ q[2].T * (1 - H**2)
    return [X.T @ dh, dh.sum(0), H.T @ d, d.sum(0)]
"""


def test_outputs_called_params_and_weights_called_q_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a function that takes widths alone makes the weights, whatever its name is."""
    monkeypatch.setattr(judging, "asked_for", lambda told, report, asked: report)
    file = tmp_path / "mine.py"
    file.write_text(FUNCTIONS)

    report = read_here(file)

    assert report.agrees, report
    assert "setup(4, 6, 3)" in report.reading and "its own loss" in report.reading


@pytest.mark.parametrize(
    ("loss", "is_one"),
    [
        ("np.mean((w - y) ** 2)", False),
        ("np.mean((w - y) ** 2, axis=1)", False),
        ("np.mean((kept[0] - y) ** 2) + np.sum(w**2)", True),
    ],
)
def test_loss_of_weights_in_the_place_of_outputs_is_none(loss: str, is_one: bool) -> None:
    """Its derivative by its own argument is no gradient of a network: inputs must count."""
    space: dict[str, Any] = {"np": np, "kept": [0]}
    exec(f"def mse(w, y): return {loss}\ndef forward(w, X): kept[0] = X @ w; return kept[0]", space)
    w = np.ones((4, 3))
    functions = {name: space[name] for name in ("forward", "mse")}

    def make(*_: object) -> Network:
        return Network({"w": w}, functions, "", {"w": w, "params": w})

    for forward in ("", "forward"):
        (trial,) = runs(make, Sizes(n=4), Form(), forward)
        set_targets(trial, Form(y="same"), "")
        found = [name for _, name, own in losses_of(trial, ["mse"], "", Wishes()) if own]

        assert ["mse"] * (is_one and bool(forward)) == found


@pytest.mark.parametrize("name", ["P", "theta", "w", "params", "state"])
def test_argument_may_be_the_outputs_whatever_its_name(name: str) -> None:
    """Where weights are there, it may be these, too; never twice in one call."""
    space: dict[str, object] = {}
    exec(f"def loss({name}, Y): ...\ndef back(params, cache, {name}_, Y): ...", space)
    board = Board(Sizes(), {"params": [1.0], "y": 0, "n": 5}, (1, 2))

    of_loss = [dict(p)[name] for p in plans(space["loss"], board, ["out"], "loss")]
    ways = [dict(p) for p in plans(space["back"], board, ["out"], "backward")]

    assert {"params", "out"} == set(of_loss)
    assert ways
    assert all([*way.values()].count("params") < 2 for way in ways)
    assert any(("params", "out") == (way["params"], way[f"{name}_"]) for way in ways)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("w += r * g", ["w -= r * g"]),
        ("w = w + r * g", ["w = w - r * g"]),
        ("v['a'] = mu * v['a'] + r * g", ["v['a'] = mu * v['a'] - r * g"]),
        ("return {k: w[k] + r * g[k] for k in w}", ["return {k: w[k] - r * g[k] for k in w}"]),
        ("new = [w + r * g for w, g in both]", ["new = [w - r * g for w, g in both]"]),
        ("d = out - y", []),
    ],
)
def test_sign_of_an_update_is_turned(text: str, new: list[str]) -> None:
    """Of statements that add to what they set, and of new values."""
    (statement,) = ast.parse(text).body

    assert new == [edit.new for edit in turning(statement, Known({}, {}))]


def test_of_two_signs_that_may_be_meant_that_like_the_others_is() -> None:
    """The velocities of other weights say which."""
    texts = ["v['W'] = mu * v['W'] + r * gW", "v['b'] = mu * v['b'] - r * gb", "W += v['W']"]
    texts.append("b += v['b']")
    edits = [e for text in texts[::2] for e in turning(ast.parse(text).body[0], Known({}, {}))]

    assert [True, False] == [like_another(edit, texts) for edit in edits]


def test_what_was_not_judged_stands_in_the_first_line() -> None:
    """An agreement of a gradient is none of steps."""
    report = CheckReport("agrees", remarks=(f"{NOT_RUN}: fit", "another"))

    first, *others = FileReport("a.py", report).text().splitlines()

    assert f"a.py: AGREES; {NOT_RUN}: fit" == first
    assert not any(NOT_RUN in line for line in others)


def test_function_of_widths_may_make_a_network() -> None:
    """By what it takes: an activation, or what takes data, is none."""
    space: dict[str, Any] = {}
    exec("def new_brain(inputs, hidden, outputs, seed=0): ...\ndef f(x): ...\n"
         "def g(sizes): ...\ndef h(x, y): ...\ndef train(n_in, n_out): ...", space)  # fmt: skip

    made = [name for name in ("new_brain", "f", "g", "h", "train") if of_widths(space[name])]

    assert ["new_brain", "g"] == made


def test_rate_by_any_name_is_no_factor() -> None:
    """The default of a parameter makes up for a gradient that is so many times that of the loss."""

    def learn(out: object, speed: float = 0.1) -> None: ...

    reading = SimpleNamespace(applied=None, step=True, update=SimpleNamespace(function=learn),
                              loss_name="cost", examples=5, outputs=3, others=list)  # fmt: skip
    found = [factor_notes(reading, factor) for factor in (0.1, 0.2)]

    assert [0, 1] == [*map(len, found)]


def test_update_and_batch_are_told_in_words() -> None:
    """What a step changes is its update; the batch is that of the check."""
    said = "returned['d net.W'] is wrong"
    match = Match("net.W", (2, 2), said[:19], verdict="disagrees", reason=said)
    report = CheckReport("disagrees", (match,), lines=("a.py:1: is 7 (the batch) times it",))

    told = with_updates(report)

    assert ("update of net.W", "update of net.W is wrong") == (
        told.matches[0].gradient, told.reason)  # fmt: skip
    assert ("a.py:1: is 7 (the batch of this check) times it",) == told.lines


def test_value_has_the_name_that_it_has_in_the_function_at_fault() -> None:
    """Not the expression by which another function computes it."""
    sites = [
        Site(0, "a.py", 3, "z", "w @ a + b", "value", True, "backward"),
        Site(1, "a.py", 9, "s", "zs[-2]", "value", True, "backward"),
    ]
    wanted, given = np.array([1.0]), np.array([2.0])
    z = Right("value", "`w @ x + c`", (wanted,))
    events = [Event(0, 0, 0, wanted, wanted), Event(1, 1, 0, given, given)]
    found = Hypothesis(Spot(sites[1], (events[1],)), z, 1.0, 0, (events[1],), (wanted,))

    assert "z" == named_here(found, events, sites).right.text
    assert "`w @ x + c`" == named_here(found, events[1:], sites).right.text
