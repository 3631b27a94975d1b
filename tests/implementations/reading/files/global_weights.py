"""Functions that read and write global arrays."""
import numpy as np

rng = np.random.default_rng(0)
W1 = rng.normal(size=(2, 5))
b1 = np.zeros(5)
W2 = rng.normal(size=(5, 1))
b2 = np.zeros(1)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(X):
    h = np.tanh(X @ W1 + b1)
    return h, sigmoid(h @ W2 + b2)


def loss(y, p):
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def backward(X, y):
    h, p = forward(X)
    d = (p - y) / len(X)
    dW2 = h.T @ d
    db2 = d.sum(0)
    d = d @ W2.T * (1 - h ** 2)
    return X.T @ d, d.sum(0), dW2, db2
