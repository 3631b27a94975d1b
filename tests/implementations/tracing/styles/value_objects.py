import math
import random


class Value:
    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = children

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))

        def _backward():
            self.grad += (1 - t * t) * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, seen = [], set()

        def build(v):
            if v not in seen:
                seen.add(v)
                for child in v._prev:
                    build(child)
                order.append(v)

        build(self)
        self.grad = 1.0
        for v in reversed(order):
            v._backward()


random.seed(91)
w1 = [[Value(random.uniform(-1, 1)) for _ in range(2)] for _ in range(3)]
w2 = [Value(random.uniform(-1, 1)) for _ in range(3)]
data = [((0.5, -0.3), 1.0), ((-0.8, 0.4), -1.0)]


def total():
    value = Value(0.0)
    for x, y in data:
        hidden = [(row[0] * x[0] + row[1] * x[1]).tanh() for row in w1]
        out = hidden[0] * w2[0] + hidden[1] * w2[1] + hidden[2] * w2[2]
        error = out + -y
        value = value + error * error
    return value


def loss():
    return total().data


def backward():
    for v in [*w2, *(v for row in w1 for v in row)]:
        v.grad = 0.0
    total().backward()


PARAMS = [w1, w2]


def grads(_):
    return [[[v.grad for v in row] for row in w1], [v.grad for v in w2]]
