"""The step returns the params that it was given, and a right loss."""

from samegrad.implementations.mlp_numpy import *  # everything but the step
from samegrad.implementations.mlp_numpy import loss


def train_step(spec, params, state, X, y, learning_rate, masks=None):
    """Params without an update."""
    return params, state, loss(spec, params, X, y)
