"""Kinds of strangers' networks that were taken for something else."""

import textwrap
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import samegrad as sg

X, Y = np.random.default_rng(1).normal(size=(12, 5)), np.random.default_rng(2).integers(0, 3, 12)
FITTED = """
    import numpy as np
    class Softmax:
        def __init__(self, l2):
            self.eta, self.l2 = 0.1, l2
            self.w, self.b = np.random.default_rng(0).normal(size=(5, 3)) * 0.3, np.zeros(3)
        def proba(self, X):
            e = np.exp(X @ self.w + self.b)
            return e / e.sum(axis=1, keepdims=True)
        def cost(self, X, y):
            return -np.log(self.proba(X)[np.arange(len(y)), y]).mean() + LOSS
        def fit(self, X, y):
            diff = (self.proba(X) - np.eye(3)[y]) / len(y)
            self.w -= self.eta * (X.T @ diff + DECAY * self.w)
            self.b -= self.eta * diff.sum(axis=0)
            return self
"""


def defined(text: str, **names: Any) -> dict[str, Any]:
    """The names that a text defines, run as by exec() in a bare dict."""
    for name, what in names.items():
        text = text.replace(name, what)
    space: dict[str, Any] = {}
    exec(textwrap.dedent(text), space)
    return space


@pytest.mark.parametrize(
    ("loss", "decay", "verdict"),
    [
        ("self.l2 * np.sum(self.w**2)", "2 * self.l2", "agrees"),
        ("self.l2 * np.sum(self.w**2)", "4 * self.l2", "disagrees"),
        ("self.l2 * np.sum(self.w**2)", "3 * self.l2", "disagrees"),
        ("0.0", "2 * self.l2", "agrees"),
    ],
    ids=["as in the loss", "doubled", "and a half", "of the update alone"],
)
def test_fit_that_returns_the_network(loss: str, decay: str, verdict: str) -> None:
    """Its weights and its decay are no gradients; a decay that is not the loss' own is wrong."""
    net = defined(FITTED, LOSS=loss, DECAY=decay)["Softmax"](0.05)

    report = sg.check(net, loss=lambda: net.cost(X, Y), backward=lambda: net.fit(X, Y), data=(X, Y))

    assert verdict == report.verdict, report.reason
    assert ("decay-in-update" in [note.code for note in report.notes]) is (loss == "0.0")
    assert verdict == "agrees" or "net.l2" in report.reason


SCALARS = """
    class Var:
        def __init__(self, val, parents=()):
            self.val, self.parents, self.adj = val, parents, 0.0
        def __add__(self, o):
            return Var(self.val + o.val, ((self, 1.0), (o, 1.0)))
        def __mul__(self, o):
            return Var(self.val * o.val, ((self, o.val), (o, self.val)))
    def reverse(out):
        order = []
        def visit(v):
            if v not in order:
                for p, _ in v.parents:
                    visit(p)
                order.append(v)
        visit(out)
        for v in order:
            v.adj = 0.0
        out.adj = 1.0
        for v in reversed(order):
            for p, d in v.parents:
                p.adj += d * v.adj * FACTOR
    class Unit:
        def __init__(self):
            self.w, self.b = [Var(0.3), Var(-0.8)], Var(0.2)
        def loss(self, xs, y):
            out = self.b
            for w, x in zip(self.w, xs):
                out = out + w * Var(x)
            off = out + Var(-y)
            return off * off
"""


@pytest.mark.parametrize(("factor", "verdict"), [("1.0", "agrees"), ("0.9", "disagrees")])
def test_numbers_beside_each_other(factor: str, verdict: str) -> None:
    """`val` and `adj`: though none is right, each is meant for the other."""
    space = defined(SCALARS, FACTOR=factor)
    net = space["Unit"]()

    report = sg.check(
        net,
        loss=lambda: net.loss([1.5, -0.7], 0.4).val,
        backward=lambda: space["reverse"](net.loss([1.5, -0.7], 0.4)),
    )

    assert verdict == report.verdict, report.reason


