import numpy as np

ROOT = np.sqrt(2 / np.pi)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(ROOT * (x + 0.044715 * x**3)))


def gelu_slope(x):
    t = np.tanh(ROOT * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * ROOT * (1 + 3 * 0.044715 * x**2)


def elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


def elu_slope(x):
    return np.where(x > 0, 1, np.exp(np.minimum(x, 0)))


FUNCTIONS = {
    "gelu": (gelu, gelu_slope),
    "elu": (elu, elu_slope),
    "sine": (lambda x: np.sin(x), lambda x: np.cos(x)),
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
}


class Layer:
    def __init__(self, n, m, name, rng):
        self.W = rng.normal(size=(n, m)) * 0.8
        self.b = rng.normal(size=m) * 0.3
        self.f, self.df = FUNCTIONS[name]

    def __call__(self, x):
        self.x = x
        self.z = x @ self.W + self.b
        return self.f(self.z)

    def back(self, upstream):
        local = upstream * self.df(self.z)
        self.gW = self.x.T @ local
        self.gb = local.sum(axis=0)
        return local @ self.W.T


rng = np.random.default_rng(81)
stack = [
    Layer(3, 6, "gelu", rng),
    Layer(6, 5, "elu", rng),
    Layer(5, 4, "sine", rng),
    Layer(4, 2, "identity", rng),
]
X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))


def loss():
    h = X
    for layer in stack:
        h = layer(h)
    return 0.5 * np.sum((h - Y) ** 2) / len(X)


def backward():
    h = X
    for layer in stack:
        h = layer(h)
    up = (h - Y) / len(X)
    for layer in stack[::-1]:
        up = layer.back(up)


PARAMS = [p for layer in stack for p in (layer.W, layer.b)]


def grads(_):
    return [g for layer in stack for g in (layer.gW, layer.gb)]
