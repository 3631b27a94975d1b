"""A step that a class makes of a right gradient is called once and judged; others are said."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines as explaining
from samegrad.implementations.reading.fits import TURNED
from samegrad.implementations.reading.training import KEPT, TEXT_ALONE
from tests.helpers.read_here import read_here

NET = """
import numpy as np


class Net:
    def __init__(self, n_in, n_out, rate=0.1):
        self.W, self.b = np.random.randn(n_in, n_out), np.zeros(n_out)
        self.rate, self.v, self.s, self.costs = rate, 0.0, 0.0, []

    def loss(self, X, Y):
        self.d = X @ self.W + self.b - Y
        return (self.d**2).sum() / 2

    def backward(self, X, Y):
        self.dW, self.db = X.T @ self.d, self.d.sum(axis=0)

    def STEP
"""
CALLS = "self.loss(X, Y); self.backward(X, Y)"
DOWN = "self.W -= self.rate * self.dW; self.b -= self.rate * self.db"
ONE = f"train_step(self, X, Y):\n        {CALLS}"
ONCE = "one call takes a rate times the gradient off the weights: {}"
NOT = "its steps were not checked, only its gradient: {}"
FIT = """fit(self, X, Y, epochs=10**9):
        for _ in range(epochs):
            self.costs.append(self.loss(X, Y))
            self.backward(X, Y)
            self.W SIGN= self.rate * self.dW
            self.b -= self.rate * self.db"""
ADAM = (
    "self.v = 0.9 * self.v + 0.1 * self.dW\n        self.s = 0.999 * self.s + 0.001 * self.dW**2\n"
    "        self.W -= 0.01 * self.v / (np.sqrt(self.s) + 1e-8)"
)

JAX = """
import jax
import jax.numpy as jnp


def init_mlp(sizes, key):
    params = []
    for m, n in zip(sizes[:-1], sizes[1:]):
        key, k = jax.random.split(key)
        params.append((jax.random.normal(k, (m, n)) * 0.3, jnp.zeros(n)))
    return params


def predict(params, inputs):
    for w, b in params[:-1]:
        inputs = jnp.tanh(inputs @ w + b)
    w, b = params[-1]
    return inputs @ w + b


def loss(params, inputs, targets):
    return jnp.mean((predict(params, inputs) - targets) ** 2)


"""
UPDATE = """def update(params, inputs, targets, step_size=0.1):
    grads = jax.grad(loss)(params, inputs, targets)
    return [(w - step_size * dw, b SIGN step_size * db) for (w, b), (dw, db) in zip(params, grads)]
"""
OPTAX = """def update(params, state, inputs, targets):
    grads = jax.grad(loss)(params, inputs, targets)
    updates, state = optimizer.update(grads, state)
    return optimizer.apply(params, updates), state
"""
LOOP = """gradient = jax.grad(loss)
params, X, Y = init_mlp([4, 3, 2], jax.random.PRNGKey(0)), jnp.ones((5, 4)), jnp.ones((5, 2))
for i in range(9):
    params = jax.tree.map(lambda p, g: p + 0.1 * g, params, gradient(params, X, Y))
