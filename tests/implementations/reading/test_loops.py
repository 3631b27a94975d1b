"""Loops and functions by what they go through: parameters in one list, a dict, an optimizer."""

import json
from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.read_here import read_here

FUNCTIONS = """import numpy as np
def forward(params, X):
    {unpack} = params
    h = np.tanh(X @ W1 + b1)
    return h, h @ W2 + b2
def loss(params, X, Y):
    return ((forward(params, X)[1] - Y) ** 2).sum() / len(X)
def gradients(params, X, Y):
    {unpack} = params
    h, out = forward(params, X)
    d_out = 2 * (out - Y) / len(X)
    d_h = d_out @ W2.T * {slope}
    return [X.T @ d_h, d_h.sum(axis=0), h.T @ d_out, d_out.sum(axis=0)]
"""
SCRIPT = """import numpy as np
rng = np.random.default_rng(2)
X, Y = rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
params = ({made})
for epoch in range(200):
    W1, b1, W2, b2 = params
    h = np.maximum(0, X @ W1 + b1)
    out = h @ W2 + b2
    loss = ((out - Y) ** 2).mean()
    d_out = 2 * (out - Y) / Y.size
    d_h = d_out @ W2.T{slope}
    dW2, db2 = h.T @ d_out, d_out.sum(axis=0)
    dW1, db1 = X.T @ d_h, d_h.sum(axis=0)
    {update}
"""
MADE = "rng.normal(size=(4, 5)), np.zeros(5), rng.normal(size=(5, 2)), np.zeros(2)"
NEW = "params = (W1 - 0.1 * dW1, b1 - 0.1 * db1, W2 - 0.1 * dW2, b2 - 0.1 * db2)"
HELD = "for p, g in zip(params, (dW1, db1, dW2, db2)):\n        p -= 0.1 * g"
FLAT, NESTED = "W1, b1, W2, b2", "(W1, b1), (W2, b2)"


def written(tmp_path: Path, text: str) -> Path:
    """A file with a text."""
    file = tmp_path / "unpacks.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize("unpack", [FLAT, pytest.param(NESTED, marks=pytest.mark.full)])
