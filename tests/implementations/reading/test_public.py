"""Kinds of public files of which a verdict was wrong, or whose data are opened by `with`."""

import ast
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import samegrad as sg
from samegrad.implementations.checking.notes import Note
from samegrad.implementations.checking.objects import lines
from samegrad.implementations.checking.objects.report import CheckReport, Match
from samegrad.implementations.reading import drawn, names
from samegrad.implementations.reading.board import Form
from samegrad.implementations.reading.checked import of_a_part
from samegrad.implementations.reading.gradients import Backward
from samegrad.implementations.reading.loading import load
from samegrad.implementations.reading.loops import draws
from samegrad.implementations.reading.one_by_one import one_by_one
from samegrad.implementations.reading.scripts import fit_readings
from samegrad.implementations.reading.search import _networks
from samegrad.implementations.reading.shared_out import divides_its_rate
from samegrad.implementations.reading.trials import Wishes
from samegrad.implementations.reading.usage import calls_for_each
from tests.helpers.read_here import as_before, read_here

# A step is made for each example: with a batch no update is the gradient of the loss over it.
SINGLY = """
import numpy as np
rng = np.random.default_rng(0)
weights = {"h": rng.normal(0, 0.5, (4, 5)), "out": rng.normal(0, 0.5, (5, 3))}
def feed_forward(sample, weights):
    h = np.tanh(np.dot(sample, weights["h"]))
    e = np.exp(np.dot(h, weights["out"]))
    return h, e / e.sum()
def evaluate_all(x, y, weights):
    losses = []
    for sample, label in zip(x, y):
        losses.append(-np.log(feed_forward(sample, weights)[1][label]))
    return np.mean(losses), 0.5
def train_epoch(x_train, y_train, weights, learning_rate=0.003):
    for sample, label in zip(x_train, y_train):
        h, p = feed_forward(sample, weights)
        d = p - np.eye(3)[label]
        e = np.dot(d, weights["out"].T) * (1 - h**2)
        weights["out"] -= learning_rate * np.outer(h, d)
        weights["h"] -= learning_rate * np.outer(sample, e)
"""
# Data that are not there are opened by `with`.
OPENED = """
import numpy as np
with np.load("digits_that_nobody_has.npz") as data:
    x_train, y_train, x_test = data["x"], data["y"], data["x_test"]
w1, w2 = np.random.randn(8, 6) * 0.4, np.random.randn(6, 3) * 0.4
for epoch in range(10):
    h = np.tanh(x_train @ w1)
    p = np.exp(h @ w2)
    p = p / p.sum(axis=1, keepdims=True)
    targets = np.eye(3)[y_train]
    loss = -np.mean(np.sum(targets * np.log(p), axis=1))
    d = (p - targets) / len(x_train)
    dw1 = x_train.T @ (d @ w2.T * (1 - h**2))
    w2 -= 0.1 * h.T @ d
    w1 -= 0.1 * dw1
"""
# Two kinds of layers with weights; what one returns for its bias is without a factor, and both
# decay by what no loss has.
LAYERS = """
import numpy as np
class Hidden:
    def __init__(self, n, m):
        self.w, self.b = np.random.randn(n, m), np.zeros((1, m))
    def forward(self, x):
        self.x, self.y = x, np.maximum(x @ self.w + self.b, 0)
        return self.y
    def backward(self, ds):
        d = ds * (self.y > 0)
        dx = d @ self.w.T
        self.w -= 0.01 * (self.x.T @ d + 1e-3 * self.w)
        self.b -= 0.01 * np.sum(ds, axis=0)
        return dx
class Last:
    def __init__(self, n, m):
        self.w, self.b = np.random.randn(n, m), np.zeros((1, m))
    def forward(self, x):
        self.x = x
        return x @ self.w + self.b
    def backward(self, ds):
        dx = ds @ self.w.T
        self.w -= 0.01 * self.x.T @ ds
        self.b -= 0.01 * np.sum(ds, axis=0)
        return dx
"""
# The last layer keeps the outputs, which nothing returns.
KEPT = """
import numpy as np
class Layer:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_out, n_in) * 0.5, np.random.randn(n_out, 1)
    def activate(self, X):
        self.z = self.W @ X + self.b
        self.activated = np.tanh(self.z)
class MLP:
    def __init__(self, input_size, output_size, learning_rate=0.1):
        self.layers = [Layer(input_size, 5), Layer(5, output_size)]
        self.learning_rate = learning_rate
    def forward(self, X):
        for layer in self.layers:
            layer.activate(X)
            X = layer.activated
    def backward(self, X, Y):
        first, last = self.layers
        d = (last.activated - Y) * (1 - last.activated**2)
        e = last.W.T @ d * (1 - first.activated**2)
        last.W -= self.learning_rate * d @ first.activated.T
        last.b -= self.learning_rate * d.sum(axis=1, keepdims=True)
        first.W -= self.learning_rate * e @ X.T
        first.b -= self.learning_rate * e.sum(axis=1, keepdims=True)
"""


