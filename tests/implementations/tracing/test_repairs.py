"""Lines that are named because one small change to them makes the gradient right."""

from pathlib import Path

import pytest

from tests.implementations.tracing.test_explain import explained, loaded

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
)


@pytest.mark.parametrize(("right", "wrong"), FAULTS)
def test_line_is_named_by_the_change_that_mends_it(right: str, wrong: str, tmp_path: Path) -> None:
    """`+=`, a term, an index, a function."""
    expected = NETWORK[: NETWORK.index(right)].count("\n") + 1
    file = tmp_path / "mended.py"
    file.write_text(NETWORK.replace(right, wrong))

    assert [expected] == [line.number for line in explained(loaded(file))]