@pytest.mark.parametrize(("slope", "verdict"), [("(1 - h**2)", "agrees"), ("(1 - h)", "disagrees")])
def test_functions_that_unpack_are_read_by_what_they_unpack(
    unpack: str, slope: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a function that makes the parameters."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds

    report = read_here(written(tmp_path, FUNCTIONS.format(unpack=unpack, slope=slope)))

    assert verdict == report.verdict, report
    assert "functions of W1, b1, W2, b2 stored (in, out), unpacked" in report.reading


def test_parameters_of_functions_are_those_of_the_file(tmp_path: Path) -> None:
    """Where it keeps them, in whatever widths."""
    kept = "params = [np.full((3, 7), 0.1), np.zeros(7), np.full((7, 2), 0.2), np.zeros(2)]\n"
    text = FUNCTIONS.format(unpack=FLAT, slope="(1 - h**2)") + kept

    report = read_here(written(tmp_path, text))

    assert ("agrees", True) == (
        report.verdict, "functions of params as in the file" in report.reading
    ), report  # fmt: skip


@pytest.mark.parametrize("update", [NEW, HELD], ids=["new", "in place"])
@pytest.mark.parametrize(
    ("slope", "verdict"), [(" * (h > 0)", "agrees"), ("", "disagrees")], ids=["right", "wrong"]
)
def test_loop_that_unpacks_a_tuple_is_read(
    update: str, slope: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is made anew in each turn or its arrays are changed in place."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds

    text = SCRIPT.format(made=MADE, slope=slope, update=update)
    report = read_here(written(tmp_path, text))

    assert verdict == report.verdict, report
    assert "script: weights params" in report.reading


ATTRIBUTES = """import numpy as np
def forward(params, X):
    h = np.tanh(X @ params.inner)
    return h, h @ params.outer
def loss(params, X, Y):
    return ((forward(params, X)[1] - Y) ** 2).sum() / 2
def gradients(params, X, Y):
    h, out = forward(params, X)
    return [X.T @ ((out - Y) @ params.outer.T * (1 - h**2)), h.T @ (out - Y)]
"""
HINT = "net = __import__('types').SimpleNamespace(inner=np.eye(4, 5), outer=np.eye(5, 2))"


@pytest.mark.parametrize("hinted", [False, True])
def test_one_hint_that_helps_is_named(hinted: bool, tmp_path: Path) -> None:
    """Where nothing says what the parameters are; with it the file is read."""
    report = read_here(written(tmp_path, ATTRIBUTES), hints=[HINT] if hinted else [])

    assert ("agrees" if hinted else "not checked") == report.verdict, report
    assert hinted or "nothing in the file makes the params that forward takes" in str(report)


NAMELESS = """import numpy as np
def forward(params, x):
    p, q, r, s = params
    h = np.tanh(x @ p + q)
    return h @ r + s
def loss(params, x, y):
    return np.mean((forward(params, x) - y) ** 2)
def grad(params, x, y):
    p, q, r, s = params
    h = np.tanh(x @ p + q)
    d = 2 * (h @ r + s - y) / y.size
    dh = d @ r.T * (1 - h**2)
    return [x @ dh, dh.sum(0), h.T @ d, d.sum(0)]
"""


def test_what_is_unpacked_is_not_one_array(tmp_path: Path) -> None:
    """Its rows as numbers, one example at a time, were right: x.T is x for one number."""
    report = read_here(written(tmp_path, NAMELESS))

    assert "not checked" == report.verdict, report
    assert "nothing in the file makes the params that forward takes" in str(report)


ONE_LINE = """import numpy as np
rng = np.random.default_rng(3)
X = rng.normal(size=(8, 3)); y = rng.normal(size=(8, 2))
W = rng.normal(size=(3, 2)); b = np.zeros(2)
for i in range(100):
    a = np.tanh(X @ W + b)
    loss = ((a - y) ** 2).sum()
    d = 2 * (a - y) * (1 - a)
    W -= 0.1 * X.T @ d; b -= 0.1 * d.sum(0)
"""


def test_line_at_fault_is_named_where_updates_share_a_line(tmp_path: Path) -> None:
    """Those, and not the fault."""
    report = read_here(written(tmp_path, ONE_LINE))

    assert "disagrees" == report.verdict, report
    assert report.lines[0].startswith("unpacks.py:8: ")


THROUGH = """import numpy as np
rng = np.random.default_rng(6)
X, Y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
weights = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))]
for step in range(100):
    h = np.tanh(X @ weights[0])
    loss = ((h @ weights[1] - Y) ** 2).sum() / 2
    d = h @ weights[1] - Y
    grads = [X.T @ (d @ weights[1].T * (1 - h**2)), h.T @ d]
    for w, g in zip(weights, grads):
        w -= 0.01 * g
"""


def test_loop_that_goes_through_the_weights_is_no_training_loop(tmp_path: Path) -> None:
    """That is the one around it."""
    report = read_here(written(tmp_path, THROUGH))

    assert "agrees" == report.verdict, report
    assert "(lines 5 to 11)" in report.reading


TWO_TIED = """import numpy as np
rng = np.random.default_rng(8)
X, Y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
W, V = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
for step in range(100):
    h = np.tanh(X @ W)
    loss = ((h @ V - Y) ** 2).sum() / len(X)
    d = 2 * (h @ V - Y) / len(X)
    dV = h.T @ d / len(X)
    dW = X.T @ (d @ V.T * (1 - h**2))
    W -= 0.1 * dW
    V -= 0.1 * dV
"""


def test_loss_is_meant_as_it_is_where_gradients_do_not_agree_on_a_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, the one that is right by it is, whichever comes first."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds

    report = read_here(written(tmp_path, TWO_TIED))

    assert {"V": "disagrees", "W": "agrees"} == {m.name: m.verdict for m in report.matches}, report


ADAM = """import numpy as np
rng = np.random.default_rng(5)
X, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 1))
theta = {"W": rng.normal(size=(3, 1)), "b": np.zeros(1)}
m = {name: np.zeros_like(p) for name, p in theta.items()}
v = {name: np.zeros_like(p) for name, p in theta.items()}
for t in range(1, 200):
    out = np.tanh(X @ theta["W"] + theta["b"])
    loss = np.mean((out - y) ** 2)
    d = 2 * (out - y) / len(X) * (1 - out**2)
    grads = {"W": X.T @ d, "b": d.sum(0)}
    for name in theta:
        m[name] = 0.9 * m[name] + 0.1 * grads[name]
        v[name] = 0.999 * v[name] + 0.001 * grads[name] ** 2
        m_hat, v_hat = m[name] / (1 - 0.9**t), v[name] / (1 - 0.999**t)
        theta[name] = theta[name] - 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8)
"""


def test_loop_of_an_optimizer_is_no_training_loop(tmp_path: Path) -> None:
    """It goes through the parameters by name; the forward pass is in the one around it."""
    report = read_here(written(tmp_path, ADAM))

    assert "agrees" == report.verdict, report
    assert "(lines 7 to 16), gradient from its variables" in report.reading


def test_update_of_one_parameter_in_a_dict_is_named(tmp_path: Path) -> None:
    """Of several lines that change the dict the one that goes up."""
    steps = "    theta['W'] -= 0.1 * grads['W']\n    theta['b'] += 0.1 * grads['b']\n"
    text = ADAM.partition("    for name")[0] + steps

    report = read_here(written(tmp_path, text))

    assert "disagrees" == report.verdict, report
    assert report.lines[0].startswith("unpacks.py:13: `theta['b'] += 0.1 * grads['b']` goes up")


def test_cell_that_begins_with_its_loop_is_read_by_line(tmp_path: Path) -> None:
    """There is no room for a function before it."""
    before, _, loop = ONE_LINE.partition("for i")
    cells = [{"cell_type": "code", "source": [text]} for text in (before, f"for i{loop}")]
    file = tmp_path / "cells.ipynb"
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells}))

    report = read_here(file)

    assert "disagrees" == report.verdict, report
    assert report.lines[0].startswith("cells.ipynb[cell 2]:4: ")