# Its steps go through a batch and add up what is for one example; of columns at once, of which
# all but the biases are right, it was accused. No loss is in it.
EACH = """
import numpy as np
def sigmoid(z):
    return 1 / (1 + np.exp(-z))
class Network:
    def __init__(self, layers):
        self.W = [np.random.randn(m, n) * 0.5 for n, m in zip(layers, layers[1:])]
        self.b = [np.random.randn(m, 1) for m in layers[1:]]
    def feedforward(self, image):
        for W, b in zip(self.W, self.b):
            image = sigmoid(W @ image + b)
        return image
    def gradient_descend(self, batch, rate):
        for image, result in batch:
            db, dW = self.backprop(image, result)
            for i, (W, b) in enumerate(zip(self.W, self.b)):
                self.W[i], self.b[i] = W - rate * dW[i] / len(batch), b - rate * db[i] / len(batch)
    def backprop(self, image, result):
        kept = [image]
        for W, b in zip(self.W, self.b):
            kept.append(sigmoid(W @ kept[-1] + b))
        d = kept[-1] - result
        db, dW = [d], [d @ kept[-2].T]
        for i in range(len(self.W) - 1, 0, -1):
            d = self.W[i].T @ d * kept[i] * (1 - kept[i])
            db.insert(0, d)
            dW.insert(0, d @ kept[i - 1].T)
        return db, dW
"""


# A pass that is given the targets leaves errors, and another one makes gradients of them.
TWO_PASSES = """
import numpy as np
class Net:
    def __init__(self, inputs, hidden, outputs):
        self.W = {1: np.random.randn(hidden, inputs), 2: np.random.randn(outputs, hidden)}
        self.a, self.e, self.delta_W = {}, {1: 0, 2: 0}, {}
    def forward(self, sample):
        self.a[1] = np.tanh(self.W[1] @ sample)
        self.a[2] = self.W[2] @ self.a[1]
        return self.a[2]
    def loss(self, sample, target):
        return 0.5 * np.sum((self.forward(sample) - target) ** 2)
    def backward(self, target):
        self.e[2] = self.a[2] - target
        self.e[1] = self.W[2].T @ self.e[2] * (1 - self.a[1] ** 2)
    def gradient(self, sample):
        self.delta_W[1] = np.outer(self.e[1], sample)
        self.delta_W[2] = np.outer(self.e[2], self.a[1])
"""
# A layer makes its step in the middle of a loop over examples, and the loss is of all of these.
STEP_BY_STEP = """
import numpy as np
class Layer:
    def __init__(self, n, m):
        self.W = np.random.randn(m, n)
    def forward(self, x):
        self.x, self.out = x, np.tanh(self.W @ x)
        return self.out
    def backward(self, error, rate):
        d = error * (1 - self.out**2)
        back = self.W.T @ d
        self.W += rate * np.outer(d, self.x)
        return back
class Net:
    def __init__(self, widths, learning_rate):
        self.layers = [Layer(n, m) for n, m in zip(widths, widths[1:])]
        self.learning_rate = learning_rate
    def train(self, inputs, targets, epochs):
        for epoch in range(epochs):
            error_sum = 0
            for x, y in zip(inputs, targets):
                out = x
                for layer in self.layers:
                    out = layer.forward(out)
                error = y - out
                error_sum += 0.5 * np.sum(error**2)
                for layer in reversed(self.layers):
                    error = layer.backward(error, self.learning_rate)
            print(error_sum)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(drawn, "RANGES", drawn.RANGES[:1])


@pytest.mark.full
@pytest.mark.parametrize(
    ("text", "how"),
    [
        (SINGLY, "update of train_epoch"),
        (OPENED, "numbers of ours for x_test, x_train, y_train"),
        (KEPT, "update of backward; loss: 1/2 squared error, summed"),
        (EACH, "one example at a time, as a column, targets like the outputs"),
        (TWO_PASSES, "gradient of gradient; loss: its own loss"),
        (STEP_BY_STEP, "gradient from the update; loss: its own error_sum"),
    ],
)
def test_right_file_agrees(text: str, how: str, tmp_path: Path) -> None:
    """One was accused: what all steps of a batch change was compared with the mean of its loss."""
    file = tmp_path / "right.py"
    file.write_text(text)

    report = read_here(file)

    assert "agrees" == report.verdict, report
    assert how in " ".join(report.reading.split())


@pytest.mark.full
def test_layers_never_agree_where_another_kind_of_them_is_wrong(tmp_path: Path) -> None:
    """It was left out, and the others agreed."""
    file = tmp_path / "layers.py"
    file.write_text(LAYERS)

    report = read_here(file)

    assert "undecided" == report.verdict, report
    assert report.said.startswith("Hidden, another layer of the file, by itself"), report


@pytest.mark.parametrize(
    ("used_after", "each", "form", "singly"),
    [
        (False, True, "rows", True),
        (False, False, "rows", False),
        (True, False, "rows", False),
        (False, True, "one row", False),
    ],
)
def test_steps_for_each_example_are_told_from_a_fault(
    used_after: bool, each: bool, form: str, singly: bool
) -> None:
    """Weights that are used after their update bend the change with one example as well."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    values: dict[str, Any] = {"X": X, "y": y, "#Y": y, "n": 5, "lr": 1e-3}
    trial: Any = SimpleNamespace(board=SimpleNamespace(values=values), form=Form(form), singly=[])

    def step() -> dict[str, Any]:
        w, rate = np.ones(3), values["lr"]
        for part in np.split(values["X"], values["n"]) if each else [values["X"]]:
            old, rows = w, part[:, :3]
            w = w - rate * rows.T @ (rows @ old)
            w = w - rate * (w if used_after else old)
        return {"w": (1 - w) / 1e-3}

    assert singly == one_by_one(step, "step", (("rate", "lr"),), trial)
    assert values["n"] == 5 and values["X"] is X
    assert values["lr"] == 1e-3


