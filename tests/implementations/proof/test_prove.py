"""Gradients over exact numbers: what is right is proved, whatever style it is written in."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from samegrad.implementations.proof.prove import prove
from samegrad.implementations.proof.result import Proof

Function = Callable[..., Any]
X = np.array([[0.5, -1.25, 2.0], [1.0, 0.75, -0.5], [-2.0, 1.5, 0.25], [0.125, -0.5, 1.75]])
Y = np.array([[1.0, -0.5], [0.25, 2.0], [-1.0, 0.5], [0.75, 1.25]])
PARAMS = [np.ones((3, 4)), np.ones(4), np.ones((4, 2)), np.ones(2)]


def relu(z):
    return np.maximum(z, 0)


def step(z):
    return z > 0


def loss(params, g=relu):
    W1, b1, W2, b2 = params
    return ((g(X @ W1 + b1) @ W2 + b2 - Y) ** 2).sum() / (2 * len(X))


def grad(params, g=relu, dg=step, factor=1.0, rows=4):
    W1, b1, W2, b2 = params
    z = X @ W1 + b1
    a = g(z)
    delta = (a @ W2 + b2 - Y) / rows * factor
    below = delta @ W2.T * dg(z)
    return [X.T @ below, below.sum(axis=0), a.T @ delta, delta.sum(axis=0)]


def proof_of(g: Function, dg: Function) -> Proof:
    """Of the network with another activation."""
    return prove(lambda p: loss(p, g), lambda p: grad(p, g, dg), PARAMS)


@pytest.mark.quick
def test_right_gradient_is_proved_with_its_degree_and_regions() -> None:
    """All entries, by ==, at points of as many regions as were met."""
    proof = prove(loss, grad, PARAMS)

    assert "proved" == proof.verdict
    assert (26, 3) == (proof.entries, proof.points)
    assert proof.regions == 3
    assert proof.degree == 3
    assert "by ==" in str(proof) and "Schwartz 1980" in str(proof)


def masked(z):
    z = z.copy()
    z[z < 0] = 0
    return z


def clipped_in_place(z):
    z = np.array(z, dtype=np.float64)
    np.maximum(0, z, out=z)
    return z


def filled(z):
    a = np.zeros(z.shape)
    a[:] = relu(z)
    return a


def added(z):
    a = np.zeros_like(z)
    a += relu(z)
    return a


def looped(z):
    a = np.empty(z.shape, dtype=np.float32)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            a[i, j] = max(0.0, float(z[i, j]))
    return a


def scattered(z):
    a = np.zeros(z.shape)
    rows, columns = np.nonzero(z > 0)
    np.add.at(a, (rows, columns), z[rows, columns])
    return a


# Each writes the same two functions in another way; all of them are exact.
STYLES: dict[str, tuple[Function, Function]] = {
    "maximum": (relu, step),
    "boolean mask": (masked, lambda z: (z > 0).astype(float)),
    "maximum with out": (clipped_in_place, lambda z: (z > 0) * 1.0),
    "zeros filled": (filled, lambda z: np.where(z > 0, 1.0, 0.0)),
    "added to zeros": (added, lambda z: np.heaviside(z, 0)),
    "np.add.at": (scattered, lambda z: np.greater(z, 0).astype(np.float32)),
    "loops": (looped, lambda z: np.array([[1.0 if x > 0 else 0.0 for x in row] for row in z])),
    "half z plus abs": (lambda z: 0.5 * (z + np.abs(z)), lambda z: (np.sign(z) + 1) / 2),
    "clip": (lambda z: np.clip(z, 0, None), lambda z: np.clip(np.sign(z), 0, 1)),
    "clip method": (lambda z: z.clip(0), lambda z: np.int64(z > 0)),
    "where": (lambda z: np.where(z > 0, z, 0), lambda z: np.where(z <= 0, 0, 1)),
    "leaky": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "cube": (lambda z: z**3.0, lambda z: 3 * z**2.0),
    "power": (lambda z: np.power(z, 2), lambda z: 2 * z),
    "square": (np.square, lambda z: z + z),
    "vectorize": (
        np.vectorize(lambda x: x if x > 0 else 0.1 * x),
        lambda z: np.where(z > 0, 1, 0.1),
    ),
    "tile": (relu, lambda z: np.tile(step(z[:1]), (1, 1)) * 0 + step(z)),
    "stack": (
        lambda z: np.vstack([relu(row) for row in z]),
        lambda z: np.stack([r > 0 for r in z]),
    ),
    "hstack": (lambda z: np.hstack([relu(z[:, :2]), relu(z[:, 2:])]), step),
    "float32": (lambda z: relu(z).astype(np.float32), lambda z: step(z).astype("float32")),
    "copy": (lambda z: np.copy(relu(z)), lambda z: np.array(z > 0, dtype=float)),
    "inverse": (lambda z: 1 / (1 + z * z), lambda z: -2 * z / (1 + z * z) ** 2),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
    "matrix": (lambda z: np.asarray(np.matrix(z) * 2), lambda z: 2.0),
    "float64 scalar": (lambda z: np.float64(0.1) * z, lambda z: np.full(z.shape, 0.1)),
    "float64 of each": (
        lambda z: np.array([[np.float64(max(x, 0)) for x in row] for row in z]),
        lambda z: np.float32(z > 0),
    ),
    "folded bias": (lambda z: np.c_[relu(z), np.ones(len(z))][:, :4], step),
    "einsum": (lambda z: np.einsum("ij->ij", relu(z)), step),
    "centred": (lambda z: z - np.mean(z, axis=1, keepdims=True) * 0, lambda z: np.ones_like(z)),
}


@pytest.mark.parametrize("style", STYLES)
def test_styles_of_relu_and_others_are_proved(style: str) -> None:
    """Constructors, masks, casts and in-place writes stay exact."""
    proof = proof_of(*STYLES[style])

    assert "proved" == proof.verdict, proof


def by_product(d, a):
    return np.dot(a.T, d)


def by_outer(d, a):
    return sum(np.outer(a_n, d_n) for a_n, d_n in zip(a, d, strict=True))


def by_einsum(d, a):
    return np.einsum("ni,nj->ij", a, d)


def by_tensordot(d, a):
    return np.tensordot(a, d, axes=(0, 0))


def by_loops(d, a):
    dW = np.zeros((a.shape[1], d.shape[1]))
    for n in range(len(a)):
        for i in range(dW.shape[0]):
            for j in range(dW.shape[1]):
                dW[i, j] += a[n, i] * d[n, j]
    return dW


def by_lists(d, a):
    return np.array(
        [
            [sum(x * y for x, y in zip(p, q, strict=True)) for q in d.T.tolist()]
            for p in a.T.tolist()
        ]
    )


def by_mean(d, a):
    return np.mean(a[:, :, None] * d[:, None, :], axis=0) * len(a)


def by_matrix(d, a):
    return np.asarray(np.matrix(a).T * np.matrix(d))


def by_out(d, a):
    dW = np.empty((a.shape[1], d.shape[1]))
    np.matmul(a.T, d, out=dW)
    return dW


@pytest.mark.parametrize(
    "product",
    [by_product, by_outer, by_einsum, by_tensordot, by_loops, by_lists, by_mean, by_matrix, by_out],
)
def test_products_of_all_kinds_are_proved(product: Function) -> None:
    """a^T delta, however it is written."""

    def mine(params):
        _, _, _dW2, _db2 = grad(params)
        W1, b1, W2, b2 = params
        a = relu(X @ W1 + b1)
        delta = (a @ W2 + b2 - Y) / 4
        return [grad(params)[0], grad(params)[1], product(delta, a), delta.mean(axis=0) * 4]

    proof = prove(loss, mine, PARAMS)

    assert "proved" == proof.verdict, proof


def test_lists_of_floats_are_proved() -> None:
    """Plain Python has no arrays to be made exact."""
    x, t = [0.5, -1.5], 0.25

    def value(p):
        z = sum(w * v for w, v in zip(p[0], x, strict=True)) + p[1]
        return 0.5 * (max(0.0, z) - t) ** 2

    def slope(p):
        z = math.fsum(w * v for w, v in zip(p[0], x, strict=True)) + p[1]
        d = (max(0.0, z) - t) * (1.0 if z > 0 else 0.0)
        return [[d * v for v in x], d]

    proof = prove(value, slope, [[0.1, 0.2], 0.3])

    assert "proved" == proof.verdict, proof


SMOOTH: dict[str, tuple[Function, Function]] = {
    "sigmoid": (
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    ),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
    "sqrt": (lambda z: np.sqrt(1 + z * z), lambda z: z / np.sqrt(1 + z**2)),
    "sine": (np.sin, np.cos),
    "power of a half": (lambda z: (1 + z * z) ** 0.5, lambda z: z * (1 + z * z) ** -0.5),
    "math.exp": (
        lambda z: np.array([[math.exp(-x * x) for x in row] for row in z]),
        lambda z: -2 * z * np.exp(-z * z),
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_functions_that_are_not_rational_are_enclosed(name: str) -> None:
    """To far more digits than a float has."""
    proof = proof_of(*SMOOTH[name])

    assert "enclosed" == proof.verdict, proof
    assert proof.digits > 50
    assert "no proof by ==" in str(proof)


@pytest.mark.parametrize(("g", "dg"), [(relu, step), SMOOTH["tanh"]])
@pytest.mark.parametrize("factor", [1.1, 1 + 1e-9, 1 + 1e-14, -1.0])
def test_wrong_factor_disagrees_down_to_what_no_float_shows(
    g: Function, dg: Function, factor: float
) -> None:
    """A relative 1e-14 is 45 units in the last place of a float."""
    proof = prove(lambda p: loss(p, g), lambda p: grad(p, g, dg, factor), PARAMS)

    assert "disagrees" == proof.verdict
    assert "the derivative of the file's own loss is" in proof.reason


@pytest.mark.parametrize(
    "wrong",
    [
        lambda p: grad(p, rows=len(X) + 1e-9),
        lambda p: grad(p, dg=lambda z: z >= -0.5),
        lambda p: [grad(p)[0] + 1e-14 * p[0], *grad(p)[1:]],
        lambda p: [*grad(p)[:3], grad(p)[3][::-1]],
        lambda p: [*grad(p)[:3], np.mean(grad(p)[3]) + 0 * grad(p)[3]],
        lambda p: [np.zeros((3, 4)), *grad(p)[1:]],
        lambda p: grad(p, dg=lambda z: 1.0),
    ],
)
def test_planted_faults_disagree(wrong: Function) -> None:
    """Also a mean over the batch size plus 1e-9."""
    proof = prove(loss, wrong, PARAMS)

    assert "disagrees" == proof.verdict, proof


@pytest.mark.parametrize(
    "third", [1 / 3, 0.333333333333333314829616256247, 0.3333333333333, np.float64(1) / 3]
)
def test_rounded_constant_is_no_fault(third: float) -> None:
    """A third can't be written as a float: it is read as what it rounds."""
    three, targets = X[:3], Y[:3]

    def value(p):
        return ((three @ p - targets) ** 2).sum() / 6

    def slope(p):
        return three.T @ (three @ p - targets) * third

    proof = prove(value, slope, np.ones((3, 2)))

    assert "proved" == proof.verdict, proof
    assert f"{float(third)!r} as 1/3" in proof.meaning


