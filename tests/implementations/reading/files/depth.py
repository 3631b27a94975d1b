"""Blocks that add to what they get; their number is an argument."""

import numpy as np


def init_params(n_in, n_layers, n_out):
    rng = np.random.default_rng(8)
    blocks = [{"W": rng.normal(size=(n_in, n_in)) / 2} for _ in range(n_layers)]
    return {"blocks": blocks, "V": rng.normal(size=(n_in, n_out)) / 2}


def forward(params, x):
    kept = []
    for block in params["blocks"]:
        change = np.tanh(x @ block["W"])
        kept.append((x, change))
        x = x + change
    return x @ params["V"], x, kept


def loss(params, x, y):
    return ((forward(params, x)[0] - y) ** 2).mean() / 2


def backward(params, x, y):
    out, last, kept = forward(params, x)
    d = (out - y) / y.size
    grads = {"V": last.T @ d, "blocks": []}
    d = d @ params["V"].T
    for block, (x, change) in zip(params["blocks"][::-1], kept[::-1]):
        inner = d * (1 - change**2)
        grads["blocks"].insert(0, {"W": x.T @ inner})
        d = d + inner @ block["W"].T
    return grads
