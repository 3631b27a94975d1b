"""Everything in fit(); a loss is kept for plots, the gradient is shown nowhere."""
import numpy as np


class MLP:
    def __init__(self, n_inputs, n_hidden, n_outputs, lr=0.1):
        rng = np.random.RandomState(42)
        self.w1 = rng.uniform(-1, 1, (n_inputs, n_hidden))
        self.b1 = np.zeros((1, n_hidden))
        self.w2 = rng.uniform(-1, 1, (n_hidden, n_outputs))
        self.b2 = np.zeros((1, n_outputs))
        self.lr = lr
        self.losses = []

    def sigmoid(self, z):
        return 1 / (1 + np.exp(-z))

    def predict(self, X):
        h = self.sigmoid(X @ self.w1 + self.b1)
        return self.sigmoid(h @ self.w2 + self.b2)

    def fit(self, X, y, epochs=100):
        for _ in range(epochs):
            h = self.sigmoid(X @ self.w1 + self.b1)
            out = self.sigmoid(h @ self.w2 + self.b2)
            self.losses.append(np.mean((y - out) ** 2))
            d_out = (out - y) * out * (1 - out)
            d_hid = d_out @ self.w2.T * h * (1 - h)
            self.w2 -= self.lr * h.T @ d_out
            self.b2 -= self.lr * d_out.sum(axis=0, keepdims=True)
            self.w1 -= self.lr * X.T @ d_hid
            self.b1 -= self.lr * d_hid.sum(axis=0, keepdims=True)
        return self
