"""A fault of a file comes with lines of Python that show it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.reading import drawn
from tests.helpers.read_here import read_here

FILES = Path(__file__).parent / "files"
PRINTED = re.compile(r"gradient (\S+), slope of the loss (\S+)")
FAULTS = {
    "attribute": ("softmax_class.py", " * (self.z1 > 0)", "", PRINTED),
    "returned": ("two_layer_functions.py", "np.sum(dZ2, axis=1, keepdims=True)", "np.sum(dZ2)",
                 re.compile(r"gradient of shape (.*), the parameter's (.*)")),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    monkeypatch.setattr(drawn, "RANGES", drawn.RANGES[:1])
    monkeypatch.setattr(drawn, "SMALLER_SECONDS", 0.3)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=() if k == "attribute" else pytest.mark.full) for k in FAULTS]
)
def test_snippet_of_a_fault_shows_both_gradients(kind: str, tmp_path: Path) -> None:
    """Run beside the file they print two that are not the same, of a network of few numbers."""
    name, old, new, printed = FAULTS[kind]
    text = (FILES / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))

    report = read_here(tmp_path / name)
    ran = subprocess.run(
        [sys.executable, "-c", report.snippet], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    found = printed.search(ran.stdout)
    assert found is not None and found[1] != found[2], (report, ran.stdout)
    assert len(report.snippet) < 2000


def test_file_that_agrees_has_no_snippet() -> None:
    """There is nothing to show."""
    assert not read_here(FILES / "softmax_class.py").snippet


@pytest.mark.full
def test_fault_of_a_condition_is_shown_on_the_smallest_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch above 20, which no small problem has: on as few examples as show it."""
    monkeypatch.setattr(drawn, "SMALLER_SECONDS", 20.0)
    text = (FILES / "softmax_class.py").read_text()
    broken = text.replace("m = X.shape[0]\n        dz2", "m = min(X.shape[0], 20)\n        dz2")
    assert broken != text
    (tmp_path / "softmax_class.py").write_text(broken)

    report = read_here(tmp_path / "softmax_class.py")
    ran = subprocess.run(
        [sys.executable, "-c", report.snippet], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    found = PRINTED.search(ran.stdout)
    assert found is not None and found[1] != found[2], (report, ran.stdout)
    assert "with 21 examples" in " ".join(report.remarks)
