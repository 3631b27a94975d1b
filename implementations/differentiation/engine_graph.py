"""An expression graph over NumPy arrays: reverse-mode differentiation from scratch.

An `Expression` is a `Variable` or an `Operation` on other expressions. `evaluate` goes through
the graph from the variables up and stores each value; `backward` goes down again and multiplies
by the derivative of one operation at a time (the chain rule), so that one pass gives the
derivative with respect to every variable. Gradients add up in the variables' `grad`, over the
paths of one pass and over passes, until `zero_grad`.

    x, y = Variable(0.5), Variable(2.0)
    f = sin(x) + x * y
    f.evaluate()
    f.backward()
    x.grad, y.grad        # cos(x) + y, x
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from samegrad.implementations.contract.equations import LEAKY_SLOPE, LIF_WIDTH, T_REF, TAU

Array = Any


class Expression:
    """A node of the graph: its operands, and its value once it has been evaluated."""

    operands: tuple["Expression", ...] = ()
    value: Array = None

    def evaluate(self) -> Array:
        """The value, computed from the variables' present values."""
        for node in self.below():
            if isinstance(node, Operation):
                node.value = node.compute(*(operand.value for operand in node.operands))
        return self.value

    def backward(self) -> None:
        """Add dself/dvariable to `grad` of each variable; needs the values of `evaluate`."""
        grads = {id(self): np.ones_like(self.value)}
        for node in reversed(self.below()):
            grad = grads.pop(id(node))
            if isinstance(node, Variable):
                node.grad = grad if node.grad is None else node.grad + grad
            elif isinstance(node, Operation):
                for operand, part in zip(node.operands, node.pull_back(grad), strict=True):
                    part = _as_shaped(part, operand.value)
                    key = id(operand)  # an operand that is used twice gets both parts
                    grads[key] = grads[key] + part if key in grads else part

    def zero_grad(self) -> None:
        """Forget the gradients of all variables below."""
        for node in self.below():
            if isinstance(node, Variable):
                node.grad = None

    def below(self) -> list["Expression"]:
        """This node and all that it depends on, operands first, each once."""
        order: list[Expression] = []
        seen: set[int] = set()
        stack = [(self, False)]
        while stack:  # no recursion: a graph may be deeper than Python's stack
            node, operands_done = stack.pop()
            if operands_done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack += [(operand, False) for operand in node.operands]
        return order

    def __add__(self, other: Any) -> "Expression":
        return Add(self, _expression(other))

    def __mul__(self, other: Any) -> "Expression":
        return Multiply(self, _expression(other))

    def __matmul__(self, other: Any) -> "Expression":
        return MatMul(self, _expression(other))

    def __rmatmul__(self, other: Any) -> "Expression":
        return MatMul(_expression(other), self)

    def __truediv__(self, other: Any) -> "Expression":
        return Multiply(self, reciprocal(_expression(other)))

    def __neg__(self) -> "Expression":
        return self * -1

    def __sub__(self, other: Any) -> "Expression":
        return self + _expression(other) * -1

    __radd__, __rmul__ = __add__, __mul__
    __array_priority__ = 1000  # array * Expression is ours, not NumPy's


class Variable(Expression):
    """A leaf with a gradient: None until a backward pass has reached it."""

    def __init__(self, value: Array) -> None:
        self.value = value
        self.grad: Array = None


class Constant(Expression):
    """A leaf without a gradient: data, or a plain number."""

    def __init__(self, value: Array) -> None:
        self.value = value


class Operation(Expression):
    """A function of its operands, and how a gradient gets back through it."""

    def __init__(self, *operands: Expression) -> None:
        self.operands = operands

    def compute(self, *values: Array) -> Array:
        """The value, from the operands' values."""
        raise NotImplementedError

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """dresult/doperand for each operand, from dresult/dself."""
        raise NotImplementedError


class Add(Operation):
    """u + v."""

    def compute(self, u: Array, v: Array) -> Array:
        """The sum."""
        return u + v

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """Both get the gradient as it is."""
        return grad, grad


class Multiply(Operation):
    """u * v, elementwise."""

    def compute(self, u: Array, v: Array) -> Array:
        """The elementwise product."""
        return u * v

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """Each gets the gradient times the other."""
        u, v = (operand.value for operand in self.operands)
        return grad * v, grad * u


class MatMul(Operation):
    """u @ v."""

    def compute(self, u: Array, v: Array) -> Array:
        """The matrix product."""
        return u @ v

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """grad v^T and u^T grad."""
        u, v = (operand.value for operand in self.operands)
        return grad @ v.T, u.T @ grad


class Sum(Operation):
    """The sum of all entries."""

    def compute(self, u: Array) -> Array:
        """A scalar."""
        return u.sum()

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """Every entry gets the gradient."""
        return (grad * np.ones_like(self.operands[0].value),)


class LogSoftmax(Operation):
    """log(exp(u) / sum exp(u)) per row."""

    def compute(self, u: Array) -> Array:
        """With the largest entry taken out first."""
        shifted = u - u.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """grad - softmax(u) * (sum of grad per row)."""
        return (grad - np.exp(self.value) * grad.sum(axis=1, keepdims=True),)


