"""Data that is drawn or computed here, from a seed."""

from typing import Any

import numpy as np

from samegrad.benchmarks.cases.inputs import all_digits
from samegrad.benchmarks.cases.inputs import line_length as drawn_lines
from samegrad.benchmarks.training.data.records import Records

Array = Any
SEED = 0

TOKENS = 8  # of the alphabet of `tokens`


def digits() -> Records:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, 0 to 16; the first 1,437 are for training."""
    X, y = all_digits()
    return Records(X.astype(np.uint8), y, 1437)


def line_length() -> Records:
    """Images of 10 x 1 pixels with a line of length 1 to 5: 10,000, and 2,000 for the test."""
    rng = np.random.default_rng([SEED, 10])
    X, y = drawn_lines(rng)
    X_test, y_test = drawn_lines(rng, 400)
    return Records(np.vstack([X, X_test]), np.concatenate([y, y_test]), len(X))


def xor() -> Records:
    """The four rows of the truth table, for training and for the test alike."""
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    return Records(np.vstack([X, X]), np.vstack([y, y]), 4)


def xor_classes() -> Records:
    """The same with two classes instead of one output."""
    records = xor()
    return Records(records.X, records.y[:, 0].astype(np.int64), records.training)


def chain() -> Array:
    """Transition matrix of the chain behind `tokens`: row = this token, column = the next one."""
    rng = np.random.default_rng([SEED, 20])
    return rng.dirichlet(np.full(TOKENS, 0.3), size=TOKENS)


def tokens() -> Records:
    """Pairs of a token (one-hot) and the next one, of one long text of a known Markov chain."""
    rng = np.random.default_rng([SEED, 21])
    P, training, test = chain().cumsum(axis=1), 4000, 2000
    text = [0]
    for draw in rng.random(training + test):
        text.append(min(int(np.searchsorted(P[text[-1]], draw)), TOKENS - 1))
    return Records(np.eye(TOKENS)[text[:-1]], np.array(text[1:], np.int64), training)


def sine() -> Records:
    """x, x^2, x^3 for 2,000 x from -pi to pi, and sin x; tested between these points."""
    x = np.linspace(-np.pi, np.pi, 2000)
    x = np.concatenate([x, x[:-1] + (x[1] - x[0]) / 2])
    return Records(np.stack([x, x**2, x**3], axis=1), np.sin(x)[:, None], 2000)


def curve(x: Array) -> Array:
    """The curve that `approximation` fits: smooth, with slopes of different steepness."""
    return np.sin(3 * x) + 0.3 * np.cos(9 * x)


def approximation() -> Records:
    """128 points of `curve` from -1 to 1, and 127 between them for the test."""
    x = np.linspace(-1, 1, 128)
    x = np.concatenate([x, x[:-1] + (x[1] - x[0]) / 2])[:, None]
    return Records(x, curve(x), 128)


def discrete_mapping() -> Records:
    """Noisy copies of three prototypes 3 (u - 1/2), u uniform: 300, and 300 for the test."""
    rng = np.random.default_rng([SEED, 30])
    prototypes = 3 * (rng.random((3, 6)) - 0.5)
    y = np.concatenate([rng.permutation(np.repeat(np.arange(3), 100)) for _ in range(2)])
    X = prototypes[y] + rng.normal(0, 0.1, (len(y), 6))
    return Records(X, y.astype(np.int64), 300)


def overfit() -> Records:
    """A noisy cubic at 30 points, and at 300 others that are held out."""
    rng = np.random.default_rng([SEED, 40])
    x = rng.uniform(-1, 1, 330)[:, None]
    return Records(x, x**3 - 0.5 * x + rng.normal(0, 0.3, x.shape), 30)


# Of `separable`: three directions of the plane and their thresholds, and the gap between regions.
TEACHER = (np.array([[1.0, -0.3, -0.7], [0.2, 0.9, -1.1]]), np.array([0.1, -0.2, 0.1]))
GAP = 0.1


def separable() -> Records:
    """Points of a square in three regions with a gap between them: 150, and 300 for the test."""
    rng = np.random.default_rng([SEED, 50])
    X = rng.uniform(-1, 1, (2000, 2))
    z = np.sort(X @ TEACHER[0] + TEACHER[1], axis=1)
    X = X[z[:, -1] - z[:, -2] > GAP][:450]
    y = np.argmax(X @ TEACHER[0] + TEACHER[1], axis=1)
    return Records(X, y.astype(np.int64), 150)


SIMULATED = {
    function.__name__: function
    for function in (
        digits, line_length, xor, xor_classes, tokens, sine, approximation, discrete_mapping,
        overfit, separable,
    )
}  # fmt: skip
