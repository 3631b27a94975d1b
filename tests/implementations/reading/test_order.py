"""A loop of torch sets gradients to zero, takes them and steps, in this order and as often."""

import ast
from types import SimpleNamespace
from typing import Any

import pytest

from samegrad.implementations.reading.forgotten import thrown_away
from samegrad.implementations.reading.order import out_of_order

HEAD = """import torch
model, criterion = torch.nn.Linear(3, 2), torch.nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
def fresh(net):
    return torch.optim.Adam(net.parameters())
def clear():
    optimizer.zero_grad()
for epoch in range(9):
"""
ZERO, PASS, STEP = "optimizer.zero_grad()", "model(X).sum().backward()", "optimizer.step()"
INNER = "for X in batches:\n        "
LOSS = ["loss = -criterion(out, y) / 2", "loss.backward()", STEP]
CLIP = "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
CUT = "what is trained on is cut off from the model"


def loaded(*body: str, head: str = HEAD) -> Any:
    """A file whose loop has a body."""
    text = head + "".join(f"    {line}\n" for line in body)
    return SimpleNamespace(statements=ast.parse(text).body)


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ([ZERO, "loss = model(X).sum()", STEP], 11, "optimizer steps without gradients"),
        ([PASS, ZERO, STEP], 10, "gradients are set to zero before the step"),
        ([PASS, "total += loss.item()", ZERO, STEP], 11, "gradients are set to zero before"),
        ([PASS, "model.zero_grad()", STEP], 10, "gradients are set to zero before the step"),
        ([PASS, CLIP, ZERO, STEP], 11, "gradients are set to zero before the step"),
        ([ZERO, f"{INNER}{PASS}\n        {STEP}"], 11, "gradients add up over the steps of the"),
        ([ZERO, "out = model(X).detach().requires_grad_()", *LOSS], 10, CUT),
        ([ZERO, "loss = F.mse_loss(model(X), y).item()", LOSS[1], STEP], 10, CUT),
        ([ZERO, "out = model(X)", "F.mse_loss(out.detach(), y).mean().backward()", STEP], 11, CUT),
        ([ZERO, "out = torch.exp(model(X).detach())", *LOSS], 10, CUT),
    ],
)
def test_what_is_out_of_order_is_told_by_its_line(body: list[str], line: int, said: str) -> None:
    """A step with nothing to step by, or with more than it should have."""
    found = out_of_order(loaded(*body))

    assert found is not None
    assert (line, True) == (found[0], found[1].startswith(said)), found


@pytest.mark.parametrize(
    "body",
    [
        [ZERO, PASS, STEP],
        [PASS, STEP, ZERO],
        [ZERO, "out = D(model(X).detach())", *LOSS],
        [ZERO, "out = self.head(model(X).detach())", *LOSS],
        [ZERO, "out = model(X).detach()", "out = F.linear(out, W)", *LOSS],
        [ZERO, "out = model(X).detach()", "out += penalty(model)", *LOSS],
        [
            ZERO,
            "target = model(Z).detach()",
            "out = model(X)",
            "loss = F.mse_loss(target, out)",
            *LOSS[1:],
        ],
        [ZERO, "r = play(model).detach()", "(-log_prob * r).backward()", STEP],
        [
            ZERO,
            "x = model(X).detach().requires_grad_()",
            "F.mse_loss(x, y).backward()",
            "x.grad",
            STEP,
        ],
        [PASS, "second.zero_grad()", STEP, PASS, "second.step()"],
        [ZERO, f"{INNER}{PASS}", STEP],
        [ZERO, f"{INNER}clear()\n        {PASS}\n        {STEP}"],
        [ZERO, f"{INNER}{PASS}\n        {STEP}\n        model.zero_grad()"],
        [PASS, "keep(model)", ZERO, "restore(model)", STEP],
        [ZERO, "for p in model.parameters():\n        p.grad = torch.randn(p.shape)", STEP],
    ],
    ids=[
        "usual",
        "after",
        "another",
        "head",
        "function",
        "added",
        "target",
        "reward",
        "inputs",
        "two",
        "sums",
        "by a function",
        "by the model",
        "kept",
        "by hand",
    ],
)
def test_what_is_in_order_is_not_accused(body: list[str]) -> None:
    """Several optimizers, sums over batches, and what functions do."""
    assert out_of_order(loaded(*body)) is None


def test_gradients_of_another_library_are_not_missed() -> None:
    """It may take them from the model, and give them to it."""
    assert (
        out_of_order(loaded("fill(model)", STEP, head=f"from others import fill\n{HEAD}")) is None
    )


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        (["opt = fresh(model)", PASS, "opt.step()"], True),
        (["if True:\n        opt = fresh(model)", PASS, "opt.step()"], True),
        (["if epoch == 0:\n        opt = fresh(model)", PASS, "opt.step()"], False),
        (["net = torch.nn.Linear(3, 2)", "opt = fresh(net)", PASS, "opt.step()"], False),
        (["opt = fresh(model)", f"{INNER}{PASS}\n        opt.step()"], False),
    ],
)
def test_optimizer_of_a_function_is_one(body: list[str], lost: bool) -> None:
    """Made anew in each turn it has no state; once, or for a new network, it does."""
    assert (thrown_away(loaded(*body)) is not None) == lost
