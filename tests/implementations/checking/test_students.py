"""What students' files have most often: each is named, and what is no fault is not one."""

from pathlib import Path
from typing import Any

import pytest

from samegrad.implementations.checking import problems, rules
from samegrad.implementations.checking.calls import call
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.checking.report import Outcome, VerifyOptions
from samegrad.implementations.checking.verifier import verify
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.reading.files import verify_file

NET = """
import numpy as np

KEPT = {}


def only(spec):
    form = (spec.activation, spec.output_activation, spec.loss, spec.bias)
    if form != ("tanh", "identity", "cross_entropy", True):
        raise NotImplementedError("only tanh and cross entropy")


def soft(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(spec, params, X):
    only(spec)
    for W, b in params[:-1]:
        X = np.tanh(X @ W + b)
    return X @ params[-1][0] + params[-1][1]


def loss(spec, params, X, y):
    z = forward(spec, params, X)
    return -logs(z)[np.arange(len(y)), y].mean()


def logs(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def loss_and_grad(spec, params, X, y):
    z, inputs, grads = forward(spec, params, X), [X], []
    for W, b in params[:-1]:
        inputs.append(np.tanh(inputs[-1] @ W + b))
    delta = (soft(z) - np.eye(z.shape[1])[y]) / len(X)
    for W, b in params[::-1]:
        a = inputs.pop()
        grads.insert(0, (a.T @ delta, delta.sum(axis=0)))
        delta = (delta @ W.T) * (1 - a * a)
    return loss(spec, params, X, y), grads


def init_state(spec, params):
    return None


def train_step(spec, params, state, X, y, learning_rate):
    value, grads = loss_and_grad(spec, params, X, y)
    new = [
        tuple(p - learning_rate * step(spec, dp) for p, dp in zip(*pairs))
        for pairs in zip(params, grads)
    ]
    return new, state, value


def step(spec, dp):
    return dp
"""
ADAM = """
    if spec.optimizer == "momentum":
        raise NotImplementedError("no momentum")
    if spec.optimizer == "sgd":
        return dp
    m, v = 0.1 * dp, 0.001 * dp * dp
    return (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8)
"""
CLASS = """
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Net:
    def __init__(self, n_in, n_hidden, n_out):
        self.W1 = np.random.randn(n_in, n_hidden)
        self.W2 = np.random.randn(n_hidden, n_out)

    def forward(self, X):
        self.X, self.h = X, np.tanh(X @ self.W1)
        self.p = softmax(self.h @ self.W2)
        return self.p

    def loss(self, X, y):
        q = softmax(self.forward(X))
        return -np.log(q[np.arange(len(y)), y]).mean()

    def backward(self, y):
        q, n = softmax(self.p), len(y)
        d = (q - np.eye(q.shape[1])[y]) / n
        d = self.p * (d - (d * self.p).sum(axis=1, keepdims=True))
        self.dW2 = self.h.T @ d
        self.dW1 = self.X.T @ ((d @ self.W2.T) * (1 - self.h**2))
"""


def changed(folder: Path, *changes: tuple[str, str], text: str = NET) -> Path:
    """The file with these changes."""
    for old, new in changes:
        assert 1 == text.count(old), old
        text = text.replace(old, new)
    path = folder / "student.py"
    path.write_text(text)
    return path


def report(path: Path) -> Any:
    """On one network in float64."""
    one: Any = {"activations": ["tanh"], "losses": ["cross_entropy"], "dtypes": ["float64"]}
    return verify(path, layers=(5, 7, 3), **one)


def test_gradients_that_are_never_zeroed_are_named(tmp_path: Path) -> None:
    """Also where only some add up."""
    path = changed(
        tmp_path,
        ("        grads.insert", "        KEPT[W.shape] = KEPT.get(W.shape, 0) + a.T @ delta\n"
         "        grads.insert"),
        ("(a.T @ delta, delta.sum(axis=0))", "(KEPT[W.shape], delta.sum(axis=0))"),
    )  # fmt: skip

    found = report(path)

    assert "disagrees" == found.verdict
    assert "gradients add up over calls" in found.reason


def test_outputs_may_be_log_softmax(tmp_path: Path) -> None:
    """A convention with its name; the class of another loss is none."""
    path = changed(
        tmp_path,
        ("    return X @ params[-1][0] + params[-1][1]",
         "    return np.log(soft(X @ params[-1][0] + params[-1][1]))"),
    )  # fmt: skip

    found = report(path)

    assert found.agrees, found.text()
    assert ["probabilities"] == [note.code for note in found.notes]
    assert "log_softmax" in str(found.notes[0])


