"""Leaky integrate-and-fire neurons in NumPy: all neurons of a step at once."""

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.spiking import LIFSpec

BACKEND = NUMPY
Array = np.ndarray
State = tuple[Array, Array, Array]


def convolve(kernel: Array, spikes: Array) -> Array:
    """Currents (steps, neurons): the kernel after each spike."""
    currents = [np.convolve(train, kernel)[: len(train)] for train in spikes.T]  # S1
    return np.stack(currents, axis=1)


def integrate(spec: LIFSpec, v: Array, wait: Array, v_in: Array) -> State:
    """v after a step, steps of refractory time that are left, and spikes, 0 or 1."""
    v = np.where(wait > 0, v.dtype.type(0), v + spec.leak * (v_in - v))  # N2
    spikes = (v >= 1).astype(v.dtype)  # N3
    wait = np.maximum(wait - 1, spikes * spec.refractory)  # N3
    return v * (1 - spikes), wait, spikes  # N3


def step(spec: LIFSpec, W: Array, state: State, J: Array) -> tuple[State, Array]:
    """State and spikes (neurons,) after one step."""
    v, s, wait = state
    v, wait, spikes = integrate(spec, v, wait, J + s)  # N1
    s = s - spec.decay * s + spikes @ W  # N4
    return (v, s, wait), spikes


def simulate(spec: LIFSpec, W: Array, state: State, J: Array) -> tuple[State, Array]:
    """State after a step for each row of J, and spikes (steps, neurons)."""
    shown = np.empty_like(J)
    for t, J_t in enumerate(J):
        state, shown[t] = step(spec, W, state, J_t)
    return state, shown
