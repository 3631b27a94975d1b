"""What needs no gradient: the perceptron's rule, and weights that are written down."""

import numpy as np
import pytest

from samegrad.benchmarks.training.data import simulated
from samegrad.benchmarks.training.pictures import staircase_of
from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.registry import load, names
from samegrad.implementations.contract.spec import MLPSpec


@pytest.mark.parametrize("name", ["scalar", "numpy"])
def test_perceptron_converges_on_separable_data_within_novikoffs_bound(name: str) -> None:
    """Mistakes are at most 2 (R / margin)^2, in the several-class form of Crammer and Singer."""
    data = simulated.separable()
    X, y = data.X[: data.training], data.y[: data.training]
    implementation = load(name)
    spec = MLPSpec((2, 3), dtype="float64")
    zeros = [(np.zeros((2, 3)), np.zeros(3))]
    params = implementation.params_from_numpy(spec, zeros, "cpu")
    batch = implementation.batch_from_numpy(spec, X, y, "cpu")
    total, passes = 0, 0
    mistakes = 1
    while mistakes and passes < 1000:
        params, mistakes = implementation.capabilities.perceptron(params, *batch)
        total, passes = total + mistakes, passes + 1

    W, b = simulated.TEACHER
    scores = np.sort(X @ W + b, axis=1)
    margin = (scores[:, -1] - scores[:, -2]).min() / np.sqrt((W**2).sum() + (b**2).sum())
    radius = np.sqrt((X**2).sum(axis=1) + 1).max()
    assert 0 < total <= 2 * (radius / margin) ** 2
    assert passes > 2
    right = implementation.to_numpy(implementation.forward(spec, params, batch[0])).argmax(axis=1)
    assert np.array_equal(y, right)


def test_perceptron_of_both_idioms_makes_the_same_mistakes() -> None:
    """Step by step the same weights."""
    data = simulated.separable()
    passes = []
    for name in ("scalar", "numpy"):
        implementation = load(name)
        spec = MLPSpec((2, 3), dtype="float64")
        start = init_params(spec, 0)
        params = implementation.params_from_numpy(spec, start, "cpu")
        batch = implementation.batch_from_numpy(spec, data.X, data.y, "cpu")
        passes.append(implementation.capabilities.perceptron(params, *batch))

    assert passes[0][1] == passes[1][1] > 0
    assert np.allclose(np.array(passes[0][0][0][0]), passes[1][0][0][0], rtol=1e-13)


@pytest.mark.parametrize("name", names())
def test_written_down_xor_is_exact(name: str) -> None:
    """Unit steps: every implementation gives 0, 1, 1, 0 without any error."""
    try:
        implementation = load(name)
    except ImportError as error:
        pytest.skip(str(error))
    spec = MLPSpec(
        (2, 2, 1),
        activation="unit_step",
        output_activation="unit_step",
        loss="mse",
        dtype="float64",
    )
    either_and_both = (np.ones((2, 2)), np.array([-0.5, -1.5]))
    params = [either_and_both, (np.array([[1.0], [-1.0]]), np.array([-0.5]))]
    X = simulated.xor().X[:4]
    placed = implementation.params_from_numpy(spec, params, "cpu")
    batch = implementation.batch_from_numpy(spec, X, np.zeros((4, 1)), "cpu")

    outputs = implementation.to_numpy(implementation.forward(spec, placed, batch[0]))

    assert [[0.0], [1.0], [1.0], [0.0]] == np.asarray(outputs).tolist()


@pytest.mark.parametrize("width", [4, 32, 256])
def test_staircase_keeps_its_bound(width: int) -> None:
    """Error at most L (high - low) / (2 width); the bound is not idle: half of it is exceeded."""
    spec, params = staircase_of(simulated.curve, -1.0, 1.0, width, "float64")
    x = np.linspace(-1, 1, 5001)[:, None]
    lipschitz = np.abs(np.diff(simulated.curve(x), axis=0)).max() / (x[1, 0] - x[0, 0])
    numpy = load("numpy")

    placed = numpy.params_from_numpy(spec, params, "cpu")
    error = np.abs(numpy.forward(spec, placed, x) - simulated.curve(x)).max()

    bound = lipschitz * 2 / (2 * width)
    assert bound / 2 < error <= bound * (1 + 1e-9)