def test_softmax_that_is_taken_twice_is_named(tmp_path: Path) -> None:
    """In a file of the contract, whose loss is then another."""
    changes = [("-logs(z)[np", "-logs(soft(z))[np"), ("(soft(z) - np", "(soft(soft(z)) - np")]

    found = report(changed(tmp_path, *changes))

    assert "disagrees" == found.verdict
    assert any("softmax is taken twice" in sentence for sentence in found.diagnosis)
    assert found.text().index("likely: ") < found.text().index("tensor ")  # before the tables


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("    if form != (", "    if False and form != ("), True),
        (("(1 - a * a)", "(1 - a)"), False),
    ],
)
def test_file_for_one_activation_that_ignores_the_spec_is_told_so(
    change: tuple[str, str], told: bool, tmp_path: Path
) -> None:
    """Without a forward, too; one that is wrong for its own is not."""
    path = changed(tmp_path, change, ("def forward(", "def hidden("))
    path.write_text(path.read_text().replace(" forward(spec", " hidden(spec"))

    found = verify(path, losses=["cross_entropy"], dtypes=["float64"])

    assert "disagrees" == found.verdict
    said = [text for text in found.diagnosis if text.startswith("it agrees with activation tanh")]
    assert told == bool(said), found.diagnosis


def test_file_for_one_loss_that_raises_for_others_is_told_so(tmp_path: Path) -> None:
    """Labels are no indices where targets are numbers: that is all that is wrong with it."""
    old = "    form = (spec.activation, spec.output_activation, spec.loss, spec.bias)\n"
    new = "    form = (spec.activation, spec.output_activation, 'cross_entropy', spec.bias)\n"

    found = verify(changed(tmp_path, (old, new)), dtypes=["float64"])

    assert "not checked" == found.verdict and "IndexError" in found.reason
    (said,) = found.diagnosis
    assert said.startswith("it agrees with loss cross_entropy, "), said


def test_loss_that_overflows_is_named_where_outputs_are_log_softmax(tmp_path: Path) -> None:
    """The convention of its outputs is not what is wrong."""
    path = changed(
        tmp_path,
        ("    return X @ params[-1][0] + params[-1][1]",
         "    z = X @ params[-1][0] + params[-1][1]\n    return logs(z)"),
        ("-logs(z)[np.arange(len(y)), y]", "-np.log(soft(z))[np.arange(len(y)), y]"),
    )  # fmt: skip

    found = verify(path, dtypes=["float64"])

    assert "disagrees" == found.verdict
    assert "the loss is not finite (L1)" in found.diagnosis[0], found.diagnosis


def test_softmax_twice_with_its_own_gradient_is_a_note(tmp_path: Path) -> None:
    """The gradient is right; once is no note."""
    twice = verify_file(str(changed(tmp_path, text=CLASS)))
    changes = [
        ("q = softmax(self.forward(X))", "q = self.forward(X)"),
        ("q, n = softmax(self.p), len(y)", "q, n = self.p, len(y)"),
        ("        d = self.p * (d - (d * self.p).sum(axis=1, keepdims=True))\n", ""),
    ]
    once = verify_file(str(changed(tmp_path, *changes, text=CLASS)))

    assert twice.agrees and ["softmax-twice"] == [note.code for note in twice.notes]
    assert once.agrees and [] == [note.code for note in once.notes]


def test_softmax_twice_with_the_gradient_of_one_is_wrong_and_named(tmp_path: Path) -> None:
    """In a class: which of both is meant is for people to say."""
    left_out = "        d = self.p * (d - (d * self.p).sum(axis=1, keepdims=True))\n"

    found = verify_file(str(changed(tmp_path, (left_out, ""), text=CLASS)))

    assert "disagrees" == found.verdict
    assert ["softmax-twice"] == [note.code for note in found.notes]


def test_outputs_of_a_class_may_be_log_softmax(tmp_path: Path) -> None:
    """A convention with its name, as in a file of the contract."""
    changes = [
        ("self.p = softmax(self.h @ self.W2)\n        return self.p",
         "self.p = softmax(self.h @ self.W2)\n        return np.log(self.p)"),
        ("q = softmax(self.forward(X))", "q = np.exp(self.forward(X))"),
        ("q, n = softmax(self.p), len(y)", "q, n = self.p, len(y)"),
        ("        d = self.p * (d - (d * self.p).sum(axis=1, keepdims=True))\n", ""),
    ]  # fmt: skip

    found = verify_file(str(changed(tmp_path, *changes, text=CLASS)))

    assert found.agrees and ["probabilities"] == [note.code for note in found.notes]