@pytest.mark.parametrize("tenth", [1 - 0.9, 0.1 * 3 / 3, 0.1 + 0.2 - 0.2, 1 / 10])
def test_decimals_off_by_rounding_are_no_fault(tenth: float) -> None:
    """1 - 0.9 is not the double nearest to a tenth."""
    proof = prove(lambda p: 0.1 * (p * p).sum() / 2, lambda p: p * tenth, np.ones(3))

    assert "proved" == proof.verdict, proof


def test_irrational_constants_off_by_rounding_are_not_proved() -> None:
    """The root of two squared is two, but for rounding."""
    root = math.sqrt(2)

    proof = prove(
        lambda p: (root * root) * (p * p).sum() / 4,
        lambda p: root * p * root / 2,
        np.ones(2),
    )

    assert "not proved" == proof.verdict
    assert "rounded constants" in proof.reason


LOSES: dict[str, Function] = {
    "np.round(": lambda z: np.round(z, 12),
    "z.round(": lambda z: z.round(12),
    "np.linalg.inv(": lambda z: np.linalg.inv(z @ z.T + np.eye(4)) @ z,
    "BUFFER[:]": lambda z: _into_buffer(z),
    "BUFFER +=": lambda z: _added_to_buffer(z),
    "np.arctan(": lambda z: np.arctan(z),
    "np.fft.fft(": lambda z: np.fft.fft(z).real,
}
BUFFER = np.zeros((4, 4))


