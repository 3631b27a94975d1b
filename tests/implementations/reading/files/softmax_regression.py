"""One function of a matrix, a batch and labels, which gives the loss and its derivative."""

import numpy as np


def softmax_loss_vectorized(W, X, y, reg):
    rows = np.arange(len(X))
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, y]).mean() + reg * (W * W).sum()
    p[rows, y] -= 1
    dW = X.T @ p / len(X) + 2 * reg * W
    return loss, dW
