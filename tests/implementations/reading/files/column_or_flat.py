"""Regression with one output; targets may be (n,) or (n, 1)."""
import numpy as np


class Curve:
    def __init__(self, n_inputs, n_hidden=5):
        self.w1 = np.random.normal(size=(n_inputs, n_hidden))
        self.b1 = np.random.normal(size=n_hidden)
        self.w2 = np.random.normal(size=(n_hidden, 1))
        self.b2 = np.random.normal(size=1)

    def predict(self, X):
        self.h = np.tanh(X @ self.w1 + self.b1)
        return self.h @ self.w2 + self.b2

    def loss(self, X, y):
        return np.mean((self.predict(X)[:, 0] - np.asarray(y).ravel()) ** 2)

    def gradients(self, X, y):
        y = np.reshape(y, (-1, 1))
        d = 2 * (self.predict(X) - y).mean(axis=1, keepdims=True) / len(X)
        dh = d @ self.w2.T * (1 - self.h ** 2)
        return {"w1": X.T @ dh, "b1": dh.sum(0), "w2": self.h.T @ d, "b2": d.sum(0)}
