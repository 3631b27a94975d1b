"""Hodgkin and Huxley's neurons in plain Python, with the gradient of a voltage trace by hand.

A neuron is four floats: V, n, m and h.
"""

import math

from samegrad.implementations.backends.lists_backend import LISTS
from samegrad.implementations.contract.spiking import LINOID_NEAR, RATES, HHSpec

BACKEND = LISTS
Row = list[float]


def curve(f: str, x: float) -> tuple[float, float]:
    """f(x) and its derivative."""
    if f == "exp":
        y = math.exp(x)
        return y, y
    if f == "logistic":
        y = 1 / (1 + math.exp(-x))
        return y, y * (1 - y)
    if abs(x) < LINOID_NEAR:
        return 1 + x / 2 + x**2 / 12 - x**4 / 720, 0.5 + x / 6 - x**3 / 180
    y = x / -math.expm1(-x)
    return y, y * (1 + (1 - y) / x)


def rates(V: float) -> list[Row]:
    """alpha, beta and their derivatives by V, of n, m and h."""
    found = []
    for pair in RATES:
        values = [curve(r.f, (V - r.middle) / r.width) for r in pair]
        found.append(
            [r.scale * y for r, (y, _) in zip(pair, values, strict=True)]
            + [r.scale / r.width * dy for r, (_, dy) in zip(pair, values, strict=True)]
        )
    return found


def slopes(spec: HHSpec, params: Row, y: Row, J: float) -> Row:
    """dy/dt of one neuron."""
    V, n, m, h = y
    g_L, g_Na, g_K = params
    leak, sodium = g_L * (V - spec.V_L), g_Na * m**3 * h * (V - spec.V_Na)
    dV = (J - leak - sodium - g_K * n**4 * (V - spec.V_K)) / spec.C  # H1
    gates = zip((n, m, h), rates(V), strict=True)
    return [dV, *(a * (1 - x) - b * x for x, (a, b, _, _) in gates)]  # H2


def slopes_backward(spec: HHSpec, params: Row, y: Row, k: Row) -> tuple[Row, Row, float]:
    """dloss/dy, dloss/dparams and dloss/dJ of one evaluation of `slopes`; k is dloss/d(dy/dt)."""
    V, n, m, h = y
    g_L, g_Na, g_K = params
    k_V = k[0] / spec.C
    at_L, at_Na, at_K = V - spec.V_L, V - spec.V_Na, V - spec.V_K
    d_params = [-k_V * at_L, -k_V * m**3 * h * at_Na, -k_V * n**4 * at_K]  # A2
    dV = -k_V * (g_L + g_Na * m**3 * h + g_K * n**4)  # A2
    open_gates = (  # A2
        -4 * k_V * g_K * n**3 * at_K,
        -3 * k_V * g_Na * m**2 * h * at_Na,
        -k_V * g_Na * m**3 * at_Na,
    )
    d_gates = []
    for x, dx, k_x, (a, b, da, db) in zip((n, m, h), open_gates, k[1:], rates(V), strict=True):
        dV += k_x * (da * (1 - x) - db * x)  # A3
        d_gates.append(dx - k_x * (a + b))  # A3
    return [dV, *d_gates], d_params, k_V


def stages(spec: HHSpec, params: Row, y: Row, J: float) -> tuple[list[Row], list[Row]]:
    """The four points of a step of one neuron, and the slopes there."""
    points, ks = [y], [slopes(spec, params, y, J)]
    for reach in (0.5, 0.5, 1.0):
        point = [y_i + reach * spec.dt * k_i for y_i, k_i in zip(y, ks[-1], strict=True)]  # H3
        points.append(point)
        ks.append(slopes(spec, params, point, J))
    return points, ks


def step(spec: HHSpec, params: Row, y: list[Row], J: Row) -> tuple[list[Row], Row]:
    """State (neurons, 4) after one step, and V."""
    after = []
    for neuron, J_i in zip(y, J, strict=True):
        _, ks = stages(spec, params, neuron, J_i)
        together = zip(neuron, *ks, strict=True)
        sums = [y_i + spec.dt / 6 * (a + 2 * b + 2 * c + d) for y_i, a, b, c, d in together]  # H3
        after.append(sums)
    return after, [neuron[0] for neuron in after]


def simulate(spec: HHSpec, params: Row, y: list[Row], J: list[Row]) -> tuple[list[Row], list[Row]]:
    """State after a step for each row of J, and V (steps, neurons)."""
    shown = []
    for J_t in J:
        y, V = step(spec, params, y, J_t)
        shown.append(V)
    return y, shown


def backward(
    spec: HHSpec, params: Row, trace: list[list[Row]], J: list[Row], slope: list[Row]
) -> tuple[Row, list[Row]]:
    """dloss/dparams and dloss/dJ; slope is dloss/dV after each step, trace y before it."""
    d_params, d_J = [0.0, 0.0, 0.0], [[0.0] * len(row) for row in J]
    for i in range(len(trace[0])):
        d_y = [0.0] * 4
        for t in range(len(J))[::-1]:
            d_y[0] += slope[t][i]
            points, _ = stages(spec, params, trace[t][i], J[t][i])
            before, d_point = list(d_y), [0.0] * 4
            for y, weight, reach in zip(points[::-1], (1, 2, 2, 1), (0, 1, 0.5, 0.5), strict=True):
                k = [
                    spec.dt * (weight / 6 * d + reach * p)  # A1
                    for d, p in zip(d_y, d_point, strict=True)
                ]
                d_point, more_params, more_J = slopes_backward(spec, params, y, k)
                before = [b + p for b, p in zip(before, d_point, strict=True)]  # A1
                d_params = [d + p for d, p in zip(d_params, more_params, strict=True)]  # A1
                d_J[t][i] += more_J  # A1
            d_y = before
    return d_params, d_J


def loss_and_grad(
    spec: HHSpec, params: Row, y: list[Row], J: list[Row], target: list[Row]
) -> tuple[float, tuple[Row, list[Row]]]:
    """The loss of a voltage trace, and its gradient with respect to conductances and current."""
    trace, total, slope, size = [], 0.0, [], len(J) * len(J[0])
    for J_t, target_t in zip(J, target, strict=True):
        trace.append(y)
        y, V = step(spec, params, y, J_t)
        off = [V_i - target_i for V_i, target_i in zip(V, target_t, strict=True)]
        total += sum(off_i**2 for off_i in off)  # L3
        slope.append([off_i / size for off_i in off])
    return total / (2 * size), backward(spec, params, trace, J, slope)  # L3
