import numpy as np


def regress(X, y, alpha=0.05, num_iters=100):
    m = len(y)
    theta = np.zeros(X.shape[1])
    bias = 0
    costs = []
    for _ in range(num_iters):
        for k in range(3):
            error = X @ theta + bias - y
            costs.append((error**2).sum() / (2 * m))
            theta = theta - alpha * (X.T @ error) / m
            bias = bias - alpha * error.mean()
    return theta, bias, costs
