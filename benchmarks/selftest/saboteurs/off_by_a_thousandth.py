"""A gradient that is 0.1 % too large."""

import numpy as np

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the gradient


def loss_and_grad(spec, params, X, y, masks=None):
    """The first layer's dW times 1.001."""
    value, grads = mlp_numpy.loss_and_grad(spec, params, X, y)
    dW, db = grads[0]
    return value, [(dW * dW.dtype.type(np.float64(1.001)), db), *grads[1:]]
