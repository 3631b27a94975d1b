"""A ranking loss of two inputs through the same weights."""
import numpy as np


class Ranker:
    def __init__(self, n_in, n_hid):
        self.W = np.random.randn(n_in, n_hid) / 2
        self.v = np.random.randn(n_hid) / 2

    def loss(self, better, worse, gap):
        d = np.tanh(better @ self.W) @ self.v - np.tanh(worse @ self.W) @ self.v
        return np.mean((d - gap) ** 2)

    def gradients(self, better, worse, gap):
        hb, hw = np.tanh(better @ self.W), np.tanh(worse @ self.W)
        e = 2 * (hb @ self.v - hw @ self.v - gap)[:, None] / len(gap)
        gW = better.T @ (e * self.v * (1 - hb ** 2)) - worse.T @ (e * self.v * (1 - hw ** 2))
        return gW, ((hb - hw) * e).sum(0)
