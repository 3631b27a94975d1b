"""Two nested loops: epochs, then examples, with an update after each."""
import numpy as np

inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
outputs = np.array([0, 1, 1, 0], dtype=float)
rng = np.random.RandomState(3)
w_hidden = rng.randn(3, 2)
b_hidden = rng.randn(3)
w_out = rng.randn(3)
b_out = rng.randn()
eta = 0.5


def s(z):
    return 1.0 / (1.0 + np.exp(-z))


for epoch in range(5000):
    total = 0
    for x, target in zip(inputs, outputs):
        h = s(w_hidden @ x + b_hidden)
        o = s(w_out @ h + b_out)
        total += (o - target) ** 2
        delta_o = (o - target) * o * (1 - o)
        delta_h = delta_o * w_out * h * (1 - h)
        w_out = w_out - eta * delta_o * h
        b_out = b_out - eta * delta_o
        w_hidden = w_hidden - eta * np.outer(delta_h, x)
        b_hidden = b_hidden - eta * delta_h
    if epoch % 1000 == 0:
        print(epoch, total)
