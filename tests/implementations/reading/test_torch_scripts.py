"""Scripts of torch: the module, the loss and the training of a file that defines no class."""

from pathlib import Path

import pytest

from samegrad.implementations.reading.training import TEXT_ALONE
from tests.helpers.read_here import read_here

pytest.importorskip("torch", reason="files of torch are read with it")
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
X, y = torch.randn(12, 4), torch.arange(12) % 3
model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)LAST)
loss_fn = LOSS()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
for epoch in range(20):
    loss = loss_fn(model(X), y)
    ZERO
    loss.backward()
    optimizer.step()
"""
PLAIN = """
import torch

W = torch.randn(4, 3, requires_grad=True)
b = torch.zeros(3, requires_grad=True)
X, Y = torch.randn(12, 4), torch.randn(12, 3)
for epoch in range(20):
    loss = ((X @ W + b - Y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for p in (W, b):
            p -= 0.1 * p.grad
            ZERO
"""
HINTS = ("net = model", "loss = loss_fn(model(X), y)", "backward = loss_fn(model(X), y).backward()")
CLEARS = "model.zero_grad()"
ADDS = "gradients add up over calls: nothing sets them to zero"


def script(last: str = "", loss: str = "nn.CrossEntropyLoss", zero: str = CLEARS) -> str:
    """The script with another last layer, loss, or nothing that clears its gradients."""
    return SCRIPT.replace("LAST", last).replace("LOSS", loss).replace("ZERO", zero)


@pytest.mark.parametrize("hints", [(), HINTS])
@pytest.mark.parametrize(
    ("text", "reason", "codes"),
    [
        (script(), "", []),
        (script(", nn.Softmax(dim=1)"), "", ["softmax-twice"]),
        (script(", nn.LogSoftmax(dim=1)", "nn.NLLLoss"), "", ["probabilities"]),
        (script("", "nn.NLLLoss"), "", ["no-log-softmax"]),
        (script(zero="pass"), ADDS, []),
        (script(zero="zeros = torch.zeros(3)"), ADDS, []),
        (script(zero="optimizer = torch.optim.Adam(model.parameters()); model.zero_grad()"),
         "optimizer state is thrown away: optimizer starts anew in each step", []),
    ],
)  # fmt: skip
def test_script_of_a_module(
    text: str, reason: str, codes: list[str], hints: tuple[str, ...], tmp_path: Path
) -> None:
    """Its gradient is that of its own loss; its training is read, and that is said."""
    file = tmp_path / "script.py"
    file.write_text(text)

    report = read_here(file, hints=hints)

    assert reason == report.reason, str(report)
    found = [note.code for note in report.notes if hints == () or note.code != "probabilities"]
    assert [c for c in codes if hints == () or c != "probabilities"] == found
    assert (not reason) == (TEXT_ALONE in report.remarks)


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (", nn.Softmax(dim=1)", "other = nn.CrossEntropyLoss(); nn.MSELoss"),  # of another model
        ("", "probabilities = nn.Softmax(dim=1); nn.CrossEntropyLoss"),  # to be shown
        (", nn.Sigmoid()", "nn.MSELoss"),
    ],
)
def test_softmax_that_is_taken_once_is_no_note(last: str, loss: str, tmp_path: Path) -> None:
    """Where the loss takes no second one, whatever else the file has."""
    before, _, own = loss.rpartition("; ")
    text = script(last, own).replace("loss_fn =", f"{before}\nloss_fn =")
    file = tmp_path / "script.py"
    file.write_text(text)

    report = read_here(file)

    assert report.agrees and [] == list(report.notes), str(report)


@pytest.mark.parametrize(
    ("zero", "verdict"), [("p.grad = None", "not checked"), ("pass", "disagrees")]
)
def test_script_of_tensors(zero: str, verdict: str, tmp_path: Path) -> None:
    """Is not read, but for gradients that add up."""
    file = tmp_path / "script.py"
    file.write_text(PLAIN.replace("ZERO", zero))

    assert verdict == read_here(file).verdict


def test_hint_that_is_missing_is_named(tmp_path: Path) -> None:
    """Not those that are there."""
    file = tmp_path / "script.py"
    file.write_text(PLAIN.replace("ZERO", "p.grad = None"))

    report = read_here(file, hints=["loss = ((X @ W + b - Y) ** 2).mean()"])

    (advice,) = report.advice
    assert "not checked" == report.verdict
    assert "backward = " in advice and "loss = " not in advice
