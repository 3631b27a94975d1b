import numpy as np

r = np.random.default_rng(21)
X = r.normal(size=(10, 3))
y = r.normal(size=10)
W1 = r.normal(size=(3, 6))
b1 = r.normal(size=6)
W2 = r.normal(size=(6, 1))
b2 = r.normal(size=1)
slope = 0.1


def leaky(z):
    return np.where(z > 0, z, slope * z)


def leaky_grad(z):
    return np.where(z > 0, 1.0, slope)


def predict():
    z1 = X.dot(W1) + b1
    a1 = leaky(z1)
    out = a1.dot(W2) + b2
    return z1, a1, out.ravel()


def loss():
    return ((predict()[-1] - y) ** 2).mean()


def backward():
    z1, a1, pred = predict()
    dpred = 2 * (pred - y) / len(y)
    dout = dpred.reshape(-1, 1)
    dW2 = a1.T.dot(dout)
    db2 = dout.sum(axis=0)
    da1 = dout.dot(W2.T)
    dz1 = da1 * leaky_grad(z1)
    dW1 = X.T.dot(dz1)
    db1 = dz1.sum(axis=0)
    return dW1, db1, dW2, db2


PARAMS = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
grads = list
