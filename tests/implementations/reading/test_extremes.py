"""Faults that depend on values and on arrays, not on sizes: what no ordinary problem has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking.objects import lines
from samegrad.implementations.checking.objects.report import CheckReport
from samegrad.implementations.reading import drawn, judging
from tests.helpers.read_here import read_here
from tests.implementations.reading.test_drawn import FUNCTIONS, NET, TANH

# Conditions under which a gradient is 1.5 times what it is, and words of what is then said.
CONDITIONS = {
    "abs(self.forward(X)).max() > 40": "with outputs of about +",
    "self.forward(X).min() < -700": "with outputs of about -",
    "abs(self.b[0]).max() > 40": "with half of net.b[0] about",
    "abs(X).max() > 300": "with inputs of about 1,000",
    "abs(self.W[0]).max() > 30": "with net.W[0] 100 times as large",
    "abs(self.W[-1]).max() > 30": "with net.W[1] 100 times as large",
    "X.flags.f_contiguous and not X.flags.c_contiguous": "with X in F order in memory",
    "not (Y.flags.f_contiguous or Y.flags.c_contiguous)": "with y taken from a larger array",
    "X.dtype == np.float32": "with X of type float32",
    "X.dtype == np.int64": "with X of whole numbers (int64)",
    "Y.dtype == np.int64": "with y of whole numbers (int64)",
    "isinstance(Y, list)": "with y in a list",
    "len(X) == 1": "on a network that was drawn: one example",
    "len(Y[0]) == 1": "on a network that was drawn",
}
CLASS = NET.replace("import numpy as np", "import numpy as np\nWRONG = 'False'").format(
    fault="if eval(WRONG): self.dW = [1.5 * g for g in self.dW]", **TANH
)


class Kept(Exception):  # noqa: N818 # it is no error
    """What was to be asked of a reading that agrees."""


def agreed(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The reading of a file that is right at ordinary points, with the report on it."""
    kept: list[tuple[Any, ...]] = []

    def keep(*given: Any) -> CheckReport:
        kept.append(given)
        return given[1]

    monkeypatch.setattr(judging, "asked_for", keep)
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    file = folder / "net.py"
    file.write_text(text)
    report = read_here(file, seed=3)
    assert "agrees" == report.verdict, report
    return kept[0]


@pytest.mark.parametrize("first", [0, pytest.param(1, marks=pytest.mark.full)])
def test_fault_under_a_condition_of_values_or_arrays_disagrees(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said under which, and without a fault nothing is."""
    monkeypatch.setattr(drawn, "RANGES", ())
    found, report, asked = agreed(CLASS, tmp_path, monkeypatch)
    space = found.reading.users[0].__globals__

    for condition, words in list(CONDITIONS.items())[first::2]:
        space["WRONG"] = condition
        told = drawn.asked_for(found, report, asked)
        said = " ".join(told.remarks)
        assert ("disagrees", True) == (told.verdict, words in said), (condition, told)
        assert "--seed 3 draws them again" in said
    space["WRONG"] = "False"
    assert "agrees" == drawn.asked_for(found, report, asked).verdict


OF_SOFTMAX = FUNCTIONS.replace(
    "return e / e.sum(axis=0), a", "return (e / e.sum(axis=0), a) if not raw else z"
).replace("def forward(X, p):", "def forward(X, p, raw=False):")


def test_softmax_that_overflows_in_the_backward_pass_disagrees_with_its_line(
    tmp_path: Path,
) -> None:
    """Where the loss, which is stable, is a number and the gradient is none."""
    wrong = "A_ = forward(X, p, True); A = np.exp(A_) / np.exp(A_).sum(axis=0)\n    d = (A - Y) / m"
    file = tmp_path / "net.py"
    file.write_text(OF_SOFTMAX.replace("d = (A - Y) / m", wrong).replace("FAULT", ""))

    report = read_here(file, seed=3)

    assert "disagrees" == report.verdict and "values not finite" in report.reason, report
    assert ("net.py:12: what it computes is no number (NaN)",) == report.lines


# Right at ordinary points, and each with a limit of its own where values are extreme.
RIGHT = {
    "softmax that overflows": FUNCTIONS.replace("z - z.max(axis=0)", "z").replace("A + 1e-8", "A"),
    "clipped probabilities": FUNCTIONS.replace("np.log(A + 1e-8)", "np.log(np.clip(A, 1e-7, 1))"),
    "sigmoids with a small number in the log": FUNCTIONS.replace(
        "e = np.exp(z - z.max(axis=0)); return e / e.sum(axis=0), a",
        "return 1 / (1 + np.exp(-z)), a",
    ).replace(
        "-np.sum(Y * np.log(A + 1e-8))",
        "-np.sum(Y * np.log(A + 1e-12) + (1 - Y) * np.log(1 - A + 1e-12))",
    ),
    "gradients cut off where they are large": CLASS.replace(
        "if eval(WRONG):", "self.dW = [np.clip(g, -9, 9) for g in self.dW]\n        if 0:"
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.full] * (i > 0)) for i, n in enumerate(RIGHT)]
)
def test_right_file_with_a_limit_at_extreme_values_agrees(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss is no number there, or has no slope where the gradient rightly has one."""
    monkeypatch.setattr(drawn, "RANGES", ())
    file = tmp_path / "net.py"
    file.write_text(RIGHT[name].replace("FAULT", ""))

    report = read_here(file, seed=3)

    assert "agrees" == report.verdict, report
    lost = [r for r in report.remarks if r.endswith("nothing was compared there")]
    assert (name == "softmax that overflows") == bool(lost), report
    assert all(r.startswith("with outputs of about +") for r in lost)


def test_data_that_nobody_may_change_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so do weights, whatever was tried."""
    monkeypatch.setattr(drawn, "RANGES", ())
    found, report, asked = agreed(CLASS, tmp_path, monkeypatch)
    values = found.reading.trial.board.values
    held = [values["X"], values["y"], *(place.read() for place in found.reading.parameters)]
    before = [np.copy(array) for array in held]

    drawn.asked_for(found, report, asked)

    now = [values["X"], values["y"], *(place.read() for place in found.reading.parameters)]
    assert now[0] is held[0] and now[1] is held[1]
    assert all(np.array_equal(a, b) for a, b in zip(now, before, strict=True))
