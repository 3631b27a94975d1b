"""The network as formulas: what it takes agrees, what it does not take is refused with a reason."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from samegrad.benchmarks.machine.checkout import ROOT
from samegrad.implementations.checking import problems
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from tests.helpers.networks import check

pytest.importorskip("sympy", reason="sympy is not installed")
COMBINATIONS = [
    MLPSpec(sizes, g, last, loss, bias, decay, dtype="float64")
    for number, (g, loss, sizes) in enumerate(
        product(
            ("identity", "sigmoid", "tanh"),
            ("cross_entropy", "binary_cross_entropy", "mse"),
            ((3, 2), (2, 2, 2)),
        )
    )
    for last, bias, decay in [[("identity", True, 0.1), ("sigmoid", False, 0.0)][number % 2]]
]


def complaint(implementation: Any, spec: MLPSpec, batch_size: int = 6) -> str:
    """Why it disagrees; "" if it does not."""
    p = problems.draw(spec, batch_size)
    verdict = check(implementation, spec, p.params, p.X, p.y, "cpu")
    return "" if verdict.agrees else verdict.reason


def test_formulas_are_those_of_the_network() -> None:
    """Each activation with each loss, with and without hidden layer, bias and decay."""
    reasons = {spec: complaint(load("symbolic"), spec) for spec in COMBINATIONS}

    assert {} == {spec: reason for spec, reason in reasons.items() if reason}
    assert {True, False} == {spec.bias for spec in COMBINATIONS}


def test_large_outputs_do_not_overflow() -> None:
    """Their largest is taken out first, as a constant."""
    for loss, y in (("cross_entropy", [1]), ("binary_cross_entropy", [[0.0, 1.0]])):
        spec = MLPSpec((1, 2), loss=loss, dtype="float64")
        params = [(np.array([[1e3, -1e3]]), np.zeros(2))]
        X = np.ones((1, 1))

        value, grads = load("symbolic").loss_and_grad(spec, params, X, np.array(y))

        right, expected = load("numpy").loss_and_grad(spec, params, X, np.array(y))
        assert right == pytest.approx(value)
        np.testing.assert_allclose(grads[0][0], expected[0][0], atol=1e-12)


def test_wrong_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivative by one parameter in the place of another's."""
    from samegrad.implementations.differentiation import engine_symbolic, mlp_symbolic

    spec = MLPSpec((2, 2, 2), "tanh", dtype="float64")
    made = engine_symbolic.formulas(spec)
    first, second, *others = made.derivatives
    wrong = made._replace(derivatives=[second, first, *others])
    monkeypatch.setattr(mlp_symbolic, "formulas", lambda _: wrong)

    assert "dW1" in complaint(load("symbolic"), spec)


def test_formulas_grow_as_the_page_says() -> None:
    """Each derivative repeats the network: all of them are many times the loss."""
    from samegrad.implementations.differentiation.engine_symbolic import formulas

    specs = [MLPSpec((8, units, 4), "tanh", dtype="float64") for units in (1, 2)]
    written = [formulas(spec).operations for spec in specs]
    factors = [all_of_them / loss for loss, all_of_them in written]

    few, more = (spec.parameters for spec in specs)
    said = (
        f"{factors[0]:.0f} times as many operations as the loss for {few} parameters, "
        f"{factors[1]:.0f} times as many for {more};"
    )
    page = ROOT / "docs" / "ways-to-differentiate.md"
    assert said in page.read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"layer_sizes": (2, 2, 2), "activation": "relu"},
            "has no activation relu; it has identity, sigmoid, tanh",
        ),
        ({"layer_sizes": (2, 2, 2, 2)}, "more than one hidden layer"),
        ({"layer_sizes": (64, 32, 10)}, "more than 60 parameters (2,410 here)"),
        ({"layer_sizes": (2, 2, 2), "dropout": 0.5}, "has no dropout"),
    ],
)
def test_what_would_take_too_long_is_refused(changes: dict[str, Any], reason: str) -> None:
    """One line, before anything is differentiated."""
    spec = MLPSpec(**({"layer_sizes": (2, 2), "activation": "tanh", "dtype": "float64"} | changes))
    p = problems.draw(spec, 3)

    with pytest.raises(NotImplementedError) as caught:
        load("symbolic").params_from_numpy(spec, p.params, "cpu")

    assert reason in str(caught.value)
