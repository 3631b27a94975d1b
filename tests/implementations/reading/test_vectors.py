"""Functions that take all weights in one vector, by slices, without a word of its length."""

from pathlib import Path

import numpy as np
import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading.vectors import of_vectors
from tests.helpers.read_here import read_here

CONSTANTS = """import numpy as np
N_IN, N_HID, N_OUT = 3, 5, 2
def unpack(theta):
    i = N_IN * N_HID
    W1 = theta[:i].reshape(N_IN, -1); b1 = theta[i:i + N_HID]
    j = i + N_HID + N_HID * N_OUT
    W2 = theta[i + N_HID:j].reshape(-1, N_OUT)
    return W1, b1, W2, theta[j:]
def cost(theta, X, Y):
    W1, b1, W2, b2 = unpack(theta)
    return 0.5 * np.sum((np.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2) / len(X)
def gradient(theta, X, Y):
    W1, b1, W2, b2 = unpack(theta)
    a = np.tanh(X @ W1 + b1)
    d = (a @ W2 + b2 - Y) / len(X)
    e = d @ W2.T * SLOPE
    return np.concatenate([(X.T @ e).ravel(), e.sum(0), (a.T @ d).ravel(), d.sum(0)])
"""
LOOP = """import numpy as np
sizes = [4, 6, 3]
def layers(params):
    out, k = [], 0
    for a, b in zip(sizes[:-1], sizes[1:]):
        W = np.reshape(params[k:k + a * b], (b, a)); k += a * b
        out.append((W, params[k:k + b][:, None])); k += b
    return out
def forward(params, X):
    (W1, b1), (W2, b2) = layers(params)
    z = W2 @ np.tanh(W1 @ X + b1) + b2
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)
def loss(params, X, Y):
    return -np.sum(Y * np.log(forward(params, X))) / X.shape[1]
def grad(params, X, Y):
    (W1, b1), (W2, b2) = layers(params)
    a = np.tanh(W1 @ X + b1)
    d = (forward(params, X) - Y) / X.shape[1]
    e = W2.T @ d * SLOPE
    return np.hstack([(e @ X.T).ravel(), e.sum(1), (d @ a.T).ravel(), d.sum(1)])
"""
INSIDE = """import numpy as np
def logistic(x):
    return 1 / (1 + np.exp(-x))
def objective(w, X, y):
    V = w[:12].reshape((4, 3)); u = w[12:].reshape((3, 1))
    p = logistic(logistic(X @ V) @ u)
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
def objective_grad(w, X, y):
    V = w[:12].reshape((4, 3)); u = w[12:].reshape((3, 1))
    a = logistic(X @ V); p = logistic(a @ u); d = (p - y) / len(X)
    return np.concatenate([(X.T @ (d @ u.T * a * SLOPE)).ravel(), (a.T @ d).ravel()])
"""


@pytest.mark.parametrize(
    ("text", "slope", "wrong"),
    [
        (CONSTANTS, "(1 - a**2)", "(1 - a)"),
        (LOOP, "(1 - a**2)", "a * (1 - a)"),
        (INSIDE, "(1 - a)", "1"),
    ],
    ids=["constants", "loop", "inside"],
)
def test_vector_is_as_long_as_its_slices_say(
    text: str, slope: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its right gradient agrees, and one that is wrong in some layers disagrees."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = tmp_path / "flat.py"
    file.write_text(text.replace("SLOPE", slope))
    right = read_here(file)
    file.write_text(text.replace("SLOPE", wrong))

    assert "agrees" == right.verdict, right
    assert "functions of a vector (" in right.reading
    assert "disagrees" == read_here(file).verdict


def test_what_a_function_writes_of_a_vector_is_no_file(tmp_path: Path) -> None:
    """To see how long the vector is, a function may be called that keeps it."""
    kept, seen = tmp_path / "network.txt", []

    def write_network(theta: np.ndarray) -> None:
        with kept.open("w") as file:
            file.write(str(theta[:6].reshape(2, 3)))
        seen.append(len(theta))

    list(of_vectors({"write_network": write_network}))

    assert seen and not kept.exists()
