"""`sg.check` written by hand: what is found where nothing says it, and which line is named."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import samegrad as sg
from samegrad.implementations.checking import slopes
from samegrad.implementations.tracing import words
from samegrad.implementations.tracing.search import proportional

BEGINNING = """
import numpy as np
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
"""
CONTAINERS = """
class Net:
    def __init__(self):
        W, b, V = (rng.normal(size=shape) for shape in ((3, 4), 4, (4, 2)))
        self.p = {"W": W, "b": b, "V": V}
        self.g, self.v = {}, {}
    def loss(self, X, Y):
        return ((np.tanh(X @ self.p["W"] + self.p["b"]) @ self.p["V"] - Y) ** 2).sum()
    def backward(self, X, Y):
        h = np.tanh(X @ self.p["W"] + self.p["b"])
        d = 2 * (h @ self.p["V"] - Y)
        dh = d @ self.p["V"].T * (1 - h**2)
        self.g = {"W": X.T @ dh, "b": dh.sum(0), "V": h.T @ d}
    def momentum(self, X, Y):
        self.backward(X, Y)
        for k, g in self.g.items():
            self.v[k] = 0.9 * self.v.get(k, 0.0) - 0.1 * g
            self.p[k] += self.v[k]
        self.g = {}
net = Net()
"""
FUNCTIONS = """
net = {"W": rng.normal(size=(3, 3)), "V": rng.normal(size=(3, 2))}
def loss(X, Y):
    return ((np.tanh(X @ net["W"]) @ net["V"] - Y) ** 2).sum()
def backward(X, Y):
    h = np.tanh(X @ net["W"])
    d = 2 * (h @ net["V"] - Y)
    dh = d @ net["V"].T * (1 - h**2)
    return {"W": X.T @ dh, "V": h.T @ d}
"""
FIELDS = """
kinds = [("W", float, (3, 4)), ("b", np.float32, (4,)), ("V", float, (4, 2))]
net, g = np.zeros((), kinds), np.zeros((), kinds)
for key in net.dtype.names:
    net[key] = rng.normal(size=net[key].shape)
def loss(X, Y):
    return ((np.tanh(X @ net["W"] + net["b"]) @ net["V"] - Y) ** 2).sum()
def backward(X, Y):
    h = np.tanh(X @ net["W"] + net["b"])
    d = 2 * (h @ net["V"] - Y)
    dh = d @ net["V"].T * (1 - h**2)
    g["W"], g["b"], g["V"] = X.T @ dh, dh.sum(0), h.T @ d
"""
LAYERS = """
class Dense:
    def __init__(self, n, m):
        self.W = rng.normal(size=(n, m))
    def forward(self, x):
        self.x = x
        return x @ self.W
    def backward(self, g):
        self.dW = self.x.T @ g
        return g @ self.W.T
class Add:
    def __init__(self, m):
        self.b = rng.normal(size=m)
    def forward(self, x):
        return x + self.b
    def backward(self, g):
        self.db = g.sum(0)
        return g
class Leaky:
    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, 0.1 * x)
    def backward(self, g):
        return g * np.where(self.x > 0, 1.0, 0.1)
net = [Dense(3, 4), Add(4), Leaky(), Dense(4, 4), Leaky(), Dense(4, 2)]
def error(x):
    for layer in net:
        x = layer.forward(x)
    return x - Y
def loss():
    return 0.5 * (error(X) ** 2).sum()
def backward():
    g = error(X)
    for layer in reversed(net):
        g = layer.backward(g)
"""
ENGINE = """
class T:
    def __init__(self, data, parents=(), back=None):
        self.data, self.parents, self.back, self.grad = data, parents, back, 0.0
    def __add__(a, b): return T(a.data + b.data, (a, b), lambda g: (g, g))
    def __matmul__(a, b): return T(a.data @ b.data, (a, b), lambda g: (g @ b.data.T, a.data.T @ g))
    def tanh(a):
        t = np.tanh(a.data)
        return T(t, (a,), lambda g: (g * (1 - t**2),))
    def backward(self, g):
        self.grad = g
        for parent, own in zip(self.parents, self.back(g) if self.back else ()):
            parent.backward(own)
net = [T(rng.normal(size=(3, 4))), T(rng.normal(size=(6, 4))), T(rng.normal(size=(4, 2)))]
def out():
    return (T(X) @ net[0] + net[1]).tanh() @ net[2]
def loss():
    return 0.5 * ((out().data - Y) ** 2).sum()
def backward():
    o = out()
    o.backward(o.data - Y)
"""
STEPS = """
class Net:
    def __init__(self):
        self.W, self.V, self.rate = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), 0.05
    def loss(self, X, Y):
        return 0.5 * ((np.tanh(X @ self.W) @ self.V - Y) ** 2).sum()
    def backward(self, X, Y):
        h = np.tanh(X @ self.W)
        e = h @ self.V - Y
        dh = e @ self.V.T * (1 - h**2)
        self.V -= self.rate * h.T @ e
        self.W -= self.rate * X.T @ dh
