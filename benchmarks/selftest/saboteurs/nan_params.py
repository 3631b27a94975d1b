"""Params that are not numbers after a step."""

import numpy as np

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the step


def train_step(spec, params, state, X, y, learning_rate, masks=None):
    """NaN in the first weight."""
    params, state, value = mlp_numpy.train_step(spec, params, state, X, y, learning_rate)
    params[0][0][0, 0] = np.nan
    return params, state, value
