"""A step that returns new parameters, and changes none."""

import numpy as np


def init_params(sizes):
    rng = np.random.default_rng(2)
    return [(rng.normal(size=(i, o)) / i, np.zeros(o)) for i, o in zip(sizes, sizes[1:])]


def predict(params, x):
    for w, b in params[:-1]:
        x = np.tanh(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params, x, y):
    return np.mean((predict(params, x) - y) ** 2)


def update(params, x, y, step_size=0.1):
    hs = [x]
    for w, b in params[:-1]:
        hs.append(np.tanh(hs[-1] @ w + b))
    d = 2 * (predict(params, x) - y) / y.size
    new = []
    for (w, b), h in zip(params[::-1], hs[::-1]):
        new.append((w - step_size * h.T @ d, b - step_size * d.sum(0)))
        d = d @ w.T * (1 - h**2)
    return new[::-1]
