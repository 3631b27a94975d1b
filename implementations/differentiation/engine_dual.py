"""Dual numbers: forward-mode differentiation from scratch.

A dual number carries a value and its slope, dvalue/dp for one parameter p. Each operation
computes both: the sum rule, the product rule, the chain rule. So one pass through the network
with p = Dual(p, 1) gives dloss/dp, and a gradient takes as many passes as there are parameters.
Every function here also takes plain floats, whose slope is 0.
"""

import math
from collections.abc import Callable
from typing import Any

from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU

Number = Any  # a float or a Dual


class Dual:
    """value + slope * epsilon, with epsilon^2 = 0."""

    __slots__ = ("slope", "value")

    def __init__(self, value: float, slope: float) -> None:
        self.value = value
        self.slope = slope

    def __add__(self, other: Number) -> "Dual":
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other: Number) -> "Dual":
        if isinstance(other, Dual):
            slope = self.slope * other.value + self.value * other.slope
            return Dual(self.value * other.value, slope)
        return Dual(self.value * other, self.slope * other)

    def __rtruediv__(self, other: float) -> "Dual":
        value = other / self.value
        return Dual(value, -value / self.value * self.slope)

    def __truediv__(self, other: Number) -> "Dual":
        return self * (1.0 / other)

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.slope)

    def __sub__(self, other: Number) -> "Dual":
        return self + -other

    def __rsub__(self, other: float) -> "Dual":
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def value(x: Number) -> float:
    """The number without its slope, for comparisons."""
    return x.value if isinstance(x, Dual) else x


def slope(x: Number) -> float:
    """The slope; 0 for what does not depend on the parameter."""
    return x.slope if isinstance(x, Dual) else 0.0


def _lifted(f: Callable[[float], float], df: Callable[[float, float], float]) -> Any:
    """f for dual numbers: (f(x), f'(x) * slope), with f' from x and f(x)."""

    def lifted(x: Number) -> Number:
        if not isinstance(x, Dual):
            return f(x)
        a = f(x.value)
        return Dual(a, df(x.value, a) * x.slope)

    return lifted


sin = _lifted(math.sin, lambda x, a: math.cos(x))
exp = _lifted(math.exp, lambda x, a: a)
log = _lifted(math.log, lambda x, a: 1.0 / x)
log1p = _lifted(math.log1p, lambda x, a: 1.0 / (1.0 + x))
tanh = _lifted(math.tanh, lambda x, a: 1.0 - a * a)


def sigmoid(z: Number) -> Number:
    """1 / (1 + exp(-z)), written so that exp never sees a large positive number."""
    if value(z) >= 0:
        return 1.0 / (1.0 + exp(-z))
    e = exp(z)
    return e / (1.0 + e)


def softplus(z: Number) -> Number:
    """log(1 + exp(z)), its larger part taken out first."""
    return z + log1p(exp(-z)) if value(z) > 0 else log1p(exp(z))


def gelu(z: Number) -> Number:
    """z sigmoid(2u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * (z * z * z)))


def lif_rate(v: Number) -> Number:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1.0) / LIF_WIDTH
    soft = softplus(u)
    log_softplus = u if value(u) < -40 else log(soft)
    return 1.0 / (T_REF + TAU * (log1p(LIF_WIDTH * soft) - math.log(LIF_WIDTH) - log_softplus))


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Number], Number]] = {
    "identity": lambda z: z,
    "relu": lambda z: z if value(z) > 0 else 0.0,
    "leaky_relu": lambda z: z if value(z) > 0 else LEAKY_SLOPE * z,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "gelu": gelu,
    "silu": lambda z: z * sigmoid(z),
    "softplus": softplus,
    "lif_rate": lif_rate,
    "unit_step": lambda z: 1.0 if value(z) > 0 else 0.0,
}


def cross_entropy(outputs: list[list[Number]], y: list[int]) -> Number:
    """Mean of -log softmax(outputs)[y], with the largest output taken out first."""
    total: Number = 0.0
    for a, label in zip(outputs, y, strict=True):
        largest = max(value(a_j) for a_j in a)
        total = total + log(sum(exp(a_j - largest) for a_j in a)) - (a[label] - largest)
    return total / len(y)


def binary_cross_entropy(outputs: list[list[Number]], y: list[list[float]]) -> Number:
    """1/batch of the sum of -y log p - (1 - y) log(1 - p), p = sigmoid(outputs)."""
    return sum(
        softplus(a_j) - y_j * a_j
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ) / len(y)


def mse(outputs: list[list[Number]], y: list[list[float]]) -> Number:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    return sum(
        (a_j - y_j) * (a_j - y_j)
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ) / (2 * len(y))


# name: loss
LOSSES: dict[str, Callable[..., Number]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}
