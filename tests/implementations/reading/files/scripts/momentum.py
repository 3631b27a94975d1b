import numpy as np

rng = np.random.default_rng(5)
x = rng.uniform(-1, 1, (80, 2))
y = np.sin(x[:, :1]) + x[:, 1:] ** 2
W1, b1 = rng.normal(size=(2, 12)), np.zeros(12)
W2, b2 = rng.normal(size=(12, 1)) / 4, np.zeros(1)
vW1, vb1, vW2, vb2 = (np.zeros_like(p) for p in (W1, b1, W2, b2))
eta, mu = 0.05, 0.9

for epoch in range(400):
    h = np.tanh(x @ W1 + b1)
    out = h @ W2 + b2
    mse = np.mean((out - y) ** 2)
    g = 2 * (out - y) / len(x)
    dW2, db2 = h.T @ g, g.sum(0)
    gh = g @ W2.T * (1 - h * h)
    dW1, db1 = x.T @ gh, gh.sum(0)
    vW1 = mu * vW1 - eta * dW1
    vb1 = mu * vb1 - eta * db1
    vW2 = mu * vW2 - eta * dW2
    vb2 = mu * vb2 - eta * db2
    W1 += vW1
    b1 += vb1
    W2 += vW2
    b2 += vb2
    if epoch % 100 == 0:
        print(epoch, mse)
