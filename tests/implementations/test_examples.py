"""Worked examples from the literature, in every implementation that can run them."""

import math
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.contract.spec import MLPSpec, Params
from tests.helpers.networks import every_implementation, loaded


def results(name: str, device: str, spec: MLPSpec, params: Params, X: Any, y: Any) -> Any:
    """(loss, grads) of an implementation, as NumPy."""
    implementation = loaded(name, device)
    placed = implementation.params_from_numpy(spec, params, device)
    batch = implementation.batch_from_numpy(spec, X, y, device)
    loss, grads = implementation.loss_and_grad(spec, placed, *batch)
    return float(loss), implementation.to_numpy(grads)


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_softmax_of_four_numbers(name: str, device: str) -> None:
    """softmax(0.6, 3.4, -1.2, 0.05) = (0.0550, 0.9042, 0.0091, 0.0317), from the losses."""
    spec = MLPSpec((4, 4), bias=False, dtype="float64")
    z = np.array([[0.6, 3.4, -1.2, 0.05]])

    actual = [
        math.exp(-results(name, device, spec, [(np.eye(4), None)], z, np.array([label]))[0])
        for label in range(4)
    ]

    np.testing.assert_allclose(actual, [0.0550, 0.9042, 0.0091, 0.0317], atol=5e-5)
    np.testing.assert_allclose(actual, np.exp(z[0]) / np.exp(z[0]).sum(), rtol=1e-14)


@pytest.mark.parametrize("activation", ["unit_step", "relu"])
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_xor_network_with_its_published_weights(name: str, device: str, activation: Any) -> None:
    """Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.1: exactly 0, 1, 1, 0.

    With unit steps the two hidden units are the perceptrons OR and AND.
    """
    spec = MLPSpec((2, 2, 1), activation, loss="mse", dtype="float64")
    params: Params = [
        (np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, -1.0])),
        (np.array([[1.0], [-2.0]]), np.array([0.0])),
    ]
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    implementation = loaded(name, device)
    placed = implementation.params_from_numpy(spec, params, device)
    inputs, _ = implementation.batch_from_numpy(spec, X, np.zeros((4, 1)), device)

    actual = implementation.to_numpy(implementation.forward(spec, placed, inputs))[:, 0]

    if activation == "relu":
        assert [0.0, 1.0, 1.0, 0.0] == actual.tolist()
    else:  # OR - 2 AND is 0, 1, 1, -1; a unit step as output makes it XOR
        assert [0.0, 1.0, 1.0, -1.0] == actual.tolist()
        xor = MLPSpec((2, 2, 1), "unit_step", "unit_step", loss="mse", dtype="float64")
        placed = implementation.params_from_numpy(xor, params, device)
        outputs = implementation.to_numpy(implementation.forward(xor, placed, inputs))[:, 0]
        assert [0.0, 1.0, 1.0, 0.0] == outputs.tolist()


@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_softmax_regression_has_the_gradient_f_minus_y_times_x(name: str, device: str) -> None:
    """For one example, dloss/dW_c = (f_c - y_c) x with f = softmax(W x)."""
    spec = MLPSpec((3, 4), bias=False, dtype="float64")
    W = np.linspace(-1, 1, 12).reshape(3, 4)
    x = np.array([[0.5, -2.0, 1.5]])
    f = np.exp(x @ W)[0] / np.exp(x @ W).sum()
    y = np.eye(4)[2]

    _, [(dW, _)] = results(name, device, spec, [(W, None)], x, np.array([2]))

    np.testing.assert_allclose(dW, np.outer(x[0], f - y), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("name", "device"), every_implementation())
def test_vectorised_sigmoid_network_without_bias_and_with_the_bias_trick(
    name: str, device: str, with_bias: bool
) -> None:
    """One hidden layer, sigmoid everywhere, squared error: the textbook's four matrix lines.

    With the bias trick the inputs and the hidden layer get a column of ones, and b is the last row
    of W: the gradient of that row is db.
    """
    rng = np.random.default_rng(0)
    spec = MLPSpec((3, 4, 2), "sigmoid", "sigmoid", "mse", bias=with_bias, dtype="float64")
    X, Y = rng.normal(size=(5, 3)), rng.random((5, 2))
    extra = int(with_bias)
    M1, M2 = rng.normal(size=(3 + extra, 4)), rng.normal(size=(4 + extra, 2))
    ones = np.ones((5, extra))

    def sigma(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    X1 = np.hstack([X, ones])
    H = sigma(X1 @ M1)
    H1 = np.hstack([H, ones])
    out = sigma(H1 @ M2)
    delta2 = (out - Y) * out * (1 - out) / 5
    delta1 = (delta2 @ M2[:4].T) * H * (1 - H)
    dM1, dM2 = X1.T @ delta1, H1.T @ delta2

    params: Params = [
        (M1[:3], M1[3] if with_bias else None),
        (M2[:4], M2[4] if with_bias else None),
    ]
    loss, [(dW1, db1), (dW2, db2)] = results(name, device, spec, params, X, Y)

    assert loss == pytest.approx(((out - Y) ** 2).sum() / 10, rel=1e-12)
    np.testing.assert_allclose(dW1, dM1[:3], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(dW2, dM2[:4], rtol=1e-10, atol=1e-14)
    if with_bias:
        np.testing.assert_allclose(db1, dM1[3], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(db2, dM2[4], rtol=1e-10, atol=1e-14)


def test_sine_and_product_in_the_graph() -> None:
    """f = sin x + x y: df/dx = cos x + y, df/dy = x; gradients add up until zero_grad."""
    from samegrad.implementations.differentiation.engine_graph import Variable, sin

    x, y = Variable(np.array(0.5)), Variable(np.array(2.0))
    f = sin(x) + x * y

    assert f.evaluate() == pytest.approx(math.sin(0.5) + 1.0)
    f.backward()
    assert x.grad == pytest.approx(math.cos(0.5) + 2.0)
    assert y.grad == pytest.approx(0.5)
    f.backward()
    assert x.grad == pytest.approx(2 * (math.cos(0.5) + 2.0))
    f.zero_grad()
    assert x.grad is None and y.grad is None
    x.value = np.array(1.0)
    assert f.evaluate() == pytest.approx(math.sin(1.0) + 2.0)


def test_sine_and_product_in_dual_numbers() -> None:
    """The same with one pass per variable."""
    from samegrad.implementations.differentiation.engine_dual import Dual, sin, slope

    def f(x: Any, y: Any) -> Any:
        return sin(x) + x * y

    assert slope(f(Dual(0.5, 1.0), 2.0)) == pytest.approx(math.cos(0.5) + 2.0)
    assert slope(f(0.5, Dual(2.0, 1.0))) == pytest.approx(0.5)


def test_graph_goes_deeper_than_the_stack_of_python() -> None:
    """A sum of 5,000 terms; a node that is used twice gets both gradients."""
    from samegrad.implementations.differentiation.engine_graph import Expression, Variable

    x = Variable(np.array(2.0))
    f: Expression = x
    for _ in range(5000):
        f = f + x
    f.evaluate()
    f.backward()

    assert (5001.0, 10002.0) == (float(x.grad), float(f.value))


def test_graph_sums_gradients_over_broadcast_axes() -> None:
    """b of shape (3,) added to (2, 3) gets the column sums."""
    from samegrad.implementations.differentiation.engine_graph import Sum, Variable

    b, z = Variable(np.zeros(3)), Variable(np.arange(6.0).reshape(2, 3))
    f = Sum((z + b) * z)
    f.evaluate()
    f.backward()

    assert [3.0, 5.0, 7.0] == b.grad.tolist()
