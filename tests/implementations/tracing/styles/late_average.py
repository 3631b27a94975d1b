import numpy as np

R = np.random.default_rng(8)
X = R.normal(size=(9, 3))
T = R.normal(size=(9, 2))
W = [R.normal(size=(3, 6)), R.normal(size=(6, 5)), R.normal(size=(5, 2))]
B = [R.normal(size=6), R.normal(size=5), R.normal(size=2)]


def propagate():
    acts = [X]
    for i, (w, b) in enumerate(zip(W, B)):
        z = acts[-1] @ w + b
        acts.append(z if i == 2 else 1 / (1 + np.exp(-z)))
    return acts


def loss():
    out = propagate()[-1]
    return 0.5 * ((out - T) ** 2).sum() / len(X)


def backward():
    acts = propagate()
    gW, gB = [None] * 3, [None] * 3
    err = acts[-1] - T
    for i in range(2, -1, -1):
        if i < 2:
            err = err * acts[i + 1] * (1 - acts[i + 1])
        gW[i] = acts[i].T @ err
        gB[i] = err.sum(0)
        err = err @ W[i].T
    gW = [g / len(X) for g in gW]
    gB = [g / len(X) for g in gB]
    return gW, gB


PARAMS = [*W, *B]


def grads(returned):
    return [*returned[0], *returned[1]]