@pytest.mark.parametrize(("cut", "verdict"), [("", "agrees"), (".detach()", "disagrees")])
def test_weights_that_autograd_does_not_reach(cut: str, verdict: str) -> None:
    """The loss depends on them, so their gradient is not zero; those of others arrive."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    text = f"""
        import torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.last = torch.nn.Linear(5, 4), torch.nn.Linear(4, 3)
            def forward(self, X):
                return self.last(torch.tanh(self.first(X)){cut})
    """
    torch.manual_seed(0)
    net, inputs, labels = defined(text)["Net"](), torch.tensor(X).float(), torch.tensor(Y)
    loss = torch.nn.functional.cross_entropy

    def backward() -> None:
        net.zero_grad()
        loss(net(inputs), labels).backward()

    report = sg.check(
        net, loss=lambda: loss(net(inputs), labels), backward=backward, data=(inputs, labels)
    )

    assert verdict == report.verdict, report.reason


@pytest.mark.parametrize(("slope", "verdict"), [("1 - a**2", "agrees"), ("1 - a", "undecided")])
def test_gradient_under_another_name(slope: str, verdict: str) -> None:
    """`first` is not called after W1: where it is wrong, W1 is not said to agree."""
    text = f"""
        import numpy as np
        class Net:
            def __init__(self):
                rng = np.random.default_rng(0)
                self.W1, self.W2 = rng.normal(size=(5, 4)) * 0.5, rng.normal(size=(4, 3)) * 0.5
            def loss(self, X, Y):
                return ((np.tanh(X @ self.W1) @ self.W2 - Y)**2).sum()
            def backward(self, X, Y):
                a = np.tanh(X @ self.W1)
                d = 2 * (a @ self.W2 - Y)
                self.second = a.T @ d
                self.first = X.T @ (d @ self.W2.T * ({slope}))
    """
    net, targets = defined(text)["Net"](), np.eye(3)[Y]

    report = sg.check(
        net,
        loss=lambda: net.loss(X, targets),
        backward=lambda: net.backward(X, targets),
        data=(X, targets),
    )

    assert verdict == report.verdict, report.reason
    assert verdict == "agrees" or "net.first has its shape" in report.reason


def test_logits_far_apart_do_not_make_an_epsilon_a_fault() -> None:
    """A probability may be smaller than any small number that a loss adds to it."""
    rng = np.random.default_rng(0)
    net, X, y = {"W": rng.normal(size=(4, 3)) * 20}, rng.normal(size=(6, 4)), np.arange(6) % 3

    def forward() -> Any:
        z = X @ net["W"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def gradient(times: float = 1.0) -> Any:
        return {"dW": times * X.T @ (forward() - np.eye(3)[y]) / len(y)}

    def loss() -> Any:
        return -np.log(forward()[range(len(y)), y] + 1e-8).mean()

    right = sg.check(net, loss=loss, backward=gradient, data=(X, y))
    wrong = sg.check(net, loss=loss, backward=lambda: gradient(1.1), data=(X, y))

    assert ("agrees", ["epsilon-in-log"]) == (right.verdict, [n.code for n in right.notes]), right
    assert "disagrees" == wrong.verdict, wrong


def test_gradient_beside_its_value_is_wrong_and_not_missing() -> None:
    """Of `parameters[0].value` it is `parameters[0].gradient`, whatever is in it."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    parameter = SimpleNamespace(value=rng.normal(size=(4, 3)), gradient=np.zeros((4, 3)))
    net = SimpleNamespace(parameters=[parameter])

    def backward() -> None:
        parameter.gradient = X.T @ (np.tanh(X @ parameter.value) - y)

    report = sg.check(
        net, loss=lambda: ((np.tanh(X @ parameter.value) - y) ** 2).sum() / 2, backward=backward,
        data=(X, y),
    )  # fmt: skip

    assert "disagrees" == report.verdict, report
