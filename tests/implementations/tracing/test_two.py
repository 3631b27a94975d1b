"""Two lines at fault: both are named, the first one first, unless one may be the cause of all."""

from pathlib import Path

import pytest

from tests.implementations.tracing.faults import FAULTS
from tests.implementations.tracing.test_explain import STYLES, explained, loaded

# Faults of faults.py by the network and a part of the line as it is wrong, in their order there.
PAIRS = [
    ("functions", "dz2 = probs * (1 - probs)", "dz1 = dh * (1 - h)"),
    ("functions", "db2 = dz2.sum()", "db1 = dh.sum(axis=0)"),
    pytest.param("functions", "dW2 = z1.T @ dz2", "dz1 = dh * h", marks=pytest.mark.full),
    pytest.param("columns", "dZ2 = (A2 - Y) * A2", "db1 = 1.0 / m * np.sum(dA1",
                 marks=pytest.mark.full),
    pytest.param("two_layer_net", "dscores[range(N), y] -= 0.5", 'grads["W1"] += 2 * W1',
                 marks=pytest.mark.full),
]  # fmt: skip


@pytest.mark.parametrize(("name", "one", "other"), PAIRS)
def test_two_lines_at_fault_are_named(name: str, one: str, other: str, tmp_path: Path) -> None:
    """Each makes some of the gradients wrong that the other does not."""
    text = (STYLES / f"{name}.py").read_text()
    expected = []
    for part in (one, other):
        _, right, wrong = next(f for f in FAULTS if f[0] == name and part in f[2])
        expected.append(text[: text.index(right)].count("\n") + 1)
        text = text.replace(right, wrong)
    file = tmp_path / f"{name}.py"
    file.write_text(text)

    assert sorted(expected) == [line.number for line in explained(loaded(file))]


NOTHING_RIGHT = """import numpy as np
rng = np.random.default_rng(1)
X, Y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
PARAMS = [rng.normal(size=(4, 5)), rng.normal(size=(5, 3))]
def loss():
    h = np.tanh(X @ PARAMS[0])
    return (PARAMS[1] * (h.T @ h @ PARAMS[1] - 2 * h.T @ Y)).sum()
def backward():
    h = np.tanh(X @ PARAMS[0])
    d = np.sin(h @ PARAMS[1]) - 3 * np.sin(Y)
    return [X.T @ (d @ PARAMS[1].T * (1 - h**2)), h.T @ d]
def grads(returned):
    return returned
"""


def test_no_two_lines_are_named_where_one_may_have_made_all_that_is_wrong(tmp_path: Path) -> None:
    """Each gradient put right by itself mends all, too, and shows nothing."""
    file = tmp_path / "one.py"
    file.write_text(NOTHING_RIGHT)

    assert [] == explained(loaded(file))


def test_of_two_lines_at_fault_none_is_named_by_what_another_may_have_made(tmp_path: Path) -> None:
    """Both sentences would say no more than that something is wrong."""
    text = (STYLES / "folded_bias.py").read_text()
    for _, right, wrong in [f for f in FAULTS if f[0] == "folded_bias"][:2]:
        text = text.replace(right, wrong)
    file = tmp_path / "folded_bias.py"
    file.write_text(text)

    assert [] == explained(loaded(file))
