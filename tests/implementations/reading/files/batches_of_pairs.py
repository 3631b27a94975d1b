"""Gradients are summed up over a list of (x, y), and divided in the step."""
import numpy as np


class Summing:
    def __init__(self, sizes):
        self.weights = [np.random.randn(o, i) for i, o in zip(sizes, sizes[1:])]
        self.biases = [np.random.randn(o, 1) for o in sizes[1:]]

    def forward(self, x):
        self.acts = [x]
        for w, b in zip(self.weights, self.biases):
            self.acts.append(np.tanh(w @ self.acts[-1] + b))
        return self.acts[-1]

    def cost(self, data):
        return sum(np.sum((self.forward(x) - y) ** 2) for x, y in data) / (2 * len(data))

    def update(self, data, eta):
        dw = [np.zeros_like(w) for w in self.weights]
        db = [np.zeros_like(b) for b in self.biases]
        for x, y in data:
            d = self.forward(x) - y
            for i in reversed(range(len(dw))):
                d = d * (1 - self.acts[i + 1] ** 2)
                dw[i] += d @ self.acts[i].T
                db[i] += d
                d = self.weights[i].T @ d
        for i in range(len(dw)):
            self.weights[i] -= eta * dw[i] / len(data)
            self.biases[i] -= eta * db[i] / len(data)
