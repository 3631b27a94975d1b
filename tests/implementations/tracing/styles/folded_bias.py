import numpy as np

r = np.random.RandomState(41)
X = np.hstack([r.randn(6, 3), np.ones((6, 1))])
D = r.rand(6, 2)
V = r.randn(4, 5)
W = r.randn(6, 2)


def sig(u):
    return 1 / (1 + np.exp(-u))


def net():
    hidden = sig(X @ V)
    hidden1 = np.hstack([hidden, np.ones((len(X), 1))])
    return hidden, hidden1, sig(hidden1 @ W)


def loss():
    return np.mean(np.sum((D - net()[2]) ** 2, axis=1)) / 2


def backward():
    hidden, hidden1, out = net()
    delta_o = (out - D) * out * (1 - out)
    delta_h = delta_o @ W[:-1].T * hidden * (1 - hidden)
    grad_W = hidden1.T @ delta_o / len(X)
    grad_V = X.T @ delta_h / len(X)
    return grad_V, grad_W


PARAMS = {"V": V, "W": W}
grads = list