def test_pass_without_targets_follows_the_one_that_has_them(tmp_path: Path) -> None:
    """Alone it gave the gradient for the targets of an earlier call, and was called stale."""
    file = tmp_path / "passes.py"
    file.write_text(TWO_PASSES)
    with as_before():
        loaded = load(file, True, lambda: None)
        found = _networks(loaded, "", Wishes(), None)
        passes = [r.backward for r in itertools.islice(found, 4) if "gradient" in r.key]

    assert passes and all(isinstance(one, Backward) and one.first for one in passes)


def test_loss_of_steps_in_a_row_is_taken_of_one_example(tmp_path: Path) -> None:
    """Of several it follows the rate, which was taken for a weight."""
    file = tmp_path / "steps.py"
    file.write_text(STEP_BY_STEP)
    with as_before():
        reading = next(fit_readings(load(file, True, lambda: None)))
        before, reading.net["self"].learning_rate = reading.loss(), 0.5

        assert before == reading.loss()


def test_rate_that_the_loss_follows_is_no_parameter() -> None:
    """A number of the size of its slope is found among updates of biases."""
    net = SimpleNamespace(w=np.array([0.3, -0.5]), learning_rate=0.1)

    report = sg.check(net, lambda: net.w @ net.w * (1 + net.learning_rate), lambda: 2.2 * net.w)

    assert ["net.w"] == [match.name for match in report.matches]
    assert report.agrees and not any("learning_rate" in r for r in report.remarks)


def test_calls_with_each_example_are_told_from_calls_with_a_batch() -> None:
    """What averages over them is no word of the function that is called."""

    def backprop(x: Any, y: Any) -> Any: ...

    def each(batch: Any) -> Any:
        return [backprop(batch, None) for _ in batch], [backprop(x, y) for x, y in batch]

    def loop(batch: Any) -> None:
        for x, y in zip(*batch, strict=True):
            backprop(x, y)

    def whole(batches: Any) -> None:
        for _ in range(3):
            backprop(*batches)

    def parts(batches: Any) -> Any:
        return [(backprop(x, y), len(x)) for x, y in batches], [x.shape for x, _ in batches]

    found = [calls_for_each(f, "backprop") for f in (each, loop, whole, parts, backprop)]

    assert [True, True, False, False, False] == found


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("for w in weights:\n    plt.figure()\n    plt.hist(w)", True),
        ("for w in weights:\n    plt.hist(w)\n    w *= 2", False),
        ("for w in weights:\n    deltas.append(w)", False),
    ],
)
def test_loops_that_draw_are_no_part_of_a_script(text: str, shows: bool) -> None:
    """They were run ahead of each of 160 tries, for two minutes."""
    assert shows == draws(ast.parse(text).body[0])


def test_example_of_lists_that_a_network_keeps_is_data() -> None:
    """It changes the loss, and was said to have no gradient."""
    X, y = [[0.3, -0.5], [0.2, 0.9]], [1.0, 0.0]
    net: dict[str, Any] = {"w": [0.4, 0.1]}

    def errors() -> list[float]:
        found = []
        for x, t in zip(X, y, strict=True):
            net["x"] = x
            found.append(sum(w * v for w, v in zip(net["w"], x, strict=True)) - t)
        return found

    def backward() -> list[float]:
        d = errors()
        return [sum(e * x[i] for e, x in zip(d, X, strict=True)) for i in range(2)]

    report = sg.check(net, lambda: sum(e * e for e in errors()) / 2, backward, (X, y))

    assert ("agrees", ()) == (report.verdict, report.notes)
    assert ["net['w']"] == [match.name for match in report.matches]


