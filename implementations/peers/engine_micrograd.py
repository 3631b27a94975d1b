"""A number that remembers how it was computed, in the style of Karpathy's micrograd (2020).

Each operation makes an object and, as micrograd does, a closure that hands its derivative on;
`backward` calls these from the last to the first. Activations are those of the looped network.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from samegrad.implementations.functions_scalar import ACTIVATIONS as OF_FLOATS
from samegrad.implementations.functions_scalar import sigmoid, softplus


class Value:
    """A number in a computation: its value, and the derivative of the result with respect to it.

    Each result and its closure know one another, a cycle that only the garbage collector frees.

    Attributes:
        data: the value.
        grad: d result / d value, after `backward`.
    """

    def __init__(self, data: float, operands: tuple["Value", ...] = ()) -> None:
        """A value with what it was computed from."""
        self.data, self.grad = data, 0.0
        self._operands = operands
        self._backward: Callable[[], None] = _nothing

    def __add__(self, other: Any) -> "Value":
        """d(x + y) = dx + dy."""
        other = other if isinstance(other, Value) else Value(other)
        result = Value(self.data + other.data, (self, other))

        def backward() -> None:
            self.grad += result.grad
            other.grad += result.grad

        result._backward = backward
        return result

    def __mul__(self, other: Any) -> "Value":
        """d(x y) = y dx + x dy."""
        other = other if isinstance(other, Value) else Value(other)
        result = Value(self.data * other.data, (self, other))

        def backward() -> None:
            self.grad += other.data * result.grad
            other.grad += self.data * result.grad

        result._backward = backward
        return result

    def __sub__(self, other: Any) -> "Value":
        """d(x - y) = dx - dy."""
        return self + other * -1.0

    __radd__, __rmul__ = __add__, __mul__

    def apply(self, g: Callable[[float], float], dg: Callable[[float, float], float]) -> "Value":
        """d g(x) = g'(x) dx."""
        result = Value(g(self.data), (self,))

        def backward() -> None:
            self.grad += dg(self.data, result.data) * result.grad

        result._backward = backward
        return result

    def exp(self) -> "Value":
        """Exponential: its derivative is itself."""
        return self.apply(math.exp, lambda x, a: a)

    def log(self) -> "Value":
        """Natural logarithm: its derivative is 1 / x."""
        return self.apply(math.log, lambda x, a: 1.0 / x)

    def backward(self) -> None:
        """The chain rule, from this value back to all that it was computed from."""
        self.grad = 1.0
        for value in reversed(self._in_order()):
            value._backward()

    def _in_order(self) -> list["Value"]:
        """Everything this was computed from, operands first; a stack, since graphs are deep."""
        order: list[Value] = []
        seen: set[Value] = set()
        waiting = [(self, False)]
        while waiting:
            value, ready = waiting.pop()
            if ready:
                order.append(value)
            elif value not in seen:
                seen.add(value)
                waiting.append((value, True))
                waiting += [(operand, False) for operand in value._operands]
        return order


def _nothing() -> None:
    """Of a number that was not computed."""


Row = list[Value]


def _activation(name: str, z: Value) -> Value:
    return z.apply(*OF_FLOATS[name])


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    **{name: partial(_activation, name) for name in OF_FLOATS},
    "identity": lambda z: z,
}


def total(values: Iterable[Value]) -> Value:
    """Their sum."""
    return sum(values, Value(0.0))


def cross_entropy(outputs: list[Row], y: list[int]) -> Value:
    """Mean of -log softmax(outputs)[y], the largest of each row taken out first."""
    losses = []
    for a, label in zip(outputs, y, strict=True):
        largest = max(a_j.data for a_j in a)
        shifted = [a_j - largest for a_j in a]
        losses.append(total(s.exp() for s in shifted).log() - shifted[label])
    return total(losses) * (1.0 / len(y))


def binary_cross_entropy(outputs: list[Row], y: list[list[float]]) -> Value:
    """1/batch of the sum of log(1 + exp(a)) - y a."""
    terms = [
        a_j.apply(softplus, lambda z, a: sigmoid(z)) - a_j * y_j
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ]
    return total(terms) * (1.0 / len(y))


def mse(outputs: list[Row], y: list[list[float]]) -> Value:
    """1/(2 batch) of the sum of (outputs - y)^2."""
    differences = [
        a_j - y_j
        for a, y_n in zip(outputs, y, strict=True)
        for a_j, y_j in zip(a, y_n, strict=True)
    ]
    return total(d * d for d in differences) * (0.5 / len(y))


# name: loss
LOSSES: dict[str, Callable[..., Value]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}
