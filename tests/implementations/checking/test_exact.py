"""The exact results are exact: sympy's derivatives, and differences of their own loss."""

from typing import Any

import mpmath
import numpy as np
import pytest

from samegrad.implementations.checking import exact, problems
from samegrad.implementations.checking.problems import Problem
from samegrad.implementations.contract.spec import MLPSpec

SMOOTH = [p for p in problems.standard("float64") if not p.name]


def difference_error(problem: Problem) -> float:
    """Largest relative difference between the gradient and central differences of the loss."""
    p = problem
    with mpmath.workdps(exact.DIGITS):
        params = [tuple(None if a is None else exact.exactly(a) for a in pair) for pair in p.params]
        X = exact.exactly(p.X)
        _, _, grads = exact.results(p.spec, params, X, p.y, p.masks)
        h = mpmath.mpf(10) ** -15  # h^2 = 1e-30 is the difference's own error
        worst = mpmath.mpf(0)
        for layer, pair in enumerate(grads):
            for part, grad in enumerate(pair):
                if grad is None:
                    continue
                scale = max(abs(g) for g in grad.ravel())
                array = params[layer][part]
                for index in list(np.ndindex(array.shape))[:4]:  # a few of each tensor
                    kept = array[index]
                    values = []
                    for step in (h, -h):
                        array[index] = kept + step
                        values.append(exact.results(p.spec, params, X, p.y, p.masks)[1])
                    array[index] = kept
                    slope = (values[0] - values[1]) / (2 * h)
                    worst = max(worst, abs(slope - grad[index]) / scale)
        return float(worst)


@pytest.mark.parametrize(
    "small", SMOOTH[:: max(1, len(SMOOTH) // 14)], ids=lambda p: p.label.replace(" ", "-")
)
def test_exact_gradient_agrees_with_differences_of_its_own_loss(small: Problem) -> None:
    """To 20 digits: no float64 rounding is in it."""
    assert difference_error(small) < 1e-20


def test_differences_see_a_fault_in_the_exact_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivative that is off in the 12th digit."""
    right = exact.derivative
    monkeypatch.setattr(exact, "derivative", lambda n, z: right(n, z) * (1 + mpmath.mpf(1e-12)))

    assert difference_error(SMOOTH[4]) > 1e-14


def symbolic(W2: Any, b2: Any) -> Any:
    """sympy's loss and gradient of (W2 (W1 x + b1) + b2 - t)^2 / 2, with the numbers put in."""
    sympy = pytest.importorskip("sympy", reason="sympy is not installed")
    w1, c1, w2, c2, x, t = sympy.symbols("w1 c1 w2 c2 x t")
    loss = (w2 * (w1 * x + c1) + c2 - t) ** 2 / 2
    numbers = {w1: "0.3", c1: "-0.2", w2: W2, c2: b2, x: "1.7", t: "0.4"}
    rationals = {name: sympy.Rational(value) for name, value in numbers.items()}
    return [
        sympy.N(expression.subs(rationals), 45)
        for expression in (loss, *(sympy.diff(loss, p) for p in (w1, c1, w2, c2)))
    ]


def test_two_neurons_agree_with_sympy() -> None:
    """W2 (W1 x + b1) + b2 and its squared error, differentiated symbolically: 40 digits."""
    spec = MLPSpec((1, 1, 1), "identity", loss="mse", dtype="float64")
    with mpmath.workdps(exact.DIGITS):
        as_mpf = np.vectorize(mpmath.mpf, otypes=[object])
        params = [
            (as_mpf(np.array([["0.3"]])), as_mpf(np.array(["-0.2"]))),
            (as_mpf(np.array([["0.8"]])), as_mpf(np.array(["0.1"]))),
        ]
        # the target enters as a float64: sympy gets the very number
        X, y = as_mpf(np.array([["1.7"]])), np.array([[0.4]])
        _, loss, grads = exact.results(spec, params, X, y)
        values = [loss, *(p.ravel()[0] for pair in grads for p in pair)]
        symbols = symbolic("0.8", "0.1")
        target_error = abs(mpmath.mpf(0.4) - mpmath.mpf("0.4"))
        for ours, theirs in zip(values, symbols, strict=True):
            assert abs(ours - mpmath.mpf(str(theirs))) <= 4 * target_error
        assert target_error < 1e-16


def test_two_neurons_gradient_is_the_chain_rule() -> None:
    """In whole numbers, where nothing rounds: dW2 = e (W1 x + b1), dW1 = e W2 x, and so on."""
    spec = MLPSpec((1, 1, 1), "identity", loss="mse", dtype="float64")
    W1, b1, W2, b2, x, t = 3.0, -1.0, 2.0, 5.0, 4.0, 6.0
    params: Any = [(np.array([[W1]]), np.array([b1])), (np.array([[W2]]), np.array([b2]))]

    results = exact.expected(spec, params, np.array([[x]]), np.array([[t]]))

    e = W2 * (W1 * x + b1) + b2 - t
    expected = [e * W2 * x, e * W2, e * (W1 * x + b1), e]
    assert expected == [float(p.ravel()[0]) for pair in results.grads for p in pair]
    assert e**2 / 2 == float(results.loss)


def test_large_network_is_refused() -> None:
    """It would take minutes."""
    p = problems.draw(MLPSpec((50, 50, 10), dtype="float64"), 2)

    with pytest.raises(ValueError, match="too many for exact arithmetic"):
        exact.expected(p.spec, p.params, p.X, p.y)
