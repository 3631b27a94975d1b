"""Leaky integrate-and-fire neurons in plain Python: one neuron, one synapse at a time.

A loop adds what arrives and nothing else: a neuron that is silent costs no product.
"""

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.spiking import LIFSpec

BACKEND = LISTS
Row = list[float]
State = tuple[Row, Row, Row]


def convolve(kernel: Row, spikes: list[Row]) -> list[Row]:
    """Currents (steps, neurons): the kernel after each spike."""
    currents = [[0.0] * len(row) for row in spikes]
    for t, row in enumerate(spikes):
        for i, spike in enumerate(row):
            if spike:
                for k, h_k in enumerate(kernel[: len(spikes) - t]):
                    currents[t + k][i] += spike * h_k  # S1
    return currents


def integrate(spec: LIFSpec, v: Row, wait: Row, v_in: Row) -> State:
    """v after a step, steps of refractory time that are left, and spikes, 0 or 1."""
    new_v, new_wait, spikes = [], [], []
    leak, refractory = spec.leak, spec.refractory
    for v_i, wait_i, in_i in zip(v, wait, v_in, strict=True):
        if wait_i > 0:
            v_i, wait_i = 0.0, wait_i - 1  # N2
        else:
            v_i = v_i + leak * (in_i - v_i)  # N2
        spike = 1.0 if v_i >= 1 else 0.0  # N3
        new_v.append(0.0 if spike else v_i)  # N3
        new_wait.append(refractory if spike else wait_i)  # N3
        spikes.append(spike)
    return new_v, new_wait, spikes


def step(spec: LIFSpec, W: list[Row], state: State, J: Row) -> tuple[State, Row]:
    """State and spikes (neurons,) after one step."""
    v, s, wait = state
    v_in = [J_i + s_i for J_i, s_i in zip(J, s, strict=True)]  # N1
    v, wait, spikes = integrate(spec, v, wait, v_in)
    arrived = [0.0] * len(s)
    for spike, W_j in zip(spikes, W, strict=True):
        if spike:
            for i, W_ji in enumerate(W_j):
                arrived[i] += W_ji  # N4
    decay = spec.decay
    s = [s_i - decay * s_i + a_i for s_i, a_i in zip(s, arrived, strict=True)]  # N4
    return (v, s, wait), spikes


def simulate(spec: LIFSpec, W: list[Row], state: State, J: list[Row]) -> tuple[State, list[Row]]:
    """State after a step for each row of J, and spikes (steps, neurons)."""
    shown = []
    for J_t in J:
        state, spikes = step(spec, W, state, J_t)
        shown.append(spikes)
    return state, shown