def _into_buffer(z):
    BUFFER[:] = z
    return BUFFER.copy()


def _added_to_buffer(z):
    global BUFFER
    BUFFER += z
    return BUFFER


@pytest.mark.parametrize("expression", LOSES)
def test_lost_exactness_is_not_proved_with_its_line(expression: str) -> None:
    """Never a disagreement: what was lost is no fault of the gradient."""
    proof = proof_of(LOSES[expression], step)

    assert "not proved" == proof.verdict, proof
    assert "test_prove.py:" in proof.reason
    assert expression.split("(")[0].split("[")[0].split(" ")[0] in proof.reason


def test_random_gradients_are_not_proved() -> None:
    """A second call on the same numbers shows it."""
    rng = np.random.default_rng(0)

    proof = prove(lambda p: (p * p).sum() * rng.random(), lambda p: p, np.ones(3))

    assert "not proved" == proof.verdict
    assert "second call" in proof.reason


def test_code_that_asks_for_floats_is_not_accused() -> None:
    """What does something else over exact numbers is not judged by it."""

    def slope(p):
        return 2 * p if type(p.flat[0]) is np.float64 else 3 * p

    proof = prove(lambda p: (p * p).sum(), slope, np.ones(3))

    assert "not proved" == proof.verdict
    assert "something else than over floats" in proof.reason


