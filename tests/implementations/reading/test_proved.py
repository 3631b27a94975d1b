"""Files that are not written to the contract, over exact numbers: `verify FILE --exact`."""

from pathlib import Path

import pytest

from samegrad.cli import main
from tests.helpers.read_here import read_here

CLASS = """import numpy as np
class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.W1 = np.random.randn(n_in, n_hidden); self.b1 = np.zeros(n_hidden)
        self.W2 = np.random.randn(n_hidden, n_out); self.b2 = np.zeros(n_out)
    def forward(self, X):
        self.X = X; self.z = X @ self.W1 + self.b1
        self.a = ACT
        return self.a @ self.W2 + self.b2
    def loss(self, X, Y):
        return ((self.forward(X) - Y) ** 2).sum() / 4
    def backward(self, X, Y):
        d = (self.forward(X) - Y) / 2
        self.dW2 = self.a.T @ d; self.db2 = d.sum(axis=0)
        e = d @ self.W2.T * SLOPE
        self.dW1 = self.X.T @ e; self.db1 = e.sum(axis=0) * FACTOR
"""
FUNCTIONS = """import numpy as np
def init_params(n_in, n_hidden, n_out):
    W1 = np.random.randn(n_in, n_hidden); W2 = np.random.randn(n_hidden, n_out)
    return W1, W2
def forward(X, W1, W2):
    a = np.maximum(X @ W1, 0)
    return a @ W2, a
def mse(out, Y):
    return np.sum((out - Y) ** 2)
def backward(X, Y, W1, W2):
    out, a = forward(X, W1, W2)
    d = 2 * (out - Y)
    return X.T @ ((d @ W2.T) * (a > 0)) * FACTOR, a.T @ d
"""
RELU = {"ACT": "np.maximum(self.z, 0)", "SLOPE": "(self.z > 0)"}
TANH = {"ACT": "np.tanh(self.z)", "SLOPE": "(1 - self.a**2)"}
UNSEEN = "(1 + 1e-9)"  # below what slopes tell


def written(folder: Path, text: str, factor: str = "1", **words: str) -> Path:
    """The file."""
    for word, value in {"FACTOR": factor, **words}.items():
        text = text.replace(word, value)
    path = folder / "net.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (CLASS, RELU, "proved: "),
        (CLASS, TANH, "enclosed: "),
        (FUNCTIONS, {}, "proved: "),
    ],
    ids=["class", "class of tanh", "functions"],
)
def test_file_as_it_stands_is_run_over_exact_numbers(
    text: str, words: dict[str, str], said: str, tmp_path: Path
) -> None:
    """What that shows is said; a fault that no slope shows disagrees."""
    right = read_here(written(tmp_path, text, **words), exact=True)
    floats = read_here(written(tmp_path, text, UNSEEN, **words))
    wrong = read_here(written(tmp_path, text, UNSEEN, **words), exact=True)

    assert "agrees" == right.verdict, right
    assert [r for r in right.remarks if r.startswith(said)], right.remarks
    assert ("agrees", "disagrees") == (floats.verdict, wrong.verdict), wrong
    assert "over exact numbers: net" in wrong.reason


def test_command_shows_the_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hints change nothing about it."""
    path = written(tmp_path, CLASS, **RELU)
    hints = ["--hint", "net = Net(4, 3, 2)", "--hint", "loss = net.loss(X, y)"]
    hints += ["--hint", "X = np.random.randn(4, 4)", "--hint", "y = np.random.randn(4, 2)"]
    hints += ["--hint", "backward = net.backward(X, y)"]

    for options in ([], hints):
        assert 0 == main(["verify", str(path), "--exact", *options])
        assert "proved: " in capsys.readouterr().out


OWN_LOSS = """def mse(out, Y):
    return np.sum((out - Y) ** 2)
"""
FOURIER = {"ACT": "np.fft.ifft(np.fft.fft(self.z)).real", "SLOPE": "1"}  # the identity


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (CLASS, FOURIER, "not proved: net.py:8: "),
        (FUNCTIONS.replace(OWN_LOSS, ""), {}, "not proved: net['W"),
    ],
    ids=["inexact", "guessed"],
)
def test_what_cannot_be_proved_is_said(
    text: str, words: dict[str, str], said: str, tmp_path: Path
) -> None:
    """With its line, and it is no disagreement."""
    report = read_here(written(tmp_path, text, UNSEEN, **words), exact=True)

    assert "agrees" == report.verdict, report
    (shown,) = [r for r in report.remarks if "proved: " in r]
    assert shown.startswith(said), shown
