"""Logistic regression in columns: one function gives gradients and cost, by no telling name."""
import numpy as np


def squash(s):
    return 1.0 / (1.0 + np.exp(-s))


def zeros(dim):
    return np.zeros((dim, 1)), 0.0


def propagate(w, b, X, Y):
    m = X.shape[1]
    A = squash(w.T @ X + b)
    cost = -np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    grads = {"dw": X @ (A - Y).T / m, "db": np.mean(A - Y)}
    return grads, cost


def predict(w, b, X):
    return np.where(squash(w.T @ X + b) > 0.5, 1.0, 0.0)


def optimize(w, b, X, Y, num_iterations=10, learning_rate=0.1):
    for _ in range(num_iterations):
        grads, cost = propagate(w, b, X, Y)
        w = w - learning_rate * grads["dw"]
        b = b - learning_rate * grads["db"]
    return w, b, grads, cost
