"""A graph of numbers that a function of the module goes back through."""

import math


class Number:
    def __init__(self, value, sources=()):
        self.value, self.sources, self.adjoint = value, sources, 0.0

    def __add__(self, other):
        return Number(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Number(self.value * other.value, ((self, other.value), (other, self.value)))


def tanh(x):
    t = math.tanh(x.value)
    return Number(t, ((x, 1 - t * t),))


def differentiate(result):
    order, seen = [], set()

    def visit(number):
        if id(number) not in seen:
            seen.add(id(number))
            for source, _ in number.sources:
                visit(source)
            order.append(number)

    visit(result)
    for number in order:
        number.adjoint = 0.0
    result.adjoint = 1.0
    for number in reversed(order):
        for source, slope in number.sources:
            source.adjoint += slope * number.adjoint


class Unit:
    def __init__(self, n):
        self.weights = [Number(0.3 - 0.2 * i) for i in range(n)]
        self.bias = Number(0.1)

    def output(self, row):
        total = self.bias
        for weight, x in zip(self.weights, row):
            total = total + weight * Number(float(x))
        return tanh(total)

    def loss(self, X, y):
        total = Number(0.0)
        for row, target in zip(X, y):
            off = self.output(row) + Number(-float(target))
            total = total + off * off
        return total
