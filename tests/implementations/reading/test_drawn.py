"""Faults that depend on a size: a file that is right on small networks is tried on drawn ones."""

import re
from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.checking.objects import lines
from samegrad.implementations.checking.objects.report import CheckReport
from samegrad.implementations.reading.board import Sizes
from samegrad.implementations.reading.drawn import smaller
from tests.helpers.read_here import read_here

NET = """import numpy as np
class Net:
    def __init__(self, sizes):
        pairs = list(zip(sizes[:-1], sizes[1:]))
        self.W = [np.random.randn(a, b) for a, b in pairs]
        self.b = [np.random.randn(b) for a, b in pairs]
    def forward(self, X):
        self.a = [X]
        for W, b in zip(self.W[:-1], self.b):
            self.a.append({act}(self.a[-1] @ W + b))
        return self.a[-1] @ self.W[-1] + self.b[-1]
    def loss(self, X, Y):
        return ((self.forward(X) - Y) ** 2).sum() / (2 * len(X))
    def backward(self, X, Y):
        d = (self.forward(X) - Y) / len(X)
        self.dW, self.db = [], []
        for W, a in zip(self.W[::-1], self.a[::-1]):
            self.dW.insert(0, a.T @ d); self.db.insert(0, d.sum(axis=0))
            d = d @ W.T * {slope}
        {fault}
"""
TANH = {"act": "np.tanh", "slope": "(1 - a**2)"}
RELU = {"act": "(lambda z: np.maximum(z, 0))", "slope": "(a > 0)"}
FUNCTIONS = """import numpy as np
def initialize(n_x, n_h, n_y):
    return {"W1": np.random.randn(n_h, n_x), "b1": np.zeros((n_h, 1)),
            "W2": np.random.randn(n_y, n_h), "b2": np.zeros((n_y, 1))}
def forward(X, p):
    a = np.tanh(p["W1"] @ X + p["b1"]); z = p["W2"] @ a + p["b2"]
    e = np.exp(z - z.max(axis=0)); return e / e.sum(axis=0), a
def cost(A, Y):
    return -np.sum(Y * np.log(A + 1e-8)) / Y.shape[1]
def backward(X, Y, p):
    A, a = forward(X, p); m = X.shape[1]
    d = (A - Y) / m; e = p["W2"].T @ d * (1 - a**2)
    g = {"W1": e @ X.T, "b1": e.sum(axis=1, keepdims=True),
         "W2": d @ a.T, "b2": d.sum(axis=1, keepdims=True)}
    FAULT
    return g
"""
WRONG = "self.dW[0] *= 1.01"
OFTEN = 5  # of the conditions in every run of the suite


def read(folder: Path, text: str, seed: int = 0) -> CheckReport:
    """The report on a file, in this process."""
    file = folder / "net.py"
    file.write_text(text)
    return read_here(file, seed=seed)


CONDITIONS = [
    "len(X) > 32",
    "len(X) > 64",
    "len(X) > 100",
    "len(X) > X.shape[1] + 8",
    "max(map(len, self.W[1:])) > 64",
    "len(self.W) > 4",
    "X.shape[1] > 32",
    "Y.shape[1] > 10",
    "(X == 0).all(axis=1).any()",
    "(X == 0).all(axis=0).any()",
    "sum(W.size for W in self.W) > 250",
]


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(text, marks=() if n % OFTEN == 0 else pytest.mark.full)
        for n, text in enumerate(CONDITIONS)
    ],
)
def test_fault_that_depends_on_a_size_disagrees(
    condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every seed; on what network, and how to draw it again, is said."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    text = NET.format(fault=f"if {condition}: {WRONG}", **TANH)

    report = read(tmp_path, text, seed=len(condition))

    assert "disagrees" == report.verdict, report
    assert "net.dW[0] is 1.01 times" in report.reason
    assert f"--seed {len(condition)} draws them again" in " ".join(report.remarks)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in range(1, 9))]
)
@pytest.mark.parametrize(
    "text",
    [NET.format(fault="pass", **TANH), NET.format(fault="pass", **RELU), FUNCTIONS],
    ids=["tanh", "kinks", "a small number in the log"],
)
def test_right_file_agrees_on_what_is_drawn(text: str, seed: int, tmp_path: Path) -> None:
    """And it is said how large that was."""
    report = read(tmp_path, text.replace("FAULT", ""), seed)

    assert "agrees" == report.verdict, report
    (said,) = [r for r in report.remarks if f"--seed {seed} draws them again" in r]
    assert re.match(r"right, too, on [67] networks .*1\d\d examples", said), said


def test_code_that_is_slow_is_left_its_small_networks(tmp_path: Path) -> None:
    """Loops over lists of floats take a hundred times as long."""
    file = Path(__file__).parent / "files" / "lists_of_floats.py"

    report = read_here(file)

    assert "agrees" == report.verdict, report


def test_command_repeats_what_was_drawn_and_says_what_it_does_not_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that choose among networks of the contract are no use for another file."""
    file = tmp_path / "net.py"
    file.write_text(NET.format(fault="pass", **TANH))

    status = main(["verify", str(file), "--seed", "5", "--activation", "relu", "--loss", "mse"])

    shown = " ".join(capsys.readouterr().out.split())
    assert 0 == status and "--seed 5 draws them again" in shown
    assert "it is read as it stands, so these are not used: activations, losses" in shown
    assert 2 == main(["verify", str(file), "--seed", "-5"])
    assert "seed -5 is not accepted" in capsys.readouterr().err


def test_fault_where_all_targets_are_alike_disagrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which nothing that is drawn is."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds

    report = read(tmp_path, NET.format(fault=f"if (Y == Y[0]).all(): {WRONG}", **TANH))

    assert ("disagrees", True) == (report.verdict, "all targets alike" in str(report.remarks))


def test_fault_is_made_smaller_as_long_as_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the least width and batch with which it does."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    text = NET.format(fault=f"if len(X) > 32 and Y.shape[1] > 1: {WRONG}", **TANH)

    (said,) = [r for r in read(tmp_path, text, 1).remarks if "--seed" in r]

    assert said.endswith("the smallest that shows it: 1-1-2 with 33 examples")


def test_smaller_networks_end() -> None:
    """Each is smaller than the one before, down to one where nothing is."""
    sizes, total = Sizes(7, 8, 9, 5, 0, (4, 5, 6)), 99
    while left := list(smaller(sizes)):
        sizes = left[0]
        assert sizes.n + sum(sizes.layers) < total
        total = sizes.n + sum(sizes.layers)

    assert (2, 1, 1, 2, ()) == (sizes.n, sizes.f, sizes.h, sizes.k, sizes.more)


def test_backward_that_raises_on_deeper_networks_is_said(tmp_path: Path) -> None:
    """Its gradient of one hidden layer is right, and of more of them nothing is known."""
    stale = "(1 - self.a[1]**2 if W is not self.W[0] else 1)"

    report = read(tmp_path, NET.format(act="np.tanh", slope=stale, fault="pass"))

    assert "agrees" == report.verdict
    (said,) = [remark for remark in report.remarks if "raises" in remark]
    assert said.startswith("not judged with") and "backward raises, in net.py:19: Value" in said
    right = read(tmp_path, NET.format(fault="pass", **TANH))
    assert not [remark for remark in right.remarks if "raises" in remark]
