import numpy as np

rng = np.random.default_rng(2)
X = rng.normal(size=(4, 70))
Y = np.eye(3)[rng.integers(0, 3, 70)].T
m = X.shape[1]
W1, b1 = rng.normal(size=(6, 4)) * 0.3, np.zeros((6, 1))
W2, b2 = rng.normal(size=(3, 6)) * 0.3, np.zeros((3, 1))
lambd, lr = 0.01, 0.2

for it in range(300):
    A1 = np.tanh(W1 @ X + b1)
    S = W2 @ A1 + b2
    P = np.exp(S - S.max(axis=0))
    P /= P.sum(axis=0)
    J = -np.sum(Y * np.log(P)) / m
    dS = (P - Y) / m
    dA1 = W2.T @ dS
    dZ1 = dA1 * (1 - A1**2)
    W2, b2 = W2 - lr * (dS @ A1.T + lambd * W2), b2 - lr * dS.sum(axis=1, keepdims=True)
    W1, b1 = W1 - lr * (dZ1 @ X.T + lambd * W1), b1 - lr * dZ1.sum(axis=1, keepdims=True)
