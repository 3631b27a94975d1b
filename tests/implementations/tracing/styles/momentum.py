import numpy as np

rng = np.random.default_rng(31)


class MLP:
    def __init__(self, sizes):
        self.Ws = [rng.normal(0, 0.8, (i, o)) for i, o in zip(sizes, sizes[1:])]
        self.bs = [rng.normal(0, 0.1, o) for o in sizes[1:]]
        self.velocity = [np.zeros_like(W) for W in self.Ws]

    def forward(self, x):
        self.inputs, self.pre = [], []
        for k, (W, b) in enumerate(zip(self.Ws, self.bs)):
            self.inputs.append(x)
            z = x @ W + b
            self.pre.append(z)
            x = np.tanh(z) if k + 1 < len(self.Ws) else z
        return x

    def loss(self, x, t):
        z = self.forward(x)
        z = z - z.max(1, keepdims=True)
        logp = z - np.log(np.exp(z).sum(1, keepdims=True))
        return -(t * logp).sum() / len(x)

    def step(self, x, t, lr=0.1, mu=0.9):
        z = self.forward(x)
        e = np.exp(z - z.max(1, keepdims=True))
        delta = (e / e.sum(1, keepdims=True) - t) / len(x)
        for k in reversed(range(len(self.Ws))):
            gW = self.inputs[k].T @ delta
            gb = delta.sum(0)
            if k:
                delta = (delta @ self.Ws[k].T) * (1 - np.tanh(self.pre[k - 1]) ** 2)
            self.velocity[k] = mu * self.velocity[k] + gW
            self.Ws[k] -= lr * self.velocity[k]
            self.bs[k] -= lr * gb


net = MLP((4, 6, 5, 3))
x = rng.normal(size=(6, 4))
t = np.eye(3)[rng.integers(0, 3, 6)]


def loss():
    return net.loss(x, t)


def backward():
    net.step(x, t)


PARAMS = [*net.Ws, *net.bs]
BEFORE = [p.copy() for p in PARAMS]


def grads(_):
    return [(before - now) / 0.1 for before, now in zip(BEFORE, [*net.Ws, *net.bs])]
