"""Networks whose weights are written down instead of trained: unit steps, exact."""

from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.contract.spec import MLPSpec, Params

Array = Any


def xor(dtype: Any = "float64") -> tuple[MLPSpec, Params]:
    """XOR by unit steps: (x1 or x2) and not (x1 and x2)."""
    spec = MLPSpec(
        (2, 2, 1), activation="unit_step", output_activation="unit_step", loss="mse", dtype=dtype
    )
    W1, b1 = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([-0.5, -1.5])  # or, and
    W2, b2 = np.array([[1.0], [-1.0]]), np.array([-0.5])
    return spec, [(W1.astype(dtype), b1.astype(dtype)), (W2.astype(dtype), b2.astype(dtype))]


def steps(
    function: Callable[[Array], Array], low: float, high: float, width: int, dtype: Any = "float64"
) -> tuple[MLPSpec, Params]:
    """A staircase for a function of one variable: the constructive universal approximation.

    Each hidden unit steps up where one of `width` equal intervals begins, by as much as the
    function's value in the middle of that interval differs from that of the interval before. The
    error is at most what the function changes within half an interval: L (high - low) / (2 width)
    for a function of Lipschitz constant L.

    Args:
        function: (n, 1) -> (n, 1).
        low, high: the interval on which it is approximated.
        width: hidden units, one per interval.
    """
    spec = MLPSpec((1, width, 1), activation="unit_step", loss="mse", dtype=dtype)
    edges = np.linspace(low, high, width + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    values = function(middles[:, None])[:, 0]
    rises = np.diff(values, prepend=0.0)
    begins = edges[:-1].copy()
    begins[0] = low - 1.0  # up to the first value before the interval begins
    W1, b1 = np.ones((1, width)), -begins
    W2, b2 = rises[:, None], np.zeros(1)
    return spec, [(W1.astype(dtype), b1.astype(dtype)), (W2.astype(dtype), b2.astype(dtype))]
