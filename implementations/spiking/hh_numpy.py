"""Hodgkin and Huxley's neurons in NumPy, with the gradient of a voltage trace derived by hand."""

import numpy as np

from samegrad.implementations.backends.numpy_backend import NUMPY
from samegrad.implementations.contract.spiking import LINOID_NEAR, RATES, HHSpec

BACKEND = NUMPY
Array = np.ndarray


def curve(f: str, x: Array) -> tuple[Array, Array]:
    """f(x) and its derivative."""
    if f == "exp":
        y = np.exp(x)
        return y, y
    if f == "logistic":
        y = 1 / (1 + np.exp(-x))
        return y, y * (1 - y)
    near = np.abs(x) < LINOID_NEAR
    far = np.where(near, 1.0, x)
    y = far / -np.expm1(-far)
    value = np.where(near, 1 + x / 2 + x**2 / 12 - x**4 / 720, y)
    return value, np.where(near, 0.5 + x / 6 - x**3 / 180, y * (1 + (1 - y) / far))


def rates(V: Array) -> list[list[Array]]:
    """alpha, beta and their derivatives by V, of n, m and h."""
    found = []
    for pair in RATES:
        values = [curve(r.f, (V - r.middle) / r.width) for r in pair]
        found.append(
            [r.scale * y for r, (y, _) in zip(pair, values, strict=True)]
            + [r.scale / r.width * dy for r, (_, dy) in zip(pair, values, strict=True)]
        )
    return found


def slopes(spec: HHSpec, params: Array, y: Array, J: Array) -> Array:
    """dy/dt, (neurons, 4)."""
    V, n, m, h = y.T
    g_L, g_Na, g_K = params
    leak, sodium = g_L * (V - spec.V_L), g_Na * m**3 * h * (V - spec.V_Na)
    dV = (J - leak - sodium - g_K * n**4 * (V - spec.V_K)) / spec.C  # H1
    gates = zip((n, m, h), rates(V), strict=True)
    return np.stack([dV, *(a * (1 - x) - b * x for x, (a, b, _, _) in gates)], axis=1)  # H2


def slopes_backward(spec: HHSpec, params: Array, y: Array, k: Array) -> tuple[Array, Array, Array]:
    """dloss/dy, dloss/dparams and dloss/dJ of one evaluation of `slopes`; k is dloss/d(dy/dt)."""
    V, n, m, h = y.T
    g_L, g_Na, g_K = params
    k_V = k[:, 0] / spec.C
    at_L, at_Na, at_K = V - spec.V_L, V - spec.V_Na, V - spec.V_K
    d_params = [-(k_V @ at_L), -(k_V @ (m**3 * h * at_Na)), -(k_V @ (n**4 * at_K))]  # A2
    dV = -k_V * (g_L + g_Na * m**3 * h + g_K * n**4)  # A2
    open_gates = (  # A2
        -4 * k_V * g_K * n**3 * at_K,
        -3 * k_V * g_Na * m**2 * h * at_Na,
        -k_V * g_Na * m**3 * at_Na,
    )
    d_gates = []
    for x, dx, k_x, (a, b, da, db) in zip((n, m, h), open_gates, k.T[1:], rates(V), strict=True):
        dV = dV + k_x * (da * (1 - x) - db * x)  # A3
        d_gates.append(dx - k_x * (a + b))  # A3
    return np.stack([dV, *d_gates], axis=1), np.array(d_params), k_V


def stages(spec: HHSpec, params: Array, y: Array, J: Array) -> tuple[list[Array], list[Array]]:
    """The four points of a step, and the slopes there."""
    points, ks = [y], [slopes(spec, params, y, J)]
    for reach in (0.5, 0.5, 1.0):
        points.append(y + reach * spec.dt * ks[-1])  # H3
        ks.append(slopes(spec, params, points[-1], J))
    return points, ks


def step(spec: HHSpec, params: Array, y: Array, J: Array) -> tuple[Array, Array]:
    """State (neurons, 4) after one step, and V."""
    _, (k1, k2, k3, k4) = stages(spec, params, y, J)
    y = y + spec.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # H3
    return y, y[:, 0]


def simulate(spec: HHSpec, params: Array, y: Array, J: Array) -> tuple[Array, Array]:
    """State after a step for each row of J, and V (steps, neurons)."""
    shown = np.empty_like(J)
    for t, J_t in enumerate(J):
        y, shown[t] = step(spec, params, y, J_t)
    return y, shown


def backward(
    spec: HHSpec, params: Array, trace: list[Array], J: Array, slope: Array
) -> tuple[Array, Array]:
    """dloss/dparams and dloss/dJ; slope is dloss/dV after each step, trace y before it."""
    d_y, d_params, d_J = np.zeros_like(trace[0]), np.zeros(3), np.zeros_like(J)
    for t in range(len(J))[::-1]:
        d_y[:, 0] += slope[t]
        points, _ = stages(spec, params, trace[t], J[t])
        before, d_point = d_y.copy(), np.zeros_like(d_y)
        for y, weight, reach in zip(points[::-1], (1, 2, 2, 1), (0, 1, 0.5, 0.5), strict=True):
            k = spec.dt * (weight / 6 * d_y + reach * d_point)  # A1
            d_point, more_params, more_J = slopes_backward(spec, params, y, k)
            before, d_params = before + d_point, d_params + more_params  # A1
            d_J[t] += more_J  # A1
        d_y = before
    return d_params, d_J


def loss_and_grad(
    spec: HHSpec, params: Array, y: Array, J: Array, target: Array
) -> tuple[Array, tuple[Array, Array]]:
    """The loss of a voltage trace, and its gradient with respect to conductances and current."""
    trace, V = [], np.empty_like(J)
    for t, J_t in enumerate(J):
        trace.append(y)
        y, V[t] = step(spec, params, y, J_t)
    off = V - target
    return (off**2).sum() / (2 * off.size), backward(spec, params, trace, J, off / off.size)  # L3
