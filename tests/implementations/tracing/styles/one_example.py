import numpy as np


class Perceptron:
    def __init__(self):
        r = np.random.default_rng(111)
        self.w_ih, self.w_ho = r.normal(size=(4, 3)), r.normal(size=(2, 4))
        self.b_h, self.b_o = r.normal(size=4), r.normal(size=2)

    def forward(self, x):
        h = np.tanh(self.w_ih @ x + self.b_h)
        o = self.w_ho @ h + self.b_o
        return h, o

    def backward(self, x, t):
        h, o = self.forward(x)
        do = o - t
        g_wo = np.outer(do, h)
        dh = self.w_ho.T @ do
        dz = dh * (1 - h**2)
        g_wi = np.outer(dz, x)
        return g_wi, dz, g_wo, do


net = Perceptron()
_r = np.random.default_rng(112)
xs, ts = _r.normal(size=(5, 3)), _r.normal(size=(5, 2))


def loss():
    return sum(0.5 * np.sum((net.forward(x)[1] - t) ** 2) for x, t in zip(xs, ts)) / len(xs)


def backward():
    totals = [np.zeros_like(net.w_ih), np.zeros(4), np.zeros_like(net.w_ho), np.zeros(2)]
    for x, t in zip(xs, ts):
        for total, g in zip(totals, net.backward(x, t)):
            total += g / len(xs)
    return totals


PARAMS = [net.w_ih, net.b_h, net.w_ho, net.b_o]
grads = list
