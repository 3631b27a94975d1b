"""Binary classification with targets (n,), gradients returned in a tuple, out of order."""
import numpy as np


class BinaryMLP(object):
    def __init__(self, n_features, n_hidden=8, seed=0):
        rng = np.random.default_rng(seed)
        self._w1 = rng.normal(0, 0.1, (n_features, n_hidden))
        self._b1 = np.zeros(n_hidden)
        self._w2 = rng.normal(0, 0.1, n_hidden)
        self._b2 = 0.0

    def _forward(self, X):
        self._h = np.maximum(X @ self._w1 + self._b1, 0.0)
        return 1 / (1 + np.exp(-(self._h @ self._w2 + self._b2)))

    def _loss(self, y, p):
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return float(np.mean(-(y * np.log(p) + (1 - y) * np.log(1 - p))))

    def _backward(self, X, y, p):
        d = (p - y) / y.size
        g_w2 = self._h.T @ d
        g_b2 = d.sum()
        dh = np.outer(d, self._w2) * (self._h > 0)
        return g_w2, g_b2, X.T @ dh, dh.sum(axis=0)

    def fit(self, X, y, lr=0.1, n_epochs=100):
        for _ in range(n_epochs):
            p = self._forward(X)
            g_w2, g_b2, g_w1, g_b1 = self._backward(X, y, p)
            self._w2 -= lr * g_w2
            self._b2 -= lr * g_b2
            self._w1 -= lr * g_w1
            self._b1 -= lr * g_b1
        return self
