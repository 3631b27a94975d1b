import numpy as np

np.random.seed(21)
X = np.random.randn(30, 5)
Y = (X.sum(axis=1, keepdims=True) > 0) * 1.0
W1 = np.random.randn(5, 4) * np.sqrt(2 / 5)
B1 = np.zeros((1, 4))
W2 = np.random.randn(4, 1) * np.sqrt(2 / 4)
B2 = np.zeros((1, 1))
LR = 0.1
N = len(X)
loss_log = []

for e in range(100):
    H = np.where(X @ W1 + B1 > 0, X @ W1 + B1, 0.01 * (X @ W1 + B1))
    P = 1 / (1 + np.exp(-(H @ W2 + B2)))
    bce = -np.sum(Y * np.log(P + 1e-9) + (1 - Y) * np.log(1 - P + 1e-9)) / N
    loss_log.append(bce)
    D = (P - Y) / N
    DH = D @ W2.T * np.where(H > 0, 1, 0.01)
    W2 = W2 - LR * H.T @ D
    B2 = B2 - LR * D.sum()
    W1 = W1 - LR * X.T @ DH
    B1 = B1 - LR * DH
