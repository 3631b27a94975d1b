"""`samegrad verify --exact`: files over exact numbers, in a process of their own."""

import json
from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.proof.child import FileProof, prove_file

FILE = """
import numpy as np

def loss_and_grad(spec, params, X, y):
    if spec.loss != "mse" or spec.activation not in ("relu", "tanh") or len(params) != 2:
        raise NotImplementedError("two layers of relu or tanh, mse")
    (W1, b1), (W2, b2) = params
    z = X @ W1 + (0 if b1 is None else b1)
    a = np.maximum(z, 0) if spec.activation == "relu" else np.tanh(z)
    slope = (z > 0).astype(z.dtype) if spec.activation == "relu" else 1 - a ** 2
    delta = (a @ W2 + (0 if b2 is None else b2) - y) / len(X)
    loss = len(X) * np.sum(delta ** 2) / 2
    decay = spec.weight_decay
    loss += decay / 2 * sum(np.sum(W ** 2) for W, _ in params)
    below = delta @ W2.T * slope
    grads = []
    for a, d, (W, b) in ((X, below, params[0]), (a, delta, params[1])):
        grads.append((a.T @ d + decay * W, None if b is None else d.sum(axis=0)))
    return float(loss), grads
"""


def proof_of(tmp_path: Path, old: str = "", new: str = "") -> FileProof:
    """Of the file with something replaced."""
    assert old in FILE
    path = tmp_path / "mine.py"
    path.write_text(FILE.replace(old, new) if old else FILE)
    return prove_file(str(path))


@pytest.mark.quick
def test_right_file_is_proved_and_enclosed(tmp_path: Path) -> None:
    """By == with relu, to 50 digits and more with tanh."""
    proof = proof_of(tmp_path)

    assert "enclosed" == proof.verdict
    assert ["relu mse 2-4-2", "relu mse 2-4-2 weight_decay 0.5", "relu mse 2-4-2 no bias"] == [
        label for label, _ in proof.of_verdict("proved")
    ][:3]
    assert ["tanh mse 2-4-2"] == [label for label, _ in proof.of_verdict("enclosed")]
    assert "proved" == json.loads(json.dumps(proof.to_dict()))["networks"][0]["verdict"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("d.sum(axis=0)", "d.sum(axis=0) * (1 + 1e-14)"),
        ("- y) / len(X)", "- y) / (len(X) + 1e-9)"),
        ("a.T @ d + decay * W", "a.T @ d + 2 * decay * W"),
        ("(z > 0)", "(z > 0.25)"),
    ],
)
def test_faults_disagree(tmp_path: Path, old: str, new: str) -> None:
    """Also where no float shows them."""
    proof = proof_of(tmp_path, old, new)

    assert "disagrees" == proof.verdict
    assert any("dW1[" in line or "db" in line for line in proof.lines())


LOGS = """
import numpy as np

def loss_and_grad(spec, params, X, y):
    if spec.loss != "cross_entropy" or len(params) != 2 or spec.activation != "relu":
        raise NotImplementedError
    if spec.weight_decay:
        raise NotImplementedError
    (W1, b1), (W2, b2) = params
    z = X @ W1 + b1
    a = np.maximum(z, 0)
    s = a @ W2 + b2
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    onehot = np.eye(2)[y]
    loss = -FACTOR * np.sum(onehot * np.log(p + 1e-7)) / len(X)
    delta = FACTOR * (p - onehot) / len(X) * WRONG
    below = delta @ W2.T * (z > 0)
    return loss, [(X.T @ below, below.sum(axis=0)), (a.T @ delta, delta.sum(axis=0))]
"""


@pytest.mark.parametrize("factor", ["1", "len(X)", "0.5"])
def test_epsilon_in_a_log_is_no_fault(tmp_path: Path, factor: str) -> None:
    """Also of a loss that is a sum: the gradient is that without the epsilon."""
    path = tmp_path / "mine.py"
    path.write_text(LOGS.replace("FACTOR", factor).replace("WRONG", "1"))

    proof = prove_file(str(path))

    assert "not proved" == proof.verdict
    assert any("an epsilon" in line for line in proof.lines())


@pytest.mark.parametrize("wrong", ["2", "(1 + 1e-5)", "(1 + 1e-9)"])
def test_fault_beside_an_epsilon_disagrees(tmp_path: Path, wrong: str) -> None:
    """Its constant is not that of the loss."""
    path = tmp_path / "mine.py"
    path.write_text(LOGS.replace("FACTOR", "1").replace("WRONG", wrong))

    assert "disagrees" == prove_file(str(path)).verdict


def test_lost_exactness_names_file_and_line(tmp_path: Path) -> None:
    """It is not proved, and no fault."""
    proof = proof_of(tmp_path, "return float(loss)", "return np.round(loss, 9)")

    assert "not proved" == proof.verdict
    assert any("mine.py:19: `np.round(loss, 9)`" in line for line in proof.lines())


def test_frameworks_of_other_arrays_are_not_proved() -> None:
    """Only Python's and NumPy's own arithmetic runs over exact numbers."""
    proof = prove_file("torch")

    assert "not proved" == proof.verdict
    assert "torch.Tensor" in proof.reason


def test_file_that_ends_the_process_is_not_proved(tmp_path: Path) -> None:
    """Nothing that it does ends the verifier."""
    proof = proof_of(tmp_path, "(W1, b1), (W2, b2) = params", "import os; os._exit(3)")

    assert "not proved" == proof.verdict
    assert "ends the process" in proof.reason


def test_command_shows_the_proof_and_fails_on_what_only_it_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, although all floats agree."""
    path = tmp_path / "mine.py"
    path.write_text(FILE.replace("d.sum(axis=0)", "d.sum(axis=0) * (1 + 1e-14)"))

    status = main(["verify", str(path), "--exact", "--activation", "relu", "--dtype", "float64"])
    printed = capsys.readouterr().out

    assert 1 == status
    assert "mine: DISAGREES: exact: db" in printed
    assert "exact        networks" in printed