@pytest.mark.full  # a process with torch
def test_softmax_before_torchs_cross_entropy_is_a_note(tmp_path: Path) -> None:
    """By its outputs and its text."""
    pytest.importorskip("torch", reason="torch is not installed")
    path = tmp_path / "module.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)\n\n"
        "    def forward(self, x):\n"
        "        return torch.softmax(self.b(torch.tanh(self.a(x))), dim=1)\n\n\n"
        "criterion = nn.CrossEntropyLoss()\n"
    )

    assert ["softmax-twice"] == [note.code for note in verify_file(str(path)).notes]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise NotImplementedError\n", "forward right, loss right, gradient not written yet"),
        ("    pass\n", "forward right, loss right, gradient not written yet"),
    ],
)
def test_unfinished_file_is_told_how_far_it_is(body: str, said: str, tmp_path: Path) -> None:
    """Not checked, and nothing of it is wrong."""
    head, _, _ = NET.partition("    z, inputs, grads")
    path = tmp_path / "student.py"
    path.write_text(head + body)

    found = report(path)

    assert ("not checked", said) == (found.verdict, found.reason)


def test_step_without_a_gradient_of_its_own_is_not_unfinished(tmp_path: Path) -> None:
    """Who refuses `loss_and_grad` and makes a right step has written what there is to write."""
    path = changed(
        tmp_path,
        ("def loss_and_grad(", "def hidden(", ),
        ("    value, grads = loss_and_grad(", "    value, grads = hidden("),
    )  # fmt: skip
    refusing = "\n\ndef loss_and_grad(spec, params, X, y):\n    raise NotImplementedError('no')\n"
    path.write_text(path.read_text() + refusing)

    assert report(path).agrees


def test_empty_backward_of_a_class_is_named(tmp_path: Path) -> None:
    """With its line."""
    head, _, _ = CLASS.partition("        q, n = softmax(self.p)")

    found = verify_file(str(changed(tmp_path, text=head + "        pass\n")))

    assert "not checked" == found.verdict
    assert "not written yet: backward (line 24)" == found.reason


def outcomes(path: Path, tried: list[Any]) -> list[Outcome]:
    """Of a file's steps, in this process."""
    made = []
    implementation = load(path)
    for p in tried:
        right = expected(p.spec, p.params, p.X, p.y)
        outcome = Outcome(p)
        for function in ("loss_and_grad", "train_step"):
            outcome.add(call(function, implementation, p, "cpu", right.learning_rate, again=True))
        outcome.judge(right, VerifyOptions([p]))
        made.append(outcome)
    return made


@pytest.mark.parametrize(
    ("body", "claims", "wrong"),
    [
        ("\n    return dp\n", 0, 0),
        (ADAM, 2, 1),  # momentum is refused
        ("\n    if spec.optimizer != 'momentum':\n        raise NotImplementedError\n"
         "    return dp\n", 2, 1),  # adam is refused
        ("\n    if spec.optimizer != 'sgd':\n        raise KeyError(spec.optimizer)\n"
         "    return dp\n", 0, 0),
    ],
)  # fmt: skip
def test_rules_are_tried_that_a_file_claims(
    body: str, claims: int, wrong: int, tmp_path: Path
) -> None:
    """One that forgets its state is wrong; sgd whatever the spec says, or an exception, is not."""
    path = changed(tmp_path, ("\n    return dp\n", body))
    spec = MLPSpec((5, 7, 3), "tanh", dtype="float64")
    first = outcomes(path, [problems.draw(spec)])

    asked = rules.problems(first)
    kept, said = rules.claimed(outcomes(path, asked))

    assert list(rules.RULES) == [p.spec.optimizer for p in asked]
    assert claims == len(kept) and wrong == sum(o.status == "disagree" for o in kept)
    assert bool(said) == (body == "\n    return dp\n")


@pytest.mark.full  # all problems of a file
def test_state_that_is_thrown_away_is_found_and_named(tmp_path: Path) -> None:
    """Nobody has to ask for the rule."""
    found = verify(changed(tmp_path, ("\n    return dp\n", ADAM)))

    assert "disagrees" == found.verdict
    assert any("state of adam is thrown away" in text for text in found.diagnosis)
    assert verify(changed(tmp_path)).agrees