def test_decay_is_known_by_its_short_name_and_what_draws_is_not_called() -> None:
    """`nnCostFunction(nn_params, ..., lam)` was not called; `displayData(X)` was, for minutes."""
    assert {"reg"} == {names.role(name) for name in ("lam", "Lambda", "v_lambda", "lmbda")}
    assert all(map(names.WHOLE.match, ("displayData", "draw_network", "visualize", "plot_loss")))
    assert not any(map(names.WHOLE.match, ("dense", "d_loss", "dloss")))


@pytest.mark.parametrize("biases", [1, 2])
def test_gradients_of_biases_with_another_shape_disagree(biases: int) -> None:
    """Means over the wrong axis, of one or more: whichever loss is meant."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    net = {"w1": rng.normal(size=(4, 6)), "w2": rng.normal(size=(6, 3)), "b2": np.zeros((1, 3))}
    net |= {"b1": np.zeros((1, 6))} if biases > 1 else {}

    def hidden() -> Any:
        return np.tanh(X @ net["w1"] + net.get("b1", 0.0))

    def backward() -> Any:
        h = hidden()
        d = h @ net["w2"] + net["b2"] - y
        e = d @ net["w2"].T * (1 - h**2)
        return (h.T @ d, X.T @ e), (np.mean(d, 1), np.mean(e, 1))[:biases]

    report = sg.check(
        net, lambda: ((hidden() @ net["w2"] + net["b2"] - y) ** 2).sum() / 2, backward, (X, y)
    )

    assert "disagrees" == report.verdict, report
    assert "has shape (5,), expected (1, " in report.reason


@pytest.mark.parametrize(
    ("shape", "notes", "verdict"),
    [
        ((4, 6), (), "undecided"),
        ((6, 1), (), "agrees"),
        ((4, 6), ("net.W changes the loss, and the loop never changes it",), "agrees"),
    ],
)
def test_weights_without_a_gradient_leave_the_verdict_open(
    shape: tuple[int, ...], notes: Any, verdict: str
) -> None:
    """Unless they are never trained; those of one output and biases are told of by a note."""
    rows = (Match("net.V", (6, 2), "g"), Match("net.W", shape, verdict="not checked"))
    report = CheckReport("agrees", matches=rows, notes=tuple(Note("not-updated", n) for n in notes))

    told = of_a_part(report)

    assert verdict == told.verdict
    assert ("no gradient was found for net.W" in told.said) == (verdict == "undecided")


SUMMED = """
import numpy as np
class Net:
    def __init__(self, layers):
        rng = np.random.default_rng(0)
        self.w = [rng.normal(0, 0.5, (a, b)) for a, b in zip(layers, layers[1:])]
    def forward(self, x):
        self.a = [x]
        for w in self.w:
            self.a.append(np.tanh(self.a[-1] @ w))
        return self.a[-1]
    def mse(self, y):
        return np.sum((y - self.a[-1]) ** 2) / len(y)
    def backprop(self, y):
        d, grads = 2 * (self.a[-1] - y), []
        for i in (1, 0):
            d = d * (1 - self.a[i + 1] ** 2)
            grads.insert(0, self.a[i].T @ d)
            d = d @ self.w[i].T
        return grads
    def update(self, x, y, lr):
        m = len(y)
        self.forward(x)
        self.w = [w - (lr / m) * g for w, g in zip(self.w, self.backprop(y))]
"""


@pytest.mark.parametrize(
    ("text", "divides"),
    [
        ("self.w = [w - (lr / m) * g for w, g in zip(self.w, grads)]", True),
        ("self.w -= self.learning_rate * dw / len(x)", True),
        ("w -= eta * dw / x.shape[0]", True),
        ("w -= lr * dw", False),
        ("w -= lr / 10 * dw", False),
        ("lr = lr / epochs", False),
    ],
)
def test_rates_that_are_divided_by_examples_are_found(
    text: str, divides: bool, tmp_path: Path
) -> None:
    """In whatever form; the gradient may be a sum then."""
    file = tmp_path / "step.py"
    file.write_text(f"def gradient():\n    {text}\n")
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)

    assert divides == divides_its_rate([space["gradient"]])


def test_sum_that_steps_divide_is_no_fault(tmp_path: Path) -> None:
    """Where the loss is a mean; no step of it can be called."""
    file = tmp_path / "net.py"
    file.write_text(SUMMED.replace("def update(self, x, y, lr)", "def update(self, *, batch, lr)"))

    told = read_here(file)

    assert ("agrees", ["summed"]) == (told.verdict, [n.code for n in told.notes])
