"""Hodgkin and Huxley's neurons in torch, which remembers every operation of every step."""

import torch
from torch import Tensor

from samegrad.implementations.backends.torch_backend import TORCH
from samegrad.implementations.contract.spiking import LINOID_NEAR, RATES, HHSpec, Rate

BACKEND = TORCH


def curve(f: str, x: Tensor) -> Tensor:
    """f(x)."""
    if f == "exp":
        return torch.exp(x)
    if f == "logistic":
        return torch.sigmoid(x)
    near = torch.abs(x) < LINOID_NEAR
    far = torch.where(near, 1.0, x)
    return torch.where(near, 1 + x / 2 + x**2 / 12 - x**4 / 720, far / -torch.expm1(-far))


def rate(r: Rate, V: Tensor) -> Tensor:
    """One of the rates of n, m and h."""
    return r.scale * curve(r.f, (V - r.middle) / r.width)


def slopes(spec: HHSpec, params: Tensor, y: Tensor, J: Tensor) -> Tensor:
    """dy/dt, (neurons, 4)."""
    V, n, m, h = y.T
    g_L, g_Na, g_K = params
    leak, sodium = g_L * (V - spec.V_L), g_Na * m**3 * h * (V - spec.V_Na)
    dV = (J - leak - sodium - g_K * n**4 * (V - spec.V_K)) / spec.C  # H1
    gates = zip((n, m, h), RATES, strict=True)
    return torch.stack([dV, *(rate(a, V) * (1 - x) - rate(b, V) * x for x, (a, b) in gates)], 1)


def step(spec: HHSpec, params: Tensor, y: Tensor, J: Tensor) -> tuple[Tensor, Tensor]:
    """State (neurons, 4) after one step, and V."""
    k1 = slopes(spec, params, y, J)  # H2
    k2 = slopes(spec, params, y + 0.5 * spec.dt * k1, J)
    k3 = slopes(spec, params, y + 0.5 * spec.dt * k2, J)
    k4 = slopes(spec, params, y + spec.dt * k3, J)
    y = y + spec.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # H3
    return y, y[:, 0]


def simulate(spec: HHSpec, params: Tensor, y: Tensor, J: Tensor) -> tuple[Tensor, Tensor]:
    """State after a step for each row of J, and V (steps, neurons)."""
    shown = []
    for J_t in J:
        y, V = step(spec, params, y, J_t)
        shown.append(V)
    return y, torch.stack(shown)


# A1-A3: torch.autograd derives these from simulate


def loss_and_grad(
    spec: HHSpec, params: Tensor, y: Tensor, J: Tensor, target: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The loss of a voltage trace, and its gradient with respect to conductances and current."""
    leaves = params.detach().requires_grad_(), J.detach().requires_grad_()
    _, V = simulate(spec, leaves[0], y, leaves[1])
    value = ((V - target) ** 2).sum() / (2 * V.numel())  # L3
    d_params, d_J = torch.autograd.grad(value, leaves)
    return value.detach(), (d_params, d_J)
