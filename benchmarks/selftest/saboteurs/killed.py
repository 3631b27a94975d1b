"""Its process is killed, as by a system that is short of memory."""

import os
import signal

from samegrad.implementations import mlp_numpy
from samegrad.implementations.mlp_numpy import *  # everything but the gradient


def loss_and_grad(spec, params, X, y, masks=None):
    """Ends the process in the measurement, not in the probe."""
    if len(spec.layer_sizes) == 5 and hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    return mlp_numpy.loss_and_grad(spec, params, X, y)
