"""Its process dies of a segmentation fault."""

import ctypes

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the gradient


def loss_and_grad(spec, params, X, y, masks=None):
    """Reads address 0 in the measurement, not in the probe."""
    if len(spec.layer_sizes) == 5:
        ctypes.string_at(0)
    return mlp_numpy.loss_and_grad(spec, params, X, y)
