"""What people would use instead: it makes the same step, or says what it cannot."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.checking import problems
from samegrad.implementations.checking.comparison import judge
from samegrad.implementations.checking.reference import expected
from samegrad.implementations.checking.report import VerifyOptions
from samegrad.implementations.checking.verifier import verify_problems
from samegrad.implementations.contract.registry import load
from samegrad.implementations.contract.spec import MLPSpec
from samegrad.implementations.peers.engine_micrograd import Value

SKLEARN = [
    MLPSpec(sizes, activation, loss=loss, dtype=dtype, weight_decay=decay)
    for activation, loss, sizes, dtype, decay in product(
        ("relu", "tanh", "sigmoid", "identity"),
        ("cross_entropy", "mse"),
        ((5, 3), (5, 7, 3), (5, 4, 6, 1)),
        ("float64", "float32"),
        (0.0, 0.1),
    )
    if (loss == "mse" and not decay) or (loss == "cross_entropy" and sizes[-1] > 2)
]


def complaint(spec: MLPSpec, batch_size: int, claimed: MLPSpec | None = None) -> str:
    """Why scikit-learn's step is not that of the spec; "" if it is. `claimed`: what it is told."""
    implementation, told = load("sklearn"), claimed or spec
    p = problems.draw(spec, batch_size)
    reference = expected(spec, p.params, p.X, p.y)
    params = implementation.params_from_numpy(told, p.params, "cpu")
    batch = implementation.batch_from_numpy(told, p.X, p.y, "cpu")
    state = implementation.init_state(told, params)
    new, _, loss = implementation.train_step(told, params, state, *batch, reference.learning_rate)
    results = {"updated": new, "loss of the step": loss}
    results = {key: implementation.to_numpy(value) for key, value in results.items()}
    verdict = judge(spec, reference, results)
    return "" if verdict.agrees else verdict.reason


@pytest.mark.parametrize("batch_size", [1, 6, 300])
def test_step_of_scikit_learn_is_the_same_step(batch_size: int) -> None:
    """Every supported combination; 300 is more than what it would take at once by itself."""
    reasons = {spec: complaint(spec, batch_size) for spec in SKLEARN}

    assert {} == {spec: reason for spec, reason in reasons.items() if reason}
    assert len(reasons) == 56


def test_wrong_step_of_scikit_learn_is_seen() -> None:
    """Told of another weight decay it makes another step, and says another loss."""
    spec = MLPSpec((5, 7, 3), weight_decay=0.1, dtype="float64")

    assert "" == complaint(spec, 6)
    assert complaint(spec, 6, MLPSpec((5, 7, 3), weight_decay=0.2, dtype="float64"))
    assert complaint(spec, 6, MLPSpec((5, 7, 3), "tanh", weight_decay=0.1, dtype="float64"))


def test_verifier_takes_the_step_for_the_gradient_that_is_not_shown() -> None:
    """A step of sgd is made of every gradient; what scikit-learn does not have is named."""
    report = verify_problems("sklearn", VerifyOptions(problems.standard("float64")))

    assert "agrees" == report.verdict, report.reason
    checked = [o for o in report.outcomes if o.status == "agree"]
    assert 5 <= len(checked) and all("updated" in o.results for o in checked)
    assert any("no interface to a gradient" in note for note in report.remarks)


def test_steps_of_scikit_learn_go_on_with_another_rate() -> None:
    """The rate is an argument of each step, though scikit-learn is told it once."""
    spec = MLPSpec((5, 7, 3), "tanh", dtype="float64")
    p = problems.draw(spec, 8)
    actual = {}
    for name in ("sklearn", "numpy"):
        implementation = load(name)
        params = implementation.params_from_numpy(spec, p.params, "cpu")
        batch = implementation.batch_from_numpy(spec, p.X, p.y, "cpu")
        state = implementation.init_state(spec, params)
        for rate in (0.5, 0.1, 0.9):
            params, state, _ = implementation.train_step(spec, params, state, *batch, rate)
        actual[name] = implementation.to_numpy(params)

    for (W, b), (W_right, b_right) in zip(actual["sklearn"], actual["numpy"], strict=True):
        np.testing.assert_allclose(W, W_right, rtol=1e-12)
        np.testing.assert_allclose(b, b_right, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.5}, "sklearn has no dropout"),
        ({"bias": False}, "sklearn has no a network without b"),
        ({"optimizer": "adam"}, "sklearn has no optimizer 'adam'"),
        ({"activation": "gelu"}, "sklearn has no activation 'gelu'"),
        ({"output_activation": "sigmoid"}, "sklearn has no output activation 'sigmoid'"),
        ({"loss": "binary_cross_entropy"}, "sklearn has no binary cross entropy"),
        ({"layer_sizes": (4, 5, 2)}, "sklearn has no fewer than three classes"),
        ({"loss": "mse", "weight_decay": 0.1}, "sklearn has no mse with weight decay"),
    ],
)
def test_what_scikit_learn_has_not_is_refused(changes: Any, message: str) -> None:
    """Before anything is computed, as NotImplementedError: said, and no failure."""
    spec = MLPSpec(**({"layer_sizes": (4, 5, 3), "dtype": "float64"} | changes))
    p = problems.draw(spec, 4)

    with pytest.raises(NotImplementedError) as caught:
        load("sklearn").params_from_numpy(spec, p.params, "cpu")

    assert message in str(caught.value)


def test_scikit_learn_says_that_it_shows_no_gradient() -> None:
    """And no loss without a step; a regressor has outputs."""
    spec = MLPSpec((4, 5, 3), "tanh", loss="mse", dtype="float64")
    p = problems.draw(spec, 4)
    implementation = load("sklearn")
    params = implementation.params_from_numpy(spec, p.params, "cpu")

    for function in (implementation.loss, implementation.loss_and_grad):
        with pytest.raises(NotImplementedError, match="use train_step"):
            function(spec, params, p.X, p.y)
    outputs = implementation.forward(spec, params, p.X)
    np.testing.assert_allclose(outputs, expected(spec, p.params, p.X, p.y).outputs, rtol=1e-12)


def test_value_follows_a_number_through_every_use() -> None:
    """x^2 y + exp(x) - log(y) at (2, 3): derivatives 2 x y + exp(x) and x^2 - 1 / y."""
    x, y = Value(2.0), Value(3.0)

    result = x * x * y + x.exp() - y.log()
    result.backward()

    assert result.data == pytest.approx(12 + np.exp(2) - np.log(3), rel=1e-15)
    assert x.grad == pytest.approx(12 + np.exp(2), rel=1e-15)
    assert y.grad == pytest.approx(4 - 1 / 3, rel=1e-15)


def test_long_chain_of_values_needs_no_deep_recursion() -> None:
    """A sum of a thousand terms is a thousand objects deep."""
    x = Value(1.0)
    total = Value(0.0)
    for _ in range(5000):
        total = total + x

    total.backward()

    assert 5000.0 == x.grad