def test_numpy_math_and_globals_are_put_back() -> None:
    """Also after an exception."""
    before = (np.zeros, np.array, math.exp, np.random.rand, dict(globals()))

    prove(lambda p: (p * p).sum(), lambda p: np.linalg.svd(p), np.ones((2, 2)))

    assert before == (np.zeros, np.array, math.exp, np.random.rand, dict(globals()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1, grad, PARAMS), "loss is the number 1; give a function"),
        ((loss, grad(PARAMS), PARAMS), "grad is a list; give a function"),
    ],
)
def test_what_is_no_function_is_refused(arguments: Any, said: str) -> None:
    """In one line."""
    with pytest.raises(TypeError, match=said):
        prove(*arguments)


def test_no_points_are_refused() -> None:
    """Nothing would be proved."""
    with pytest.raises(ValueError, match="points 0 is not accepted"):
        prove(loss, grad, PARAMS, points=0)


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (lambda p: [p[0]], "is not nested and shaped like the parameters"),
        (lambda p: [p[0], p[1], p[2].T, p[3]], "is not nested and shaped like the parameters"),
        (lambda p: [None, *grad(p)[1:]], "is not nested and shaped like the parameters"),
        (lambda p: ["", *grad(p)[1:]], "is not nested and shaped like the parameters"),
        (lambda p: [p[0] * 0 + np.array("x", object), *grad(p)[1:]], "test_prove.py:"),
        (lambda p: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_gradients_of_other_forms_are_not_proved(slope: Function, said: str) -> None:
    """With the reason, and no traceback."""
    proof = prove(loss, slope, PARAMS)

    assert "not proved" == proof.verdict
    assert said in proof.reason


def test_large_networks_are_refused_with_what_to_do() -> None:
    """Instead of minutes without a word."""
    proof = prove(lambda p: (p * p).sum(), lambda p: 2 * p, np.ones((784, 128)))

    assert "not proved" == proof.verdict
    assert "give the same code a smaller network" in proof.reason
