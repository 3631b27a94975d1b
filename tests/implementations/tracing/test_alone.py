"""Lines in large networks, in networks of single numbers, and in what no right gradient needs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.state.leaves import fixed, leaf_of
from samegrad.implementations.tracing.outcome import Outcome, Param
from samegrad.implementations.tracing.probe import Event, as_array
from samegrad.implementations.tracing.rights import Right
from samegrad.implementations.tracing.search import Spot, _selections, orders
from samegrad.implementations.tracing.sites import Site
from tests.implementations.tracing.test_explain import explained, loaded

NEURONS = """import math
import random

random.seed(0)
layers = [
    [{"w": [random.gauss(0, 1) for _ in range(n + 1)]} for _ in range(m)]
    for n, m in ((1, 3), (3, 2))
]
x, t = [0.8], [0.0, 1.0]
PARAMS = {f"{i}{j}": n["w"] for i, layer in enumerate(layers) for j, n in enumerate(layer)}


def forward():
    inputs = x
    for layer in layers:
        outputs = []
        for neuron in layer:
            z = neuron["w"][-1]
            for i in range(len(inputs)):
                z += neuron["w"][i] * inputs[i]
            neuron["in"], neuron["out"] = inputs, 1 / (1 + math.exp(-z))
            outputs.append(neuron["out"])
        inputs = outputs
    return inputs


def loss():
    return -sum(math.log(o if y else 1 - o) for o, y in zip(forward(), t))


def backward():
    forward()
    for k in (1, 0):
        errors = []
        for j, neuron in enumerate(layers[k]):
            if k == 1:
                errors.append(neuron["out"] - t[j])
            else:
                error = 0.0
                for after in layers[k + 1]:
                    error += after["w"][j] * after["delta"]
                errors.append(error * neuron["out"] * (1 - neuron["out"]))
        for j in range(len(layers[k])):
            neuron = layers[k][j]
            neuron["delta"] = errors[j]
    return [[n["delta"] * i for i in [*n["in"], 1.0]] for layer in layers for n in layer]


def grads(returned):
    return returned
"""
WIDE = """import numpy as np

rng = np.random.default_rng(0)
X, y = rng.normal(size=(9, 40)), np.eye(3)[np.arange(9) % 3]
W, b, V = 0.01 * rng.normal(size=(40, 80)), np.zeros(80), 0.01 * rng.normal(size=(80, 3))
PARAMS = {"W": W, "b": b, "V": V}


def relu(z, slope=False):
    if slope:
        return np.greater(z, 0) * 1.0
    return np.maximum(z, 0)


def forward():
    z = X @ W + b
    h = relu(z)
    p = np.exp(h @ V)
    return z, h, p / p.sum(1, keepdims=True)


def loss():
    return -(y * np.log(forward()[2])).sum() / 9


def backward():
    z, h, p = forward()
    d = (p - y) / 9
    dh = d @ V.T
    dz = dh * relu(z, slope=True)
    return X.T @ dz, dz.sum(0), h.T @ d


def grads(returned):
    return list(returned)
"""
SUMS = """import numpy as np

rng = np.random.default_rng(0)
W, b = rng.normal(size=(3, 2)), [0.3, -0.2]
X, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
PARAMS = {"W": W, "b": b}


def loss():
    return ((X @ W + np.array(b) - y) ** 2).sum() / 2


def backward():
    d = (X @ W + np.array(b) - y).tolist()
    db = [0.0, 0.0]
    for row in d:
        for j in range(2):
            db[j] += row[j]
    return X.T @ np.array(d), db


def grads(returned):
    return list(returned)
"""
LAYERED = """import numpy as np

