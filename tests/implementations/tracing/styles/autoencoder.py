import numpy as np

r = np.random.RandomState(121)
X = r.randn(7, 5)
net = {"W": r.randn(5, 3), "b": r.randn(3), "c": r.randn(5)}


def code():
    return 1 / (1 + np.exp(-(X @ net["W"] + net["b"])))


def loss():
    H = code()
    X_hat = H @ net["W"].T + net["c"]
    return 0.5 * np.mean(np.sum((X_hat - X) ** 2, axis=1)) + 0.01 * np.sum(net["W"] ** 2)


def backward():
    H = code()
    X_hat = H @ net["W"].T + net["c"]
    dX_hat = (X_hat - X) / len(X)
    dc = dX_hat.sum(axis=0)
    dH = dX_hat @ net["W"]
    dA = dH * H * (1 - H)
    db = dA.sum(axis=0)
    decode = dX_hat.T @ H
    encode = X.T @ dA
    decay = 0.02 * net["W"]
    dW = decode + encode + decay
    return {"dW": dW, "db": db, "dc": dc}


PARAMS = net


def grads(returned):
    return [returned["d" + name] for name in PARAMS]