net = Net()
"""


def checked(
    folder: Path, text: str, old: str, new: str, name: str = "backward"
) -> tuple[Any, int | None]:
    """(the report on a file with one line changed, the number of that line)."""
    whole = BEGINNING + text
    assert old in whole
    # In a folder of its own: bytecode of a file of the same second and size would be taken for it.
    path = Path(tempfile.mkdtemp(dir=folder)) / "net.py"
    path.write_text(whole.replace(old, new, 1))
    spec = importlib.util.spec_from_file_location("a_net_by_hand", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net, where = module.net, module if hasattr(module, "loss") else module.net
    report = sg.check(net, where.loss, getattr(where, name), (module.X, module.Y))
    return report, whole[: whole.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (CONTAINERS, "d = 2 * (h", "d = 2 * np.abs(h"),
        (FUNCTIONS, "(1 - h**2)", "(1 - h)"),
        (FUNCTIONS, '"W": X.T @ dh', '"W": dh.T @ X'),
        (FIELDS, "(1 - h**2)", "(1 - h)"),
        (LAYERS, "return g * np.where(self.x > 0, 1.0, 0.1)", "return g"),
        (ENGINE, "lambda g: (g * (1 - t**2),)", "lambda g: (g,)"),
        (STEPS, "self.W -= self.rate", "self.W += self.rate"),
    ],
    ids=[
        "all wrong, in a container of their own",
        "functions of the data",
        "square and transposed",
        "fields of a structured array",
        "a layer that hands on what it was given",
        "an operation that does, beside an addition that may",
        "one update that goes up",
    ],
)
def test_line_of_a_fault_is_named(tmp_path: Path, text: str, old: str, new: str) -> None:
    """And the file agrees without it."""
    right, _ = checked(tmp_path, text, old, old)
    report, line = checked(tmp_path, text, old, new)

    assert "agrees" == right.verdict, str(right)
    assert "disagrees" == report.verdict, str(report)
    assert [f"net.py:{line}:"] == [text.partition(" ")[0] for text in report.lines], report


def test_averages_under_the_parameters_own_keys_are_no_gradients(tmp_path: Path) -> None:
    """Nor are they wrong ones: a first step of momentum takes off the gradient, by its rate."""
    report, _ = checked(tmp_path, CONTAINERS, "tanh", "tanh", "momentum")

    assert "agrees" == report.verdict, str(report)
    assert {"update of net.p['W']"} < {match.gradient for match in report.matches}


def test_function_s_gradient_names_its_constant() -> None:
    """One number for all entries."""
    report = sg.check_function(lambda w: (w**2).sum(), lambda w: 8 * w, np.arange(1.0, 4.0))

    assert "disagrees" == report.verdict
    assert report.reason.endswith("; it is 4 times the slopes of the loss")


def test_product_is_looked_for_in_many_values_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one some hundred slopes and values take minutes."""
    rng, tried = np.random.default_rng(0), []
    value, slope = rng.normal(size=(2, 3))
    factors = [(f"a{i}", row) for i, row in enumerate(rng.normal(size=(500, 3)))]
    factors += [("nothing", np.zeros(3)), ("h", value / slope / 2)]

    def counted(*arguments: Any) -> float | None:
        tried.append(arguments)
        return proportional(*arguments)

    monkeypatch.setattr(words, "proportional", counted)

    c, factor = words._times(value, slope, factors, 1e-5) or (0.0, "")

    assert "h" == factor and np.isclose(c, 2.0)
    assert len(tried) < 9


@pytest.mark.parametrize(("seconds", "least", "most"), [(1.0, 600, 1800), (0.0, 60, 300)])
def test_slow_loss_of_few_digits_is_measured_to_these_alone(
    seconds: float, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps beyond that take thrice the time, of a loss in float32 that is compiled anew."""
    calls = []

    def loss(w: Any) -> Any:
        calls.append(w)
        return np.float32(np.tanh(w).sum())

    monkeypatch.setattr(slopes, "LONG_SECONDS", seconds)
    w = np.linspace(0.1, 1.0, 12, dtype=np.float32)
    report = sg.check_function(loss, lambda w: 1 - np.tanh(w) ** 2, w, method="central")

    assert "agrees" == report.verdict, str(report)
    assert least < len(calls) < most


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agrees"), (1.0 + 1e-9, "disagrees")])
def test_small_constant_of_a_loss_is_no_fault_over_exact_numbers(
    factor: float, verdict: str
) -> None:
    """Exact numbers show it where no slope does; nothing is proved then."""
    net = {"w": np.array([0.5, -1.0])}
    data, y = np.array([[1.0, 0.5], [0.25, -1.0], [2.0, 1.0]]), np.array([1.0, 1.0, 0.0])

    def likely() -> Any:
        p = 1 / (1 + np.exp(-data @ net["w"]))
        return y * p + (1 - y) * (1 - p)

    report = sg.check(
        net,
        loss=lambda: -np.log(likely() + 1e-12).sum(),
        backward=lambda: factor * data.T @ ((1 - 2 * y) * (1 - likely())),
        data=(data, y),
        exact=True,
    )

    assert verdict == report.verdict, str(report)
    noted = "not proved: the gradient is that of the loss without 1e-12 in "
    assert (verdict == "agrees") is any(remark.startswith(noted) for remark in report.remarks)