"""


@pytest.mark.parametrize(
    ("step", "reason", "remark"),
    [
        (f"{ONE}\n        {DOWN}", "", ONCE.format("train_step")),
        (f"update(self):\n        {DOWN}", "", ONCE.format("update")),
        (f"update(self, lr=0.5):\n        {DOWN.replace('self.rate', 'lr')}", "",
         ONCE.format("update")),
        (f"{ONE}\n        self.v = 0.9 * self.v + self.dW; self.W -= self.rate * self.v", "",
         ONCE.format("train_step")),
        (f"{ONE}\n        self.W -= self.rate * (self.dW + 0.1 * self.W)", "",
         ONCE.format("train_step")),
        (f"{ONE}\n        {ADAM}", "", NOT.format("train_step")),
        (f"fit(self, X, Y, epochs=10**9):\n        for _ in range(epochs):\n"
         f"            {CALLS}; {DOWN}", "", NOT.format("fit")),
        (FIT.replace("SIGN", "-"), "", f"{TURNED}: fit"),
        (FIT.replace("SIGN", "+"), "the update of self.W goes up its gradient", None),
        (f"{ONE}\n        {DOWN.replace('-=', '+=')}",
         "train_step was called once: the update of net.W goes up its gradient", None),
        (f"update(self):\n        {DOWN.replace('b -=', 'b +=')}",
         "update was called once: the update of net.b goes up its gradient", None),
    ],
)  # fmt: skip
def test_step_is_called_once(
    step: str, reason: str, remark: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up the gradient is wrong; of what trains for long one turn is judged, with its loss."""
    monkeypatch.setattr(explaining, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "net.py"
    file.write_text(NET.replace("STEP", step))

    report = read_here(file)

    assert (reason, not reason) == (report.reason, report.agrees), str(report)
    known = (ONCE.format(""), NOT.format(""), TURNED)
    said = [r for r in report.remarks if r.startswith(known)]
    assert ([remark] if remark else []) == said
    left = [n.text.split()[0] for n in report.notes if n.code == "not-updated"]
    one = remark and remark.startswith(ONCE.format("")) and "self.b -=" not in step
    assert (["net.b"] if one else []) == left
    keeps = "self.v = 0.9 * self.v + self.dW" in step
    assert keeps == (KEPT in report.remarks)


@pytest.mark.parametrize(
    ("step", "reason", "remark"),
    [
        pytest.param(UPDATE.replace("SIGN", "-"), "", ONCE.format("update"),
                     marks=pytest.mark.full, id="right"),
        pytest.param(UPDATE.replace("SIGN", "+"),
                     "update was called once: the update of net[0][1] goes up its gradient", "",
                     id="biases go up"),
        pytest.param(OPTAX, "", NOT.format("update"), marks=pytest.mark.full, id="not called"),
        pytest.param(LOOP, "", TEXT_ALONE, marks=pytest.mark.full, id="a loop"),
        pytest.param("gradient = jax.grad(loss)\n", "", "", marks=pytest.mark.full, id="by a name"),
    ],
)  # fmt: skip
def test_step_of_jax_that_returns_new_weights(
    step: str, reason: str, remark: str, tmp_path: Path
) -> None:
    """Is called once as well; what is not is said."""
    pytest.importorskip("jax", reason="files of JAX are read with it")
    file = tmp_path / "net.py"
    file.write_text(JAX + step)

    report = read_here(file)

    assert (reason, not reason) == (report.reason, report.agrees), str(report)
    assert not remark or remark in report.remarks


def test_function_that_adds_the_gradient_disagrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns new weights, at a rate that nobody knows: no factor of the loss explains it."""
    monkeypatch.setattr(explaining, "explain", lambda *_, **__: [])  # which takes seconds
    source = """import numpy as np
def init_params(n_in, n_out):
    return {"W": np.random.randn(n_in, n_out) * 0.5, "b": np.zeros(n_out)}
def predict(params, X):
    return X @ params["W"] + params["b"]
def NAME(params, X, Y):
    return np.mean((predict(params, X) - Y) ** 2)
def step(params, X, Y):
    d = 2 * (predict(params, X) - Y) / Y.size
    grads = {"W": X.T @ d, "b": d.sum(axis=0)}
    return {name: params[name] SIGN 0.5 * grads[name] for name in params}
"""
    found = []
    for number, (sign, name) in enumerate((("+", "loss"), ("-", "loss"), ("+", "reward"))):
        file = tmp_path / f"net{number}.py"
        file.write_text(source.replace("SIGN", sign).replace("NAME", name))
        found.append(read_here(file))

    up, down, rising = found
    assert up.disagrees and "goes up its gradient" in up.reason
    assert down.agrees and not rising.disagrees


UPHILL = """
import numpy as np

class Two:
    def __init__(self, input_size, hidden_size, output_size):
        self.W1 = np.random.randn(input_size, hidden_size)
        self.W2 = np.random.randn(hidden_size, output_size)

    def forward(self, X):
        self.X, self.h = X, np.tanh(X @ self.W1)
        return self.h @ self.W2

    def backprop(self, y_pred, y_true, learning_rate=0.01):
        error = y_pred - y_true
        down = (error @ self.W2.T) * (1 - self.h ** 2)
        self.W2 -= learning_rate * self.h.T @ error
        self.W1 -= learning_rate * self.X.T @ down
"""


def test_step_up_a_loss_that_is_guessed_disagrees(tmp_path: Path) -> None:
    """Whatever the loss is, it rises; the line with the sign is told."""
    (tmp_path / "a.py").write_text(UPHILL.replace("y_pred - y_true", "y_true - y_pred"))

    report = read_here(tmp_path / "a.py")

    assert report.disagrees, str(report)
    assert "goes up" in report.reason
    assert report.lines[0].startswith("a.py:14: `error = y_true - y_pred`; the gradient is right")


@pytest.mark.parametrize(
    ("sign", "verdict"),
    [pytest.param("", "agrees", marks=pytest.mark.full), ("-", "undecided")],
)
def test_gradient_of_a_guessed_loss_with_its_sign_turned_is_judged_with_its_steps_alone(
    sign: str, verdict: str, tmp_path: Path
) -> None:
    """A file whose steps add it is right; whether they do was not seen."""
    forward = "forward(self, X):\n        self.X, self.out = X, X @ self.W + self.b\n"
    given = NET[: NET.index("loss(self")] + forward + "        return self.out\n\n    def backward"
    given += f"(self, Y):\n        d = {sign}(self.out - Y)\n"
    given += "        self.dW, self.db = self.X.T @ d, d.sum(axis=0)\n\n    def "
    file = tmp_path / "net.py"
    file.write_text(
        f"{given}{ONE.replace(CALLS, 'self.forward(X); self.backward(Y)')}\n        {ADAM}"
    )

    report = read_here(file)

    assert verdict == report.verdict, str(report)
    assert any(r.startswith(NOT.format("train_step")) for r in report.remarks)
    assert (verdict == "undecided") == ("add it or take it off was not seen" in report.reason)
