"""With loss and backward hinted nothing is guessed: the verdict is that of `check`."""

import json
from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.read_here import read_here

# A decay, a rate of dropout, a small number in a logarithm: settings, which have no gradient.
NET = """
import numpy as np

rng = np.random.default_rng(3)
inputs = rng.normal(size=(6, 4))
wanted = np.eye(3)[[0, 1, 2, 0, 2, 1]]


class Net:
    def __init__(self):
        self.W, self.b = rng.normal(size=(4, 3)), np.zeros(3)
        self.decay, self.tiny, self.keep = 0.1, 1e-9, 0.8

    def out(self, x):
        e = np.exp(x @ self.W * self.keep + self.b)
        return e / e.sum(axis=1, keepdims=True)

    def cost(self, x, t):
        logs = np.log(self.out(x) + self.tiny)
        return -(t * logs).sum() / len(x) + self.decay / 2 * (self.W ** 2).sum()

    def slopes(self, x, t):
        d = (self.out(x) - t) / len(x)
        return {"W": self.keep * x.T @ d + self.decay * self.W, "b": d.sum(axis=0)}
"""
HINTS = ("net = Net()", "loss = net.cost(X, y)", "backward = net.slopes(X, y)")
DATA = ("X = inputs", "y = wanted")
OWN_DATA = (
    "net = Net()",
    "loss = net.cost(inputs, wanted)",
    "backward = net.slopes(inputs, wanted)",
)
WRONG = (" + self.decay * self.W", "")


@pytest.fixture(autouse=True)
def _without_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which take seconds."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])


@pytest.mark.parametrize(
    ("hints", "old", "new", "verdict"),
    [
        ((*HINTS, *DATA), "", "", "agrees"),
        ((*HINTS, *DATA), *WRONG, "disagrees"),
        (OWN_DATA, "", "", "agrees"),
        (OWN_DATA, *WRONG, "disagrees"),
        ((*HINTS, "data = (inputs, wanted)", "y = data[1]"), "", "", "agrees"),
        (("net = Net()", "data = (inputs, wanted)", "loss = net.cost(*data)",
          "backward = net.slopes(*data)"), "", "", "agrees"),
        ((*HINTS, "X = inputs[:, :2]", "y = wanted"), "", "", "not checked"),
        ((*HINTS, "X = inputs", "y = nobody"), "", "", "not checked"),
    ],
)  # fmt: skip
def test_expressions_give_the_verdict_of_check(
    hints: tuple[str, ...], old: str, new: str, verdict: str, tmp_path: Path
) -> None:
    """Settings are no parameters, names are the file's own, and what raises is said."""
    file = tmp_path / "mine.py"
    file.write_text(NET.replace(old, new) if old else NET)

    report = read_here(file, hints=hints)

    assert verdict == report.verdict, report
    assert ("Error" in report.reason) == (verdict == "not checked")
    assert not any("decay" in m.name or "tiny" in m.name for m in report.matches)


def test_hint_that_is_not_needed_may_fail(tmp_path: Path) -> None:
    """It is a remark."""
    file = tmp_path / "mine.py"
    file.write_text(NET)

    report = read_here(file, hints=(*OWN_DATA, "y = nobody"))

    assert "agrees" == report.verdict
    assert any("NameError" in remark for remark in report.remarks)


def test_names_of_a_notebook_that_were_not_run_are_run_when_hints_need_them(
    tmp_path: Path,
) -> None:
    """With what they need themselves; training is not run."""
    cells = [NET, "def shuffled(a):\n    return a[rng.permutation(len(a))]\n",
             "X_all = shuffled(inputs)\nX_train = X_all[:5]", "h = Net().fit(X_all)"]  # fmt: skip
    file = tmp_path / "mine.ipynb"
    file.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [c]} for c in cells]}))

    report = read_here(file, hints=(*HINTS, "X = X_train", "y = wanted[:5]"))

    assert "agrees" == report.verdict, report


def test_update_has_the_rate_that_is_hinted(tmp_path: Path) -> None:
    """Half of it is a disagreement."""
    file = tmp_path / "mine.py"
    step = "\n    def step(self, x, t):\n        g = self.slopes(x, t)\n"
    file.write_text(f"{NET}{step}        self.W -= 0.2 * g['W']\n        self.b -= 0.2 * g['b']\n")
    hints = (*HINTS[:2], "backward = net.step(X, y)", *DATA)

    verdicts = [
        read_here(file, hints=(*hints, rate)).verdict for rate in ("rate = 0.2", "rate = 0.4")
    ]

    assert ["agrees", "disagrees"] == verdicts


SUMMED = ("(self.out(x) - t) / len(x)", "(self.out(x) - t)"), (" + self.decay * self.W", "")
LOSS = " + self.decay / 2 * (self.W ** 2).sum()", ""
LOOP = "\nfor epoch in range(2):\n    step = RATE * Net().slopes(inputs, wanted)['b']\n"
TAKES = "\ndef step(net, lr, X, t):\n    net.W -= lr / len(X) * net.slopes(X, t)['W']\n"


@pytest.mark.parametrize(
    ("more", "old", "new", "verdict"),
    [
        ("", "", "", "disagrees"),
        (TAKES, "", "", "agrees"),
        (LOOP.replace("RATE", "lr"), "", "", "agrees"),
        (LOOP.replace("RATE", "2"), "", "", "disagrees"),
        (TAKES, "self.keep * x.T", "3 * self.keep * x.T", "disagrees"),
        (TAKES, "(self.out(x) - t)", "2.5 * (self.out(x) - t)", "disagrees"),
    ],
)
def test_sum_over_a_batch_is_a_note_where_steps_make_up_for_it(
    more: str, old: str, new: str, verdict: str, tmp_path: Path
) -> None:
    """A rate that is divided by the number of examples, or a loop of the program."""
    text = NET
    for one, other in (*SUMMED, LOSS, (old, new)):
        assert one in text
        text = text.replace(one, other) if one else text
    file = tmp_path / "mine.py"
    file.write_text(f"lr = 0.1\n{text}{more}")

    report = read_here(file, hints=(*HINTS, *DATA))

    assert verdict == report.verdict, report
    assert ["summed"] * (verdict == "agrees") == [
        n.code for n in report.notes if n.code == "summed"
    ]


@pytest.mark.parametrize(("mask", "verdict"), [("(h > 0)", "agrees"), ("(h > -9)", "disagrees")])
def test_network_of_hints_is_tried_at_other_weights(
    mask: str, verdict: str, tmp_path: Path
) -> None:
    """At its own all units of relu are active: nothing shows there of a wrong mask."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nx = np.eye(5, 4) + 1\n"
        "def made(): return [np.random.rand(4, 3) - 0.45, np.array([[0.5], [0.7], [0.4]])]\n"
        "def out(net): return np.maximum(x @ net[0], 0) @ net[1]\n"
        "def grads(net):\n    h = x @ net[0]; a = np.maximum(h, 0); d = a @ net[1] - 1\n"
        f"    return x.T @ (d @ net[1].T * {mask}), a.T @ d\n"
    )
    hints = ("net = made()", "loss = ((out(net) - 1) ** 2).sum() / 2", "backward = grads(net)")

    report = read_here(file, hints=hints)

    assert verdict == report.verdict, report
    assert (verdict == "disagrees") == any("other weights" in r for r in report.remarks)
