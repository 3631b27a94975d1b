"""Faults planted in files of people: every one is a disagreement."""

from pathlib import Path

import pytest

from samegrad.implementations.checking.objects import lines
from tests.helpers.planted_files import FAULTS
from tests.helpers.read_here import read_here

FILES = Path(__file__).parent / "files"
OFTEN = ("eleven_lines.py", "loss_returns_grads.py")  # in every run


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, marks=() if fault[0] in OFTEN else pytest.mark.full, id=f"{n} {fault[0]}"
        )
        for n, fault in enumerate(FAULTS)
    ],
)
def test_planted_fault_disagrees(
    fault: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the report says of which parameter."""
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    name, old, new = fault
    text = (FILES / name).read_text()
    assert old in text
    file = tmp_path / name
    file.write_text(text.replace(old, new, 1))

    report = read_here(file)

    assert "disagrees" == report.verdict, report
    assert report.reason


@pytest.mark.full
def test_planted_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """Of the file, as its author counts."""
    text = (FILES / "softmax_class.py").read_text().replace(" * (self.z1 > 0)", "", 1)
    file = tmp_path / "mine.py"
    file.write_text(text)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "dz1 =" in line)

    report = read_here(file)

    assert any(f"mine.py:{number}: " in line for line in report.lines), report


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param(
            "weights_of_fit.py", "p.mean(axis=0)", "p.sum(axis=0)", marks=pytest.mark.full
        ),
        ("loss_in_loop_script.py", "(1 - A1 ** 2)", "(1 - A1) ** 2"),
    ],
)
def test_line_of_a_loop_is_named(name: str, old: str, new: str, tmp_path: Path) -> None:
    """Of one in a method, and of one in a script: a turn of it is traced as a function is."""
    text = (FILES / name).read_text()
    number = text[: text.index(old)].count("\n") + 1
    file = tmp_path / name
    file.write_text(text.replace(old, new, 1))

    report = read_here(file)

    assert [f"{name}:{number}"] == [
        line.rpartition(": ")[0].split(": ")[0] for line in report.lines
    ]


@pytest.mark.parametrize("asks", [True, False])
def test_fault_of_an_autograd_function_that_no_forward_pass_calls_is_found(
    asks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the loss of the module that calls it, or alone."""
    pytest.importorskip("torch")
    monkeypatch.setattr(lines, "explain", lambda *_, **__: [])  # which takes seconds
    text = (FILES / "torch_loss_function.py").read_text()
    text = text if asks else text[: text.index("    def loss")]
    file = tmp_path / "net.py"
    file.write_text(text.replace("up * torch.tanh(error)", "up * error", 1))

    assert "disagrees" == read_here(file).verdict


def test_bias_that_is_a_number_is_judged_with_what_an_initializer_gives(tmp_path: Path) -> None:
    """What is passed for it is what the network holds."""
    text = (
        (FILES / "propagate_functions.py").read_text().replace("zeros(dim)", "init_zeros(dim)", 1)
    )
    file = tmp_path / "number.py"
    file.write_text(text.replace('"db": np.mean(A - Y)', '"db": np.sum(A - Y)'))

    report = read_here(file)

    assert ("disagrees", True) == (report.verdict, "'db'" in report.reason), report


@pytest.mark.full
def test_fault_of_a_loss_object_is_told_with_its_line(tmp_path: Path) -> None:
    """It is not among the layers, and its methods are called all the same."""
    text = (FILES / "layer_left_out.py").read_text().replace("/ y_pred.size", "/ len(y_pred)", 1)
    file = tmp_path / "layers.py"
    file.write_text(text)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "/ len(y_pred)" in line)

    report = read_here(file)

    assert any(f"layers.py:{number}: " in line for line in report.lines), report


def test_loop_that_trains_is_no_way_round_a_fault(tmp_path: Path) -> None:
    """Its decay is 0, and hides that the gradient has another one than the loss."""
    file = tmp_path / "ridge.py"
    file.write_text(
        "import numpy as np\n"
        "def cost(theta, X, y, lambda_):\n"
        "    h = X @ theta\n"
        "    J = ((h - y) ** 2).sum() / 2 + lambda_ / 2 * (theta[1:] ** 2).sum()\n"
        "    grad = X.T @ (h - y) + lambda_ * theta\n"
        "    return J, grad\n"
        "def train(X, y, lambda_, alpha=0.01, num_iters=400):\n"
        "    theta = np.zeros((X.shape[1], 1))\n"
        "    for _ in range(num_iters):\n"
        "        J, grad = cost(theta, X, y, lambda_)\n"
        "        theta = theta - alpha * grad\n"
        "    return theta\n"
    )

    assert "disagrees" == read_here(file).verdict


@pytest.mark.parametrize(("name", "verdict"), [("cost", "undecided"), ("err", "agrees")])
def test_gradient_of_another_loss_than_the_one_that_is_printed(
    name: str, verdict: str, tmp_path: Path
) -> None:
    """What is called the loss may be meant; a measure of error is only noted."""
    text = (FILES / "loss_in_loop_script.py").read_text().replace("cost", name)
    file = tmp_path / "script.py"
    file.write_text(text.replace("dZ2 = A2 - t", "dZ2 = (A2 - t) * A2 * (1 - A2)", 1))

    report = read_here(file)

    assert verdict == report.verdict, report
    assert f"what it prints as {name} is another loss" in f"{report.reason} {report.notes}"
