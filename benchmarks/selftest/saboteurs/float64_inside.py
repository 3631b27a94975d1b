"""Computes in float64 and rounds to float32 at the end: not the work that the table is about."""

from dataclasses import replace

import numpy as np

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the gradient


def loss_and_grad(spec, params, X, y, masks=None):
    """The gradient, correctly rounded."""
    wide = [(W.astype(np.float64), b.astype(np.float64)) for W, b in params]
    exact = replace(spec, dtype="float64")
    value, grads = mlp_numpy.loss_and_grad(exact, wide, X.astype(np.float64), y)
    rounded = [(dW.astype(np.float32), db.astype(np.float32)) for dW, db in grads]
    return np.float32(value), rounded