SEEDS = """import numpy as np
X, Y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
for seed in range(3):
    np.random.seed(seed)
    W1, b1 = np.random.randn(2, 4), np.zeros((1, 4))
    W2, b2 = np.random.randn(4, 1), np.zeros((1, 1))
    vW1 = np.zeros_like(W1)
    lr = 0.5
    for epoch in range(200):
        h = np.tanh(X @ W1 + b1)
        out = h @ W2 + b2
        loss = 0.5 * np.mean((out - Y) ** 2)
        d = (out - Y) / len(X)
        dW2, db2 = h.T @ d, d.sum(axis=0, keepdims=True)
        dh = d @ W2.T * {slope}
        dW1, db1 = X.T @ dh, dh.sum(axis=0, keepdims=True)
        vW1 = 0.9 * vW1 - lr * dW1
        W1 += vW1
        b1 -= lr * db1
        W2 -= lr * dW2
        b2 -= lr * db2
    print(loss)
"""


@pytest.mark.parametrize(("slope", "verdict"), [("(1 - h**2)", "agrees"), ("(1 - h)", "disagrees")])
def test_weights_that_each_turn_of_an_outer_loop_makes_anew(
    slope: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop that trains them is the inner one."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds

    report = read_here(written(tmp_path, SEEDS.format(slope=slope)))

    assert verdict == report.verdict, str(report)
