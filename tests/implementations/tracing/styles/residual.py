import numpy as np

r = np.random.default_rng(101)
X, y = r.normal(size=(6, 4)), r.integers(0, 4, 6)
params = [r.normal(size=(4, 4)) * 0.6 for _ in range(3)] + [r.normal(size=4) for _ in range(3)]


def forward():
    W1, W2, W3, b1, b2, b3 = params
    h1 = np.tanh(X @ W1 + b1)
    u = np.tanh(h1 @ W2 + b2)
    h2 = h1 + u
    z = h2 @ W3 + b3
    z = z - z.max(axis=-1, keepdims=True)
    q = np.exp(z)
    q /= q.sum(axis=-1, keepdims=True)
    return h1, u, h2, q


def loss():
    q = forward()[-1]
    return -np.log(q[np.arange(6), y]).sum()


def backward():
    W1, W2, W3, b1, b2, b3 = params
    h1, u, h2, q = forward()
    dz = q - np.eye(4)[y]
    dW3 = h2.T @ dz
    db3 = dz.sum(axis=0)
    dh2 = dz @ W3.T
    du = dh2 * (1 - u**2)
    dW2 = h1.T @ du
    db2 = du.sum(axis=0)
    dh1 = dh2 + du @ W2.T
    dz1 = dh1 * (1 - h1**2)
    dW1 = X.T @ dz1
    db1 = dz1.sum(axis=0)
    return [dW1, dW2, dW3, db1, db2, db3]


PARAMS = params
grads = list
