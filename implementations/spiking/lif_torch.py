"""Leaky integrate-and-fire neurons in torch: a dozen small kernels a step, each dispatched."""

import torch
from torch import Tensor

from samegrad.implementations.backends.torch_backend import TORCH
from samegrad.implementations.contract.spiking import LIFSpec

BACKEND = TORCH
State = tuple[Tensor, Tensor, Tensor]


def convolve(kernel: Tensor, spikes: Tensor) -> Tensor:
    """Currents (steps, neurons): the kernel after each spike."""
    trains = torch.nn.functional.pad(spikes.T[:, None], (len(kernel) - 1, 0))
    currents: Tensor = torch.conv1d(trains, kernel.flip(0)[None, None])  # S1
    return currents[:, 0].T


def integrate(spec: LIFSpec, v: Tensor, wait: Tensor, v_in: Tensor) -> State:
    """v after a step, steps of refractory time that are left, and spikes, 0 or 1."""
    v = torch.where(wait > 0, 0.0, v + spec.leak * (v_in - v))  # N2
    spikes = (v >= 1).to(v.dtype)  # N3
    wait = torch.maximum(wait - 1, spikes * spec.refractory)  # N3
    return v * (1 - spikes), wait, spikes  # N3


def step(spec: LIFSpec, W: Tensor, state: State, J: Tensor) -> tuple[State, Tensor]:
    """State and spikes (neurons,) after one step."""
    v, s, wait = state
    v, wait, spikes = integrate(spec, v, wait, J + s)  # N1
    s = s - spec.decay * s + spikes @ W  # N4
    return (v, s, wait), spikes


def simulate(spec: LIFSpec, W: Tensor, state: State, J: Tensor) -> tuple[State, Tensor]:
    """State after a step for each row of J, and spikes (steps, neurons)."""
    shown = []
    for J_t in J:
        state, spikes = step(spec, W, state, J_t)
        shown.append(spikes)
    return state, torch.stack(shown)
