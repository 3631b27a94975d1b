"""Sizes are the constructor's `plan`; loss and gradient are named in French, data are columns."""
import numpy as np


class Modele:
    def __init__(self, plan):
        self.m = [np.random.randn(b, a) / 2 for a, b in zip(plan[:-1], plan[1:])]
        self.s = [np.zeros((b, 1)) for b in plan[1:]]

    def avant(self, X):
        self.a = [X]
        for m, s in zip(self.m, self.s):
            self.a.append(np.tanh(m @ self.a[-1] + s))
        return self.a[-1]

    def perte(self, X, Y):
        return np.sum((self.avant(X) - Y) ** 2) / 2

    def arriere(self, X, Y):
        d = (self.avant(X) - Y) * (1 - self.a[-1] ** 2)
        gm, gs = [None] * len(self.m), [None] * len(self.s)
        for i in reversed(range(len(self.m))):
            gm[i] = d @ self.a[i].T
            gs[i] = d.sum(1, keepdims=True)
            d = self.m[i].T @ d * (1 - self.a[i] ** 2)
        return gm, gs
