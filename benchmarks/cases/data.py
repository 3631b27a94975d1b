"""The examples of the workloads that do not take random ones."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any


def digits() -> tuple[Array, Array]:
    """The first 1,437 of scikit-learn's 1,797 digits, 8 x 8 pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:1437] / 16.0, y[:1437].astype(np.int64)


def line_length(rng: np.random.Generator, each: int = 2000) -> tuple[Array, Array]:
    """Images of 10 x 1 pixels with a line of length 1 to 5 anywhere; class = length - 1."""
    y = rng.permutation(np.repeat(np.arange(5), each))
    start = rng.integers(0, 10 - y)  # a line of length y + 1 fits at 0 ... 10 - (y + 1)
    pixel = np.arange(10)
    X = (pixel >= start[:, None]) & (pixel <= (start + y)[:, None])
    return X.astype(np.float64), y.astype(np.int64)


# Workload -> its examples.
EXAMPLES: dict[str, Callable[[np.random.Generator], tuple[Array, Array]]] = {
    "digits": lambda _: digits(),
    "line_length": line_length,
}
