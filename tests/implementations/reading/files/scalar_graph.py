"""Numbers that remember where they come from; the loss is one of them."""
import random


class Var:
    def __init__(self, value, parents=()):
        self.value, self.parents, self.grad = value, parents, 0.0

    def __add__(self, other):
        other = other if isinstance(other, Var) else Var(other)
        return Var(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = other if isinstance(other, Var) else Var(other)
        return Var(self.value * other.value, ((self, other.value), (other, self.value)))

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other):
        return self + other * -1.0

    def backward(self, seed=1.0):
        self.grad += seed
        for parent, slope in self.parents:
            parent.backward(seed * slope)


class Quadratic:
    def __init__(self, n_inputs):
        self.w = [Var(random.gauss(0, 1)) for _ in range(n_inputs)]
        self.b = Var(0.3)

    def forward(self, x):
        s = sum((w * v for w, v in zip(self.w, x)), self.b)
        return s * s


def loss(model, xs, ys):
    return sum(((model.forward(x) - y) * (model.forward(x) - y) for x, y in zip(xs, ys)), Var(0.0))
