"""An estimator: weights are made by a method, data are attributes, backward updates."""
import numpy as np


class Estimator:
    def __init__(self, hidden=8, alpha=0.01):
        self.hidden = hidden
        self.alpha = alpha
        self.X = None
        self.y = None

    def init_weights(self, n_features, n_outputs):
        rng = np.random.default_rng(0)
        self.W = {1: rng.normal(0, 0.5, (n_features, self.hidden)),
                  2: rng.normal(0, 0.5, (self.hidden, n_outputs))}

    def forward(self):
        self.h = np.tanh(self.X @ self.W[1])
        return self.h @ self.W[2]

    def cost(self):
        return 0.5 * np.mean(np.sum((self.forward() - self.y) ** 2, axis=1))

    def backward(self):
        d = (self.forward() - self.y) / len(self.X)
        g1 = self.X.T @ (d @ self.W[2].T * (1 - self.h ** 2))
        g2 = self.h.T @ d
        self.W[1] = self.W[1] - self.alpha * g1
        self.W[2] = self.W[2] - self.alpha * g2

    def fit(self, X, y, n_iter=10):
        self.X, self.y = X, y
        self.init_weights(X.shape[1], y.shape[1])
        for _ in range(n_iter):
            self.backward()
        return self
