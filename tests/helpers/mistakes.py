"""The tables of docs/common-mistakes.md: `python -m tests.helpers.mistakes` writes them anew.

Each mistake is made in the network of that page, and the answer is what `samegrad.check` says.
"""

import importlib.util
import re
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.checking.notes import CODES
from samegrad.implementations.checking.objects.check import check

PAGE = ROOT / "docs" / "common-mistakes.md"
# what people do wrong, the line of the network, what stands there instead; "" for no line
MISTAKES = (
    ("the gradient is summed, the loss averaged", "dz2 = dz2 / n", ""),
    ("divided by the batch size twice", "dz2 = dz2 / n", "dz2 = dz2 / n / n"),
    ("wrong sign", "dz2 = dz2 / n", "dz2 = -dz2 / n"),
    ("labels off by one", "dz2[np.arange(n), y] -= 1", "dz2[np.arange(n), y - 1] -= 1"),
    (
        "softmax over the wrong axis",
        "dz2 = self.p.copy()",
        "dz2 = np.exp(self.z2) / np.exp(self.z2).sum(axis=0)",
    ),
    (
        "softmax's derivative, which the loss has already, cut to its diagonal",
        "dz2 = dz2 / n",
        "dz2 = dz2 * self.p * (1 - self.p) / n",
    ),
    (
        "the derivative at the input of tanh, with the formula of its output",
        "dz1 = da1 * (1 - self.a1**2)",
        "dz1 = da1 * (1 - self.z1**2)",
    ),
    ("the derivative left out", "dz1 = da1 * (1 - self.a1**2)", "dz1 = da1"),
    (
        "the derivative of another activation",
        "dz1 = da1 * (1 - self.a1**2)",
        "dz1 = da1 * self.a1 * (1 - self.a1)",
    ),
    (
        "back through weights that were updated",
        "da1 = dz2 @ self.W2.T",
        "da1 = dz2 @ (self.W2 - self.rate * self.dW2).T",
    ),
    (
        "z for a as the input of a layer",
        "self.dW2 = self.a1.T @ dz2 + self.decay * self.W2",
        "self.dW2 = self.z1.T @ dz2 + self.decay * self.W2",
    ),
    ("summed over everything", "self.db1 = dz1.sum(axis=0)", "self.db1 = np.sum(dz1)"),
    ("averaged over the batch again", "self.db1 = dz1.sum(axis=0)", "self.db1 = dz1.mean(axis=0)"),
    (
        "weight decay left out",
        "self.dW1 = self.X.T @ dz1 + self.decay * self.W1",
        "self.dW1 = self.X.T @ dz1",
    ),
    (
        "weight decay twice as strong",
        "self.dW1 = self.X.T @ dz1 + self.decay * self.W1",
        "self.dW1 = self.X.T @ dz1 + 2 * self.decay * self.W1",
    ),
    (
        "never set to zero",
        "self.db2 = dz2.sum(axis=0)",
        'self.db2 = getattr(self, "db2", 0) + dz2.sum(axis=0)',
    ),
)


def network(page: str) -> str:
    """The right network of the page."""
    (text,) = re.findall(r"<!-- file: net.py -->\n```python\n(.*?)```", page, re.DOTALL)
    return str(text)


def answer(text: str, folder: Path) -> Any:
    """What `check` says of a network."""
    net = _module(text, folder).Net(4, 5, 3)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    return check(net, lambda: net.loss(X, y), lambda: net.backward(y), (X, y))


def with_mistake(right: str, old: str, new: str) -> str:
    """The network with one line changed, or without it."""
    line = f"        {old}\n"
    assert right.count(line) == 1, old
    return right.replace(line, f"        {new}\n" if new else "")


def said(report: Any) -> str:
    """The line at fault where there is one, else the reason; without numbers of this run."""
    text = report.lines[0].partition(": ")[2] if report.lines else report.reason
    return re.sub(r" \(got .*|: error [\d.e-]+.*", "", text)


def table(right: str, folder: Path) -> str:
    """The rows of the page, with the answers of now."""
    rows = ["| mistake | line | instead | answer |", "|---|---|---|---|"]
    for mistake, old, new in MISTAKES:
        report = answer(with_mistake(right, old, new), folder)
        assert report.disagrees, mistake
        instead = f"`{new}`" if new else "no line"
        rows.append(f"| {mistake} | `{old}` | {instead} | {said(report)} |")
    return "\n".join(rows)


def notes() -> str:
    """The codes of notes and what they say."""
    return "\n".join(
        [
            "| code | what it says |",
            "|---|---|",
            *(f"| `{c}` | {text} |" for c, text in CODES.items()),
        ]
    )


def filled(page: str, folder: Path) -> str:
    """The page with both tables as they are now."""
    for name, rows in (("mistakes", table(network(page), folder)), ("notes", notes())):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{rows}\n{end}{rest.partition(end)[2]}"
    return page


def _module(text: str, folder: Path) -> ModuleType:
    path = Path(tempfile.mkdtemp(dir=folder)) / "net.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("net", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(filled(PAGE.read_text(), Path(scratch)))
