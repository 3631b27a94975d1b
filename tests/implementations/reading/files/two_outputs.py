"""Global weights of a fixed width: targets of one column would be stretched to both outputs."""

import numpy as np

theta = [np.random.default_rng(4).normal(size=(4, 2))]


def loss(x, y):
    return ((np.tanh(x @ theta[0]) - y) ** 2).mean()


def gradient(x, y):
    h = np.tanh(x @ theta[0])
    return [x.T @ (2 * (h - y) / y.size * (1 - h**2))]