class Pick(Operation):
    """u[n, label_n] of each row n."""

    def __init__(self, u: Expression, labels: Array) -> None:
        super().__init__(u)
        self.index = (np.arange(len(labels)), labels)

    def compute(self, u: Array) -> Array:
        """One entry per row."""
        return u[self.index]

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """The picked entries get the gradient, the others none."""
        part = np.zeros_like(self.operands[0].value)
        part[self.index] = grad
        return (part,)


class Elementwise(Operation):
    """f(u), entry by entry, with f' from u and f(u)."""

    def __init__(
        self, f: Callable[[Array], Array], df: Callable[[Array, Array], Array], u: Any
    ) -> None:
        super().__init__(_expression(u))
        self.f, self.df = f, df

    def compute(self, u: Array) -> Array:
        """f of each entry."""
        return self.f(u)

    def pull_back(self, grad: Array) -> tuple[Array, ...]:
        """grad * f'(u)."""
        return (grad * self.df(self.operands[0].value, self.value),)


def _elementwise(
    f: Callable[[Array], Array], df: Callable[[Array, Array], Array]
) -> Callable[[Any], Expression]:
    return lambda u: Elementwise(f, df, u)


def _logistic(u: Array) -> Array:
    e = np.exp(-np.abs(u))
    return np.where(u >= 0, 1, e) / (1 + e)


def _log_softplus(u: Array) -> Array:
    return np.where(u < -40, u, np.log(np.logaddexp(0, np.maximum(u, -40))))


def _d_log_softplus(u: Array, a: Array) -> Array:
    return np.where(u < -40, 1, _logistic(u) / np.logaddexp(0, np.maximum(u, -40)))


sin = _elementwise(np.sin, lambda u, a: np.cos(u))
exp = _elementwise(np.exp, lambda u, a: a)
log1p = _elementwise(np.log1p, lambda u, a: 1 / (1 + u))
reciprocal = _elementwise(lambda u: 1 / u, lambda u, a: -a * a)
tanh = _elementwise(np.tanh, lambda u, a: 1 - a * a)
sigmoid = _elementwise(_logistic, lambda u, a: a * (1 - a))
softplus = _elementwise(lambda u: np.logaddexp(0, u), lambda u, a: _logistic(u))
log_softplus = _elementwise(_log_softplus, _d_log_softplus)
relu = _elementwise(lambda u: np.maximum(u, 0), lambda u, a: u > 0)
leaky_relu = _elementwise(
    lambda u: np.where(u > 0, u, LEAKY_SLOPE * u),
    lambda u, a: np.where(u > 0, 1, u.dtype.type(LEAKY_SLOPE)),
)
unit_step = _elementwise(lambda u: (u > 0).astype(u.dtype), lambda u, a: math.nan)


def gelu(z: Expression) -> Expression:
    """z sigmoid(2u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * sigmoid((z + z * z * z * 0.044715) * (2 * math.sqrt(2 / math.pi)))


def lif_rate(v: Expression) -> Expression:
    """1 / (T_REF + TAU log(1 + 1/j)), where log(1 + 1/j) = log(1 + j) - log(j) for any j > 0."""
    u = (v - 1) * (1 / LIF_WIDTH)
    log_j = log_softplus(u) + math.log(LIF_WIDTH)
    return reciprocal((log1p(softplus(u) * LIF_WIDTH) - log_j) * TAU + T_REF)


# name: g(z)
ACTIVATIONS: dict[str, Callable[[Expression], Expression]] = {
    "identity": lambda z: z,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "gelu": gelu,
    "silu": lambda z: z * sigmoid(z),
    "softplus": softplus,
    "lif_rate": lif_rate,
    "unit_step": unit_step,
}

# name: loss of outputs (batch, outputs) and y
LOSSES: dict[str, Callable[[Expression, Array], Expression]] = {
    "cross_entropy": lambda a, y: Sum(Pick(LogSoftmax(a), y)) * (-1 / len(y)),
    "binary_cross_entropy": lambda a, y: Sum(softplus(a) - a * y) * (1 / len(y)),
    "mse": lambda a, y: Sum((a - y) * (a - y)) * (1 / (2 * len(y))),
}


def _expression(value: Any) -> Expression:
    return value if isinstance(value, Expression) else Constant(value)


def _as_shaped(grad: Array, value: Array) -> Array:
    """The gradient of an operand that was broadcast: summed over the axes it was spread along."""
    shape = np.shape(value)
    grad = np.asarray(grad)
    while grad.ndim > len(shape):  # as a product: sum(axis=0) adds row after row, BLAS in blocks
        grad = np.tensordot(np.ones(len(grad), grad.dtype), grad, 1)
    spread = tuple(i for i, size in enumerate(shape) if size == 1 and grad.shape[i] > 1)
    return grad.sum(axis=spread, keepdims=True) if spread else grad
