"""Scripts of torch: the module, the loss and the training of a file that defines no class."""

from pathlib import Path

import pytest

from samegrad.implementations.reading.training import TEXT_ALONE
from tests.helpers.read_here import read_here

torch = pytest.importorskip("torch", reason="files of torch are read with it")
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


BY_GRAD = PLAIN.replace("    loss.backward()\n", "    gW, gb = torch.autograd.grad(loss, [W, b])\n")
BY_GRAD = (
    f"{BY_GRAD.partition('        for p in')[0]}        W -= 0.1 * gW\n        b -= 0.1 * gb\n"
)
BY_HAND = """
import torch

x, y = torch.randn(12, 4), torch.randn(12, 3)
w1, w2 = torch.randn(4, 5), torch.randn(5, 3)
lr = 1e-4
for t in range(20):
    h = x.mm(w1)
    hr = h.clamp(min=0)
    loss = (hr.mm(w2) - y).pow(2).sum().item()
    gy = 2.0 * (hr.mm(w2) - y)
    gw2 = hr.t().mm(gy)
    gh = gy.mm(w2.t())
    gh[h < 0] = 0
    gw1 = x.t().mm(gh)
    w1 -= lr * gw1
    w2 -= lr * gw2
"""
SEMI = PLAIN.replace("- Y)", "- Y - 0.5 * (X @ W).detach())")
NONE = "p.grad = None"
DOWN = PLAIN.replace("ZERO", NONE)
# Steps that are more than a rate times a gradient, which is right.
MORE = [
    DOWN.replace("p.grad\n", "p.grad / p.grad.norm()\n"),
    DOWN.replace("p.grad\n", "p.grad.sign()\n"),
    DOWN.replace("p.grad\n", "torch.clamp(p.grad, -0.1, 0.1)\n"),
    DOWN.replace("p.grad\n", "(p.grad + 0.01 * p)\n"),
    DOWN.replace("0.1 * p.grad", "(0.1 if p.ndim > 1 else 0.02) * p.grad"),
    DOWN.replace("backward()\n", "backward()\n    torch.nn.utils.clip_grad_value_([W, b], 0.1)\n"),
    DOWN.replace("backward()\n", "backward()\n    torch.nn.utils.clip_grad_norm_([W, b], 0.1)\n"),
    DOWN.replace("backward()\n", "backward()\n    b.grad.clamp_(-0.1, 0.1)\n"),
]


@pytest.mark.parametrize(
    ("text", "verdict", "said"),
    [
        (PLAIN.replace("ZERO", NONE), "agrees", ""),
        (PLAIN.replace("ZERO", "pass"), "disagrees", ADDS),
        (PLAIN.replace("ZERO", NONE).replace("p -=", "p +="), "disagrees", "up its gradient"),
        (BY_GRAD, "agrees", ""),
        (BY_GRAD.replace("b -=", "b +="), "disagrees", "update of b goes up its gradient"),
        (BY_HAND, "agrees", ""),
        (BY_HAND.replace("[h < 0]", "[h > 0]"), "disagrees", "is not the gradient of w1"),
        (SEMI.replace("ZERO", NONE), "not checked", ""),
        *((text, "agrees", "") for text in MORE),
    ],
)
def test_script_of_tensors(text: str, verdict: str, said: str, tmp_path: Path) -> None:
    """Its loop is read as one of NumPy is; what autograd is kept from on purpose is no fault."""
    dtype = torch.get_default_dtype()
    file = tmp_path / "script.py"
    file.write_text(text)

    report = read_here(file)

    assert (verdict, True) == (report.verdict, said in report.reason), str(report)
    assert dtype == torch.get_default_dtype()


def test_hint_that_is_missing_is_named(tmp_path: Path) -> None:
    """Not those that are there."""
    file = tmp_path / "script.py"
    file.write_text(PLAIN.partition("for epoch")[0])

    report = read_here(file, hints=["loss = ((X @ W + b - Y) ** 2).mean()"])

    (advice,) = report.advice
    assert "not checked" == report.verdict
    assert "backward = " in advice and "loss = " not in advice


MODULE = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 20), nn.Linear(20, 4)

    def forward(self, x):
        return OUT


def train(model, loader, optimizer):
    for data, target in loader:
        optimizer.zero_grad()
        loss = LOSS
        loss.backward()
        optimizer.step()


def main(loader):
    model = Net()
    train(model, loader, torch.optim.SGD(model.parameters(), lr=0.1))
"""
OUT = "self.second(F.relu(self.first(x)))"


@pytest.mark.parametrize(
    ("out", "loss", "name", "codes"),
    [
        (OUT, "F.cross_entropy(model(data), target)", "F.cross_entropy", []),
        (OUT, "F.cross_entropy(model(data), target, reduction='sum')", "F.cross_entropy", []),
        (OUT, "nn.CrossEntropyLoss()(model(data), target)", "nn.CrossEntropyLoss", []),
        (f"{OUT}.sigmoid()", "F.binary_cross_entropy(model(data), target)",
         "F.binary_cross_entropy", []),
        (f"{OUT}.softmax(1)", "F.cross_entropy(model(data), target)", "F.cross_entropy",
         ["softmax-twice"]),
        (OUT, "F.nll_loss(model(data), target)", "F.nll_loss", ["no-log-softmax"]),
    ],
)  # fmt: skip
def test_loss_that_training_calls_is_the_one_that_is_judged(
    out: str, loss: str, name: str, codes: list[str], tmp_path: Path
) -> None:
    """Though nothing of the file is called a loss."""
    file = tmp_path / "net.py"
    file.write_text(MODULE.replace("OUT", out).replace("LOSS", loss))

    report = read_here(file)

    assert report.agrees and report.reading.endswith(f"loss: its own {name}"), str(report)
    assert codes == [note.code for note in report.notes]


def test_losses_of_an_evaluation_come_after_those_of_a_training(tmp_path: Path) -> None:
    """Whatever comes first in the file."""
    test = "def test(model, x, y):\n    return F.l1_loss(model(x), y)\n\n\ndef train("
    text = MODULE.replace("OUT", OUT).replace("LOSS", "F.mse_loss(model(data), target)")
    file = tmp_path / "net.py"
    file.write_text(text.replace("def train(", test))

    assert read_here(file).reading.endswith("loss: its own F.mse_loss")
