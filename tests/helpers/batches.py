"""A small network with random batches."""

import numpy as np

from samegrad.implementations.contract.initializers import init_params
from samegrad.implementations.contract.spec import MLPSpec

SMALL = MLPSpec((8, 6, 5, 3))
RATE = 0.02


def drawn(spec, batch_size=8, count=4, seed=0):
    """Params and batches."""
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        X = rng.standard_normal((batch_size, spec.layer_sizes[0])).astype(spec.dtype)
        if spec.loss == "cross_entropy":
            y = rng.integers(0, spec.layer_sizes[-1], batch_size)
        else:
            y = rng.uniform(size=(batch_size, spec.layer_sizes[-1])).astype(spec.dtype)
        batches.append((X, y))
    return init_params(spec, seed), batches