rng = np.random.default_rng(0)
W = [rng.normal(size=s) for s in ((3, 4), (4, 5), (5, 2))]
X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
PARAMS = {f"W{i}": w for i, w in enumerate(W)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_slope(a):
    return a * (1 - a)


def tanh_slope(a):
    return 1 - a**2


def forward():
    a = [X]
    for w in W:
        a.append(sigmoid(a[-1] @ w))
    return a


def loss():
    return ((forward()[-1] - y) ** 2).sum() / 2


def backward():
    a = forward()
    d = [np.zeros_like(x) for x in a]
    d[-1] = (a[-1] - y) * sigmoid_slope(a[-1])
    for i in range(2, 0, -1):
        back = d[i + 1] @ W[i].T
        d[i] = back * sigmoid_slope(a[i])
    return [a[i].T @ d[i + 1] for i in range(3)]


def grads(returned):
    return returned
"""
LISTED = """import math
import random

random.seed(0)
sizes = (3, 4, 4, 2)
W = [[[random.gauss(0, 1) for _ in range(n)] for _ in range(m)] for n, m in zip(sizes, sizes[1:])]
x, t = [0.5, -0.3, 0.8], [0.2, -0.1]
PARAMS = {f"W{k}{j}": row for k, layer in enumerate(W) for j, row in enumerate(layer)}


def forward():
    seen = [x]
    for layer in W:
        seen.append([math.tanh(sum(w * a for w, a in zip(row, seen[-1]))) for row in layer])
    return seen


def loss():
    return sum((o - y) ** 2 for o, y in zip(forward()[-1], t)) / 2


def sent_back(given, k, seen):
    passed = [g * (1 - a * a) for g, a in zip(given, seen[k + 1])]
    sent = [0.0] * len(seen[k])
    for i in range(len(sent)):
        for j in range(len(W[k])):
            sent[i] += passed[j] * W[k][j][i]
    return sent, [[p * a for a in seen[k]] for p in passed]


def backward():
    seen = forward()
    given, found = [o - y for o, y in zip(seen[-1], t)], []
    for k in (2, 1, 0):
        given, own = sent_back(given, k, seen)
        found = own + found
    return found


def grads(returned):
    return returned
"""
FAULTS = {
    "a mask in a wide layer": (WIDE, "dh * relu(z, slope=True)", "dh", "dz = dh"),
    "a slope times its argument": (WIDE, "(z, 0) * 1.0", "(z, 0) * z", "(z, 0) * z"),
    "another activation's": (
        LAYERED,
        "back * sigmoid_slope",
        "back * tanh_slope",
        "back * tanh_slope",
    ),
    "a loop that ends early": (LAYERED, "(2, 0, -1)", "(2, 1, -1)", "range(2, 1, -1)"),
    "lists that go back": (LISTED, "passed[j] *", "given[j] *", "given[j] *"),
    "sum": (SUMS, "db[j] += row[j]", "db[j] = row[j]", "db[j] = row[j]"),
}


SLOW = {"lists that go back"}


@pytest.mark.parametrize(
    ("text", "right", "wrong", "named"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.full] if name in SLOW else [])
        for name, case in FAULTS.items()
    ],
)
def test_line_is_named(text: str, right: str, wrong: str, named: str, tmp_path: Path) -> None:
    """And no other."""
    file = tmp_path / "net.py"
    file.write_text(changed := text.replace(right, wrong))

    found = explained(loaded(file))

    assert [changed[: changed.index(named)].count("\n") + 1] == [line.number for line in found]


def test_lists_that_are_filled_are_taken_as_they_end() -> None:
    """Each by its last value; what goes to the inputs may be of no use."""
    held = [[0.5, 1.0], [2.0, 1.0], [3.0, 4.0]]
    order = [held[0], held[0], held[1], held[1], held[1], held[2], held[2]]
    events = tuple(Event(i, 0, i, np.array(v), v) for i, v in enumerate(order))
    site = Site(0, "net.py", 1, "sent", "sent", "stored", True, "back")

    found = [tuple(e.index for e in some) for some in _selections(Spot(site, events))]

    assert {(1, 4, 6), (1, 4)} <= set(found)


@pytest.mark.full
@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        (
            'errors.append(error * neuron["out"] * (1 - neuron["out"]))',
            "errors.append(error)",
            'neuron["delta"] = errors[j]',
        ),
        ('(1 - neuron["out"]))', 'neuron["out"])', "errors.append(error * "),
    ],
)
def test_line_is_named_of_numbers(right: str, wrong: str, named: str, tmp_path: Path) -> None:
    """The one that takes an error for a delta, not the sum that is rightly an error."""
    test_line_is_named(NEURONS, right, wrong, named, tmp_path)


def test_numbers_of_layers_come_from_the_last_layer_on() -> None:
    """In the order of the forward pass inside of each."""
    layers = Right("value", "inputs", (np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])))
    events = [Event(i, 0, i, np.asarray(0.1 * i), None) for i in range(5)]

    assert (3, 4, 0, 1, 2) in orders(events, [layers])
    assert () == orders(events[:4], [layers])


def test_rounding_of_a_loss_is_no_fault(tmp_path: Path) -> None:
    """Slopes of 1e-9 of a loss of 1 are known to some digits only."""
    text = WIDE.replace("0.01 * rng.normal(size=(80, 3))", "1e-8 * rng.normal(size=(80, 3))")
    file = tmp_path / "net.py"
    file.write_text(text.replace("h.T @ d\n", "2 * h.T @ d\n"))

    found = explained(loaded(file))

    assert [31] == [line.number for line in found]
    assert np.isfinite(loaded(file).loss())


def test_updates_are_right_by_the_one_rate_that_they_have() -> None:
    """Where no other one has a rate at all, of however many."""
    slopes = [np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.2]), np.array([4.0, 1.0])]
    leaves = [leaf_of(s, "w", fixed(s)) for s in slopes]
    params = [Param("w", s, leaf) for s, leaf in zip(slopes, leaves, strict=True) if leaf]
    updates = [np.array([1.0, 2.0, 3.0]), 0.01 * slopes[1], np.array([4.0, -1.0])]
    outcome = Outcome(params, lambda _: updates, 1e-5, free=True)

    assert [False, True, False] == outcome.judge(None)
    updates[2] = 0.7 * slopes[2]
    assert [False, False, False] == outcome.judge(None)


def test_arrays_of_jax_are_read() -> None:
    """By what they are called: JAX itself need not be there."""

    class ArrayImpl:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.arange(3.0)

    ArrayImpl.__module__ = "jaxlib._jax"

    assert np.array_equal(np.arange(3.0), as_array(ArrayImpl()))


COMPILED = """import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
X, y = jnp.asarray(rng.normal(size=(6, 3))), jnp.asarray(rng.normal(size=(6, 2)))
params = [jnp.asarray(rng.normal(size=(3, 4))), jnp.asarray(rng.normal(size=(4, 2)))]


@jax.jit
def forward(params):
    h = jnp.tanh(X @ params[0])
    return h, h @ params[1]


def loss():
    return jnp.mean((forward(params)[1] - y) ** 2)


@jax.jit
def backward(params):
    h, out = forward(params)
    d = (out - y) / 6
    return [X.T @ (d @ params[1].T * (1 - h**2)), h.T @ d]
"""


@pytest.mark.full
def test_line_is_named_of_what_jax_compiles(tmp_path: Path) -> None:
    """It is run line by line for that."""
    pytest.importorskip("jax")
    file = tmp_path / "net.py"
    file.write_text(COMPILED.replace("(out - y) / 6", "out - y"))
    net = loaded(file)
    backward, params = net.backward, net.params

    report = check(params, net.loss, lambda: backward(params), (net.X, net.y))

    assert ["net.py:23"] == [line.partition(": ")[0] for line in report.lines], report
