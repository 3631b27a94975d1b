"""Lines that are named because one small change to them makes the gradient right."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects.check import check
from samegrad.implementations.reading.files import verify_file
from tests.implementations.tracing.test_explain import explained, loaded

FILES = Path(__file__).parents[1] / "reading" / "files"
NETWORK = """import numpy as np

rng = np.random.default_rng(0)
W, V = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
PARAMS = {"W": W, "V": V}
TANH = (np.tanh, lambda h: 1 - h**2)
SIGMOID = (lambda z: 1 / (1 + np.exp(-z)), lambda s: s * (1 - s))


def loss():
    h = TANH[0](X @ W)
    return 0.5 * ((h + h @ V - y) ** 2).sum()


def backward():
    h, other = TANH[0](X @ W), SIGMOID[1](X)
    d = h + h @ V - y
    dV = np.zeros_like(V)
    for n in range(len(X)):
        dV += np.outer(h[n], d[n])
    dh = d @ V.T + d
    return X.T @ (dh * TANH[1](h)), dV


def grads(returned):
    return list(returned)
"""
FAULTS = (
    ("dV += np.outer", "dV = np.outer"),
    ("dh = d @ V.T + d", "dh = d @ V.T"),
    ("np.outer(h[n], d[n])", "np.outer(h[n - 1], d[n])"),
    ("dh * TANH[1](h)", "dh * SIGMOID[1](h)"),
    ("range(len(X))", "range(1, len(X))"),
)


@pytest.mark.parametrize(("right", "wrong"), FAULTS)
def test_line_is_named_by_the_change_that_mends_it(right: str, wrong: str, tmp_path: Path) -> None:
    """`+=`, a term, an index, a function, a bound."""
    expected = NETWORK[: NETWORK.index(right)].count("\n") + 1
    file = tmp_path / "mended.py"
    file.write_text(NETWORK.replace(right, wrong))

    assert [expected] == [line.number for line in explained(loaded(file))]


LAYERS = """import numpy as np

rng = np.random.default_rng(0)
X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))


class Layer:
    def __init__(self):
        self.W = rng.normal(size=(3, 2))
        self.w_grad = np.zeros((3, 2))

    def clear(self):
        self.w_grad = np.zeros((3, 2))

    def backward(self):
        z = X @ self.W
        a = np.tanh(z)
        self.w_grad += X.T @ ((a - y) * (1 - a**2))


layer = Layer()
PARAMS = {"W": layer.W}


def loss():
    return 0.5 * ((np.tanh(X @ layer.W) - y) ** 2).sum()


def backward():
    layer.clear()
    layer.backward()


def grads(returned):
    return [layer.w_grad]
"""


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("clear(self):\n        self.w_grad =", "clear(self):\n        self.w_gard =", 13),
        ("clear(self):\n        self.w_grad =", "clear(self):\n        self.w_grad +=", 13),
        ("(1 - a**2)", "(1 - X[:, :2]**2)", 18),
    ],
)
def test_name_that_is_set_and_never_read_is_what_was_meant(
    right: str, wrong: str, line: int, tmp_path: Path
) -> None:
    """What is not cleared adds up over calls, and is named where it ought to be cleared."""
    file = tmp_path / "named.py"
    file.write_text(LAYERS.replace(right, wrong))

    assert [line] == [found.number for found in explained(loaded(file))]


def test_line_of_a_large_network_is_named(tmp_path: Path) -> None:
    """Of many weights some are measured."""
    text = NETWORK.replace("size=(4, 4)", "size=(70, 70)").replace("(3, 4)", "(3, 70)")
    text = text.replace("size=(5, 4)", "size=(5, 70)").replace("X @ W)", "X @ W / 9)")
    text = text.replace("return X.T @ (", "return X.T / 9 @ (")
    file = tmp_path / "large.py"
    file.write_text(text)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text.replace("dV += np.outer", "dV = np.outer"))

    assert [] == explained(loaded(file))
    assert [text[: text.index("dV += ")].count("\n") + 1] == [
        line.number for line in explained(loaded(wrong))
    ]


@pytest.mark.full
def test_rule_of_jax_that_is_not_its_derivative_is_named(tmp_path: Path) -> None:
    """By what it returns."""
    pytest.importorskip("jax")
    text = (FILES / "jax_rule.py").read_text()
    file = tmp_path / "rule.py"
    file.write_text(text.replace("x * s * (1 - s)", "s * (1 - s)"))

    report = verify_file(str(file))

    assert any("rule.py:18: what swish_backward returns" in line for line in report.report.lines)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("lambda h: 1 - h**2)", "lambda h: (1 - h)**2)"),
        ("dV += np.outer(h[n], d[n])", "dV += np.outer(d[n], d[n])"),
        ("dh = d @ V.T + d", "dh = d @ V.T + d * h"),
        ("dh * TANH[1](h)), dV", "(dh - dh * h) * h), dV"),
    ],
)
def test_line_of_a_lambda_or_of_another_grouping_is_named(
    right: str, wrong: str, tmp_path: Path
) -> None:
    """What is squared, a name, what is multiplied."""
    expected = NETWORK[: NETWORK.index(right)].count("\n") + 1
    file = tmp_path / "mended.py"
    file.write_text(NETWORK.replace(right, wrong))

    assert [expected] == [line.number for line in explained(loaded(file))]


GRAPH = """class Var:
    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents = data, 0.0, parents

    def __mul__(self, other):
        return Var(self.data * other.data, ((self, other.data), (other, self.data)))

    def backward(self, seed=1.0):
        self.grad += seed
        for parent, slope in self.parents:
            parent.backward(seed * slope)


W = [Var(0.7), Var(-1.3), Var(0.4)]


def loss():
    return W[0] * W[0] * W[1] * W[2]


def gradient():
    for w in W:
        w.grad = 0.0
    loss().backward()
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("self.grad += seed", "self.grad = seed"),
        ("(other, self.data)", "(other, other.data)"),
    ],
)
def test_line_of_an_engine_of_numbers_is_named(right: str, wrong: str, tmp_path: Path) -> None:
    """Its gradients are kept in objects, and are by then those of experiments."""
    file = tmp_path / "graph.py"
    file.write_text(GRAPH.replace(right, wrong))
    module = loaded(file)

    report = check(module.W, lambda: module.loss().data, module.gradient)

    number = GRAPH[: GRAPH.index(right)].count("\n") + 1
    assert [f"graph.py:{number}"] == [
        line.rpartition(": ")[0].split(": ")[0] for line in report.lines
    ]
