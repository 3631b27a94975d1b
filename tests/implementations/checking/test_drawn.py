"""Problems drawn anew show the faults that depend on size, values, options and calls."""

import types
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import drawn, lines, problems
from samegrad.implementations.checking.assertions import assert_gradients_agree
from samegrad.implementations.checking.calls import Clock
from samegrad.implementations.checking.report import VerifyOptions
from samegrad.implementations.checking.verifier import verify
from samegrad.implementations.contract import registry
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers import conditional
from tests.helpers.conditional import CONDITIONS
from tests.helpers.here import report_of
from tests.helpers.planted import RIGHT

ENOUGH = 43  # of the 46 conditions: a seed may leave out a few


FULL = pytest.mark.full


@cache
def every(dtype: Any = "float64") -> list[problems.Problem]:
    """What an implementation of everything accepts."""
    return [*problems.standard(dtype), *problems.classics(dtype)]


@cache
def made(seed: int) -> list[problems.Problem]:
    """What is drawn for it."""
    return drawn.problems(every(), seed)


def test_there_are_46_conditions() -> None:
    """Each is an expression, and the file without one is right."""
    assert 46 == len(CONDITIONS)
    for condition in CONDITIONS.values():
        compile(condition, "condition", "eval")


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 20))]
)
def test_conditions_are_met_and_the_right_file_agrees(seed: int) -> None:
    """Nearly all of them with every seed, where the gradient that would be wrong is not zero."""
    module = types.ModuleType("mine")
    exec(conditional.watching(), module.__dict__)

    with np.errstate(over="ignore"):
        assert_gradients_agree(module, seed=seed)

    held = module.__dict__["HELD"]
    assert len(held) >= ENOUGH, set(CONDITIONS) - held


@pytest.mark.parametrize(
    "name",
    [
        "six layers",
        *(
            pytest.param(name, marks=FULL)
            for name in ("a batch above 100", "decay without biases", "logits above 500")
        ),
    ],
)
def test_fault_under_a_condition_disagrees(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the whole verifier; the seed is said, and gives the same problems again."""
    monkeypatch.setattr(lines, "of_problem", lambda *_: [])  # the line does not matter
    path = conditional.plant(tmp_path, CONDITIONS[name])

    report = verify(path, losses=["mse"], dtypes=["float64"])
    seed = report.to_dict()["seed"]
    again = verify(path, losses=["mse"], dtypes=["float64"], seed=seed)

    assert "disagrees" == report.verdict == again.verdict
    assert "dW1" in report.reason
    assert any(f"--seed {seed} draws them again" in remark for remark in report.remarks)


def test_what_is_drawn_is_judged_after_the_standard_problems(tmp_path: Path) -> None:
    """They agree, and the fault is of a drawn one."""
    path = conditional.plant(tmp_path, CONDITIONS["a batch above 100"])
    few = [p for p in every() if p.spec.activation == "tanh"]

    report = report_of(path, VerifyOptions(few, drawn=3))

    assert "disagrees" == report.verdict
    assert {"agree"} == {o.status for o in report.outcomes if o.problem in few}


def test_seed_repeats_what_is_drawn() -> None:
    """The same arrays; another seed, others."""
    squares = [p for p in every() if p.spec.loss == "mse"]
    one, two, other = (drawn.problems(squares, seed) for seed in (1, 1, 2))

    assert [p.label for p in one] == [p.label for p in two] != [p.label for p in other]
    assert all(np.array_equal(p.X, q.X) for p, q in zip(one, two, strict=True))


def test_drawn_problems_keep_to_what_is_accepted() -> None:
    """No activation, loss, decay or dropout that was not seen; no depth for a file of one."""
    sigmoids = [p for p in every() if p.spec.activation == p.spec.output_activation == "sigmoid"]
    squares = [p for p in sigmoids if p.spec.loss == "mse" and len(p.spec.layer_sizes) == 3]

    of_squares = drawn.problems(squares, 0)

    assert of_squares
    assert {("sigmoid", "sigmoid", "mse", 0.0, 3)} == {
        (
            p.spec.activation,
            p.spec.output_activation,
            p.spec.loss,
            p.spec.weight_decay,
            len(p.spec.layer_sizes),
        )
        for p in of_squares
    }
    assert all(p.masks is None for p in of_squares)


def test_drawn_problems_are_sorted_by_cost_and_bounded() -> None:
    """So that a slow implementation stops in time."""
    costs = [drawn.cost(p) for p in made(0)]

    assert sorted(costs) == costs and costs[-1] < 1e7
    assert max(max(p.spec.layer_sizes) for p in made(0)) > 128
    assert max(len(p.X) for p in made(0)) > 100
    assert max(len(p.spec.layer_sizes) for p in made(0)) > 7


@FULL
@pytest.mark.parametrize("name", registry.names("all"))
def test_no_implementation_of_ours_is_accused(name: str) -> None:
    """Of a seed that is another in every run."""
    missing = registry.why_not_installed(name)
    if missing:
        pytest.skip(missing)
    seed = int(np.random.default_rng().integers(2**31))

    assert "agrees" == verify(name, seed=seed).verdict, seed


def test_clock_leaves_out_what_would_take_too_long() -> None:
    """In proportion to the cost, from the longest call; the first call only warms up."""
    clock = Clock(1.0)
    assert clock.allows(10)
    clock._warm = True
    clock._longest = clock.spent = 0.1

    assert clock.allows(20) and not clock.allows(1000)
    assert Clock(None).allows(1e12)


def test_layout_that_a_file_cannot_take_is_a_remark(tmp_path: Path) -> None:
    """Whoever wants rows one after another says so, and is right."""
    needs = "    n = len(X)\n    assert X.flags.c_contiguous\n"
    path = tmp_path / "my_mlp.py"
    path.write_text(RIGHT.replace("    n = len(X)\n", needs))

    report = verify(path, activations=["tanh"], dtypes=["float64"], seed=0)

    assert ("agrees", "") == (report.verdict, report.reason)
    assert any("order: it raises AssertionError" in remark for remark in report.remarks)


def test_examples_in_columns_are_recognised(tmp_path: Path) -> None:
    """The remedy instead of a shape that does not fit."""
    text = RIGHT.replace("z = a @ W", "z = W @ a").replace("n = len(X)", "n = X.shape[1]")
    path = tmp_path / "my_mlp.py"
    path.write_text(text)

    report = verify(path, activations=["tanh"], dtypes=["float64"], seed=0)

    assert "not checked" == report.verdict
    assert "it takes examples in columns" in report.reason


def test_outputs_that_rounding_moves_are_not_drawn() -> None:
    """Though the gradient is steady: they are what is left of large terms, beside large targets."""
    spec = MLPSpec((2, 1), loss="mse", bias=False)
    X, rng = np.ones((1, 2), np.float32), np.random.default_rng(0)
    params = [(np.array([[1e4], [-9999.9]], np.float32), None)]
    given = problems.Problem("", spec, params, X, np.full((1, 1), 1e6))
    plain = replace(given, params=[(np.array([[1.0], [2.0]], np.float32), None)])

    assert drawn._steady(plain, rng)
    assert not drawn._steady(given, rng)
