"""The NumPy network, each step lengthened by a tenth."""

import time

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the step


def train_step(spec, params, state, X, y, learning_rate, masks=None):
    """Right, and 10 % slower by a busy wait."""
    began = time.perf_counter_ns()
    result = mlp_numpy.train_step(spec, params, state, X, y, learning_rate)
    deadline = 1.1 * (time.perf_counter_ns() - began) + began
    while time.perf_counter_ns() < deadline:
        pass
    return result
