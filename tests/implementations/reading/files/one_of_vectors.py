"""Logistic regression of a vector of weights and a number."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def cost_function(w, b, X, y, lam=0.2):
    h = sigmoid(X @ w + b)
    data = -(y @ np.log(h) + (1 - y) @ np.log(1 - h)) / len(y)
    return data + lam / 2 * (w**2).sum()


def gradient(w, b, X, y, lam=0.2):
    h = sigmoid(X @ w + b)
    return X.T @ (h - y) / len(y) + lam * w, np.mean(h - y)
