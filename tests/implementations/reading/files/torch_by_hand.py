"""Tensors in globals, and a backward pass without autograd."""

import torch

torch.manual_seed(1)
W1, b1 = torch.randn(4, 6) * 0.5, torch.zeros(6)
W2, b2 = torch.randn(6, 3) * 0.5, torch.zeros(3)


def forward(X):
    h = torch.tanh(X @ W1 + b1)
    return h @ W2 + b2, h


def loss(X, y):
    return torch.nn.functional.cross_entropy(forward(X)[0], y)


@torch.no_grad()
def backward(X, y):
    logits, h = forward(X)
    d = torch.softmax(logits, 1)
    d[range(len(y)), y] -= 1
    d /= len(y)
    dh = d @ W2.T * (1 - h**2)
    return X.T @ dh, dh.sum(0), h.T @ d, d.sum(0)
