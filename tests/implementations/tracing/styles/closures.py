import numpy as np


def make(sizes, seed=0):
    rng = np.random.default_rng(seed)
    layers = [(rng.normal(size=(i, o)), rng.normal(size=o)) for i, o in zip(sizes, sizes[1:])]

    def act(z):
        return z * (z > 0)

    def run(X):
        cache, a = [], X
        for k, (W, b) in enumerate(layers):
            z = a @ W + b
            cache.append((a, z))
            a = z if k == len(layers) - 1 else act(z)
        return a, cache

    def loss(X, y):
        out, _ = run(X)
        return np.mean((out - y) ** 2)

    def grad(X, y):
        out, cache = run(X)
        d = 2 * (out - y) / out.size
        found = []
        for k in range(len(layers) - 1, -1, -1):
            a, z = cache[k]
            if k < len(layers) - 1:
                d = d * (z > 0)
            found.append((a.T @ d, d.sum(axis=0)))
            d = d @ layers[k][0].T
        return found[::-1]

    return loss, grad


_loss, _grad = make((3, 5, 4, 2))
_r = np.random.default_rng(9)
X, y = _r.normal(size=(7, 3)), _r.normal(size=(7, 2))


def loss():
    return _loss(X, y)


def backward():
    return _grad(X, y)


PARAMS = [
    p
    for cell in _loss.__closure__[0].cell_contents.__closure__
    if isinstance(cell.cell_contents, list)
    for pair in cell.cell_contents
    for p in pair
]


def grads(returned):
    return [g for pair in returned for g in pair]
