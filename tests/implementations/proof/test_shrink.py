"""Failures shrunk to the smallest network and batch, and snippets that repeat them."""

import contextlib
import io
from pathlib import Path

import pytest

from samegrad.cli import main
from samegrad.implementations.checking import problems
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.adapter import Implementation
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.proof import shrink
from tests.helpers.planted import FAULTS, NOT_CHECKED, RIGHT, plant

SHOWN = [fault for fault in FAULTS if fault not in NOT_CHECKED]
DEEP = problems.draw(MLPSpec((5, 7, 6, 3), "tanh", dtype="float64", weight_decay=0.1), 6)


def planted(tmp_path: Path, fault: str) -> Implementation:
    """The right file with a fault in it."""
    return registry.load(plant(tmp_path, fault))


def said(snippet: str) -> list[str]:
    """What the last line of a snippet prints, in words."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(snippet, {})
    return printed.getvalue().split()


def failing(implementation: Implementation) -> problems.Problem | None:
    """The first standard problem that shows something."""
    for problem in problems.standard("float64"):
        with contextlib.suppress(ValueError):
            if shrink.failure(implementation, problem) is not None:
                return problem
    return None


@pytest.mark.quick
def test_right_file_has_no_failure(tmp_path: Path) -> None:
    """Nothing is shrunk where nothing is wrong."""
    path = tmp_path / "mine.py"
    path.write_text(RIGHT)

    assert shrink.shrunk(registry.load(path), DEEP) is None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # an overflow is one of the faults
@pytest.mark.parametrize("fault", SHOWN)
def test_faults_are_shrunk_to_snippets_that_repeat_them(tmp_path: Path, fault: str) -> None:
    """At most 15 lines, whose two numbers differ."""
    implementation = planted(tmp_path, fault)
    problem = failing(implementation)
    if problem is None:
        pytest.skip("it shows in a step, in outputs or by an exception only")

    small, failure = shrink.shrunk(implementation, problem)
    snippet = shrink.snippet(str(implementation.file), small, failure)
    words = said(snippet)

    assert snippet.count("\n") < 15
    assert small.spec.parameters <= problem.spec.parameters
    given, right = words[words.index("is") + 1], words[-1]
    assert given != right, words


def test_fault_in_a_hidden_layer_needs_two_layers_of_one_unit(tmp_path: Path) -> None:
    """Options are off, numbers are small and whole."""
    assert "delta @ W.T" in RIGHT
    (tmp_path / "mine.py").write_text(RIGHT.replace("delta @ W.T", "delta @ (2 * W.T)"))

    small, _ = shrink.shrunk(registry.load(tmp_path / "mine.py"), DEEP)

    assert (1, 1, 1) == small.spec.layer_sizes
    assert (0.0, False) == (small.spec.weight_decay, small.spec.bias)
    assert 1 == len(small.X)
    assert all(float(W[0, 0]).is_integer() for W, _ in small.params)


def test_time_limit_is_kept(tmp_path: Path) -> None:
    """With no time left the problem stays as it is."""
    implementation = planted(tmp_path, "sum for mean")
    problem = failing(implementation)

    small, _ = shrink.shrunk(implementation, problem, seconds=0)

    assert problem is small


def test_command_prints_the_snippet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not indented, so that it can be pasted; `--shrink 0` leaves it out."""
    path = plant(tmp_path, "forgotten derivative of the activation")
    command = ["verify", path, "--dtype", "float64", "--activation", "tanh"]

    main(command)
    with_snippet = capsys.readouterr().out
    main([*command, "--shrink", "0"])
    without = capsys.readouterr().out

    assert "\nnet = sg.load(" in with_snippet
    assert "sg.load(" not in without
